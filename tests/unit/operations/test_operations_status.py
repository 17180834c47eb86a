"""What the status says of a site: who runs by readings, whose energy is bought, and what mining's own energy cost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.clock_and_audit import START_MS
from tests.unit.sites.sites_fakes import view
from tests.unit.treasury.treasury_site import METERS, PRICES, SITE, books_of, open_database

from photosynth.bitcoin.node import NodeHealth, Tip
from photosynth.energy.reasons import MiningLoad, import_reason
from photosynth.miners.view import MachineView
from photosynth.operations.conditions import system_conditions
from photosynth.operations.status import machines_status
from photosynth.operations.summaries import ledger_status
from photosynth.sites.mining_loads import mining_loads
from photosynth.storage import Database
from photosynth.treasury.facts import IntervalFacts, MeterFact

DEAF = view("hall-c-11", state="faulty", power_w=3_100, hash_rate_hs=180 * 10**12, desired_w=0, regulation="none")
ASLEEP = tuple(view(f"m{number}") for number in range(4))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("machine", "running"),
    [
        (DEAF, 1),
        (view("stopping", state="stopping", power_w=3_400, desired_w=0), 1),
        (view("m", on=True, desired_w=3_500), 1),
        (view("silent wattmeter", on=True, power_w=None, hash_rate_hs=190 * 10**12, desired_w=3_500), 1),
        (view("stale", on=True, power_w=None, hash_rate_hs=None, fresh=False, state="unreachable"), 0),
        (view("told to wake", state="starting", power_w=25, on=True, desired_w=3_500), 0),
    ],
)
def test_machines_that_run_are_those_whose_readings_prove_it(machine: MachineView, running: int) -> None:
    counted = machines_status([*ASLEEP, machine], 5)
    assert (counted.total, counted.running, counted.sleeping) == (5, running, 4)


def test_an_import_at_night_names_the_factory_and_the_machine_that_ignores_orders() -> None:
    loads = mining_loads([DEAF, *ASLEEP], 3_200, START_MS, buying_allowed=False)
    text = import_reason(41_200, 11_820, 38_000, loads)
    assert text == (
        "Imports 41.2 kW at 118.20 EUR/MWh: 38.0 kW for the factory, as the own sources make less than it uses, and 3.2 kW for "
        "mining: hall-c-11 takes no orders and draws 3.1 kW; 4 machines are asleep and stand by with 100 W."
    )
    assert import_reason(38_050, 11_820, 38_000, []) == (
        "Imports 38.0 kW at 118.20 EUR/MWh: for the factory, as the own sources make less than it uses."
    )
    assert import_reason(60, 11_820, 60, loads) is None


def test_a_machine_that_answers_without_figures_is_not_said_to_stand_by() -> None:
    loads = mining_loads([view("mute", power_w=None, hash_rate_hs=None)], 3_400, START_MS, buying_allowed=False)
    assert loads == [MiningLoad("unseen", ("mute",), 3_400)]


def test_every_cause_of_mining_on_bought_energy_is_told() -> None:
    minute_ms = 60_000
    young = view("young", on=True, desired_w=1_900, changed_ms=START_MS - minute_ms)
    machines = [
        young,
        view("late", state="stopping", power_w=3_000, desired_w=0),
        view("steady", on=True, desired_w=3_500, changed_ms=START_MS - 60 * minute_ms),
        view("gone", fresh=False, power_w=None, hash_rate_hs=None, state="unreachable"),
    ]
    loads = mining_loads(machines, 9_400, START_MS, buying_allowed=False)
    assert {load.cause: load.watts for load in loads} == {"held": 1_900, "stopping": 3_000, "running": 3_500, "unseen": 1_000}
    text = import_reason(2_000, -500, -3_000, loads)
    assert text == (
        "Imports 2.0 kW at -5.00 EUR/MWh: for mining: gone does not answer, and may draw 1.0 kW; late is going to sleep and "
        "still draws 3.0 kW; young stays on for its minimum time with 1.9 kW; steady draws 3.5 kW until it is "
        "lowered to the surplus."
    )
    allowed = mining_loads([machines[2]], None, START_MS, buying_allowed=True)
    assert allowed == [MiningLoad("bought", ("steady",), 3_500)]
    assert "steady runs on it" in (import_reason(3_500, 2_000, 0, allowed) or "")


def test_beside_the_coins_stands_minings_energy_and_the_factorys_on_its_own(database: Database) -> None:
    books = books_of(SITE)
    kwh = 3_600_000
    counted = dict(zip(METERS, (20 * kwh, 30 * kwh, 0, 40 * kwh, 10 * kwh), strict=True))
    meters = tuple(MeterFact(name, 0, joules, "good") for name, joules in counted.items())
    with database.begin() as tx:
        books.open(tx)
        books.close_interval(tx, IntervalFacts(START_MS, START_MS, START_MS + 1, 1000, meters, PRICES, None))
        seen = ledger_status(tx, SITE.chain, "demonstration BTC")
    price_cent = PRICES.spot_cent_per_mwh + sum(PRICES.import_components.values())
    assert seen.mining_energy_j == 10 * kwh
    assert seen.mining_energy_bought_ueur == pytest.approx(10 * price_cent * 10, abs=5)
    assert seen.mining_energy_cost_ueur == seen.mining_energy_bought_ueur, "all own energy went to the factory"
    assert seen.factory_energy_bought_ueur == pytest.approx(20 * price_cent * 10, abs=5)


@pytest.mark.parametrize(
    ("synchronised", "warnings", "found"),
    [
        (True, (), []),
        (True, ("the disk runs full",), [("node_warns", "warning", "the disk runs full")]),
        (False, ("it stopped",), [("node_behind", "critical", "it stopped")]),
        (False, (), [("node_behind", "critical", "height 1 of 3")]),
    ],
)
def test_what_the_node_warns_of_is_told_also_while_it_serves(
    synchronised: bool, warnings: tuple[str, ...], found: list[tuple[str, str, str]]
) -> None:
    health = NodeHealth("node", "regtest", Tip(1, bytes(32), 0), 3, 0, synchronised, warnings)
    told = system_conditions(
        meters_fault=None,
        health=health,
        pool_fault=None,
        books_fault=None,
        waiting=None,
        reconciled=None,
        now_ms=1,
    )
    assert [(item.id, item.severity, item.evidence) for item in told] == found
