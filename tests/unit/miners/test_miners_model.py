"""The curve from watts to hashes, and profiles."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photosynth.miners.model import MachineModel

S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25, 50_000)


def test_the_curve_goes_through_the_nameplate_and_five_eighths_at_half_power() -> None:
    assert S21.hash_rate_at(3500) == 200 * 10**12
    assert S21.hash_rate_at(1750) == 125 * 10**12
    assert S21.hash_rate_at(0) == 0
    assert S21.hash_rate_at(-5) == 0
    assert S21.hash_rate_at(9999) == 200 * 10**12


def test_profiles_are_evenly_spaced_and_rise() -> None:
    steps = S21.power_steps()
    assert [power for power, _ in steps] == [1850, 2180, 2510, 2840, 3170, 3500]
    assert all(low[1] < high[1] for low, high in pairwise(steps))


def test_a_model_with_one_profile_runs_at_its_nameplate() -> None:
    model = MachineModel("x", "X", 10**12, 1000, 500, 1, 0, 0, 0, 0, 5)
    assert model.power_steps() == ((1000, 10**12),)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 10**16), st.integers(3, 20_000), st.integers(1, 20), st.data())
def test_less_power_is_never_less_efficient(hash_rate: int, power: int, profiles: int, data: st.DataObject) -> None:
    least = data.draw(st.integers(2, power))
    model = MachineModel("x", "X", hash_rate, power, least, profiles, 0, 0, 0, 0, 1)
    steps = model.power_steps()
    assert steps[-1] == (power, hash_rate)
    for (low_w, low_hs), (high_w, high_hs) in pairwise(steps):
        assert low_w <= high_w
        assert (low_hs + 1) * high_w >= high_hs * low_w


@pytest.mark.parametrize(
    "figures",
    [
        (0, 3500, 1850, 6, 25),
        (10, 3500, 3501, 6, 25),
        (10, 3500, 1850, 0, 25),
        (10, 3500, 1850, 6, 1850),
        (10, 3500, 1850, 6, -1),
    ],
)
def test_figures_that_contradict_each_other_are_refused(figures: tuple[int, int, int, int, int]) -> None:
    hash_rate, power, least, profiles, standby = figures
    with pytest.raises(ValueError, match="model x"):
        MachineModel("x", "X", hash_rate, power, least, profiles, 0, 0, 0, 0, standby)
