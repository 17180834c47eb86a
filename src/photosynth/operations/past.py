"""What an earlier run left in the database: where time, shares, machines and peaks stood."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from photosynth.energy.import_peak import DemandPeriod, ImportPeak, period_start_ms
from photosynth.operations.bookkeeping import MACHINE_MEMORY, SHARE_SEQ
from photosynth.operations.summaries import switched_off
from photosynth.quantities.instants import INTERVAL_S
from photosynth.storage import Database
from photosynth.storage.actions import finish_action
from photosynth.storage.meta import get_meta
from photosynth.storage.scopes import of_site
from photosynth.storage.tables import ACTIONS, INTERVALS


@dataclass(frozen=True, slots=True)
class Past:
    """The past as far as the next run needs it; None and zero where there is none."""

    last_interval_ms: int | None
    last_wall_end_ms: int | None
    import_peak: ImportPeak
    share_seq: int
    machine_memory: dict[str, Any] | None
    stopped: bool


def read_past(database: Database, site: str, demand_period: DemandPeriod) -> Past:
    """Read it, and finish actions that a kill cut off: nobody saw what came of them."""
    with database.begin() as tx:
        cut_off = tx.execute(sa.select(ACTIONS.c.id, ACTIONS.c.time_ms).where(sa.text("result = 'planned'"))).all()
        for row in cut_off:
            finish_action(
                tx,
                row.id,
                result="unverified",
                answer="the system stopped before an answer came",
                read_back=None,
                verified=None,
                finished_ms=row.time_ms,
            )
        here = INTERVALS.c.site == site
        newest = sa.select(INTERVALS.c.start_ms, INTERVALS.c.wall_end_ms).where(here).order_by(INTERVALS.c.start_ms.desc())
        last = tx.execute(newest.limit(1)).first()
        peak = ImportPeak(demand_period)
        if last is not None:
            since = INTERVALS.c.start_ms >= period_start_ms(last.start_ms, demand_period)
            peak_j = tx.execute(sa.select(sa.func.max(INTERVALS.c.import_j)).where(here, since)).scalar()
            peak.count(last.start_ms, (peak_j or 0) // INTERVAL_S)
        return Past(
            last_interval_ms=None if last is None else last.start_ms,
            last_wall_end_ms=None if last is None else last.wall_end_ms,
            import_peak=peak,
            share_seq=get_meta(tx, of_site(site), SHARE_SEQ) or 0,
            machine_memory=get_meta(tx, of_site(site), MACHINE_MEMORY),
            stopped=switched_off(tx, site),
        )
