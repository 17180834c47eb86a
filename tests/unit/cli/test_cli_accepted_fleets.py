"""Whatever `fleet check` accepts can be started: each optional part missing or unusual, at every speed that there is."""

import re
from pathlib import Path

import pytest

from photosynth.cli.markets import declared_markets
from photosynth.cli.simulated_field import world_config
from photosynth.energy.coin_market import outlook
from photosynth.fleet import parse_fleet
from photosynth.quantities.instants import iso_utc, market_day_bounds_ms, market_day_of
from photosynth.sites.bookkeeper import coin_fact, price_fact
from photosynth.sites.clock import RunningClock
from photosynth.sites.configuration import (
    Pace,
    demonstration_target,
    dispatch_policy,
    machine_model,
    meter_specs,
    pool_config,
    site_facts,
    tariff_of,
)

TEXT = (Path(__file__).parents[3] / "examples" / "backnang.yaml").read_text(encoding="utf-8")

CHANGES = {
    "nothing": (r"\A", ""),
    "no import components": (r"      import:.*\n(        - .*\n)+", "      import: []\n"),
    "no demand charge": (r"      demand_charge:.*\n", ""),
    "a month's demand charge": (r"period: year", "period: month"),
    "no export terms": (r"      export:\n(        .*\n)+", ""),
    "no premium": (r"        premium:.*\n", ""),
    "no loads": (r"    loads:\n(      .*\n)+", ""),
    "no habits": (r"      habits:.*\n(        - .*\n)+", ""),
    "no guard": (r"      guard:.*\n", ""),
    "cold": (r"      warm: true.*\n", ""),
    "no speed": (r"clock: .*\n", ""),
    "the first instant": (r"2026-06-14T11:00", "1980-01-01T00:00"),
    "the last instant": (r"2026-06-14T11:00", "2199-12-31T23:59"),
    "old figures": (r"date: 2026-02-12", "date: 0001-01-01"),
    "no reward": (r"subsidy: .*\n      fees: .*\n", "subsidy: 0 sat\n      fees: 0 sat\n"),
    "least difficulty": (r"difficulty: \d+", "difficulty: 1"),
    "most difficulty": (r"difficulty: \d+", f"difficulty: {2**63}"),
    "least hash rate": (r"hash_rate: 50 kH/s", "hash_rate: 1 H/s"),
    "most hash rate": (r"hash_rate: 50 kH/s", "hash_rate: 9 PH/s"),
    "a block a second": (r"block_interval: 600 s", "block_interval: 1 s"),
    "a block a day": (r"block_interval: 600 s", "block_interval: 24 h"),
    "a share a second": (r"share_interval: 10 s", "share_interval: 1 s"),
    "a share an age": (r"share_interval: 10 s", "share_interval: 100000000 d"),
    "no version bits": (r"1fffe000", '"00000000"'),
    "the pole": (r"latitude: 48.946", "latitude: -90"),
    "another zone": (r"Europe/Berlin", "Pacific/Kiritimati"),
    "one real machine": (r"count: 36, ", 'count: 1, addresses: ["10.0.0.1:4028"], '),
    "a bitcoind": (
        r"run: embedded",
        "run: external\\n    endpoints: {rpc: 'http://127.0.0.1:1'}\\n    credentials: {user: u, password_file: p}",
    ),
    "an address": (r"script: .*", "address: bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_accepted_fleet_can_be_told_to_every_engine(name: str) -> None:
    old, new = CHANGES[name]
    text, number = re.subn(old, new, TEXT, count=1)
    assert number == 1
    (mining,) = parse_fleet(text.encode(), "fleet.yaml", Path()).mining_sites()
    site, markets = mining.site, declared_markets(mining)
    for speed_milli in (1, 1000, mining.fleet.clock.speed * 1000, 3_600_000):
        pace = Pace(speed_milli)
        assert demonstration_target(mining.node, [site], pace) is not None
        assert pool_config(mining, pace).start_difficulty > 0
        clock = RunningClock.starting_at(markets.start_ms, speed_milli)
        assert len(world_config(site, Path("world"), clock, ("127.0.0.1", 1), None).meters) == 5
    assert site_facts(mining, bytes(32)).network == "regtest"
    assert dispatch_policy(site, stopped=False).connection_w == site.grid.connection_w
    assert len(meter_specs(site)) == 5
    assert all(machine_model(model).power_w > 0 for model in site.machines.models)
    start_ms, end_ms = market_day_bounds_ms(market_day_of(markets.start_ms))
    assert start_ms <= markets.start_ms < end_ms
    prices, quote = markets.energy.prices(markets.start_ms), markets.coin.at(markets.start_ms)
    assert prices is not None
    assert quote is not None
    components = price_fact(prices).import_components
    assert sum(components.values()) + prices.spot_cent_per_mwh == prices.import_cent_per_mwh
    assert set(components) == {item.name for item in tariff_of(site).import_components}
    assert iso_utc(coin_fact(quote).as_of_ms).endswith("Z")
    assert outlook(quote, 10**15).days_per_block is not None
