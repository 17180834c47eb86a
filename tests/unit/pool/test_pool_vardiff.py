"""Variable difficulty, in simulated time with a seeded miner."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.pool.vardiff import MAX_UNSEEN_FALL, Vardiff, dyadic
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
    state = vardiff(ideal(500))
    assert len(simulate(state, 500, 0, 7_200)) <= 6


def test_a_suggestion_is_taken_within_bounds() -> None:
    state = vardiff()
    assert state.suggest(1e-30, 5) == LOWEST
    assert state.suggest(1e300, 5) == 2.0**60
    assert state.suggest(1000, 5) == 960


@given(st.floats(1e-9, 1e20))
def test_difficulties_are_dyadic_and_never_above(difficulty: float) -> None:
    rounded = dyadic(difficulty)
    assert difficulty / 1.125 <= rounded <= difficulty
    assert dyadic(rounded) == rounded


def test_a_minimum_between_two_steps_is_the_step_above() -> None:
    for hashes in range(100, 300):
        lowest = Vardiff(1e-30, 0, share_interval_s=10, min_difficulty=hashes / 2**32, max_difficulty=1).difficulty
        assert hashes <= work_of_target(target_of_difficulty(lowest)) <= 1.13 * hashes
