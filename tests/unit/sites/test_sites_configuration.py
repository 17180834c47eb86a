"""From the example's fleet file to each engine's words, every figure where it belongs."""

from dataclasses import replace
from pathlib import Path

import pytest

from photosynth.energy.coin_market import outlook
from photosynth.fleet import MiningSite, load_fleet
from photosynth.fleet.pool import PoolLimits
from photosynth.settings.values import Address
from photosynth.sites.configuration import (
    LONGEST_REFRESH_S,
    Pace,
    declared_coin_market,
    demonstration_target,
    dispatch_policy,
    machine_model,
    meter_specs,
    pool_config,
    site_facts,
    sources_of_machines,
    tariff_of,
)


@pytest.fixture(scope="module")
def mining() -> MiningSite:
    return load_fleet(Path(__file__).parents[3] / "examples" / "backnang.yaml").mining_sites()[0]


def test_the_tariff_has_every_component_and_no_premium_at_a_negative_price(mining: MiningSite) -> None:
    tariff = tariff_of(mining.site)
    dear, negative = tariff.prices(0, 8_000, "test", None), tariff.prices(0, -1, "test", None)
    assert dear.import_cent_per_mwh == 8_000 + 2946 + 50 + 1240 + 300
    assert dear.export_cent_per_mwh == 8_000 + 1300 - 200
    assert (negative.import_cent_per_mwh, negative.export_cent_per_mwh) == (4535, -201)
    assert tariff.demand_charge_cent_per_kw == 12_800
    assert {item.date for item in tariff.import_components} == {"2026-01-01"}


def test_the_strike_prices_are_those_of_the_facts(mining: MiningSite) -> None:
    assert mining.node.demonstration is not None
    quote = declared_coin_market(mining.node.demonstration).at(0)
    assert quote is not None
    assert quote.strike_cent_per_mwh(200 * 10**12, 3500) == 6674, "17.5 J/TH: 66.7 EUR/MWh"
    assert quote.strike_cent_per_mwh(104 * 10**12, 3068) == 3959, "29.5 J/TH: 39.6 EUR/MWh"
    alone = outlook(quote, 19_500 * 10**12)
    assert alone.days_per_block is not None
    assert alone.chance_of_no_block_in_a_year is not None
    assert (round(alone.days_per_block), round(alone.chance_of_no_block_in_a_year, 2)) == (321, 0.32)


def test_the_dispatch_may_what_the_fleet_file_allows(mining: MiningSite) -> None:
    policy = dispatch_policy(mining.site, stopped=True)
    assert (policy.connection_w, policy.guard_w, policy.stopped) == (400_000, 5_000, True)
    assert (policy.import_for_mining, policy.curtail_to_import, policy.curtailable, policy.demand_charge) == (
        False,
        False,
        True,
        True,
    )


def test_meters_and_models_keep_their_figures(mining: MiningSite) -> None:
    specs = {spec.id: spec for spec in meter_specs(mining.site)}
    assert (specs["pv"].role, specs["pv"].class_ppm, specs["pv"].register_step_j) == ("own_generation", 5000, 360_000)
    assert (specs["miners"].class_ppm, specs["miners"].party) == (10_000, "photosynth-demo")
    model = machine_model(mining.site.machines.models[0])
    assert (model.id, model.hash_rate_hs, model.power_w, model.min_power_w) == ("s21-xp", 270 * 10**12, 3645, 1900)
    assert model.power_steps()[-1] == (3645, 270 * 10**12)


@pytest.mark.parametrize(("speed", "block_s", "refresh_s"), [(1, 600, 30), (60, 10, 1), (300, 2, 1), (3600, 0.6, 1)])
def test_blocks_and_jobs_follow_the_speed_within_bounds(mining: MiningSite, speed: int, block_s: float, refresh_s: float) -> None:
    demonstration = mining.node.demonstration
    assert demonstration is not None
    pace = Pace(speed * 1000)
    assert pace.block_interval_s(demonstration) == block_s
    assert pace.refresh_s(demonstration) == refresh_s
    assert pace.refresh_s(None) == LONGEST_REFRESH_S


def test_the_pool_starts_where_machines_need_no_long_search_for_their_difficulty(mining: MiningSite) -> None:
    config = pool_config(mining, Pace(60_000))
    assert (config.host, config.port, config.version_mask) == ("127.0.0.1", 3333, 0x1FFFE000)
    assert config.start_difficulty == (50_000 // 102) * 10 / 2**32


def test_each_sites_pool_has_a_mark_of_its_own(mining: MiningSite) -> None:
    other = replace(mining, site=mining.site.model_copy(update={"name": "another"}))
    marks = [pool_config(found, Pace(60_000)).mark for found in (mining, other, mining)]
    assert [len(mark) for mark in marks] == [8, 8, 8]
    assert marks[0] != marks[1]
    assert marks[0] == marks[2]


def test_the_pools_limits_come_from_the_fleet_file(mining: MiningSite) -> None:
    config = pool_config(mining, Pace(60_000))
    assert config.min_difficulty * 2**32 == 128
    assert (config.max_workers, config.max_workers_per_address) == (10_000, 1_000)
    assert config.declared == {spec.worker: {"127.0.0.1"} for spec in mining.site.machine_specs()}, "they are simulated"
    limits = PoolLimits(connections=100, connections_per_address=700, workers=5, workers_per_address=2, share_hashes=4096)
    pool = mining.site.pool.model_copy(update={"limits": limits})
    config = pool_config(replace(mining, site=mining.site.model_copy(update={"pool": pool})), Pace(60_000))
    assert (config.max_connections, config.max_connections_per_address) == (100, 100)
    assert (config.max_workers, config.max_workers_per_address) == (5, 2)
    assert config.min_difficulty * 2**32 == 4096


def test_a_real_machines_name_is_its_own_at_its_address(mining: MiningSite) -> None:
    simulated, *_ = mining.site.machine_specs()
    real = [replace(simulated, address=Address(host, 4028), worker="hall") for host in ("10.0.0.9", "localhost", "2001:db8::9")]
    assert sources_of_machines([simulated, *real]) == {
        simulated.worker: {"127.0.0.1"},
        "hall": {"10.0.0.9", "127.0.0.1", "2001:db8::"},
    }


def test_the_evidence_names_the_site_and_its_meters(mining: MiningSite) -> None:
    facts = site_facts(mining, bytes(32))
    assert (facts.site, facts.asset, facts.network, facts.simulated) == ("backnang", "demonstration BTC", "regtest", True)
    assert {meter.id: meter.meter_class for meter in facts.meters}["miners"] == "1"
    assert facts.export_limit_w == 400_000


def test_a_real_chain_is_not_paced(mining: MiningSite) -> None:
    real = replace(mining, node=mining.node.model_copy(update={"demonstration": None}))
    assert demonstration_target(real.node, [real.site], Pace(1000)) is None
    assert site_facts(real, bytes(32)).asset == "BTC"
    assert demonstration_target(mining.node, [], Pace(60_000)) is None, "nobody mines on it"
    of_two = demonstration_target(mining.node, [mining.site, mining.site], Pace(60_000))
    assert of_two is not None
    assert of_two.hash_rate_hs == 2 * mining.site.simulation.hash_rate_hs
