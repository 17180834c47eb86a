"""The audit: every change to the world, written down and finished once."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import ACTIONS

Result = Literal["done", "refused", "failed", "unverified"]


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One action as it is stored; ``key`` makes it be written once, ``result`` is ``planned`` until it is finished."""

    id: int
    key: str
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
    key: str,
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
    One whose ``key`` is there already was written before, by a commit of which nobody heard: it is finished where it is not yet.
    """
    values = {
        "key": key,
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
    written = tx.execute(_INSERT, values).scalar()
    if written is not None:
        return int(written)
    known = tx.execute(sa.select(ACTIONS.c.id, ACTIONS.c.result).where(ACTIONS.c.key == key)).one()
    if known.result == "planned" != result:
        ending = {name: values[name] for name in _ENDING}
        tx.execute(ACTIONS.update().where(ACTIONS.c.id == known.id).values(ending))
    return int(known.id)


_ENDING = ("result", "answer", "read_back", "verified", "finished_ms")
_GIVEN = [column for column in ACTIONS.columns if column.name != "id"]
_INSERT = sa.text(
    f"INSERT INTO actions (id, {', '.join(column.name for column in _GIVEN)}) VALUES ("  # noqa: S608 - the table's own columns
    f"(SELECT coalesce(max(id), 0) + 1 FROM actions), {', '.join(f':{column.name}' for column in _GIVEN)}) "
    "ON CONFLICT (key) DO NOTHING RETURNING id"
).bindparams(*(sa.bindparam(column.name, type_=column.type) for column in _GIVEN))


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
    """Write down what came of a planned action; the same once more changes nothing.

    Raises ValueError where there is no such action, or something else came of it.
    """
    ending = {"result": result, "answer": answer, "read_back": read_back, "verified": verified, "finished_ms": finished_ms}
    changed = tx.execute(ACTIONS.update().where(ACTIONS.c.id == action_id, ACTIONS.c.result == "planned").values(ending))
    if changed.rowcount == 1:
        return
    known = tx.execute(sa.select(*(ACTIONS.c[name] for name in _ENDING)).where(ACTIONS.c.id == action_id)).mappings().first()
    if known is None or dict(known) != ending:
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
