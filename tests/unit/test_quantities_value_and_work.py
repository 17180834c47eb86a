"""Values and work are exact, whatever the sign and the size."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.quantities.value import coins_value_ueur, divide_half_even, energy_value_ueur
from photosynth.quantities.work import (
    DIFFICULTY_1_TARGET,
    TWO_256,
    difficulty_of_target,
    target_of_difficulty,
    target_of_work,
    work_of_target,
)


def test_a_megawatt_hour_costs_its_price() -> None:
    assert energy_value_ueur(3_600_000_000, 6670) == 66_700_000


def test_a_kilowatt_hour_at_a_negative_price_is_paid_for() -> None:
    assert energy_value_ueur(3_600_000, -4000) == -40_000


def test_a_bitcoin_is_worth_its_price() -> None:
    assert coins_value_ueur(100_000_000, 5_930_000) == 59_300_000_000


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**12))
def test_division_rounds_half_to_even_as_decimal_does(numerator: int, denominator: int) -> None:
    whole, rest = divmod(numerator, denominator)
    exact = Decimal(whole) if rest * 2 < denominator else Decimal(whole + 1) if rest * 2 > denominator else None
    expected = exact if exact is not None else Decimal(whole + whole % 2)
    assert divide_half_even(numerator, denominator) == int(expected.to_integral_value(ROUND_HALF_EVEN))


def test_work_of_difficulty_1_is_bitcoin_cores() -> None:
    assert work_of_target(DIFFICULTY_1_TARGET) == 0x100010001


@given(st.integers(1, TWO_256 - 1))
def test_target_of_work_is_the_largest_that_asks_so_much(hashes: int) -> None:
    target = target_of_work(hashes)
    if target >= 0:
        assert work_of_target(target) >= hashes
        assert target + 1 >= TWO_256 or work_of_target(target + 1) < hashes


@given(st.floats(2**-40, 2**60))
def test_difficulty_and_target_agree(difficulty: float) -> None:
    target = target_of_difficulty(difficulty)
    if target < TWO_256 - 1:
        assert difficulty_of_target(target) == pytest.approx(difficulty, rel=1e-9)


@pytest.mark.parametrize("difficulty", [0.0, -1.0, float("inf"), float("nan")])
def test_a_difficulty_that_is_none_is_refused(difficulty: float) -> None:
    with pytest.raises(ValueError, match="positive number"):
        target_of_difficulty(difficulty)
