"""Column types: a checked signed 64-bit integer, integers of any size as decimal text, and small JSON documents."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

INT64_MAX = (1 << 63) - 1
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
