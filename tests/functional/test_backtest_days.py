"""Backtests of recorded and of made-up days: the rules hold in every quarter hour, the balance to the joule, the bytes repeat."""

import json
import os
import random
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from photosynth.energy.coin_market import CoinMarket, DeclaredCoinMarket, declared_quote, strike_cent_per_mwh
from photosynth.energy.dispatch import DispatchPolicy, MachineOffer, SiteState, dispatch
from photosynth.energy.import_peak import ImportPeak
from photosynth.energy.ladder import hull
from photosynth.energy.prices import PriceComponent, Tariff
from photosynth.energy.recorded_coin_market import RecordedCoinMarket
from photosynth.energy.recorded_files import RecordedDataError
from photosynth.energy.recorded_market import RecordedEnergy, RecordedMarket
from photosynth.fleet import load_fleet
from photosynth.miners.model import MachineModel
from photosynth.quantities.instants import INTERVAL_S, market_day_bounds_ms
from photosynth.quantities.value import energy_value_ueur
from photosynth.simulation.backtest import backtest, run_backtest
from photosynth.simulation.backtest_facts import BacktestConfig, BacktestInterval
from photosynth.simulation.backtest_machines import BacktestMachine
from photosynth.simulation.backtest_report import BacktestReport, Outcome
from photosynth.simulation.factory import FactoryLoad
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.replay import Nominal, generation_of
from photosynth.simulation.site_physics import balance
from photosynth.simulation.strategies import STRATEGIES

DATA = Path(os.environ.get("PHOTOSYNTH_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
recorded = pytest.mark.skipif(
    not (DATA / "de_hourly_price_load_renewables_2024.csv").exists(),
    reason=f"recorded days are not in {DATA}; name their folder in PHOTOSYNTH_DATA",
)
CONNECTION_W = 400_000
SEED = 20260614
MODELS = (
    (36, MachineModel("s21-xp", "Antminer S21 XP", 270 * 10**12, 3645, 1900, 6, 300, 180, 60, 10, 25, 50_000)),
    (34, MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25, 50_000)),
    (32, MachineModel("s19j-pro", "Antminer S19j Pro", 104 * 10**12, 3068, 1700, 5, 300, 180, 90, 10, 30, 50_000)),
)
SETTLED_J = 3_600_000
"""Nothing is bought for mining by the minute; settled by the quarter hour, factory first, a falling sun leaves a little."""
TARIFF = Tariff(
    (PriceComponent("levies", 2946, "test", "2026-01-01"), PriceComponent("grid_fee", 1240, "test", "2026-01-01")),
    premium_cent_per_mwh=1300,
    premium_rule="none_at_negative_price",
    marketing_fee_cent_per_mwh=200,
    demand_charge_cent_per_kw=12_800,
)


def config(folder: Path, first: str, last: str, coins: CoinMarket | None = None, **policy: bool) -> BacktestConfig:
    """The example site on recorded days."""
    return BacktestConfig(
        site="backnang",
        seed=SEED,
        nominal=Nominal(600_000, 0),
        loads=(FactoryLoad("factory", 38_000, 210_000, 62_000, SEED, ZoneInfo("Europe/Berlin")),),
        machines=tuple(
            BacktestMachine(f"{model.id}-{index:02}", model, "operator") for count, model in MODELS for index in range(count)
        ),
        policy=replace(DispatchPolicy(CONNECTION_W, guard_w=5_000), **policy),
        tariff=TARIFF,
        energy=RecordedEnergy(folder),
        coins=coins or RecordedCoinMarket(folder, 2_000_000, "2026-02-12"),
        first_day=date.fromisoformat(first),
        last_day=date.fromisoformat(last),
    )


def check_rules(intervals: list[BacktestInterval], *, importing: bool = False) -> None:
    """What must hold in every quarter hour, whatever the day."""
    standby_j = sum(count * model.standby_w for count, model in MODELS) * INTERVAL_S
    was_dear = True
    for item in intervals:
        energy, shares = item.energy, item.allocation
        assert energy.residual_j == 0
        assert energy.own_j + energy.import_j == energy.factory_j + energy.mining_j + energy.export_j
        assert energy.import_j <= CONNECTION_W * INTERVAL_S
        assert energy.export_j <= CONNECTION_W * INTERVAL_S
        if item.prices.export_cent_per_mwh < 0:
            assert energy.export_j == 0, "nothing is fed in at a loss"
        if not importing:
            assert shares.grid_mining_j <= standby_j + SETTLED_J, "nothing is bought for mining but standby"
        best = max(best_value(model, item) for _, model in MODELS)
        dearer = item.prices.export_cent_per_mwh
        dear = best < dearer and item.curtailed_estimate_j == 0 and energy.export_j < CONNECTION_W * INTERVAL_S * 99 // 100
        if dear and was_dear and (not importing or best < item.prices.import_cent_per_mwh):
            assert energy.mining_j <= standby_j * 1001 // 1000, "nothing is mined with energy that is worth more elsewhere"
        was_dear = dear
    for before, after in pairwise(intervals):
        assert after.start_ms == before.start_ms + INTERVAL_S * 1000
        assert all(after.registers_j[role][0] == before.registers_j[role][1] for role in after.registers_j)


def best_value(model: MachineModel, item: BacktestInterval) -> int:
    """The most that a megawatt-hour can earn in a model in any of its steps (cent/MWh)."""
    power_w, hash_rate_hs = hull(model.power_steps(), model.standby_w)[0]
    return strike_cent_per_mwh(item.quote.eur_per_hash, hash_rate_hs, power_w - model.standby_w)


def outcomes(report: BacktestReport) -> list[Outcome]:
    return [getattr(part, strategy.name) for part in (*report.days, report.total) for strategy in STRATEGIES]


@recorded
@pytest.mark.parametrize(
    ("day", "hours", "negative"),
    [
        ("2024-05-12", 24, 36),
        ("2024-06-16", 24, 40),
        ("2024-01-01", 24, 20),
        ("2024-03-31", 23, 0),
        ("2024-10-27", 25, 0),
        ("2024-12-31", 24, 0),
    ],
)
def test_real_days_keep_the_rules(day: str, hours: int, negative: int) -> None:
    intervals: list[BacktestInterval] = []
    report = run_backtest(config(DATA, day, day), intervals.append)
    check_rules(intervals)
    assert len(intervals) == hours * 4
    assert (report.days[0].hours, report.days[0].spot.negative_quarter_hours) == (hours, negative)
    ours, never = report.total.dispatch, report.total.never
    assert ours.money.result_ueur >= never.money.result_ueur - 60_000
    for outcome in outcomes(report):
        energy = outcome.energy_j
        assert energy.generated + energy.imported == energy.factory + energy.mined + energy.exported + energy.residual
        assert energy.own_mining + energy.grid_mining == energy.mined
        assert outcome.import_peak_w <= CONNECTION_W
    assert report.total.always_on.energy_j.mined > ours.energy_j.mined
    spot = sum(energy_value_ueur(item.energy.export_j, item.prices.spot_cent_per_mwh) for item in intervals)
    assert ours.money.export_spot_ueur == spot
    assert sum(item.represented_hashes for item in intervals) == int(ours.work_hashes)


@recorded
def test_at_deeply_negative_prices_all_that_runs_is_mined_before_anything_is_curtailed() -> None:
    intervals: list[BacktestInterval] = []
    run_backtest(config(DATA, "2024-05-12", "2024-05-12"), intervals.append)
    nameplate_j = sum(count * model.power_w for count, model in MODELS) * INTERVAL_S
    curtailing = [item for item in intervals if item.curtailed_estimate_j > 30_000 * INTERVAL_S]
    assert curtailing
    for item in curtailing:
        assert item.energy.mining_j > nameplate_j * 98 // 100


@recorded
def test_where_buying_is_allowed_it_keeps_to_the_connection_and_the_peak() -> None:
    intervals: list[BacktestInterval] = []
    report = run_backtest(config(DATA, "2024-06-16", "2024-06-17", import_for_mining=True), intervals.append)
    check_rules(intervals, importing=True)
    assert report.total.dispatch.energy_j.grid_mining > report.total.dispatch.energy_j.standby_import
    thrifty = run_backtest(config(DATA, "2024-06-16", "2024-06-17", import_for_mining=True, demand_charge=True))
    never = report.total.never
    assert thrifty.total.dispatch.import_peak_w <= never.import_peak_w * 102 // 100, "no new peak for mining"


@recorded
def test_a_backtest_repeats_byte_for_byte() -> None:
    first = run_backtest(config(DATA, "2024-05-12", "2024-05-12")).model_dump_json()
    assert run_backtest(config(DATA, "2024-05-12", "2024-05-12")).model_dump_json() == first
    assert json.loads(first)["format"] == "photosynth-backtest-1"


@recorded
def test_days_in_a_row_are_one_run() -> None:
    intervals: list[BacktestInterval] = []
    report = run_backtest(config(DATA, "2024-10-26", "2024-10-28"), intervals.append)
    check_rules(intervals)
    assert report.total.days == 3
    assert len(intervals) == (24 + 25 + 24) * 4
    total = report.total.dispatch
    assert total.starts == sum(day.dispatch.starts for day in report.days)
    assert total.money.result_ueur == sum(day.dispatch.money.result_ueur for day in report.days)
    assert total.expected_sat == sum(day.dispatch.expected_sat for day in report.days)


@recorded
def test_a_site_of_wind_is_backtested_from_its_fleet_file() -> None:
    mining = load_fleet(Path(__file__).parents[2] / "examples" / "operator.yaml").mining_sites()[1]
    intervals: list[BacktestInterval] = []
    report = backtest(mining, date(2024, 1, 1), date(2024, 1, 2), DATA, intervals.append)
    for item in intervals:
        energy = item.energy
        assert energy.own_j + energy.import_j == energy.factory_j + energy.mining_j + energy.export_j
        assert energy.export_j <= mining.site.grid.connection_w * INTERVAL_S
        assert energy.export_j == 0 or item.prices.export_cent_per_mwh >= 0, "nothing is fed in at a loss"
    ours = report.total.dispatch
    could_kwh = ours.energy_kwh.generated + ours.energy_kwh.curtailed_estimate
    assert could_kwh > 2 * 660 * 24 * 0.5, "the first days of 2024 were windy"
    assert ours.money.export_premium_ueur == 0
    assert any("the wind is the country's" in note for note in report.notes)
    assert not any("sun is" in note for note in report.notes)


@recorded
def test_the_example_site_is_backtested_from_its_fleet_file() -> None:
    (mining,) = load_fleet(Path(__file__).parents[2] / "examples" / "backnang.yaml").mining_sites()
    intervals: list[BacktestInterval] = []
    report = backtest(mining, date(2024, 5, 12), date(2024, 5, 12), DATA, intervals.append)
    check_rules(intervals)
    assert report.site == "backnang"
    text = str(report)
    assert "2024-05-12" in text
    assert "fixed strike price" in text
    books = {(row.account, row.asset): row for row in report.total.trial_balance}
    ours = report.total.dispatch
    for asset in ("J", "EUR"):
        assert sum(row.debit - row.credit for row in report.total.trial_balance if row.asset == asset) == 0
    assert books["2100", "EUR"].closing == -ours.money.import_ueur
    assert books["5100", "EUR"].closing == ours.money.import_for_mining_ueur
    assert books["4200", "EUR"].closing == -ours.money.export_spot_ueur
    assert books["5200", "EUR"].closing == ours.money.marketing_fee_ueur
    assert books["7100", "EUR"].closing == ours.money.forgone_export_ueur
    assert books["E10", "J"].closing == -ours.energy_j.generated
    assert books["E40", "J"].closing == ours.energy_j.mined
    assert report.total.postings >= len(intervals)
    assert set(report.total.dispatch.money.import_components_ueur) == {"spot"} | {
        item.name for item in mining.site.market.import_components
    }


def made_up_year(folder: Path, seed: int, first: date, last: date, missing_hour: int | None = None) -> None:
    """An hourly file, and nothing else, with wild prices and a sun that is up by day, more or less."""
    rng = random.Random(seed)
    lines = ["timestamp_unix,datetime_utc,solar_mw_avg,day_ahead_price_eur_mwh\n"]
    start_ms, end_ms = market_day_bounds_ms(first)[0], market_day_bounds_ms(last)[1]
    for index, at_ms in enumerate(range(start_ms, end_ms, 3_600_000)):
        hour = at_ms // 3_600_000 % 24
        if hour == 0 or index == 0:
            brightest = rng.uniform(1000, 9000)
        sun = max(0.0, 6 - abs(hour - 11)) * brightest
        price = "" if index == missing_hour else f"{rng.uniform(-300, 250):.2f}"
        lines.append(f"{at_ms // 1000},x,{sun:.3f},{price}\n")
    (folder / f"de_hourly_price_load_renewables_{first.year}.csv").write_text("".join(lines))


COINS = DeclaredCoinMarket(
    declared_quote(
        price_cent_per_btc=5_930_000,
        difficulty="125864590119494",
        subsidy_sat=312_500_000,
        fees_sat=2_000_000,
        source="declared",
        as_of_ms=0,
    )
)


def straightforward(run: BacktestConfig) -> list[tuple[int, int, int, int, int]]:
    """The dispatch's run the slow way, in joules and hashes: every minute decided anew, every machine a body of its own."""
    bodies = {
        item.id: SimulatedMachine(item.model, random.Random(f"{run.seed}/{item.id}"), 0, warm=False) for item in run.machines
    }
    told = dict.fromkeys(bodies, 0)
    changed_ms = dict.fromkeys(bodies, -(10**9))
    market, peak, made, day = RecordedMarket(run.tariff, run.energy), ImportPeak(), [], run.first_day
    for body in bodies.values():
        body.sleep()
    began_ms, used_j, hashes = market_day_bounds_ms(day)[0], 0, 0
    while day <= run.last_day:
        start_ms, end_ms = market_day_bounds_ms(day)
        sun, quote = generation_of(run.energy, day, run.nominal), run.coins.at(start_ms)
        assert quote is not None
        for interval_ms in range(start_ms, end_ms, INTERVAL_S * 1000):
            prices, sums = market.prices(interval_ms), [0] * 4
            before = hashes
            for now_ms in range(interval_ms, interval_ms + INTERVAL_S * 1000, 60_000):
                load_w, sun_w = sum(load.watts(now_ms) for load in run.loads), sun.at(now_ms)
                offers = [
                    MachineOffer(
                        item.id, "", "", item.model.power_steps(), item.model.standby_w, told[item.id] > 0, changed_ms[item.id],
                        item.model.min_on_s, item.model.min_off_s, item.model.start_cost_ueur,
                    )
                    for item in run.machines
                ]  # fmt: skip
                site = SiteState(sun_w, load_w, import_peak_w=peak.watts_at(now_ms))
                plan = dispatch(site, offers, prices, run.policy, eur_per_hash=quote.eur_per_hash, now_ms=now_ms - began_ms)
                for name, power_w in plan.targets.items():
                    if power_w == told[name]:
                        continue
                    if power_w:
                        bodies[name].set_profile([step for step, _ in bodies[name].steps].index(power_w))
                        bodies[name].wake()
                    else:
                        bodies[name].sleep()
                    if (power_w > 0) != (told[name] > 0):
                        changed_ms[name] = now_ms - began_ms
                    told[name] = power_w
                for body in bodies.values():
                    body.advance(now_ms + 60_000 - began_ms)
                drawn_j = sum(body.energy_uj_x2 for body in bodies.values()) // 2_000_000
                hashes = sum(body.work_x2000 for body in bodies.values()) // 2000
                flows = balance(
                    span_ms=60_000,
                    available_mj=sun_w * 60_000,
                    factory_mj=load_w * 60_000,
                    mining_mj=(drawn_j - used_j) * 1000,
                    source_limit_w=plan.source_limit_w,
                    export_limit_w=plan.export_limit_w,
                )
                used_j = drawn_j
                for place, energy_mj in enumerate((flows.generated_mj, flows.import_mj, flows.export_mj, flows.mining_mj)):
                    sums[place] += energy_mj
            peak.count(interval_ms, sums[1] // 1000 // INTERVAL_S)
            own_j, import_j, export_j, mining_j = (energy_mj // 1000 for energy_mj in sums)
            made.append((own_j, import_j, export_j, mining_j, hashes - before))
        day += timedelta(days=1)
    return made


@pytest.mark.parametrize(
    ("seed", "policy"),
    [
        (4, {}),
        (5, {"import_for_mining": True, "demand_charge": True}),
        (6, {"import_for_mining": True, "curtail_to_import": True}),
        (7, {"curtailable": False}),
    ],
)
def test_what_is_remembered_from_minute_to_minute_changes_nothing(tmp_path: Path, seed: int, policy: dict[str, bool]) -> None:
    made_up_year(tmp_path, seed, date(2023, 3, 25), date(2023, 3, 27))
    run = config(tmp_path, "2023-03-25", "2023-03-25", COINS, **policy)
    intervals: list[BacktestInterval] = []
    run_backtest(run, intervals.append)
    found = [
        (item.energy.own_j, item.energy.import_j, item.energy.export_j, item.energy.mining_j, item.represented_hashes)
        for item in intervals
    ]
    assert found == straightforward(run)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("importing", [False, True])
def test_wild_years_keep_the_rules(tmp_path: Path, seed: int, importing: bool) -> None:
    made_up_year(tmp_path, seed, date(2023, 3, 25), date(2023, 3, 27))
    intervals: list[BacktestInterval] = []
    run_backtest(config(tmp_path, "2023-03-25", "2023-03-26", COINS, import_for_mining=importing), intervals.append)
    check_rules(intervals, importing=importing)
    assert len(intervals) == (24 + 23) * 4


def test_a_missing_price_is_refused_by_file_and_date(tmp_path: Path) -> None:
    made_up_year(tmp_path, 1, date(2023, 3, 25), date(2023, 3, 27), missing_hour=30)
    with pytest.raises(RecordedDataError, match=r"renewables_2023\.csv: no price .*2023-03-26"):
        run_backtest(config(tmp_path, "2023-03-25", "2023-03-27", COINS))
    with pytest.raises(ValueError, match="is not 1 to"):
        run_backtest(config(tmp_path, "2023-03-27", "2023-03-25", COINS))
