"""The dispatch: merit order, what it never does, and sentences that say why; with sites that nobody thought of."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photosynth.energy.coin_market import strike_cent_per_mwh
from photosynth.energy.dispatch import DispatchPolicy, MachineOffer, Plan, SiteState, dispatch
from photosynth.energy.ladder import hull
from photosynth.energy.prices import PriceComponent, Prices, Tariff

TARIFF = Tariff((PriceComponent("levies", 4500, "test", "2026-01-01"),), 1300, "none_at_negative_price", 200)
VALUE = Fraction(3, 100) / (10**12 * 86_400)
"""Three cents for a terahash per second over a day."""
STEPS = ((1900, 168_000 * 10**9), (2800, 228_000 * 10**9), (3600, 270_000 * 10**9))
POLICY = DispatchPolicy(connection_w=400_000, guard_w=5_000)
LONG_AGO = -(10**9)


def machine(name: str, *, on: bool = False, changed_ms: int = LONG_AGO, **other: object) -> MachineOffer:
    """A machine of some 88 EUR/MWh at full power and 111 at its lowest."""
    offer = MachineOffer(name, "m", "operator", STEPS, 25, on, changed_ms, 300, 180, 50_000)
    return replace(offer, **other)  # type: ignore[arg-type]


def prices(spot_cent: int) -> Prices:
    return TARIFF.prices(0, spot_cent, "test", None)


def plan(site: SiteState, offers: list[MachineOffer], spot_cent: int = 2000, policy: DispatchPolicy = POLICY) -> Plan:
    return dispatch(site, offers, prices(spot_cent), policy, eur_per_hash=VALUE, now_ms=0)


def test_surplus_is_mined_where_a_megawatt_hour_earns_more_than_feeding_in() -> None:
    result = plan(SiteState(100_000, 60_000), [machine(f"m{index}") for index in range(5)])
    assert result.targets == {f"m{index}": 3600 for index in range(5)}
    assert result.set_point_w == 18_000
    assert result.surplus_w == 40_000
    assert result.export_limit_w == 400_000
    assert result.source_limit_w is None
    assert "feeding in would fetch 31.00 EUR/MWh" in result.reasons["m0"]


def test_partial_steps_take_what_the_surplus_and_the_guard_leave() -> None:
    result = plan(SiteState(20_000, 10_000), [machine("a", on=True), machine("b", on=True)], policy=POLICY)
    assert sorted(result.targets.values()) == [1900, 2800]
    assert result.set_point_w == 4_700


def test_dear_energy_is_fed_in() -> None:
    result = plan(SiteState(100_000, 60_000), [machine("m")], spot_cent=12_000)
    assert result.targets == {"m": 0}
    assert result.reasons["m"].startswith("Sleeps: a megawatt-hour earns 110.52 EUR/MWh in it; feeding in fetches 131.00")


def test_a_start_has_to_earn_its_cost_back_but_a_running_machine_stays() -> None:
    spot = 11_000 - 1100  # between the value with and without the cost of a start
    assert plan(SiteState(100_000, 0), [machine("m")], spot).targets == {"m": 0}
    assert plan(SiteState(100_000, 0), [machine("m", on=True)], spot).targets["m"] > 0


def test_at_a_negative_price_everything_is_mined_and_the_rest_is_not_fed_in() -> None:
    result = plan(SiteState(100_000, 60_000), [machine("m")], spot_cent=-4_000)
    assert result.targets == {"m": 3600}
    assert result.export_limit_w == 0
    assert result.curtailed_w == 36_400
    assert result.source_limit_w is None, "the plant controller follows the load by itself"


def test_a_throttled_source_is_taken_for_nearly_what_it_could_make() -> None:
    site = SiteState(63_600, 60_000, available_w=100_000, throttled=True)
    assert site.potential_w == 98_500
    assert plan(site, [machine("m"), machine("n")], -4_000).targets == {"m": 3600, "n": 3600}


def test_more_than_the_connection_takes_is_free() -> None:
    result = plan(SiteState(410_000, 0), [machine(f"m{i}", on=True) for i in range(4)], spot_cent=50_000)
    assert 0 < result.set_point_w <= 10_000
    assert result.curtailed_w == 410_000 - result.set_point_w - 400_000


def test_energy_is_bought_only_where_allowed_and_worth_it() -> None:
    night = SiteState(0, 60_000, import_peak_w=100_000)
    buying = replace(POLICY, import_for_mining=True, demand_charge=True)
    machines = [machine(f"m{index}") for index in range(30)]
    assert plan(night, machines, 1_000).set_point_w == 30 * 25
    bought = plan(night, machines, 1_000, buying)
    assert 30_000 < bought.set_point_w <= 40_000, "no new peak for mining"
    assert plan(night, machines, 1_000, replace(buying, demand_charge=False)).set_point_w == 108_000
    assert plan(night, machines, 8_000, buying).set_point_w == 30 * 25, "dearer than it earns"


def test_cheap_bought_energy_does_not_make_own_energy_cheap() -> None:
    generous = Tariff((), premium_cent_per_mwh=9_500, premium_rule="always", marketing_fee_cent_per_mwh=0)
    offers = [machine(f"m{index}", on=True) for index in range(4)]
    price, buying = generous.prices(0, 5_000, "test", None), replace(POLICY, import_for_mining=True)
    assert (price.import_cent_per_mwh, price.export_cent_per_mwh) == (5_000, 14_500)
    by_day = dispatch(SiteState(50_000, 0), offers, price, buying, eur_per_hash=VALUE, now_ms=0)
    by_night = dispatch(SiteState(0, 50_000), offers, price, buying, eur_per_hash=VALUE, now_ms=0)
    assert set(by_day.targets.values()) == {0}, "what is fed in fetches more than mining earns"
    assert set(by_night.targets.values()) == {3600}


def test_curtailing_in_order_to_import_has_to_be_allowed() -> None:
    site = SiteState(200_000, 50_000)
    buying = replace(POLICY, import_for_mining=True)
    assert plan(site, [machine("m")], -20_000, buying).source_limit_w is None
    assert plan(site, [machine("m")], -20_000, replace(buying, curtail_to_import=True)).source_limit_w == 0


def test_curtailing_in_order_to_import_has_to_pay_more_than_mining_with_both() -> None:
    site = SiteState(60_000, 0, import_peak_w=1_000)
    machines = [machine(f"m{index}") for index in range(30)]
    buying = replace(POLICY, connection_w=50_000, import_for_mining=True, curtail_to_import=True)
    many, few = plan(site, machines, -50_000, buying), plan(site, machines[:10], -50_000, buying)
    assert (many.source_limit_w, many.set_point_w) == (None, 104_800), "own energy and all that the connection takes"
    assert (few.source_limit_w, few.curtailed_w, few.set_point_w) == (0, 60_000, 36_000)
    peak = plan(site, machines[:10], -50_000, replace(buying, demand_charge=True))
    assert (peak.source_limit_w, peak.set_point_w) == (None, 36_000), "no new peak for that"


def test_minimum_times_hold_and_yield_only_to_buying() -> None:
    young = machine("young", on=True, changed_ms=-60_000)
    resting = machine("resting", changed_ms=-60_000)
    result = plan(SiteState(100_000, 0), [young, resting], spot_cent=30_000)
    assert result.targets == {"young": 1900, "resting": 0}
    assert "held on for its minimum time" in result.reasons["young"]
    assert "has to rest until 1970-01-01T00:02:00Z" in result.reasons["resting"]
    dark = plan(SiteState(1_000, 0), [young], spot_cent=30_000)
    assert dark.targets == {"young": 0}
    assert "before its minimum time" in dark.reasons["young"]


def test_machines_out_of_control_are_a_load_and_get_no_orders() -> None:
    deaf = machine("deaf", available=False, fixed_power_w=3_600)
    stubborn = machine("stubborn", fixed_power_w=3_600)
    result = plan(SiteState(12_000, 0), [deaf, stubborn, machine("m")])
    assert result.targets == {"stubborn": 0, "m": 2800}
    assert result.set_point_w == 3_600 + 25 + 2_800
    assert "3600 W are counted as a load" in result.reasons["deaf"]


def test_an_operators_stop_comes_before_every_price() -> None:
    result = plan(SiteState(100_000, 0), [machine("m", on=True)], -50_000, replace(POLICY, stopped=True))
    assert result.targets == {"m": 0}
    assert result.reasons["m"] == "Sleeps: an operator stopped all mining."


def test_a_site_that_cannot_be_limited_sheds_into_mining() -> None:
    firm = replace(POLICY, curtailable=False, guard_w=0)
    result = plan(SiteState(403_000, 0), [machine("m"), machine("n")], 90_000, firm)
    assert result.set_point_w >= 1_900
    assert (result.source_limit_w, result.export_limit_w, result.curtailed_w) == (None, None, 0)


def test_steps_below_the_hull_are_left_out() -> None:
    assert hull(((1000, 10), (2000, 11), (3000, 40)), 0) == ((3000, 40),)
    assert hull(((1000, 20), (2000, 35), (3000, 40)), 0) == ((1000, 20), (2000, 35), (3000, 40))
    assert hull((), 10) == ()


@st.composite
def any_offers(draw: st.DrawFn) -> list[MachineOffer]:
    made = []
    for index in range(draw(st.integers(0, 12))):
        powers = sorted(draw(st.sets(st.integers(100, 5000), min_size=1, max_size=5)))
        steps = tuple((power, draw(st.integers(1, 400)) * 10**12) for power in powers)
        made.append(
            MachineOffer(
                id=f"m{index}",
                model="any",
                party="operator",
                steps=steps,
                standby_w=draw(st.integers(0, 60)),
                on=draw(st.booleans()),
                changed_ms=-draw(st.integers(0, 600_000)),
                min_on_s=draw(st.sampled_from((0, 300))),
                min_off_s=draw(st.sampled_from((0, 180))),
                start_cost_ueur=draw(st.sampled_from((0, 50_000))),
                available=draw(st.booleans()) or draw(st.booleans()),
                fixed_power_w=draw(st.one_of(st.none(), st.integers(100, 5000))),
            )
        )
    return made


@settings(max_examples=120, deadline=None)
@given(
    offers=any_offers(),
    site=st.builds(
        SiteState,
        st.integers(0, 60_000),
        st.integers(0, 40_000),
        available_w=st.one_of(st.none(), st.integers(0, 60_000)),
        throttled=st.booleans(),
        import_peak_w=st.integers(0, 30_000),
    ),
    spot=st.integers(-50_000, 50_000),
    policy=st.builds(
        DispatchPolicy,
        st.integers(1_000, 50_000),
        guard_w=st.integers(0, 5_000),
        import_for_mining=st.booleans(),
        curtail_to_import=st.booleans(),
        curtailable=st.booleans(),
        demand_charge=st.booleans(),
        stopped=st.booleans(),
    ),
)
def test_any_site_gets_a_plan_that_keeps_the_rules(
    offers: list[MachineOffer], site: SiteState, spot: int, policy: DispatchPolicy
) -> None:
    price = prices(spot)
    result = dispatch(site, offers, price, policy, eur_per_hash=VALUE, now_ms=0)
    by_id = {offer.id: offer for offer in offers}
    assert set(result.reasons) == set(by_id)
    drawn = 0
    for name, offer in by_id.items():
        if not offer.available:
            assert name not in result.targets
            drawn += offer.fixed_power_w or 0
            continue
        target = result.targets[name]
        steps = dict(offer.steps)
        if offer.fixed_power_w is not None:
            steps = {offer.fixed_power_w: offer.steps[-1][1]}
        assert target == 0 or target in steps
        drawn += target or offer.standby_w
        if target and not offer.on:
            assert -offer.changed_ms >= offer.min_off_s * 1000, "minimum off time"
        held = offer.on and -offer.changed_ms < offer.min_on_s * 1000
        if (
            target
            and not held
            and policy.curtailable
            and not (policy.import_for_mining or site.potential_w > policy.connection_w)
        ):
            assert strike_cent_per_mwh(VALUE, steps[target], target - offer.standby_w) >= price.export_cent_per_mwh
    assert drawn == result.set_point_w
    unavoidable = sum(offer.standby_w if offer.available else offer.fixed_power_w or 0 for offer in offers)
    if drawn > unavoidable:
        assert not policy.stopped
        imported = site.load_w + drawn - site.potential_w
        if not policy.import_for_mining:
            assert imported <= 0, "nothing is bought for mining"
            assert -imported >= min(policy.guard_w, site.potential_w - site.load_w)
        elif result.source_limit_w != 0:
            assert imported <= policy.connection_w
            if policy.demand_charge:
                assert imported <= max(site.import_peak_w, 0)
    if policy.curtailable:
        fed_in = site.potential_w - site.load_w - drawn - result.curtailed_w
        assert fed_in <= policy.connection_w
        if price.export_cent_per_mwh < 0:
            assert fed_in <= 0, "nothing is fed in at a loss"
    if result.source_limit_w is not None:
        assert policy.curtail_to_import
        assert price.import_cent_per_mwh < 0


@pytest.mark.parametrize("watts", [0, 1_925, 7_000, 14_401, 40_000])
def test_more_surplus_never_mines_less(watts: int) -> None:
    machines = [machine(f"m{index}", on=True) for index in range(4)]
    less = plan(SiteState(watts, 0), machines)
    more = plan(SiteState(watts + 900, 0), machines)
    assert more.set_point_w >= less.set_point_w
