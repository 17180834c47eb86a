"""Statements that run thousands of times a second: compiled once, and handed to the driver as they are.

SQLAlchemy's work for each call, results and conversions, costs more than such a statement itself. The SQL is still
SQLAlchemy's own for the database at hand, the transaction too, and so are the errors.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

Row = tuple[str | int | None, ...]


class Prepared:
    """A statement whose parameters are given as a tuple in the order of ``names``; values go to the driver unconverted."""

    def __init__(self, sql: str, *names: str) -> None:
        self._statement = sa.text(sql)
        self._names = names
        self._compiled: dict[str, tuple[str, bool]] = {}

    def first(self, tx: Connection, row: Row) -> Sequence[Any] | None:
        """Run it and return the first row of its answer, None where there is none."""
        found: Sequence[Any] | None = self._run(tx, row, many=False).fetchone()
        return found

    def each(self, tx: Connection, row: Row) -> Iterator[tuple[Any, ...]]:
        """Run it and go through the rows of its answer, of which only one is held at a time."""
        found: Iterator[tuple[Any, ...]] = self._run(tx, row, many=False)
        return found

    def many(self, tx: Connection, rows: Sequence[Row]) -> None:
        """Run it once for each row."""
        self._run(tx, rows, many=True)

    def _run(self, tx: Connection, parameters: Any, *, many: bool) -> Any:
        known = self._compiled.get(tx.dialect.name)
        sql, positional = self._compile(tx) if known is None else known
        if not positional:
            parameters = [dict(zip(self._names, row, strict=True)) for row in (parameters if many else [parameters])]
            parameters = parameters if many else parameters[0]
        cursor = tx.connection.cursor()
        try:
            (cursor.executemany if many else cursor.execute)(sql, parameters)
        except tx.dialect.loaded_dbapi.Error as error:
            base = tx.dialect.loaded_dbapi.Error
            raise sa.exc.DBAPIError.instance(sql, parameters, error, base, dialect=tx.dialect, ismulti=many) from error
        return cursor

    def _compile(self, tx: Connection) -> tuple[str, bool]:
        compiled = self._statement.compile(dialect=tx.dialect)
        order = compiled.positiontup
        if order is not None and tuple(order) != self._names:
            raise ValueError(f"the statement takes {', '.join(order)}, in another order than {', '.join(self._names)}")
        found = self._compiled[tx.dialect.name] = (str(compiled), order is not None)
        return found
