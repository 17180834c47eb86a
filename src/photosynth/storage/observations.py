"""Points of the day's curve: powers in watts and the spot price, by site time."""

from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import OBSERVATIONS


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


def record_observation(tx: Connection, point: DayObservation) -> None:
    """Store a point; one for the same instant is replaced."""
    tx.execute(OBSERVATIONS.insert().prefix_with("OR REPLACE").values(asdict(point)))


def day_observations(tx: Connection, from_ms: int, to_ms: int, points: int) -> list[DayObservation]:
    """The stored points from one instant to before another, oldest first, thinned evenly to about so many."""
    inside = (OBSERVATIONS.c.time_ms >= from_ms) & (OBSERVATIONS.c.time_ms < to_ms)
    count = tx.execute(sa.select(sa.func.count()).select_from(OBSERVATIONS).where(inside)).scalar_one()
    step = max(1, -(-count // max(1, points)))
    rows = tx.execute(sa.select(OBSERVATIONS).where(inside).order_by(OBSERVATIONS.c.time_ms)).mappings()
    return [DayObservation(**row) for index, row in enumerate(rows) if index % step == 0 or index == count - 1]


def forget_observations(tx: Connection, before_ms: int) -> int:
    """Delete points older than an instant and return how many: the curve is a convenience, the journal is not."""
    return tx.execute(OBSERVATIONS.delete().where(OBSERVATIONS.c.time_ms < before_ms)).rowcount
