"""Markets of a run: a recorded day from the hourly file alone, and a refusal that touches nothing."""

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from photosynth.cli.app import app
from photosynth.cli.markets import declared_markets, recorded_markets
from photosynth.fleet import MiningSite, load_fleet
from photosynth.quantities.instants import market_day_bounds_ms
from photosynth.simulation.series import read_series

EXAMPLE = Path(__file__).parents[3] / "examples" / "backnang.yaml"
DAY = date(2023, 7, 2)


@pytest.fixture(scope="module")
def mining() -> MiningSite:
    return load_fleet(EXAMPLE).mining_sites()[0]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with the hourly file alone: hours of one Berlin day, -500 EUR/MWh in the first and 4000 in the last."""
    start_ms, end_ms = market_day_bounds_ms(DAY)
    hours = range(start_ms // 1000, end_ms // 1000, 3600)
    prices = [-500, *range(22), 4000]
    lines = [f"{at_s},{index * 100},{price}" for index, (at_s, price) in enumerate(zip(hours, prices, strict=True))]
    header = "timestamp_unix,solar_mw_avg,day_ahead_price_eur_mwh"
    (tmp_path / "de_hourly_price_load_renewables_2023.csv").write_text("\n".join([header, *lines, ""]))
    return tmp_path


def test_the_hourly_file_alone_drives_a_day_with_the_declared_coin(mining: MiningSite, data: Path) -> None:
    markets = recorded_markets(mining, DAY, data)
    assert (markets.start_ms, markets.end_ms) == market_day_bounds_ms(DAY)
    first = markets.energy.prices(markets.start_ms)
    assert first is not None
    assert (first.spot_cent_per_mwh, first.premium_cent_per_mwh) == (-50_000, 0)
    for instant_ms in (market_day_bounds_ms(DAY)[1] - 1, market_day_bounds_ms(DAY)[1], market_day_bounds_ms(DAY)[1] + 10**9):
        last, quote = markets.energy.prices(instant_ms), markets.coin.at(instant_ms)
        assert last is not None
        assert quote is not None
        assert last.spot_cent_per_mwh == 400_000, "the last instant holds on where the clock stands"
        assert quote.source == "fleet file, as of 2026-02-12"


def test_the_days_sun_is_written_for_the_world(mining: MiningSite, data: Path, tmp_path: Path) -> None:
    path = recorded_markets(mining, DAY, data).series_in(tmp_path / "world")
    assert path is not None
    series = read_series(path)
    assert (len(series.watts), series.start_ms) == (24 * 60, market_day_bounds_ms(DAY)[0])
    assert max(series.watts) <= 600_000
    assert declared_markets(mining).series_in(tmp_path / "other") is None
    assert not (tmp_path / "other").exists()


def test_a_day_that_cannot_be_had_leaves_the_state_alone(data: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    command = ["up", str(EXAMPLE), "--fresh", "--replay", "2022-07-02", "--data", str(data), "--state", str(state), "--no-open"]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "de_hourly_price_load_renewables_2022.csv" in refused.output
    assert "2022-07-02" in refused.output
    assert not state.exists()
