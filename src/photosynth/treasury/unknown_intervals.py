"""Closed quarter hours whose energy is unknown, because a meter's registers never came."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import INTERVALS


@dataclass(frozen=True, slots=True)
class UnknownIntervals:
    """Closed quarter hours whose energy is unknown: how many, the first and the last, and the meters without registers."""

    count: int
    first_ms: int
    last_ms: int
    meters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """A closed quarter hour and the meters that it lacks."""

    start_ms: int
    meters: tuple[str, ...]


def open_intervals(tx: Connection, since_ms: int) -> list[OpenInterval]:
    """The quarter hours from a site time on that were closed without a meter, in their order."""
    found = INTERVALS.c.start_ms >= since_ms, INTERVALS.c.residual_j.is_(None)
    rows = tx.execute(sa.select(INTERVALS.c.start_ms, INTERVALS.c.meters).where(*found).order_by(INTERVALS.c.start_ms))
    return [OpenInterval(row.start_ms, tuple(sorted(meter["id"] for meter in row.meters if _lacks(meter)))) for row in rows]


def _lacks(meter: dict[str, Any]) -> bool:
    return meter["register_start_j"] is None or meter["register_end_j"] is None


def unknown_intervals(tx: Connection, since_ms: int) -> UnknownIntervals | None:
    """The quarter hours from a site time on that were closed without a meter; None where there are none."""
    found = INTERVALS.c.start_ms >= since_ms, INTERVALS.c.residual_j.is_(None)
    rows = tx.execute(sa.select(INTERVALS.c.start_ms, INTERVALS.c.meters).where(*found).order_by(INTERVALS.c.start_ms)).all()
    if not rows:
        return None
    missing = {meter["id"] for row in rows for meter in row.meters if meter["register_end_j"] is None}
    return UnknownIntervals(len(rows), rows[0].start_ms, rows[-1].start_ms, tuple(sorted(missing)))
