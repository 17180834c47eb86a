"""Variable difficulty, in simulated time with a seeded miner."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.pool.vardiff import MAX_UNSEEN_FALL, SUGGESTION_S, Vardiff, rounded
from photosynth.quantities.work import target_of_difficulty, work_of_target

LOWEST = 2.0**-28


def simulate(vardiff: Vardiff, rate_hs: float, from_s: float, to_s: float, seed: int = 1) -> list[tuple[float, float]]:
    """A miner of this rate from one time to another, asked every 4 seconds; returns (time, difficulty) of each change."""
    chance = random.Random(seed)
    changes = []
    now_s, next_check_s = from_s, from_s
    while now_s < to_s:
        wait_s = chance.expovariate(rate_hs / (vardiff.difficulty * 2**32)) if rate_hs else float("inf")
        if now_s + wait_s < next_check_s:
            now_s += wait_s
            changed = vardiff.share(vardiff.difficulty, now_s) and vardiff.check(now_s) is not None
        else:
            now_s = next_check_s
            next_check_s += 4
            changed = vardiff.check(now_s) is not None
        if changed:
            changes.append((now_s, vardiff.difficulty))
    return changes


def vardiff(difficulty: float = 1.0) -> Vardiff:
    return Vardiff(difficulty, 0, share_interval_s=10, min_difficulty=LOWEST, max_difficulty=2.0**60)


def ideal(rate_hs: float) -> float:
    return rate_hs * 10 / 2**32


@pytest.mark.parametrize("rate_hs", [500, 20e6, 270e12])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_the_pace_from_far_below(rate_hs: float, seed: int) -> None:
    state = vardiff(ideal(rate_hs) / 10_000)
    changes = simulate(state, rate_hs, 0, 900, seed)
    assert ideal(rate_hs) / 2.5 < state.difficulty < ideal(rate_hs) * 2.5
    assert len(changes) < 12


def test_it_steps_down_from_far_above() -> None:
    state = vardiff(ideal(500) * 10_000)
    simulate(state, 500, 0, 1_800)
    assert state.difficulty < ideal(500) * 3


def test_a_curtailed_machine_gets_easier_shares() -> None:
    state = vardiff(ideal(270e12))
    simulate(state, 270e12, 0, 600)
    before = state.difficulty
    simulate(state, 90e12, 600, 1_500)
    assert before / 6 < state.difficulty < before / 1.5


def test_a_sleeping_machine_keeps_its_difficulty_within_bounds() -> None:
    state = vardiff(ideal(500))
    simulate(state, 500, 0, 600)
    before = state.difficulty
    changes = simulate(state, 0, 600, 86_400)
    assert before / MAX_UNSEEN_FALL / 1.2 <= state.difficulty <= before / 8
    assert len(changes) < 12, "and then nothing changes any more"


def test_a_steady_miner_is_left_alone() -> None:
    changes = [len(simulate(vardiff(ideal(500)), 500, 0, 7_200, seed)) for seed in range(10)]
    assert sum(changes) <= 60, "once in twenty minutes"


def test_a_suggestion_is_taken_within_bounds_and_once_a_minute() -> None:
    state = vardiff()
    assert state.suggest(1e-30, 5)
    assert state.difficulty == LOWEST
    assert not state.suggest(1e300, 4.9 + SUGGESTION_S)
    assert state.suggest(1e300, 5 + SUGGESTION_S)
    assert state.difficulty == 2.0**60
    assert state.suggest(1000, 5 + 2 * SUGGESTION_S)
    assert state.difficulty == 1024


def test_a_suggestion_is_not_taken_far_below_what_the_shares_have_shown() -> None:
    state = vardiff(ideal(270e12))
    simulate(state, 270e12, 0, 600)
    before = state.difficulty
    assert state.suggest(1e-30, 600)
    assert state.difficulty == before / MAX_UNSEEN_FALL


def test_however_many_difficulties_are_suggested_there_are_few_different_ones() -> None:
    wanted = [2.0 ** (step / 100) for step in range(-3_000, 6_000)]
    assert len({vardiff(difficulty).difficulty for difficulty in wanted}) <= 60 + 28 + 1


def test_a_worker_that_comes_back_goes_on_where_it_was_whatever_the_time_between() -> None:
    state = vardiff(1.0)
    for number in range(15):
        assert not state.share(1.0, 0.1 * number)
    kept = state.paused(1.5)
    assert kept is not None
    again = kept.resumed(100_000)
    assert again.check(100_000) is None, "it was away, which is not slow"
    assert again.share(1.0, 100_000.1)
    changed = again.check(100_000.1)
    assert changed is not None
    assert changed > 50


def test_nothing_is_kept_of_a_worker_that_brought_no_share_or_of_a_wish_that_none_stands_for() -> None:
    state = vardiff(1.0)
    assert state.paused(1) is None
    state.share(1.0, 1)
    assert state.suggest(2.0**50, 2)
    kept = state.paused(3)
    assert kept is not None
    assert kept.difficulty == 1.0
    assert not kept.resumed(4).suggest(0.001, 2.5 + SUGGESTION_S / 2), "the minute goes on"


@given(st.floats(1e-9, 1e20))
def test_difficulties_are_the_nearest_powers_of_two(difficulty: float) -> None:
    power = rounded(difficulty)
    assert 0.7071 < difficulty / power < 1.4143
    assert math.frexp(power)[0] == 0.5


def test_a_minimum_between_two_powers_is_the_power_above() -> None:
    for hashes in range(100, 300):
        lowest = Vardiff(1e-30, 0, share_interval_s=10, min_difficulty=hashes / 2**32, max_difficulty=1).difficulty
        assert hashes <= work_of_target(target_of_difficulty(lowest)) < 2 * hashes


def test_a_maximum_between_two_powers_is_the_power_below() -> None:
    state = Vardiff(1e9, 0, share_interval_s=10, min_difficulty=LOWEST, max_difficulty=1000)
    assert state.difficulty == 512
