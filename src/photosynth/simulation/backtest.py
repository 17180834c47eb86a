"""Backtest: recorded days through the same dispatch and the same machines, headless, the same bytes every time.

The step is a site minute: it is what the machines' ramps (10 to 90 s) and minimum times (minutes) are made of, finer than
any recorded series (quarter hours and hours), and a day stays a matter of a second. Within it, power in and out of the
site is netted, and the dispatch sees the minute's own generation and load, as it would when it runs every second.
Meters do not err here, so that the balance closes to the joule; what class errors do is shown by the running site.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

from photosynth.energy.coin_market import CoinQuote
from photosynth.energy.dispatch import Decision, SiteState, decide
from photosynth.energy.grouping import LastLadder
from photosynth.energy.import_peak import ImportPeak
from photosynth.energy.ladder import Ladder, scaled
from photosynth.energy.merit_order import Climb
from photosynth.energy.prices import Prices
from photosynth.energy.recorded_files import RecordedDataError
from photosynth.energy.recorded_market import RecordedMarket
from photosynth.fleet import MiningSite
from photosynth.quantities.balance import Energies, allocate
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S, market_day_bounds_ms
from photosynth.simulation.backtest_accounts import Account
from photosynth.simulation.backtest_facts import BacktestConfig, BacktestInterval
from photosynth.simulation.backtest_ledger import BacktestLedger
from photosynth.simulation.backtest_machines import BacktestFleet
from photosynth.simulation.backtest_report import BacktestReport, DayReport, Quote, Spot, TotalReport
from photosynth.simulation.recorded_site import backtest_config
from photosynth.simulation.replay import Nominal, generation_of
from photosynth.simulation.series import Series
from photosynth.simulation.site_physics import MINUTE_MS, Flows, generated_mj
from photosynth.simulation.strategies import STRATEGIES, Strategy, site_strike_cent_per_mwh

LONGEST_DAYS = 3700


@dataclass(frozen=True, slots=True)
class _Day:
    """Everything of a day that no strategy changes."""

    day: date
    start_ms: int
    end_ms: int
    generation: Series
    load_w: list[int]
    prices: list[Prices]
    quote: CoinQuote
    eur_per_hash: Fraction


def backtest(
    mining: MiningSite,
    first_day: date,
    last_day: date,
    data: Path,
    on_interval: Callable[[BacktestInterval], None] | None = None,
) -> BacktestReport:
    """Backtest a declared site over recorded days in ``data``; see :func:`run_backtest`."""
    return run_backtest(backtest_config(mining, first_day, last_day, data), on_interval)


def run_backtest(config: BacktestConfig, on_interval: Callable[[BacktestInterval], None] | None = None) -> BacktestReport:
    """Run every strategy over the days and report. ``on_interval`` gets the dispatch's quarter hours as they close.

    Raises RecordedDataError, naming file and date, where recorded data is missing, before anything of that day is posted;
    ValueError where the days are in no order or too many.
    """
    days = (config.last_day - config.first_day).days + 1
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"from {config.first_day} to {config.last_day} is not 1 to {LONGEST_DAYS} days")
    market = RecordedMarket(config.tariff, config.energy)
    runs: dict[str, _Run] = {}
    totals = {strategy.name: Account(config.tariff) for strategy in STRATEGIES}
    ledger = BacktestLedger(config.site, config.policy.connection_w)
    strike_cent = config.fixed_strike_cent_per_mwh

    def close(interval: BacktestInterval) -> None:
        ledger.post(interval)
        if on_interval is not None:
            on_interval(interval)

    reports: list[DayReport] = []
    for day in (_load_day(config, market, config.first_day + timedelta(days=index)) for index in range(days)):
        if strike_cent is None:
            strike_cent = site_strike_cent_per_mwh([machine.model for machine in config.machines], day.quote)
        outcomes = {}
        for strategy in STRATEGIES:
            if strategy.name not in runs:
                runs[strategy.name] = _Run(config, strategy, strike_cent, day.start_ms)
            sink = close if strategy.name == "dispatch" else None
            account = runs[strategy.name].day(day, sink)
            totals[strategy.name].add(account)
            outcomes[strategy.name] = account.outcome()
        reports.append(
            DayReport(
                day=day.day.isoformat(),
                hours=(day.end_ms - day.start_ms) // 3_600_000,
                spot=_spot(day.prices),
                quote=Quote(
                    price_cent_per_btc=day.quote.price_cent_per_btc,
                    difficulty=day.quote.difficulty,
                    reward_sat=day.quote.reward_sat,
                    source=day.quote.source,
                ),
                **outcomes,
            )
        )
    return BacktestReport(
        site=config.site,
        first_day=config.first_day.isoformat(),
        last_day=config.last_day.isoformat(),
        step_s=MINUTE_MS // 1000,
        fixed_strike_cent_per_mwh=strike_cent or 0,
        notes=list(_notes(config.nominal)),
        days=reports,
        total=TotalReport(
            days=days,
            postings=ledger.postings,
            trial_balance=ledger.rows(),
            **{name: account.outcome() for name, account in totals.items()},
        ),
    )


def _notes(nominal: Nominal) -> Iterator[str]:
    """What a reader has to know of a report on sources of these kinds."""
    named = [name for name, power_w in (("sun", nominal.solar_w), ("wind", nominal.wind_w)) if power_w]
    sources, is_are = " and ".join(named), "is" if len(named) == 1 else "are"
    yield "Satoshis are expected ones: represented hashes times the day's reward over the work of a block, as a pool would pay."
    yield (
        f"The factory's load is synthetic; the {sources} {is_are} the country's, scaled to the plant; "
        "prices are hourly day-ahead prices."
    )
    if nominal.wind_w:
        yield (
            "A country's wind is steadier than one turbine's; "
            "renewables that are not sun count as wind above their lowest hour of the year."
        )
    yield "Machines have no bad habits here and all begin asleep; meters do not err."
    yield (
        f"Origin is settled by the quarter hour, factory first: where the {sources} falls within one, a little of what was mined "
        "with surplus counts as bought (0.002 % of the example site's mining over 2024)."
    )
    yield "Curtailed energy is an estimate beside the balance: it was never generated."
    yield "Always-on buys energy whatever the site allows; the others keep to what the site allows."


def _load_day(config: BacktestConfig, market: RecordedMarket, day: date) -> _Day:
    start_ms, end_ms = market_day_bounds_ms(day)
    quote = config.coins.at(start_ms)
    if quote is None:
        raise RecordedDataError(f"the coin market has no price on {day}")
    return _Day(
        day=day,
        start_ms=start_ms,
        end_ms=end_ms,
        prices=[market.prices(at_ms) for at_ms in range(start_ms, end_ms, INTERVAL_MS)],
        generation=generation_of(config.energy, day, config.nominal),
        load_w=[sum(load.watts(at_ms) for load in config.loads) for at_ms in range(start_ms, end_ms, MINUTE_MS)],
        quote=quote,
        eur_per_hash=quote.eur_per_hash,
    )


def _spot(prices: list[Prices]) -> Spot:
    spots = [price.spot_cent_per_mwh for price in prices]
    return Spot(
        lowest_cent_per_mwh=min(spots),
        highest_cent_per_mwh=max(spots),
        negative_quarter_hours=sum(spot < 0 for spot in spots),
        quarter_hours=len(spots),
        source=", ".join(sorted({price.source for price in prices})),
    )


class _Run:
    """One strategy's site from day to day: its machines, its import peak, its registers."""

    def __init__(self, config: BacktestConfig, strategy: Strategy, strike_cent: int, start_ms: int) -> None:
        self.config, self.strategy, self.strike_cent = config, strategy, strike_cent
        self.fleet = BacktestFleet(config.machines, config.seed, start_ms)
        self.standby_w = sum(machine.model.standby_w for machine in config.machines)
        self.import_peak = ImportPeak(config.tariff.demand_period)
        self._ladders = LastLadder()
        self._decision: Decision | None = None
        self._registers = {"own_generation": 0, "import": 0, "export": 0, "factory": 0, "mining": 0}

    def day(self, day: _Day, sink: Callable[[BacktestInterval], None] | None) -> Account:
        """Run a day and account for it."""
        account = Account(self.config.tariff)
        starts, start_cost = self.fleet.starts, self.fleet.start_cost_ueur
        for index, prices in enumerate(day.prices):
            flows, hashes = self._quarter_hour(day, index, prices)
            energy = Energies(
                own_j=flows.generated_mj // 1000,
                import_j=flows.import_mj // 1000,
                export_j=flows.export_mj // 1000,
                factory_j=flows.factory_mj // 1000,
                mining_j=flows.mining_mj // 1000,
            )
            allocation, curtailed_j = allocate(energy), flows.lost_mj // 1000
            if energy.residual_j:
                raise AssertionError(f"the balance of {prices.interval_start_ms} is off by {energy.residual_j} J")
            self.import_peak.count(prices.interval_start_ms, energy.import_j // INTERVAL_S)
            connection_w = self.config.policy.connection_w
            account.interval(energy, allocation, curtailed_j, prices, connection_w=connection_w, standby_w=self.standby_w)
            account.work_hashes += hashes
            registers = self._count(energy)
            if sink is not None:
                sink(
                    BacktestInterval(
                        prices.interval_start_ms, energy, allocation, curtailed_j, prices, day.quote, hashes, registers
                    )
                )
        account.close(day.quote, self.fleet.starts - starts, self.fleet.start_cost_ueur - start_cost)
        return account

    def _quarter_hour(self, day: _Day, interval: int, prices: Prices) -> tuple[Flows, int]:
        """The flows of a quarter hour, from those of its minutes, and the hashes done."""
        peak_w = self.import_peak.watts_at(prices.interval_start_ms)
        policy, value = self.strategy.rule(self.config.policy, prices, day.eur_per_hash, self.strike_cent)
        scaled_value, fleet, decision = scaled(value), self.fleet, self._decision
        ladder: Ladder | None = None
        undecided = True
        source_limit_w = None if decision is None else decision.source_limit_w
        export_limit_w = None if decision is None else decision.export_limit_w
        generated = factory = mining = bought = sold = lost = hashes = 0
        now_ms, minutes = prices.interval_start_ms, slice(interval * 15, interval * 15 + 15)
        for available_w, load_w in zip(day.generation.watts[minutes], day.load_w[minutes], strict=True):
            if ladder is None or not ladder.is_of(fleet.offers, now_ms):
                horizon_s = policy.restart_horizon_s
                ladder = self._ladders.at(fleet.offers, scaled_value, horizon_s, now_ms, stopped=policy.stopped)
                undecided = True
            if undecided:
                undecided = not policy.stopped  # where nobody may mine, the prices alone decide, once for the quarter hour
                before = decision
                decision = decide(SiteState(available_w, load_w, import_peak_w=peak_w), ladder, prices, policy, before)
                if decision is not before:
                    source_limit_w, export_limit_w = decision.source_limit_w, decision.export_limit_w
                    self._tell(decision.climb, None if before is None else before.climb)
            now_ms += MINUTE_MS
            mining_j, work = fleet.advance(now_ms)
            available_mj, factory_mj, mining_mj = available_w * MINUTE_MS, load_w * MINUTE_MS, mining_j * 1000
            used_mj = factory_mj + mining_mj
            made_mj = generated_mj(MINUTE_MS, available_mj, used_mj, source_limit_w, export_limit_w)
            generated += made_mj
            factory += factory_mj
            mining += mining_mj
            if made_mj > used_mj:
                sold += made_mj - used_mj
            else:
                bought += used_mj - made_mj
            lost += available_mj - made_mj
            hashes += work
        self._decision = decision
        return Flows(INTERVAL_MS, generated, factory, mining, bought, sold, lost), hashes

    def _tell(self, climb: Climb, before: Climb | None) -> None:
        """Order the machines: those alone that may be told something else than before."""
        if before is None:
            self.fleet.apply(climb.ladder.targets(climb.taken))
        elif before.ladder is not climb.ladder or before.taken != climb.taken:
            self.fleet.apply(climb.ladder.targets(climb.taken, (before.ladder, before.taken)))

    def _count(self, energy: Energies) -> dict[str, tuple[int, int]]:
        counted = {
            "own_generation": energy.own_j,
            "import": energy.import_j,
            "export": energy.export_j,
            "factory": energy.factory_j,
            "mining": energy.mining_j,
        }
        registers = {role: (self._registers[role], self._registers[role] + joules) for role, joules in counted.items()}
        self._registers = {role: end for role, (_, end) in registers.items()}
        return registers
