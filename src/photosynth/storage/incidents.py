"""Incidents and what targets of alerts were told of them: written whole by their key, and removed when they are old.

What grows in a year: an incident that one target was told of takes about 250 bytes (2 kB with the longest texts), and is removed
``KEPT_MS`` after it was resolved, the oldest first where there are more than ``MOST_KEPT``. That bounds them to about 25 MB.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping

from photosynth.storage.tables import ALERTS_TOLD, INCIDENTS
from photosynth.storage.upsert import upsert

KEPT_MS = 400 * 86_400_000
"""A year and a month after it was resolved, so that a report of a whole year can still be made."""
MOST_KEPT = 100_000
FORGOTTEN_AT_ONCE = 500
"""Rows that one pass removes at most, so that it takes some milliseconds whatever had piled up."""

_PUT = upsert(INCIDENTS)
_TELL = upsert(ALERTS_TOLD)


def write_incidents(tx: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write whole incidents, each in the place of the one with its id: the same once more changes nothing."""
    for row in rows:
        tx.execute(_PUT, dict(row))


def unresolved_incidents(tx: Connection, resolved_since_ms: int) -> list[RowMapping]:
    """Every incident that is not resolved, or was since a moment, oldest first."""
    lately = (INCIDENTS.c.resolved_ms.is_(None)) | (INCIDENTS.c.resolved_ms >= resolved_since_ms)
    return list(tx.execute(sa.select(INCIDENTS).where(lately).order_by(INCIDENTS.c.id)).mappings())


def list_incidents(
    tx: Connection, *, site: str | None = None, resolved: bool = False, limit: int, before_id: int | None = None
) -> list[RowMapping]:
    """Incidents newest first, of one site or of all; the resolved ones too where ``resolved``."""
    query = sa.select(INCIDENTS).order_by(INCIDENTS.c.id.desc()).limit(limit)
    if site is not None:
        query = query.where(INCIDENTS.c.site == site)
    if not resolved:
        query = query.where(INCIDENTS.c.resolved_ms.is_(None))
    if before_id is not None:
        query = query.where(INCIDENTS.c.id < before_id)
    return list(tx.execute(query).mappings())


def one_incident(tx: Connection, incident_id: int) -> RowMapping | None:
    """One by its id, None where there is none."""
    return tx.execute(sa.select(INCIDENTS).where(INCIDENTS.c.id == incident_id)).mappings().first()


def last_incident_id(tx: Connection) -> int:
    """The highest id that is known, 0 where there is none."""
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(INCIDENTS.c.id), 0))).scalar_one())


def tell_alerts(tx: Connection, target: str, told: Mapping[int, str], told_ms: int) -> None:
    """Write down what a target was told of incidents, by their ids."""
    for incident, what in told.items():
        tx.execute(_TELL, {"incident": incident, "target": target, "what": what, "told_ms": told_ms})


def told_alerts(tx: Connection, incidents: Iterable[int]) -> dict[tuple[str, int], tuple[Any, int]]:
    """What each target was told last of these incidents and when, by target and id."""
    wanted, found = list(incidents), dict[tuple[str, int], tuple[Any, int]]()
    for start in range(0, len(wanted), FORGOTTEN_AT_ONCE):
        here = ALERTS_TOLD.c.incident.in_(wanted[start : start + FORGOTTEN_AT_ONCE])
        found |= {(row.target, row.incident): (row.what, row.told_ms) for row in tx.execute(sa.select(ALERTS_TOLD).where(here))}
    return found


def forget_incidents(tx: Connection, now_ms: int) -> int:
    """Remove some that were resolved too long ago, or are too many; how many. The newest stays, so that no id comes again."""
    resolved = INCIDENTS.c.resolved_ms.is_not(None) & (INCIDENTS.c.id < last_incident_id(tx))
    count = tx.execute(sa.select(sa.func.count()).select_from(INCIDENTS)).scalar_one()
    old = sa.select(INCIDENTS.c.id).where(resolved)
    if count <= MOST_KEPT:
        old = old.where(INCIDENTS.c.resolved_ms < now_ms - KEPT_MS)
    most = FORGOTTEN_AT_ONCE if count <= MOST_KEPT else min(FORGOTTEN_AT_ONCE, count - MOST_KEPT)
    ids = list(tx.execute(old.order_by(INCIDENTS.c.resolved_ms).limit(most)).scalars())
    if ids:
        tx.execute(ALERTS_TOLD.delete().where(ALERTS_TOLD.c.incident.in_(ids)))
        tx.execute(INCIDENTS.delete().where(INCIDENTS.c.id.in_(ids)))
    return len(ids)
