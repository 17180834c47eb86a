"""An allowance: a burst, then a pace, and nothing saved up beyond the burst."""

import pytest

from photosynth.pool.allowance import Allowance


def test_a_burst_is_free_and_then_it_goes_by_the_second() -> None:
    allowance = Allowance(50, 1000)
    allowance.spend(1000, 100.0)
    assert allowance.wait_s(100.0) == pytest.approx(0)
    allowance.spend(25, 100.0)
    assert allowance.wait_s(100.0) == pytest.approx(0.5)
    assert allowance.wait_s(100.5) == pytest.approx(0)


def test_a_long_silence_saves_up_one_burst_only() -> None:
    allowance = Allowance(50, 1000)
    allowance.spend(1000, 100_000.0)
    allowance.spend(1, 100_000.0)
    assert allowance.wait_s(100_000.0) == pytest.approx(0.02)


def test_a_used_up_one_has_its_pace_left() -> None:
    allowance = Allowance(50, 1000)
    allowance.use_up(10.0)
    assert allowance.wait_s(10.0) == pytest.approx(0)
    allowance.spend(1, 10.0)
    assert allowance.wait_s(10.0) == pytest.approx(0.02)
