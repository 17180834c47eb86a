"""The audit: every change to the world, written down and finished once."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import ACTIONS

Result = Literal["done", "refused", "failed", "unverified"]


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action as it is stored; ``result`` is ``planned`` until it is finished."""

    id: int
    time_ms: int
    wall_ms: int
    actor: str
    kind: str
    subject: str
    reason: str
    request: str
    result: str
    answer: str | None
    read_back: str | None
    verified: bool | None
    finished_ms: int | None


def write_action(
    tx: Connection,
    *,
    time_ms: int,
    wall_ms: int,
    actor: str,
    kind: str,
    subject: str,
    reason: str,
    request: str,
    result: Result | Literal["planned"] = "planned",
    answer: str | None = None,
    read_back: str | None = None,
    verified: bool | None = None,
    finished_ms: int | None = None,
) -> int:
    """Write an action down and return its id; times are site and wall milliseconds.

    It is ``planned`` where it is about to be tried or waits for its end, else it is written with what came of it already.
    """
    values = {
        "time_ms": time_ms,
        "wall_ms": wall_ms,
        "actor": actor,
        "kind": kind,
        "subject": subject,
        "reason": reason,
        "request": request,
        "result": result,
        "answer": answer,
        "read_back": read_back,
        "verified": verified,
        "finished_ms": finished_ms,
    }
    row = tx.execute(ACTIONS.insert().values(values))
    assert row.inserted_primary_key is not None
    return int(row.inserted_primary_key[0])


def finish_action(
    tx: Connection,
    action_id: int,
    *,
    result: Result,
    answer: str | None,
    read_back: str | None,
    verified: bool | None,
    finished_ms: int,
) -> None:
    """Write down what came of a planned action. Raises ValueError where there is none that is still planned."""
    changed = tx.execute(
        ACTIONS.update()
        .where(ACTIONS.c.id == action_id, ACTIONS.c.result == "planned")
        .values(result=result, answer=answer, read_back=read_back, verified=verified, finished_ms=finished_ms)
    )
    if changed.rowcount != 1:
        raise ValueError(f"action {action_id} is not there or was finished before")


def read_actions(
    tx: Connection, *, limit: int = 200, before_id: int | None = None, subject: str | None = None
) -> list[ActionRow]:
    """Actions newest first, at most ``limit``, older than ``before_id`` where it is given."""
    query = sa.select(ACTIONS).order_by(ACTIONS.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(ACTIONS.c.id < before_id)
    if subject is not None:
        query = query.where(ACTIONS.c.subject == subject)
    return [ActionRow(**row) for row in tx.execute(query).mappings()]


def read_action(tx: Connection, action_id: int) -> ActionRow | None:
    """One action by its id, None where there is none."""
    row = tx.execute(sa.select(ACTIONS).where(ACTIONS.c.id == action_id)).mappings().first()
    return None if row is None else ActionRow(**row)
