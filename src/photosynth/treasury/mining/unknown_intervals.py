"""Closed quarter hours whose energy is unknown, because a meter's registers never came."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import INTERVALS


@dataclass(frozen=True, slots=True)
class UnknownIntervals:
    """Closed quarter hours of a site whose energy is unknown: how many, the first, the last, the meters without registers."""

    site: str
    count: int
    first_ms: int
    last_ms: int
    meters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenInterval:
    """A closed quarter hour and the meters that it lacks."""

    start_ms: int
    meters: tuple[str, ...]


def open_intervals(tx: Connection, site: str, since_ms: int) -> list[OpenInterval]:
    """The quarter hours of a site from a site time on that were closed without a meter, in their order."""
    c = INTERVALS.c
    found = c.site == site, c.start_ms >= since_ms, c.residual_j.is_(None)
    rows = tx.execute(sa.select(c.start_ms, c.meters).where(*found).order_by(c.start_ms))
    return [OpenInterval(row.start_ms, tuple(sorted(meter["id"] for meter in row.meters if _lacks(meter)))) for row in rows]


def _lacks(meter: dict[str, Any]) -> bool:
    return meter["register_start_j"] is None or meter["register_end_j"] is None


def unknown_intervals(tx: Connection, site: str | None, since_ms: int) -> list[UnknownIntervals]:
    """The quarter hours of a site (None: of each) from a site time on that were closed without a meter; none, no entry."""
    c = INTERVALS.c
    found = [c.start_ms >= since_ms, c.residual_j.is_(None), *([] if site is None else [c.site == site])]
    by_site: dict[str, list[Any]] = {}
    rows: list[Any] = list(tx.execute(sa.select(c.site, c.start_ms, c.meters).where(*found).order_by(c.start_ms)))
    for row in rows:
        by_site.setdefault(row.site, []).append(row)
    return [
        UnknownIntervals(name, len(rows), rows[0].start_ms, rows[-1].start_ms, _missing(rows))
        for name, rows in sorted(by_site.items())
    ]


def _missing(rows: list[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(meter["id"]) for row in rows for meter in row.meters if meter["register_end_j"] is None}))
