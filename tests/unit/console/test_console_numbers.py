"""Numbers as readers of two countries read them; what is unknown is never a number."""

from fractions import Fraction

import pytest

from photosynth.console.numbers import UNKNOWN, Numbers, preferred_locale

EN, DE = Numbers("en"), Numbers("de")


@pytest.mark.parametrize(
    ("header", "chosen", "locale"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", None, "de"),
        ("en-GB,de;q=0.5", None, "en"),
        ("fr-FR,de;q=0.3", None, "de"),
        ("fr", None, "en"),
        ("", None, "en"),
        ("de;q=nonsense,en;q=0.1", None, "en"),
        ("en", "de", "de"),
        ("de", "xx", "de"),
    ],
)
def test_the_reader_is_asked_first_and_then_the_browser(header: str, chosen: str | None, locale: str) -> None:
    assert preferred_locale(header, chosen) == locale


def test_every_number_follows_the_habit() -> None:
    assert EN.integer(1234567) == "1,234,567"
    assert DE.decimal(Fraction(-12345, 10), 1) == "−1.234,5"
    assert EN.parts("19800000000000000", "H/s") == ("19.8", "PH/s")
    assert DE.kilowatts(412_340) == "412,3\N{NO-BREAK SPACE}kW"
    assert EN.price(-1230) == "−12.30\N{NO-BREAK SPACE}EUR/MWh"
    assert EN.eur(1_284_455, 6) == "1.284455"
    assert EN.kwh(301_000_000, 3) == "83.611"
    assert EN.power_of_ten("2039400000000000000") == "2.04 × 10¹⁸"
    assert EN.power_of_ten(4_950_000) == "4,950,000"


def test_ages_and_times_are_of_the_site() -> None:
    now = 1_781_427_600_000
    assert EN.age(now, now - 3_000) == "3\N{NO-BREAK SPACE}s ago"
    assert EN.clock(now) == "11:00"
    assert (EN.date(now), DE.date(now)) == ("14 Jun 2026", "14.06.2026")


def test_unknown_is_said_and_never_zero() -> None:
    for text in (
        EN.integer(None),
        EN.si(None, "W"),
        EN.kilowatts(None),
        EN.price(None),
        EN.eur(None),
        EN.kwh(None),
        EN.clock(None),
    ):
        assert text == UNKNOWN
    assert EN.age(5, None) == "never observed"
