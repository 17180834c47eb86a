"""The weather that sun and prices of a demonstration share: which days are bright, from a seed."""

from datetime import date
from hashlib import blake2b


def is_bright_day(seed: int, day: date) -> bool:
    """Whether the synthetic weather gives a day sun: every Sunday of the bright half of the year, else by the seed."""
    if day.weekday() == 6 and 4 <= day.month <= 9:
        return True
    return draw(seed, "bright", day.toordinal()) % 100 < (60 if 4 <= day.month <= 9 else 30)


def draw(seed: int, *names: object) -> int:
    """A number below 2^64 that follows from a seed and names alone."""
    text = ":".join(str(item) for item in (seed, *names)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
