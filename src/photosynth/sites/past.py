"""What an earlier run of a site left in the database: where time, shares, machines and peaks stood."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.energy.import_peak import DemandPeriod, ImportPeak, period_start_ms
from photosynth.quantities.instants import INTERVAL_S
from photosynth.sites.bookkeeper import MACHINE_MEMORY, SHARE_SEQ
from photosynth.storage.meta import get_meta
from photosynth.storage.scopes import of_site
from photosynth.storage.tables import INTERVALS


@dataclass(frozen=True, slots=True)
class LastInterval:
    """The newest closed quarter hour: its start in site time, and the machine's clock at its end."""

    start_ms: int
    wall_end_ms: int


@dataclass(frozen=True, slots=True)
class Past:
    """The past of one site as far as the next run needs it; None and zero where there is none."""

    last_interval: LastInterval | None
    import_peak: ImportPeak
    share_seq: int
    machine_memory: dict[str, Any] | None


def read_past(tx: Connection, site: str, demand_period: DemandPeriod) -> Past:
    """Read it."""
    last = last_interval(tx, site)
    peak = ImportPeak(demand_period)
    if last is not None:
        since = INTERVALS.c.start_ms >= period_start_ms(last.start_ms, demand_period)
        peak_j = tx.execute(sa.select(sa.func.max(INTERVALS.c.import_j)).where(INTERVALS.c.site == site, since)).scalar()
        peak.count(last.start_ms, (peak_j or 0) // INTERVAL_S)
    return Past(
        last_interval=last,
        import_peak=peak,
        share_seq=booked_shares(tx, site),
        machine_memory=get_meta(tx, of_site(site), MACHINE_MEMORY),
    )


def last_interval(tx: Connection, site: str) -> LastInterval | None:
    """The newest quarter hour that is closed, None before the first."""
    c = INTERVALS.c
    last = tx.execute(sa.select(c.start_ms, c.wall_end_ms).where(c.site == site).order_by(c.start_ms.desc()).limit(1)).first()
    return None if last is None else LastInterval(last.start_ms, last.wall_end_ms)


def booked_shares(tx: Connection, site: str) -> int:
    """The last entry of the share log whose work is in a closed quarter hour."""
    return get_meta(tx, of_site(site), SHARE_SEQ) or 0
