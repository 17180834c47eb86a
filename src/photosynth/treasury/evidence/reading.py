"""Members of a line that nobody may be trusted with: each is read by its kind, and one too many or too few is refused."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from photosynth.treasury.evidence.canonical import MAX_SAFE

T = TypeVar("T")
_DECIMAL = re.compile(r"-?[1-9][0-9]{0,159}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


class EvidenceError(ValueError):
    """A line does not hold; the message says why, in a sentence."""


def integer(value: Any, what: str) -> int:
    """An integer, written as a number up to 2^53 and as decimal text beyond."""
    if type(value) is int:
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        number = int(value)
        if abs(number) > MAX_SAFE:
            return number
    raise EvidenceError(f"{what} is not an integer")


def count(value: Any, what: str) -> int:
    """An integer that is not negative."""
    number = integer(value, what)
    if number < 0:
        raise EvidenceError(f"{what} is negative")
    return number


def text(value: Any, what: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise EvidenceError(f"{what} is not text")
    return value


def boolean(value: Any, what: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise EvidenceError(f"{what} is neither true nor false")
    return value


def octets(value: Any, what: str, size: int | None = None) -> bytes:
    """Bytes in lower-case hexadecimal, of a given number where there is one."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise EvidenceError(f"{what} is not lower-case hexadecimal")
    if size is not None and len(value) != 2 * size:
        raise EvidenceError(f"{what} has not {size} bytes")
    return bytes.fromhex(value)


def target(value: Any, what: str) -> int:
    """A target: 64 hexadecimal digits, the most significant first."""
    return int.from_bytes(octets(value, what, 32), "big")


def rows(value: Any, what: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise EvidenceError(f"{what} is not a list")
    return value


def row(value: Any, size: int, what: str) -> list[Any]:
    """A list of a fixed length."""
    if not isinstance(value, list) or len(value) != size:
        raise EvidenceError(f"{what} has not {size} entries")
    return value


def choice(value: Any, options: tuple[str, ...], what: str) -> Any:
    """One of a few words."""
    if not isinstance(value, str) or value not in options:
        raise EvidenceError(f"{what} is none of {', '.join(options)}")
    return value


def maybe(read: Callable[..., T], value: Any, *rest: Any) -> T | None:
    """The same where null stands for unknown."""
    return None if value is None else read(value, *rest)


class Members:
    """An object whose members are taken one by one; what is left at the end is refused."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise EvidenceError(f"{what} is not an object")
        self._left = dict(value)
        self.what = what

    def take(self, name: str) -> Any:
        """A member that must be there."""
        if name not in self._left:
            raise EvidenceError(f"{self.what} lacks {name!r}")
        return self._left.pop(name)

    def integer(self, name: str) -> int:
        """An integer member."""
        return integer(self.take(name), f"{self.what}: {name}")

    def count(self, name: str) -> int:
        """An integer member that is not negative."""
        return count(self.take(name), f"{self.what}: {name}")

    def text(self, name: str) -> str:
        """A text member."""
        return text(self.take(name), f"{self.what}: {name}")

    def maybe_integer(self, name: str) -> int | None:
        """An integer member, None where it is null."""
        return maybe(integer, self.take(name), f"{self.what}: {name}")

    def maybe_text(self, name: str) -> str | None:
        """A text member, None where it is null."""
        return maybe(text, self.take(name), f"{self.what}: {name}")

    def rows(self, name: str) -> list[Any]:
        """A list member."""
        return rows(self.take(name), f"{self.what}: {name}")

    def octets(self, name: str, size: int | None = None) -> bytes:
        """A member of bytes in hexadecimal."""
        return octets(self.take(name), f"{self.what}: {name}", size)

    def finish(self) -> None:
        """Refuse members that version 1 does not know."""
        if self._left:
            raise EvidenceError(f"{self.what} has {min(self._left)!r}, which version 1 does not know")
