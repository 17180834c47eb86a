"""The body of a simulated machine: exact energy, ramps, habits, and what it remembers."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photosynth.miners.model import MachineModel
from photosynth.simulation.habits import Habit, gone, next_change_ms
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.motion import Motion

S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25)


def body(habit: Habit | None = None, warm: bool = True) -> SimulatedMachine:
    machine = SimulatedMachine(S21, random.Random(1), 0, warm=warm, habit=habit)
    machine.motion = Motion(machine.model, 1000)
    machine._steer()
    machine.advance(100_000)
    return machine


def test_a_warm_machine_runs_at_its_nameplate_and_counts_exactly() -> None:
    machine = body()
    before_j, before_hashes = machine.energy_uj_x2, machine.work_hashes
    machine.advance(1_100_000)
    assert machine.power_mw == 3_500_000
    assert machine.hash_rate_hs == 200 * 10**12
    assert machine.energy_uj_x2 - before_j == 2 * 3500 * 1000 * 10**6
    assert machine.work_hashes - before_hashes == 200 * 10**12 * 1000


def test_it_sleeps_within_its_ramp_and_wakes_after_starting_its_boards() -> None:
    machine = body()
    machine.sleep()
    machine.advance(105_000)
    assert 25_000 < machine.power_mw < 3_500_000
    machine.advance(110_000)
    assert machine.power_mw == 25_000
    assert machine.hash_rate_hs == 0
    machine.wake()
    machine.advance(121_000)
    assert machine.power_mw == 25_000, "the boards are starting"
    machine.advance(150_000)
    assert 25_000 < machine.power_mw < 3_500_000
    machine.advance(170_000)
    assert machine.power_mw == 3_500_000


def test_a_profile_moves_power_and_hash_rate_along_the_curve() -> None:
    machine = body()
    machine.set_profile(0)
    machine.advance(200_000)
    assert machine.power_mw == 1_850_000
    assert machine.hash_rate_hs == S21.hash_rate_at(1850)
    machine.set_profile(2)
    machine.advance(300_000)
    assert machine.power_mw == 2_510_000


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 400_000), min_size=1, max_size=12), st.integers(0, 2**32))
def test_energy_does_not_depend_on_how_time_is_cut(cuts: list[int], seed: int) -> None:
    def run(pieces: list[int]) -> tuple[int, int]:
        machine = SimulatedMachine(S21, random.Random(seed), 0, warm=False, habit=Habit("drops_out", 400, 100))
        now = 0
        for piece in pieces:
            now += piece
            machine.advance(now)
        return machine.energy_uj_x2, machine.power_mw

    whole, parts = run([sum(cuts)]), run(cuts)
    assert parts[1] == whole[1]
    # inside a ramp power is whole milliwatts, so each cut may cost up to half of one over its length
    assert abs(parts[0] - whole[0]) <= 2 * sum(cuts)


def test_units_scatter_by_two_percent_at_most_and_by_their_seed() -> None:
    factors = [SimulatedMachine(S21, random.Random(seed), 0).motion.factor_milli for seed in range(300)]
    assert min(factors) >= 980
    assert max(factors) <= 1020
    assert len(set(factors)) > 20
    assert factors[7] == SimulatedMachine(S21, random.Random(7), 0).motion.factor_milli


def test_one_that_ignores_limits_shows_the_profile_and_stays() -> None:
    machine = body(Habit("ignores_power_limit"))
    machine.set_profile(0)
    machine.advance(300_000)
    assert machine.shown_profile == 0
    assert machine.power_mw == 3_500_000
    machine.sleep()
    machine.advance(400_000)
    assert machine.power_mw == 25_000


def test_one_that_does_nothing_does_nothing() -> None:
    machine = body(Habit("says_ok_does_nothing"))
    machine.sleep()
    machine.set_profile(0)
    machine.advance(300_000)
    assert machine.power_mw == 3_500_000
    assert not machine.asleep


def test_one_that_drops_out_draws_nothing_meanwhile_and_starts_again() -> None:
    machine = body(Habit("drops_out", every_s=1800, for_s=240))

    def at(site_ms: int) -> tuple[bool, int]:
        machine.advance(site_ms)
        return machine.present, machine.power_mw

    assert at(1_559_999) == (True, 3_500_000)
    assert at(1_560_001) == (False, 0)
    assert at(1_799_000) == (False, 0)
    assert at(1_800_001) == (True, 0)
    assert at(1_900_000) == (True, 3_500_000)


def test_the_rhythm_of_dropping_out() -> None:
    habit = Habit("drops_out", every_s=100, for_s=20)
    assert [gone(habit, 0, second * 1000) for second in (0, 79, 80, 99, 100, 180)] == [0, 0, 1, 1, 0, 1]
    assert next_change_ms(habit, 0, 0) == 80_000
    assert next_change_ms(habit, 0, 80_000) == 100_000
    with pytest.raises(ValueError, match="every"):
        Habit("drops_out", every_s=10, for_s=10)


def test_it_remembers_over_a_restart() -> None:
    machine = body()
    machine.set_profile(1)
    machine.sleep()
    machine.advance(104_000)
    again = SimulatedMachine(S21, random.Random(1), 104_000, state=machine.state())
    again.motion = Motion(again.model, 1000)
    assert again.power_mw == machine.power_mw
    assert again.asleep
    again.wake()
    again.advance(300_000)
    assert again.power_mw == 2_180_000
