"""What a backtest is built of: machines that rest cheaply, accounts by the rules of the books, strategies side by side."""

import random

import pytest

from photosynth.energy.coin_market import declared_quote
from photosynth.energy.dispatch import DispatchPolicy
from photosynth.energy.prices import PriceComponent, Tariff
from photosynth.miners.model import MachineModel
from photosynth.quantities.balance import Energies, allocate
from photosynth.simulation.backtest_accounts import Account, kwh
from photosynth.simulation.backtest_machines import BacktestFleet, BacktestMachine
from photosynth.simulation.backtest_text import eur
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.strategies import STRATEGIES, site_strike_cent_per_mwh

MODEL = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 90, 10, 25, 50_000)
MACHINES = tuple(BacktestMachine(f"m{index}", MODEL, "operator") for index in range(6))
MINUTE_MS = 60_000
QUOTE = declared_quote(
    price_cent_per_btc=5_930_000,
    difficulty="125864590119494",
    subsidy_sat=312_500_000,
    fees_sat=2_000_000,
    source="declared",
    as_of_ms=0,
)
TARIFF = Tariff((PriceComponent("levies", 3_000, "test", ""),), 1_300, "none_at_negative_price", 200, 12_800)


def test_resting_machines_come_to_the_same_as_bodies_that_are_followed() -> None:
    rng = random.Random(5)
    fleet = BacktestFleet(MACHINES, 9, 0)
    bodies = {item.id: SimulatedMachine(MODEL, random.Random(f"9/{item.id}"), 0, warm=False) for item in MACHINES}
    for body in bodies.values():
        body.sleep()
    powers = [power for power, _ in MODEL.power_steps()]
    energy_j = hashes = 0
    in_force = {item.id: 0 for item in MACHINES}
    for minute in range(600):
        orders = {item.id: rng.choice([0, *powers]) for item in MACHINES if rng.random() < 0.03}
        told = {name: power for name, power in orders.items() if in_force[name] != power}
        in_force |= told
        fleet.apply(told)
        for name, power in told.items():
            if power:
                bodies[name].set_profile(powers.index(power))
                bodies[name].wake()
            else:
                bodies[name].sleep()
        more_j, more_hashes = fleet.advance((minute + 1) * MINUTE_MS)
        energy_j += more_j
        hashes += more_hashes
        for body in bodies.values():
            body.advance((minute + 1) * MINUTE_MS)
    assert energy_j == sum(body.energy_uj_x2 for body in bodies.values()) // 2_000_000
    assert hashes == sum(body.work_x2000 for body in bodies.values()) // 2000
    assert fleet.starts > 0
    assert fleet.start_cost_ueur == fleet.starts * 50_000


def test_an_order_that_is_in_force_is_not_given_again() -> None:
    fleet = BacktestFleet(MACHINES[:1], 9, 0)
    fleet.apply({"m0": 3500})
    fleet.advance(MINUTE_MS)
    fleet.apply({"m0": 3500})
    assert fleet.starts == 1
    assert fleet.offers[0].on
    assert fleet.offers[0].changed_ms == 0


def test_accounts_follow_the_rules_of_the_books() -> None:
    account = Account(TARIFF)
    hour_j = 3_600_000_000
    energy = Energies(own_j=hour_j, import_j=hour_j // 2, export_j=hour_j // 4, factory_j=hour_j, mining_j=hour_j // 4)
    account.interval(energy, allocate(energy), 7, TARIFF.prices(0, 5_000, "test", None), connection_w=10**7, standby_w=0)
    account.work_hashes = 10**20
    account.close(QUOTE, starts=3, start_cost_ueur=150_000)
    outcome = account.outcome()
    assert outcome.money.import_components_ueur == {"spot": 25_000_000, "levies": 15_000_000}
    assert outcome.money.import_ueur == 40_000_000
    assert outcome.money.import_for_mining_ueur == 20_000_000
    assert outcome.money.export_spot_ueur == 12_500_000
    assert outcome.money.export_premium_ueur == 3_250_000
    assert outcome.money.marketing_fee_ueur == 500_000
    assert outcome.expected_sat == QUOTE.expected_sat(10**20)
    assert outcome.money.result_ueur == outcome.money.expected_mining_ueur + 15_250_000 - 40_000_000 - 150_000
    assert outcome.energy_j.curtailed_estimate == 7
    assert outcome.demand_charge_ueur == outcome.import_peak_w * 128_000
    both = Account(TARIFF)
    both.add(account)
    both.add(account)
    assert both.outcome().money.result_ueur == 2 * outcome.money.result_ueur
    assert both.outcome().import_peak_w == outcome.import_peak_w


def test_an_open_balance_is_not_reported() -> None:
    account = Account(TARIFF)
    account.generated = 1
    with pytest.raises(AssertionError, match="does not close"):
        account.outcome()


def test_strategies_differ_in_their_rules_alone() -> None:
    policy = DispatchPolicy(400_000)
    value = QUOTE.eur_per_hash
    rules = {strategy.name: strategy.rule for strategy in STRATEGIES}
    dear, cheap = TARIFF.prices(0, 9_000, "test", None), TARIFF.prices(0, 1_000, "test", None)
    assert rules["dispatch"](policy, dear, value, 5_000) == (policy, value)
    assert rules["always_on"](policy, dear, value, 5_000)[0].import_for_mining
    assert rules["never"](policy, cheap, value, 5_000)[0].stopped
    assert rules["fixed_strike"](policy, dear, value, 5_000)[0].stopped
    assert not rules["fixed_strike"](policy, cheap, value, 5_000)[0].stopped
    assert site_strike_cent_per_mwh([MODEL, MODEL], QUOTE) == QUOTE.strike_cent_per_mwh(200 * 10**12, 3500)
    assert site_strike_cent_per_mwh([], QUOTE) == 0


def test_figures_for_people_are_rounded_from_exact_ones() -> None:
    assert kwh(3_600_000) == 1.0
    assert kwh(1_234_567) == 0.343
    assert eur(-1_234_567) == "-1.23"
    assert eur(5_000) == "0.00"
