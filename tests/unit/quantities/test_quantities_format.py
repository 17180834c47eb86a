"""Numbers as people read them, in both habits; exact, rounded half to even, and unknown where nothing is known."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.quantities import format as fmt


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.count(1234567), "1,234,567"),
        (fmt.count(1234567, fmt.GERMAN), "1.234.567"),
        (fmt.power(999), "999 W"),
        (fmt.power(412_345), "412.3 kW"),
        (fmt.power(-1_412_350, fmt.GERMAN), "-1.412,4 kW"),
        (fmt.energy(3_600_000), "1.00 kWh"),
        (fmt.hash_rate(19_848 * 10**12), "19.8 PH/s"),
        (fmt.hash_rate(50_000), "50.0 kH/s"),
        (fmt.hash_rate(999_999), "1.00 MH/s"),
        (fmt.hashes(999), "999 H"),
        (fmt.hashes(-4_294_967_296), "-4.29 GH"),
        (fmt.hashes(10**30), "1,000,000 YH"),
        (fmt.eur(1_234_565_000), "1,234.56 EUR"),
        (fmt.eur(-5_000, fmt.GERMAN), "0,00 EUR"),
        (fmt.sat(6823, fmt.GERMAN), "6.823 sat"),
        (fmt.energy_price(-1230), "-12.30 EUR/MWh"),
        (fmt.duration(45), "45 s"),
        (fmt.duration(185), "3 min 5 s"),
        (fmt.duration(7200), "2 h"),
        (fmt.duration(4 * 86_400 + 3 * 3600 + 59), "4 d 3 h"),
        (fmt.age(1000, 4500), "3 s"),
        (fmt.age(9000, 4500), "0 s"),
    ],
)
def test_written(text: str, expected: str) -> None:
    """Each kind of quantity once or twice."""
    assert text == expected


def test_unknown_is_said() -> None:
    """None is never zero."""
    kinds = (fmt.count, fmt.power, fmt.energy, fmt.hash_rate, fmt.hashes, fmt.eur, fmt.sat, fmt.energy_price)
    assert {kind(None) for kind in kinds} == {"unknown"}
    assert fmt.duration(None) == fmt.age(None, 0) == fmt.decimal(None, 2) == "unknown"


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("de_DE.UTF-8", fmt.GERMAN),
        ("de", fmt.GERMAN),
        ("de-AT", fmt.GERMAN),
        ("en_GB", fmt.ENGLISH),
        ("C", fmt.ENGLISH),
        (None, fmt.ENGLISH),
    ],
)
def test_style_follows_the_locale(name: str | None, style: fmt.Style) -> None:
    """German for German locales."""
    assert fmt.style_of_locale(name) == style


@given(st.integers(-(10**30), 10**30))
def test_three_digits_at_most_before_the_mark(value: int) -> None:
    """A prefix is chosen so that the number stays short, and it is right to its last digit."""
    number, unit = fmt.hashes(value).split(" ")
    prefix = unit.removesuffix("H")
    factor = 1000 ** (" kMGTPEZY".index(prefix) if prefix else 0)
    digits = len(number.partition(".")[2])
    shown = Fraction(number.replace(",", "")) * factor
    assert abs(shown - value) <= Fraction(factor, 2 * 10**digits)
    assert prefix == "Y" or abs(Fraction(number.replace(",", ""))) < 1000
