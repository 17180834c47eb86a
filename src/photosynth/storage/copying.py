"""All rows of one database into another, of either kind, and the proof that both hold the same."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from photosynth.storage.tables import METADATA

ROWS_AT_ONCE = 500
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class Content:
    """How many rows a table has, and the SHA-256 of all of them in the order of their key."""

    rows: int
    digest: str


def copy_tables(source: Connection, target: Connection) -> dict[str, Content]:
    """Copy every row into tables of a new database, and what was copied by table; the caller's transaction has all or nothing.

    What a migration put into a table is there already and stays: :func:`content_of` shows where it differs.
    """
    copied = {}
    for table in METADATA.sorted_tables:
        account, insert = _Account(), _INSERT[target.dialect.name](table).on_conflict_do_nothing()
        for rows in _rows(source, table):
            account.add(rows)
            target.execute(insert, [dict(row._mapping) for row in rows])
        copied[table.name] = account.content()
    return copied


def content_of(tx: Connection) -> dict[str, Content]:
    """What every table holds."""
    found = {}
    for table in METADATA.sorted_tables:
        account = _Account()
        for rows in _rows(tx, table):
            account.add(rows)
        found[table.name] = account.content()
    return found


class _Account:
    def __init__(self) -> None:
        self._rows, self._hash = 0, hashlib.sha256()

    def add(self, rows: list[sa.Row[Any]]) -> None:
        self._rows += len(rows)
        for row in rows:
            self._hash.update(repr(tuple(row)).encode("utf-8", "surrogatepass") + b"\n")

    def content(self) -> Content:
        return Content(self._rows, self._hash.hexdigest())


def _rows(tx: Connection, table: sa.Table) -> Iterator[list[sa.Row[Any]]]:
    """Some rows at a time in the order of the key, whose texts sort by their bytes everywhere."""
    by_bytes = tx.dialect.name == "postgresql"
    keys = [sa.collate(column, "C") if by_bytes and _is_text(column.type) else column for column in table.primary_key]
    found = tx.execute(sa.select(table).order_by(*keys), execution_options={"yield_per": ROWS_AT_ONCE})
    for rows in found.partitions():
        yield list(rows)


def _is_text(kind: sa.types.TypeEngine[Any]) -> bool:
    return isinstance(kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind, sa.String)
