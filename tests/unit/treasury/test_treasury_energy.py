"""A quarter hour's energy and money, against figures computed by hand."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.treasury.treasury_site import METERS, PRICES, SITE

from photosynth.quantities.balance import Allocation, Energies, allocate
from photosynth.treasury import accounts as a
from photosynth.treasury.facts import AttributionFact, MeterFact, PriceFact
from photosynth.treasury.journal import Posting, check, transfer
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.attribution import attribute, claim_sat, share_out
from photosynth.treasury.mining.energy import class_percent

JOULES = st.integers(0, 10**10)
ENERGIES = st.builds(Energies, JOULES, JOULES, JOULES, JOULES, JOULES)
CENTS = st.integers(-50_000, 500_000)


def at(wall_ms: int) -> energy.Occasion:
    return energy.Occasion("site", energy.interval_key("site", 0), 0, wall_ms)


def postings_of(found: Energies, prices: PriceFact | None) -> dict[str, Posting]:
    made = energy.interval_postings(at(5), found, prices, export_limit_w=400_000, duration_s=900)
    return {posting.key.removeprefix("interval:site:0:"): posting for posting in made}


def amounts(posting: Posting) -> dict[tuple[str, str], int]:
    return {(line.account, line.side): line.amount for line in posting.lines}


def test_a_sunny_quarter_hour_by_hand() -> None:
    # 600 kW for 900 s: 540 MJ made, 54 MJ factory, 300 MJ mining, 180 MJ sold; 6 MJ are left unexplained.
    found = Energies(540_000_000, 0, 180_000_000, 54_000_000, 300_000_000)
    assert found.residual_j == 6_000_000
    assert allocate(found) == Allocation(54_000_000, 300_000_000, 0, 0)
    prices = PriceFact(4000, {"levies": 2946}, 1300, 200, "a test", 1)
    made = postings_of(found, prices)
    assert amounts(made["energy"]) == {
        ("E30", "debit"): 54_000_000,
        ("E40", "debit"): 300_000_000,
        ("E50", "debit"): 180_000_000,
        ("E90", "debit"): 6_000_000,
        ("E10", "credit"): 540_000_000,
    }
    # 180 MJ = 0.05 MWh: at 40 EUR/MWh 2 EUR, at 13 EUR/MWh 0.65 EUR, fee 2 EUR/MWh 0.10 EUR.
    assert made["export"].lines == (
        *transfer(a.EXPORT_RECEIVABLE, a.EXPORT_REVENUE, "EUR", 2_000_000),
        *transfer(a.PREMIUM_RECEIVABLE, a.PREMIUM_REVENUE, "EUR", 650_000),
        *transfer(a.MARKETING_FEE, a.EXPORT_RECEIVABLE, "EUR", 100_000),
    )
    # The connection of 400 kW takes 360 MJ, so 180 MJ of the 300 could have been sold, at 51 EUR/MWh: 2.55 EUR.
    assert amounts(made["own_energy"]) == {("7100", "debit"): 2_550_000, ("7200", "credit"): 2_550_000}
    assert set(made) == {"energy", "own_energy", "export"}
    assert energy.mining_cost_ueur(made.values()) == 2_550_000


def test_a_cloudy_quarter_hour_by_hand() -> None:
    # 36 MJ = 0.01 MWh made, 90 MJ = 0.025 MWh bought; factory 60 MJ, mining 66 MJ of which 66 - 0 from the grid.
    found = Energies(36_000_000, 90_000_000, 0, 60_000_000, 66_000_000)
    assert allocate(found) == Allocation(36_000_000, 0, 66_000_000, 24_000_000)
    made = postings_of(found, PriceFact(8001, {"levies": 2946, "electricity_tax": 50}, 1300, 200, "a test", 1))
    # Spot: 0.025 MWh x 80.01 EUR = 2.00025 EUR; mining floor(2000250 x 66/90) = 1466850.
    assert amounts(made["grid_energy.spot"])["5100", "debit"] == 1_466_850
    assert amounts(made["grid_energy.spot"])["5110", "debit"] == 2_000_250 - 1_466_850
    # Levies: 0.7365 EUR; mining floor(736500 x 66/90) = 540100.
    assert amounts(made["grid_energy.levies"])["5100", "debit"] == 540_100
    assert amounts(made["grid_energy.electricity_tax"])["5100", "debit"] == 12_500 * 66 // 90
    assert [p.event for p in made.values()] == ["energy", "grid_energy", "grid_energy", "grid_energy"]
    assert sum(line.amount for line in made["grid_energy.spot"].lines if line.account == "2100") == 2_000_250


def test_a_negative_price_swaps_the_sides() -> None:
    found = Energies(100_000_000, 36_000_000, 72_000_000, 14_000_000, 50_000_000)
    made = postings_of(found, PriceFact(-5000, {"levies": 2946}, 0, 200, "a test", None))
    # The supplier pays us 0.01 MWh x 50 EUR for what was bought.
    spot = made["grid_energy.spot"].lines
    assert {(line.account, line.side) for line in spot} == {("5100", "credit"), ("2100", "debit")}
    assert sum(line.amount for line in spot if line.side == "debit") == 500_000
    # Selling 0.02 MWh costs 1 EUR, and the marketer's fee is due all the same.
    export = made["export"].lines
    assert (export[0].account, export[0].side, export[0].amount) == (a.EXPORT_REVENUE, "debit", 1_000_000)
    assert (export[1].account, export[1].side) == (a.EXPORT_RECEIVABLE, "credit")
    # What would have been sold at a loss is worth nothing to mining.
    assert "own_energy" not in made


def test_another_partys_energy_is_invoiced_by_tariff() -> None:
    found = Energies(36_000_000, 0, 0, 0, 36_000_000)
    made = postings_of(found, replace(PRICES, own_energy_tariff_cent_per_mwh=7000))
    assert amounts(made["delivered_energy"]) == {("5100", "debit"): 700_000, ("2100", "credit"): 700_000}
    assert "own_energy" not in made


def test_unknown_is_not_zero() -> None:
    facts = [MeterFact(name, 0, 100, "good") for name in METERS]
    assert energy.energies(SITE.meters, facts) == Energies(100, 100, 100, 100, 100)
    assert energy.energies(SITE.meters, facts[1:]) is None
    assert energy.energies(SITE.meters, [replace(facts[0], register_end_j=None), *facts[1:]]) is None
    assert energy.interval_postings(at(0), None, PRICES, export_limit_w=None, duration_s=900) == []
    assert list(postings_of(Energies(1, 0, 0, 0, 1), None)) == ["energy"]


@given(ENERGIES, st.tuples(CENTS, CENTS, CENTS, CENTS), st.integers(0, 10**6))
def test_every_quarter_hour_balances(found: Energies, cents: tuple[int, int, int, int], limit_w: int) -> None:
    spot, levy, premium, fee = cents
    allocation = allocate(found)
    assert allocation.own_factory_j + allocation.grid_factory_j == found.factory_j
    assert allocation.own_mining_j + allocation.grid_mining_j == found.mining_j
    assert min(allocation.own_factory_j, allocation.own_mining_j, allocation.grid_factory_j, allocation.grid_mining_j) >= 0
    assert allocation.own_factory_j + allocation.own_mining_j <= found.own_j
    prices = PriceFact(spot, {"levies": levy}, premium, fee, "a test", None)
    for posting in energy.interval_postings(at(0), found, prices, export_limit_w=limit_w, duration_s=900):
        check(posting)
        bought = {line.side for line in posting.lines if line.account in (a.GRID_ENERGY_MINING, a.GRID_ENERGY_FACTORY)}
        assert len(bought) <= 1, "mining and factory stand on one side, whatever the meters say"


@pytest.mark.parametrize(
    ("text", "percent"),
    [("0.5", Fraction(1, 2)), ("1", Fraction(1)), ("B", Fraction(1)), ("2S", None), ("", None), ("1e9", None)],
)
def test_meter_classes(text: str, percent: Fraction | None) -> None:
    assert class_percent(text) == percent


def test_the_residual_is_bounded_by_class_and_step() -> None:
    facts = [MeterFact(name, 0, 100_000_000, "good") for name in METERS]
    # Three meters of 0.5 %, two of 1 %, five steps of 100 Wh.
    assert energy.residual_bound_j(SITE.meters, facts) == 3 * 500_000 + 2 * 1_000_000 + 5 * 360_000


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**30), min_size=1, max_size=50))
def test_satoshis_are_split_to_the_last(amount: int, weights: list[int]) -> None:
    if not sum(weights):
        return
    parts = share_out(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert 0 <= part - amount * weight // sum(weights) <= 1


def test_leftovers_go_to_the_largest_remainder_then_the_earliest() -> None:
    assert share_out(10, [1, 1, 1]) == [4, 3, 3]
    assert share_out(11, [1, 1, 1]) == [4, 4, 3]
    assert share_out(10, [1, 2, 3]) == [2, 3, 5]
    late = AttributionFact(900_000, 5, "a", 1, 1, 1, 1)
    early = AttributionFact(0, 5, "b", 1, 1, 1, 1)
    assert [value for _, value in attribute(1, [late, early])] == [1, 0]
    assert attribute(1, [late, early])[0][0] is early
    assert attribute(0, []) == attribute(1, []) == []
    with pytest.raises(ValueError, match="no weight"):
        attribute(1, [replace(late, represented=0)])
    with pytest.raises(ValueError, match="same quarter hour"):
        attribute(1, [late, late])
    with pytest.raises(ValueError, match="no weight"):
        share_out(1, [0])


def test_ten_minutes_of_the_example_earn_what_mainnet_would() -> None:
    # 19.5 PH/s for 600 s at difficulty 125864590119494 and 3.145 BTC a block: about 6,800 sat.
    assert 6_700 < claim_sat(19_500_000_000_000_000 * 600, 314_500_000, 125864590119494 << 32) < 6_900
