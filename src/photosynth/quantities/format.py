"""Exact integers as people read them: with a unit, a fitting prefix, and their country's habit of writing numbers.

Every function takes base units and answers ``unknown`` for None, which is neither zero nor healthy. Digits are cut by
rounding half to even in integers; no float is involved. The command line and the console write through these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from photosynth.quantities.assets import Asset

UNKNOWN = "unknown"
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


@dataclass(frozen=True, slots=True)
class Style:
    """How a country writes numbers: the mark before decimals and the one between thousands."""

    decimal: str
    thousands: str


ENGLISH = Style(".", ",")
GERMAN = Style(",", ".")


def style_of_locale(name: str | None) -> Style:
    """The style of a POSIX locale name or a language tag: German for ``de_DE.UTF-8`` and ``de``, English otherwise."""
    language = (name or "").replace("-", "_").split(".")[0].split("_")[0].lower()
    return GERMAN if language == "de" else ENGLISH


def count(value: int | None, style: Style = ENGLISH) -> str:
    """An integer with marks between thousands: 1,234,567."""
    return UNKNOWN if value is None else f"{value:,}".replace(",", style.thousands)


def decimal(value: Fraction | int | None, digits: int, style: Style = ENGLISH) -> str:
    """An exact number with so many digits after the mark, rounded half to even: 1,234.50."""
    if value is None:
        return UNKNOWN
    scaled = round(Fraction(value) * 10**digits)
    whole, part = divmod(abs(scaled), 10**digits)
    sign = "-" if scaled < 0 else ""
    return sign + count(whole, style) + (f"{style.decimal}{part:0{digits}}" if digits else "")


def prefixed(value: int | None, unit: str, style: Style = ENGLISH) -> str:
    """A quantity with the SI prefix that leaves one to three digits before the mark, and three digits in all: 19.8 PH/s."""
    if value is None:
        return UNKNOWN
    size, step = abs(value), 0
    while size >= 1000 ** (step + 1) and step < len(_PREFIXES) - 1:
        step += 1
    if step == 0:
        return f"{count(value, style)} {unit}"
    if round(Fraction(size, 1000**step)) >= 1000 and step < len(_PREFIXES) - 1:
        step += 1  # rounding carries into the next prefix: 999,999 is 1.00 M
    scaled = Fraction(value, 1000**step)
    digits = 0 if round(abs(scaled) * 10) >= 1000 else 1 if round(abs(scaled) * 100) >= 1000 else 2
    return f"{decimal(scaled, digits, style)} {_PREFIXES[step]}{unit}"


def power(value_w: int | None, style: Style = ENGLISH) -> str:
    """Watts as W, or as kW with one digit, so that powers beside each other compare: 412.3 kW."""
    if value_w is None:
        return UNKNOWN
    if abs(value_w) < 1000:
        return f"{count(value_w, style)} W"
    return f"{decimal(Fraction(value_w, 1000), 1, style)} kW"


def energy(value_j: int | None, style: Style = ENGLISH) -> str:
    """Joules as kWh with two digits: 12.34 kWh."""
    return UNKNOWN if value_j is None else f"{decimal(Fraction(value_j, 3_600_000), 2, style)} kWh"


def hash_rate(value_hs: int | None, style: Style = ENGLISH) -> str:
    """Hashes per second with a prefix: 19.8 PH/s."""
    return prefixed(value_hs, "H/s", style)


def hashes(value: int | None, style: Style = ENGLISH) -> str:
    """Work with a prefix: 4.29 GH."""
    return prefixed(value, "H", style)


def eur(value_ueur: int | None, style: Style = ENGLISH) -> str:
    """Micro-EUR as EUR with two digits: 1,234.56 EUR."""
    return UNKNOWN if value_ueur is None else f"{decimal(Fraction(value_ueur, 1_000_000), 2, style)} EUR"


def amount(value: int | None, asset: Asset, style: Style = ENGLISH) -> str:
    """Base units of an asset in its own unit with every digit: 40.000000000000000000 ETH."""
    return UNKNOWN if value is None else f"{decimal(Fraction(value, 10**asset.decimals), asset.decimals, style)} {asset.code}"


def sat(value_sat: int | None, style: Style = ENGLISH) -> str:
    """Satoshis: 6,823 sat."""
    return UNKNOWN if value_sat is None else f"{count(value_sat, style)} sat"


def energy_price(value_cent_per_mwh: int | None, style: Style = ENGLISH) -> str:
    """Cents per MWh as EUR per MWh: -12.30 EUR/MWh."""
    if value_cent_per_mwh is None:
        return UNKNOWN
    return f"{decimal(Fraction(value_cent_per_mwh, 100), 2, style)} EUR/MWh"


def source_words(kinds: Sequence[str]) -> str:
    """What sources live on, as a label: Sun, Wind, or Sun and wind."""
    words = [{"photovoltaic": "sun"}.get(kind, kind) for kind in kinds]
    return " and ".join(words).capitalize()


def duration(value_s: int | None) -> str:
    """Whole seconds in the two largest units that matter: 45 s, 3 min 5 s, 2 h 10 min, 4 d 3 h."""
    if value_s is None:
        return UNKNOWN
    seconds = max(0, value_s)
    for large, small, name, smaller in ((86_400, 3600, "d", "h"), (3600, 60, "h", "min"), (60, 1, "min", "s")):
        if seconds >= large:
            rest = seconds % large // small
            return f"{seconds // large} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{seconds} s"


def age(since_ms: int | None, now_ms: int) -> str:
    """How long ago something was: ``3 s``; a time to come counts as now."""
    return UNKNOWN if since_ms is None else duration((now_ms - since_ms) // 1000)
