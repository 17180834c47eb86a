"""Statements that run thousands of times a second: compiled once, and handed to the driver as they are.

SQLAlchemy's work for each call, results and conversions, costs more than such a statement itself. The SQL is still
SQLAlchemy's own for the database at hand, the transaction too, and so are the errors.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.exact import with_exact_sums

Row = tuple[str | int | None, ...]


class Prepared:
    """A statement whose parameters are given as a tuple in the order of ``names``; values go to the driver unconverted.

    ``exact_add(a, b)`` in it is the exact sum of two columns, in any database.
    """

    def __init__(self, sql: str, *names: str) -> None:
        self._sql = sql
        self._names = names
        self._compiled: dict[str, tuple[str, bool]] = {}

    def first(self, tx: Connection, row: Row) -> Sequence[Any] | None:
        """Run it and return the first row of its answer, None where there is none."""
        found: Sequence[Any] | None = self._run(tx, row).fetchone()
        return found

    def each(self, tx: Connection, row: Row) -> Iterator[tuple[Any, ...]]:
        """Run it and go through the rows of its answer, of which only one is held at a time."""
        found: Iterator[tuple[Any, ...]] = self._run(tx, row)
        return found

    def run(self, tx: Connection, row: Row) -> None:
        """Run it where nothing is asked of its answer."""
        self._run(tx, row)

    def _run(self, tx: Connection, row: Row) -> Any:
        known = self._compiled.get(tx.dialect.name)
        sql, positional = self._compile(tx) if known is None else known
        parameters: Any = row if positional else dict(zip(self._names, row, strict=True))
        # Of the driver itself: SQLAlchemy's way to a cursor takes three times as long.
        raw: Any = tx.connection.dbapi_connection
        cursor = raw.cursor()
        try:
            cursor.execute(sql, parameters)
        except tx.dialect.loaded_dbapi.Error as error:
            base = tx.dialect.loaded_dbapi.Error
            raise sa.exc.DBAPIError.instance(sql, parameters, error, base, dialect=tx.dialect) from error
        return cursor

    def _compile(self, tx: Connection) -> tuple[str, bool]:
        compiled = sa.text(with_exact_sums(self._sql, tx.dialect.name)).compile(dialect=tx.dialect)
        order = compiled.positiontup
        if order is not None and tuple(order) != self._names:
            raise ValueError(f"the statement takes {', '.join(order)}, in another order than {', '.join(self._names)}")
        found = self._compiled[tx.dialect.name] = (str(compiled), order is not None)
        return found


ROWS_AT_ONCE = 16
"""Rows of one statement at most; each number of them is a statement of its own, compiled once."""


class PreparedRows:
    """An INSERT of some rows, in one statement: for a few rows a driver's ``executemany`` takes half as long again."""

    def __init__(self, sql: str, *names: str) -> None:
        """``{rows}`` in the SQL stands for the rows of its VALUES."""
        self._sql, self._names = sql, names
        self._statements: dict[int, Prepared] = {}

    def run(self, tx: Connection, rows: Sequence[Row]) -> None:
        """Insert rows, each a tuple in the order of ``names``."""
        for at in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[at : at + ROWS_AT_ONCE]
            statement = self._statements.get(len(some)) or self._of(len(some))
            statement.run(tx, tuple(chain.from_iterable(some)))

    def _of(self, number: int) -> Prepared:
        rows = [[f"{name}_{row}" for name in self._names] for row in range(number)]
        values = ", ".join([f"({', '.join([f':{name}' for name in row])})" for row in rows])
        self._statements[number] = Prepared(self._sql.replace("{rows}", values), *chain.from_iterable(rows))
        return self._statements[number]
