"""Integers without limit in a database: amounts and their sums, which neither become floats nor wrap.

PostgreSQL has NUMERIC, its sum and its addition. SQLite has 64 bits, and makes a float of what passes them: there an integer that
fits is stored as INTEGER and any other as its decimal text, in a column that converts nothing, and ``exact_add`` and
``exact_sum`` are functions of every connection. Whatever else stands in such a column this program did not write: it is refused.
"""

import re
import sqlite3
from decimal import Decimal
from typing import Any, cast

from photosynth.storage.errors import DamagedAmountError

INT64_MAX = (1 << 63) - 1
_TEXT = re.compile(r"-?[1-9][0-9]{18,4299}")


def stored_integer(value: int) -> int | str:
    """How an integer goes into a column, by any driver: itself where 64 bits hold it, its decimal text otherwise."""
    return value if -INT64_MAX - 1 <= value <= INT64_MAX else str(value)


def exact_integer(stored: object) -> int:
    """The integer that a column holds. Raises DamagedAmountError where it holds anything else, a float above all."""
    if type(stored) is int:
        return stored
    if type(stored) is str and _TEXT.fullmatch(stored):
        number = int(stored)
        if not -INT64_MAX - 1 <= number <= INT64_MAX:
            return number
    if type(stored) is Decimal and stored.is_finite() and stored == stored.to_integral_value():
        return int(stored)
    raise DamagedAmountError(stored)


_SUM = re.compile(r"exact_add\(([\w.]+), ([\w.]+)\)")
_SQLITE_SUM = r"CASE WHEN typeof(\1) = 'integer' AND typeof(\1 + \2) = 'integer' THEN \1 + \2 ELSE exact_add(\1, \2) END"


def with_exact_sums(sql: str, dialect: str) -> str:
    """A statement whose ``exact_add(column, column)`` is said in a database's own words.

    SQLite makes a float of a sum beyond 64 bits and of any sum with a text, so an integer is exact; only the others go through
    Python, which takes half as long again as the statement.
    """
    return _SUM.sub(_SQLITE_SUM if dialect == "sqlite" else r"\1 + \2", sql)


def _add(one: object, other: object) -> int | str:
    return stored_integer(exact_integer(one) + exact_integer(other))


class _Sum:
    """``exact_sum(column)``: what is NULL counts nothing, and no rows make NULL."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, value: object) -> None:
        """One row."""
        if value is not None:
            self._sum += value if type(value) is int else exact_integer(value)

    def finalize(self) -> int | str:
        """All of them."""
        return stored_integer(self._sum)


def add_exact_functions(raw: sqlite3.Connection) -> None:
    """Give a connection to SQLite ``exact_add(a, b)`` and ``exact_sum(column)``."""
    raw.create_function("exact_add", 2, _add, deterministic=True)
    raw.create_aggregate("exact_sum", 1, cast("Any", _Sum))  # its stub knows sums of 64 bits alone
