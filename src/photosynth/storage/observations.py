"""Points of the day's curve: powers in watts and the spot price, by site time."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import OBSERVATIONS
from photosynth.storage.upsert import upsert

_PUT = upsert(OBSERVATIONS)


@dataclass(frozen=True, slots=True)
class DayObservation:
    """What was seen at one instant of site time; None where nothing was observed."""

    time_ms: int
    generation_w: int | None = None
    load_w: int | None = None
    surplus_w: int | None = None
    set_point_w: int | None = None
    mining_power_w: int | None = None
    grid_w: int | None = None
    spot_cent_per_mwh: int | None = None


KEPT_MS = 8 * 86_400_000
"""Of site time: a day's curve can be looked at for a week after it. What is older is in the quarter hours' records."""
FORGOTTEN_AT_ONCE = 1000
"""Rows that one pass removes at most, so that it takes some milliseconds whatever had piled up."""


def keep_observations(tx: Connection, points: Iterable[DayObservation], now_ms: int) -> None:
    """Store points, one for the same instant replaced, and forget some that are older than a week."""
    for point in points:
        tx.execute(_PUT, asdict(point))
    old = sa.select(OBSERVATIONS.c.time_ms).where(OBSERVATIONS.c.time_ms < now_ms - KEPT_MS)
    some = old.order_by(OBSERVATIONS.c.time_ms).limit(FORGOTTEN_AT_ONCE)
    tx.execute(OBSERVATIONS.delete().where(OBSERVATIONS.c.time_ms.in_(some)))


def day_observations(tx: Connection, from_ms: int, to_ms: int, points: int) -> list[DayObservation]:
    """The stored points from one instant to before another, oldest first, thinned evenly to about so many."""
    inside = (OBSERVATIONS.c.time_ms >= from_ms) & (OBSERVATIONS.c.time_ms < to_ms)
    count = tx.execute(sa.select(sa.func.count()).select_from(OBSERVATIONS).where(inside)).scalar_one()
    step = max(1, -(-count // max(1, points)))
    rows = tx.execute(sa.select(OBSERVATIONS).where(inside).order_by(OBSERVATIONS.c.time_ms)).mappings()
    return [DayObservation(**row) for index, row in enumerate(rows) if index % step == 0 or index == count - 1]
