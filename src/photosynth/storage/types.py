"""Column types: a checked signed 64-bit integer, exact integers without limit, large counts as text, and small JSON documents."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, UserDefinedType

from photosynth.storage.exact import INT64_MAX, exact_integer, stored_integer

_PLAIN = frozenset({str, int, bool, type(None)})
_WRITE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def int64(value: Any) -> int:
    """The value, where it is a signed 64-bit integer; ValueError where it is a float or a bigger one."""
    if type(value) is not int or not -INT64_MAX - 1 <= value <= INT64_MAX:
        raise ValueError(f"not a signed 64-bit integer: {value!r}")
    return value


def document_text(value: Any) -> str:
    """A small document as JSON text with sorted keys. Raises ValueError on floats."""
    _refuse_floats(value)
    return _WRITE(value)


class Int64(TypeDecorator[int]):
    """A signed 64-bit integer. Raises ValueError on the way in where a value is none: a float or a bigger one."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        """Check what goes into the column."""
        return None if value is None else int64(value)


class ExactInteger(TypeDecorator[int]):
    """An integer without limit. Raises ValueError on the way in where it is none, DamagedAmountError on the way out."""

    impl = sa.types.NullType
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """NUMERIC, or in SQLite a column without affinity, which keeps integers and texts ("Datatypes In SQLite", 3.1)."""
        return _Unconverted("BLOB" if dialect.name == "sqlite" else "NUMERIC")

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Check what goes into the column."""
        if value is not None and type(value) is not int:
            raise ValueError(f"not an integer: {value!r}")
        return None if value is None else stored_integer(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """The integer again."""
        return None if value is None else exact_integer(value)


class exact_sum(sa.sql.functions.GenericFunction[int]):  # noqa: N801  called as SQL's functions are
    """The sum of a column of exact integers, NULLs aside: ``sum``, or in SQLite a function of every connection."""

    name = "exact_sum"
    type = ExactInteger()
    inherit_cache = True


@compiles(exact_sum, "postgresql")
def _plain_sum(element: Any, compiler: Any, **more: Any) -> str:
    return f"sum({compiler.process(element.clauses, **more)})"


class _Unconverted(UserDefinedType[Any]):
    """A column by its word in the schema; SQLAlchemy's own NUMERIC makes floats of what goes in."""

    cache_ok = True

    def __init__(self, word: str) -> None:
        self.word = word

    def get_col_spec(self, **_: Any) -> str:
        """What the schema says."""
        return self.word


def exact_checks(column: str, least: int, name: str) -> tuple[sa.CheckConstraint, sa.CheckConstraint]:
    """That a column holds integers of at least 0 or 1 in their one spelling, for SQLite and for PostgreSQL."""
    digits = f"{column} GLOB '[1-9]*' AND {column} NOT GLOB '*[^0-9]*'"
    beyond = f"(length({column}) > 19 OR length({column}) = 19 AND {column} > '{INT64_MAX}')"
    sqlite = f"typeof({column}) = 'integer' AND {column} >= {least} OR typeof({column}) = 'text' AND {digits} AND {beyond}"
    # NaN and infinity are numbers to PostgreSQL, the largest ones.
    postgresql = f"{column} >= {least} AND {column} < 'Infinity' AND {column} = trunc({column})"
    return (
        sa.CheckConstraint(sqlite, name=name).ddl_if(dialect="sqlite"),
        sa.CheckConstraint(postgresql, name=name).ddl_if(dialect="postgresql"),
    )


class BigCount(TypeDecorator[int]):
    """An integer of any size, stored as decimal text: work and scales exceed 64 bits."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Check what goes into the column."""
        if value is None:
            return None
        if type(value) is not int:
            raise ValueError(f"not an integer: {value!r}")
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """The integer again."""
        return None if value is None else int(value)


class Document(TypeDecorator[Any]):
    """A small document of integers, texts, lists and objects, stored as JSON text; floats are refused."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write it as JSON with sorted keys."""
        return None if value is None else document_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Read it from JSON."""
        return None if value is None else json.loads(value)


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise ValueError(f"a float has no place in the books: {value!r}")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        if type(part) not in _PLAIN:
            _refuse_floats(part)
