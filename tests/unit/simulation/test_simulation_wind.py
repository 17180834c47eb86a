"""The wind is a Weibull distribution that forgets itself over hours, the turbine keeps to its curve, and the seed decides all."""

import math
import time
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from statistics import correlation, fmean

import pytest
from msgspec.structs import replace
from tests.unit.simulation.test_simulation_site_world import config as world_config

from photosynth.cli.simulated_field import world_config as world_of
from photosynth.energy.recorded_files import RecordedDataError
from photosynth.energy.recorded_market import RecordedEnergy
from photosynth.energy.simulated_meters import SimulatedMeters
from photosynth.fleet import load_fleet
from photosynth.quantities.instants import ScaledTime, market_day_bounds_ms
from photosynth.simulation.child import WorldProcess
from photosynth.simulation.recorded_site import nominal_of
from photosynth.simulation.replay import Nominal, generation_of
from photosynth.simulation.site_physics import balance
from photosynth.simulation.wind import Turbine, air_factor, generation_w, power_w, wind_mm_s
from photosynth.simulation.world_config import TimeConfig
from photosynth.sites.clock import RunningClock

EXAMPLE = Path(__file__).parents[3] / "examples" / "operator.yaml"
SITE = load_fleet(EXAMPLE).sites[1]
START_MS = 1_767_225_600_000
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def turbine() -> Turbine:
    """The example's, as the world is told of it."""
    clock = RunningClock(ScaledTime(START_MS, 0, 1000))
    told = world_of(SITE, Path("world"), clock, ("127.0.0.1", 3334), None).sources["wind"][0]
    assert isinstance(told, Turbine)
    return told


def test_a_year_of_wind_has_the_declared_distribution(turbine: Turbine) -> None:
    at_mean_height = replace(turbine, hub_height_mm=turbine.height_mm)
    speeds = [wind_mm_s(at_mean_height, seed, START_MS + hour * HOUR_MS) for seed in range(4) for hour in range(0, 8760, 3)]
    assert fmean(speeds) == pytest.approx(turbine.mean_mm_s, rel=0.04)
    scale = turbine.mean_mm_s / math.gamma(1 + 1 / turbine.shape)
    for share in (0.1, 0.5, 0.9, 0.99):
        quantile = scale * (-math.log(1 - share)) ** (1 / turbine.shape)
        assert sum(speed <= quantile for speed in speeds) / len(speeds) == pytest.approx(share, abs=0.025), share


def test_the_wind_of_one_hour_tells_that_of_the_next_and_not_that_of_next_week(turbine: Turbine) -> None:
    speeds = [wind_mm_s(turbine, 1, START_MS + hour * HOUR_MS) for hour in range(8760)]
    assert 0.85 < correlation(speeds[:-1], speeds[1:]) < 0.95
    assert abs(correlation(speeds[:-168], speeds[168:])) < 0.1
    minutes = [wind_mm_s(turbine, 1, START_MS + minute * 60_000) for minute in range(3000)]
    steps = [abs(after - before) for before, after in pairwise(minutes)]
    assert 0 < max(steps) < 2_500, "no minute jumps by more than 2.5 m/s"


def test_the_seed_alone_decides_at_any_instant_in_any_order(turbine: Turbine) -> None:
    instants = [START_MS + hour * 7 * HOUR_MS for hour in range(50)]
    watts = generation_w((turbine,), 5)
    forwards = [watts(at) for at in instants]
    assert [watts(at) for at in reversed(instants)] == forwards[::-1]
    assert generation_w((turbine,), 5)(instants[3] + 59_000) == forwards[3], "a minute is one value"
    assert [generation_w((turbine,), 6)(at) for at in instants] != forwards
    assert generation_w((turbine, turbine), 5)(instants[0]) == 2 * forwards[0]
    assert generation_w((), 5)(instants[0]) == 0


def test_a_turbine_keeps_to_its_curve(turbine: Turbine) -> None:
    for speed, watts in turbine.curve:
        assert power_w(turbine.curve, speed) == watts
    assert power_w(turbine.curve, 8_500) == (252_000 + 350_000) // 2
    assert power_w(turbine.curve, 2_999) == power_w(turbine.curve, 25_001) == power_w(turbine.curve, 0) == 0
    assert power_w(turbine.curve, 20_000) == 660_000
    share = fmean(generation_w((turbine,), 1)(START_MS + hour * HOUR_MS) for hour in range(8760)) / 660_000
    assert 0.25 < share < 0.40, "what turbines of its kind reach at the coast"


def test_wind_rises_with_height_and_counts_more_in_cold_air(turbine: Turbine) -> None:
    higher = replace(turbine, hub_height_mm=90_000)
    rise = wind_mm_s(higher, 1, START_MS) / wind_mm_s(turbine, 1, START_MS)
    assert rise == pytest.approx(math.log(90 / 0.03) / math.log(45 / 0.03))
    july_ms = int(datetime(2026, 7, 20, tzinfo=UTC).timestamp()) * 1000
    assert air_factor(july_ms) < 1 < air_factor(START_MS) < 1.03


async def test_a_world_of_wind_alone_runs_and_meters_what_the_turbine_makes(tmp_path: Path, turbine: Turbine) -> None:
    base = world_config(tmp_path)
    now = TimeConfig(base.time.anchor_site_ms, time.monotonic_ns(), 1000)
    config = replace(base, series_path=None, sources={"wind": (turbine,)}, time=now, connection_w=700_000)
    world = await WorldProcess.start(config, log=lambda line: None)
    meters = SimulatedMeters(*world.ready.meters)
    try:
        seen = await meters.read_all()
        expected = {generation_w((turbine,), config.seed)(at) for at in (seen.at_ms - 1, seen.at_ms)}
        assert seen.source.power_w in expected
    finally:
        await meters.close()
        await world.stop()


def hourly(
    folder: Path, day: date, wind: list[int], columns: str = "timestamp_unix,solar_mw_avg,day_ahead_price_eur_mwh"
) -> Path:
    """An hourly file of one Berlin day whose other renewables are these."""
    start, end = market_day_bounds_ms(day)
    text = "timestamp_unix,solar_mw_avg,day_ahead_price_eur_mwh,renewable_generation_mw_avg\n"
    for number, at_ms in enumerate(range(start, end, HOUR_MS)):
        text += f"{at_ms // 1000},100,1,{wind[number % len(wind)] + 100}\n"
    path = folder / f"de_hourly_price_load_renewables_{day.year}.csv"
    path.write_text(text)
    return path


def test_a_recorded_day_of_wind_is_what_varies_of_the_rest_of_renewables(tmp_path: Path) -> None:
    day = date(2023, 7, 2)
    wind = [6_000 + 20_000 * min(hour, 24 - hour) // 12 for hour in range(24)]
    hourly(tmp_path, day, wind)
    energy = RecordedEnergy(tmp_path)
    start = market_day_bounds_ms(day)[0]
    assert [energy.wind_share(start + hour * HOUR_MS, 2023) * 2 for hour in (0, 6, 12)] == [0, 1, 2]
    series = generation_of(energy, day, Nominal(0, 660_000))
    assert series.source == "recorded 2023-07-02: wind generation scaled to 660000 W"
    assert min(series.watts) >= 0
    assert max(series.watts) <= 660_000
    assert sum(series.watts) / 1440 == pytest.approx(330_000, rel=0.01)
    both = generation_of(energy, day, Nominal(100_000, 660_000))
    assert sum(both.watts) > sum(series.watts)
    assert nominal_of(SITE) == Nominal(0, 660_000)


def test_what_tells_nothing_of_the_wind_is_refused_for_a_turbine_alone(tmp_path: Path) -> None:
    day = date(2023, 7, 2)
    path = hourly(tmp_path, day, [6_000, 6_000])
    with pytest.raises(RecordedDataError, match="tells nothing of the wind"):
        generation_of(RecordedEnergy(tmp_path), day, Nominal(0, 660_000))
    path.write_text(path.read_text().replace("renewable_generation_mw_avg", "something_else"))
    with pytest.raises(RecordedDataError, match="tells nothing of the wind"):
        generation_of(RecordedEnergy(tmp_path), day, Nominal(0, 660_000))
    assert max(generation_of(RecordedEnergy(tmp_path), day, Nominal(600_000, 0)).watts) == 600_000
    lines = hourly(tmp_path, day, [6_000, 9_000]).read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:5] + lines[6:]))
    with pytest.raises(RecordedDataError, match=r"no renewable_generation_mw_avg in the hour 2023-07-02T02:00:00Z"):
        generation_of(RecordedEnergy(tmp_path), day, Nominal(0, 660_000))


def test_the_simulated_curtailment_of_a_turbine_is_the_sites(turbine: Turbine) -> None:
    """The site's limits hold wind as they hold sun: nothing of the physics asks where the energy is from."""
    watts = generation_w((turbine,), 1)(START_MS)
    flows = balance(
        span_ms=1000, available_mj=watts * 1000, factory_mj=0, mining_mj=0, source_limit_w=watts // 2, export_limit_w=None
    )
    assert flows.generated_mj == watts // 2 * 1000
