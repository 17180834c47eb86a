"""Members of a line that nobody may be trusted with: each is read by its kind, and one too many or too few is refused."""

import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from photosynth.quantities.assets import MOST_DIGITS
from photosynth.treasury.evidence.canonical import MAX_SAFE

T = TypeVar("T")
_DECIMAL = re.compile(rf"-?[1-9][0-9]{{0,{MOST_DIGITS - 1}}}")


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
    try:
        found = bytes.fromhex(value)
    except (TypeError, ValueError):
        found = None
    # Capitals and spaces are read too, but not written again.
    if found is None or found.hex() != value:
        raise EvidenceError(f"{what} is not lower-case hexadecimal")
    if size is not None and len(found) != size:
        raise EvidenceError(f"{what} has not {size} bytes")
    return found


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


def choice(value: Any, options: Collection[str], what: str) -> Any:
    """One of a few words."""
    if not isinstance(value, str) or value not in options:
        raise EvidenceError(f"{what} is none of {', '.join(options)}")
    return value


def maybe(read: Callable[..., T], value: Any, *rest: Any) -> T | None:
    """The same where null stands for unknown."""
    return None if value is None else read(value, *rest)


class Members:
    """An object whose members are taken one by one; what is left at the end is refused."""

    __slots__ = ("_taken", "_value", "what")

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise EvidenceError(f"{what} is not an object")
        self._value = value
        self._taken: list[str] = []
        self.what = what

    def take(self, name: str) -> Any:
        """A member that must be there; each is taken once."""
        try:
            value = self._value[name]
        except KeyError:
            raise EvidenceError(f"{self.what} lacks {name!r}") from None
        self._taken.append(name)
        return value

    # What a member is called is put together only where it is at fault: a year has millions of them.

    def integer(self, name: str) -> int:
        """An integer member."""
        value = self.take(name)
        return value if type(value) is int else integer(value, f"{self.what}: {name}")

    def count(self, name: str) -> int:
        """An integer member that is not negative."""
        value = self.take(name)
        return value if type(value) is int and value >= 0 else count(value, f"{self.what}: {name}")

    def text(self, name: str) -> str:
        """A text member."""
        value = self.take(name)
        return value if type(value) is str else text(value, f"{self.what}: {name}")

    def maybe_integer(self, name: str) -> int | None:
        """An integer member, None where it is null."""
        value = self.take(name)
        return value if value is None or type(value) is int else integer(value, f"{self.what}: {name}")

    def maybe_text(self, name: str) -> str | None:
        """A text member, None where it is null."""
        value = self.take(name)
        return value if value is None or type(value) is str else text(value, f"{self.what}: {name}")

    def rows(self, name: str) -> list[Any]:
        """A list member."""
        value = self.take(name)
        return value if type(value) is list else rows(value, f"{self.what}: {name}")

    def octets(self, name: str, size: int | None = None) -> bytes:
        """A member of bytes in hexadecimal."""
        return octets(self.take(name), f"{self.what}: {name}", size)

    def finish(self) -> None:
        """Refuse members that version 2 does not know."""
        if len(self._taken) != len(self._value):
            left = min(self._value.keys() - set(self._taken))
            raise EvidenceError(f"{self.what} has {left!r}, which version 2 does not know")
