"""Site time is a straight line, and the market day knows when clocks change."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.quantities.instants import (
    INTERVAL_MS,
    ScaledTime,
    interval_start_ms,
    market_day_bounds_ms,
    market_day_of,
)

HOUR_MS = 3_600_000


@pytest.mark.parametrize(("day", "hours"), [(date(2024, 3, 31), 23), (date(2024, 5, 12), 24), (date(2024, 10, 27), 25)])
def test_the_market_day_has_23_to_25_hours(day: date, hours: int) -> None:
    start, end = market_day_bounds_ms(day)
    assert end - start == hours * HOUR_MS
    assert market_day_of(start) == market_day_of(end - 1) == day


@given(st.integers(0, 2**42), st.integers(1, 10**6), st.lists(st.integers(0, 10**13), min_size=2, max_size=2))
def test_site_time_never_goes_back(anchor: int, speed_milli: int, readings: list[int]) -> None:
    line = ScaledTime(anchor, 5, speed_milli)
    early, late = sorted(readings)
    assert anchor <= line.site_ms(early) <= line.site_ms(late)


def test_sixty_times_faster_is_a_quarter_hour_in_fifteen_seconds() -> None:
    line = ScaledTime(0, 0, 60_000)
    assert line.site_ms(15_000_000_000) == INTERVAL_MS
    assert line.wall_seconds_until(INTERVAL_MS, 0) == 15


def test_a_replayed_day_ends() -> None:
    assert ScaledTime(0, 0, 60_000, end_ms=1000).site_ms(10**12) == 1000


@given(st.integers(0, 2**42))
def test_an_instant_lies_in_its_interval(instant: int) -> None:
    start = interval_start_ms(instant)
    assert start % INTERVAL_MS == 0
    assert start <= instant < start + INTERVAL_MS
