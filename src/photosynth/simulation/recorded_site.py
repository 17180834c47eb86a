"""A declared site on recorded days: what drives a replayed day, and what a backtest runs."""

from datetime import date
from pathlib import Path

from photosynth.energy.coin_market import CoinMarket
from photosynth.energy.recorded_coin_market import RecordedCoinMarket, has_coin_files
from photosynth.energy.recorded_files import RecordedDataError
from photosynth.energy.recorded_market import RecordedEnergy
from photosynth.fleet import MiningSite, Site
from photosynth.simulation.backtest_facts import BacktestConfig
from photosynth.simulation.backtest_machines import BacktestMachine
from photosynth.simulation.factory import FactoryLoad
from photosynth.simulation.replay import Nominal
from photosynth.simulation.source_model import SOURCE_MODELS, Weather
from photosynth.sites.configuration import declared_coin_market, dispatch_policy, machine_model, tariff_of

FEES_SAT = 2_000_000
"""Mean fees of a block since November 2025 (CoinMetrics), for fleets that declare none."""
FEES_DATE = "2026-02-12"


def nominal_of(site: Site) -> Nominal:
    """Its sources' nameplate power by the weather whose recorded maximum is scaled to it. Raises RecordedDataError."""
    return Nominal(
        solar_w=sum(source.nominal_w for source in site.sources if _follows(source.kind) == "sun"),
        wind_w=sum(source.nominal_w for source in site.sources if _follows(source.kind) == "wind"),
    )


def _follows(kind: str) -> Weather:
    """The recorded weather that a kind of source follows. Raises RecordedDataError where none tells of it."""
    weather = SOURCE_MODELS.need(kind).follows
    if weather is None:
        raise RecordedDataError(f"nothing that is recorded tells what a source of kind {kind} made")
    return weather


def recorded_coin_market(mining: MiningSite, data: Path) -> CoinMarket:
    """The coin market of recorded days: from the files in ``data``, or, where it holds none of them, as the fleet declares.

    Raises RecordedDataError where files are garbled or some are missing, or where there are neither files nor a declaration.
    """
    declared = mining.node.demonstration
    if has_coin_files(data):
        fees_sat = FEES_SAT if declared is None else declared.fees_sat
        fees_date = FEES_DATE if declared is None else declared.date.isoformat()
        return RecordedCoinMarket(data, fees_sat, fees_date)
    if declared is None:
        raise RecordedDataError(f"{data}: no price of a coin here, and the fleet file declares none")
    return declared_coin_market(declared)


def backtest_config(mining: MiningSite, first_day: date, last_day: date, data: Path) -> BacktestConfig:
    """What a backtest of a site runs: its machines without their habits, and its market's recorded prices."""
    site = mining.site
    models = {model.id: machine_model(model) for model in site.machines.models}
    return BacktestConfig(
        site=site.name,
        seed=site.simulation.seed,
        nominal=nominal_of(site),
        loads=tuple(
            FactoryLoad(load.id, load.base_w, load.weekday_peak_w, load.weekend_peak_w, site.simulation.seed, site.zone)
            for load in site.loads
        ),
        machines=tuple(BacktestMachine(spec.id, models[spec.model.id], spec.party) for spec in site.machine_specs()),
        policy=dispatch_policy(site, stopped=False),
        tariff=tariff_of(site),
        energy=RecordedEnergy(data),
        coins=recorded_coin_market(mining, data),
        first_day=first_day,
        last_day=last_day,
    )
