"""Canonical JSON (RFC 8785) for what evidence is made of: no floats, no number beyond 2^53; one value, one spelling.

Integers whose magnitude exceeds 2^53 are written as decimal strings, smaller ones as numbers.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_SAFE = 1 << 53
"""Numbers up to here are exact in every JSON implementation (RFC 8785, section 3.2.2.3)."""
MAX_DEPTH = 16
MAX_DIGITS = 17
_DELETED = bytes(sorted(set(range(256)) - set(b'[]{}"')))
_KINDS = bytes(ord("0") if chr(byte) in "0123456789" else ord(",") if chr(byte) in ":[-" else byte for byte in range(256))
_LONG_NUMBER = b"," + b"0" * 16
_ABOVE_UTF16_ORDER = bytes(range(0xEE))
_PLAIN_DEPTH = MAX_DEPTH // 2
"""So often brackets are taken out: each time a list and the object around it may go, two levels at once."""


class CanonicalError(ValueError):
    """A line is not canonical JSON; the message says where it differs."""


def canonical(value: Any) -> bytes:
    """The canonical bytes of a value of dicts, lists, texts, integers, booleans and None.

    Raises CanonicalError on floats, integers beyond 2^53, lone surrogates, or nesting deeper than 16.
    """
    text = json.dumps(_ordered(value, 0), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CanonicalError("a text holds half of a surrogate pair") from error


def parse_canonical(line: bytes) -> Any:
    """The value of a canonical line. Raises CanonicalError where it is not JSON or not in its one canonical spelling."""
    found = _plain(line)
    return parse_carefully(line) if found is None else found


def _plain(line: bytes) -> Any:
    """The value of a line that is canonical beyond doubt, at a tenth of the cost; None where only a careful look can tell.

    A library written in C reads the line and writes it again in sorted order. That shows every member that stands twice or out
    of place and every other spelling; what it does not show must be absent from the line's bytes: a number of 16 digits, deep
    nesting, a name that UTF-8 and UTF-16 sort differently, and, so that quotes mean what they seem to, a backslash. Floats end
    the reading.
    """
    if not line.startswith(b"{") or b"\\" in line or _LONG_NUMBER in line.translate(_KINDS):
        return None
    if not line.isascii() and line.translate(None, _ABOVE_UTF16_ORDER):
        return None
    # Every text without a bracket in it leaves two quotes, one after the other; a quote that stays is of a text with brackets.
    brackets = line.translate(None, _DELETED).replace(b'""', b"")
    for _ in range(_PLAIN_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        return None
    try:
        value = _DECODER.decode(line)
        line.decode("utf-8")
        return value if _ENCODER.encode(value) == line else None
    except (CanonicalError, ValueError, RecursionError):
        return None


def parse_carefully(line: bytes) -> Any:
    """What :func:`parse_canonical` says of a line, by writing its value anew: every refusal has its reason here."""
    try:
        value = json.loads(
            line.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except CanonicalError:
        raise
    except UnicodeDecodeError as error:
        raise CanonicalError(f"byte {error.start + 1} is not UTF-8") from error
    except RecursionError as error:
        raise CanonicalError("it is nested too deeply") from error
    except ValueError as error:
        raise CanonicalError(f"it is not JSON: {error}") from error
    again = canonical(value)
    if again != line:
        at = next((n for n, (x, y) in enumerate(zip(again, line, strict=False)) if x != y), min(len(again), len(line)))
        raise CanonicalError(f"it is not canonical JSON (RFC 8785): byte {at + 1} is not as it must be")
    return value


def number(value: int) -> int | str:
    """An integer as evidence writes it: a number up to 2^53, decimal text beyond."""
    return value if -MAX_SAFE <= value <= MAX_SAFE else str(value)


def maybe_number(value: int | None) -> int | str | None:
    """The same where unknown is None."""
    return None if value is None else number(value)


def _ordered(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise CanonicalError(f"it is nested deeper than {MAX_DEPTH}")
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int:
        if not -MAX_SAFE <= value <= MAX_SAFE:
            raise CanonicalError(f"{value} is beyond 2^53 and belongs into a string")
        return value
    if kind is list or kind is tuple:
        return [_ordered(part, depth + 1) for part in value]
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise CanonicalError("a member's name is not text")
        return {key: _ordered(value[key], depth + 1) for key in sorted(value, key=_utf16)}
    raise CanonicalError(f"{kind.__name__} has no place in evidence")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise CanonicalError("a member's name occurs twice")
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise CanonicalError("a number is beyond 2^53")
    return int(text)


def _no_float(text: str) -> Any:
    raise CanonicalError(f"{text[:40]} is not an integer")


_DECODER = msgspec.json.Decoder(float_hook=_no_float)
_ENCODER = msgspec.json.Encoder(order="sorted")
