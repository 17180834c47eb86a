"""JSON from a bitcoind, bounded before it is converted, and its values made fit to be shown.

What bitcoind writes are 64-bit integers, amounts with eight decimals and doubles. Python would take any number: an integer
of a million digits, a fraction whose exponent makes its conversion to satoshis last for minutes, NaN. None of them gets in.
"""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from photosynth.quantities.texts import printable

MAX_INTEGER_DIGITS = 20
"""Digits and sign of a 64-bit integer."""
MAX_FRACTION_LENGTH = 32
"""Characters of a fraction: bitcoind writes doubles with 16 digits, as ``-1.234567890123456e-308``, and amounts with 8."""
MAX_EXPONENT = 308
"""The largest exponent of a double."""


class NotAnAnswerError(ValueError):
    """Bytes that are not JSON as bitcoind writes it, or more of it than was asked for."""


def parse(raw: bytes, most_values: int) -> Any:
    """The JSON document, fractions as Decimal. Raises NotAnAnswerError.

    ``most_values`` bounds its values: an empty object takes three bytes of an answer and sixty of memory.
    """
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > most_values:
        raise NotAnAnswerError(f"more than {most_values} values")
    try:
        return json.loads(raw, parse_int=_integer, parse_float=_fraction, parse_constant=_constant)
    except NotAnAnswerError:
        raise
    except (ValueError, RecursionError) as error:
        raise NotAnAnswerError(f"not JSON: {str(error)[:200]}") from error


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise NotAnAnswerError(f"an integer of {len(text)} digits")
    return int(text)


def _fraction(text: str) -> Decimal:
    try:
        value = Decimal(text) if len(text) <= MAX_FRACTION_LENGTH else None
    except InvalidOperation:
        value = None
    if value is None or (value and abs(value.adjusted()) > MAX_EXPONENT) or not value.is_finite():
        raise NotAnAnswerError(f"the number {text[:40]}, which no double holds")
    return value if value else Decimal(0)


def _constant(text: str) -> Any:
    raise NotAnAnswerError(f"{text} is not JSON")


def shown_text(value: object, most: int) -> str:
    """A text from outside, cut to so many characters and without any that a terminal would obey or that cannot be encoded.

    Raises TypeError where it is no text: what else it is may be too large to be written out.
    """
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {type(value).__name__}")
    return printable(value, most)


def whole_number(value: object, most: int = 2**32 - 1, *, least: int = 0) -> int:
    """A whole number within bounds. Raises ValueError, also for true and false."""
    if isinstance(value, bool) or not isinstance(value, int):
        shown = repr(value[:80]) if isinstance(value, str) else f"a value of type {type(value).__name__}"
        raise ValueError(f"{shown} is not a whole number from {least} to {most}")
    if not least <= value <= most:
        raise ValueError(
            f"{value if value.bit_length() <= 128 else 'a huge number'} is not a whole number from {least} to {most}"
        )
    return value


def truth(value: object) -> bool:
    """True or false. Raises TypeError for anything else: any text would count as true."""
    if not isinstance(value, bool):
        raise TypeError(f"true or false is expected, not {type(value).__name__}")
    return value


def hexadecimal(value: object, size: int | None = None) -> bytes:
    """The bytes of a text in hexadecimal, of exactly ``size`` bytes where that is given. Raises ValueError, TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"a text in hexadecimal is expected, not {type(value).__name__}")
    if size is not None and len(value) != 2 * size:
        raise ValueError(f"{value[:80]!r} has {len(value)} characters, not {2 * size}")
    return bytes.fromhex(value)
