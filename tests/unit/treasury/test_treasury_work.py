"""The check of listed work against the lowest headers: honest shares pass, whatever their targets; invented ones do not."""

import random

import pytest

from photosynth.quantities.work import TWO_256, target_of_work
from photosynth.treasury.evidence.check_work import LEAST, MOST, expected_as_low
from photosynth.treasury.facts import WorkFact


def listed(mix: dict[int, int]) -> list[WorkFact]:
    """So many accepted shares of each work."""
    return [WorkFact("w", None, 1, target_of_work(work), 1, shares, bytes(32)) for work, shares in mix.items()]


def as_low(mix: dict[int, int], highest: int) -> float:
    return expected_as_low(listed(mix), highest) / TWO_256


def hashed(mix: dict[int, int], chance: random.Random) -> int:
    """The highest of the 32 lowest hashes of such shares."""
    return sorted(chance.randrange(target_of_work(work) + 1) for work, shares in mix.items() for _ in range(shares))[31]


@pytest.mark.parametrize(
    "mix",
    [
        {4608: 40},
        {4608: 32},
        # The difficulty follows a miner: some shares are much harder, or much easier, than the rest.
        {4608: 30, 704: 2},
        {1: 100, 100: 20},
        {1: 100, 1000: 31},
        {1: 40, 10**6: 200},
    ],
)
def test_honest_shares_of_any_targets_pass(mix: dict[int, int]) -> None:
    chance = random.Random(1)
    found = [as_low(mix, hashed(mix, chance)) for _ in range(300)]
    assert LEAST < min(found) <= max(found) < MOST
    assert 29 < sum(found) / len(found) < 35


@pytest.mark.parametrize("mix", [{4608: 40}, {1: 100, 100: 20}])
def test_four_times_the_work_or_an_eighth_of_it_does_not(mix: dict[int, int]) -> None:
    chance = random.Random(1)
    more = {work: 4 * shares for work, shares in mix.items()}
    assert all(as_low(more, hashed(mix, chance)) > MOST for _ in range(300))
    many = {work: 8 * shares for work, shares in mix.items()}
    assert all(as_low(mix, hashed(many, chance)) < LEAST for _ in range(300))


def test_a_share_below_the_header_is_as_low_for_certain() -> None:
    assert as_low({2**200: 7}, TWO_256 // 2) == pytest.approx(7)
