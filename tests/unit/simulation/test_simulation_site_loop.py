"""The dispatch and the simulated site together, with the lag that control has: half a day of sun and falling prices."""

import math

from tests.unit.simulation.meter_bound import bound_j

from photosynth.energy.coin_market import declared_quote
from photosynth.energy.dispatch import DispatchPolicy, SiteState, dispatch
from photosynth.energy.meters import MeterSpec
from photosynth.energy.prices import Tariff
from photosynth.miners.model import MachineModel
from photosynth.quantities.balance import ROLES, Energies, allocate
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S
from photosynth.simulation.backtest_machines import BacktestFleet, BacktestMachine
from photosynth.simulation.site_physics import SitePhysics

START_MS = 1_781_413_200_000
HOUR_MS = 3_600_000
STEP_MS = 24_000
"""Site time between two decisions at sixty times the speed."""
LAG_MS = 12_000
MODEL = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25, 50_000)
MACHINES = tuple(BacktestMachine(f"m{index:02}", MODEL, "operator") for index in range(40))
POLICY = DispatchPolicy(400_000, guard_w=5_000)
QUOTE = declared_quote(
    price_cent_per_btc=5_930_000,
    difficulty="125864590119494",
    subsidy_sat=312_500_000,
    fees_sat=2_000_000,
    source="declared",
    as_of_ms=0,
)


def sun_w(site_ms: int) -> int:
    """Up to 320 kW at noon, with a soft cloud every hour."""
    hour = (site_ms - START_MS) / HOUR_MS
    return round(max(0.0, 320_000 * math.sin(math.pi * hour / 10)) * (1 - 0.06 * math.sin(2 * math.pi * hour) ** 2))


def test_over_a_day_mining_follows_the_sun_and_nothing_is_sold_at_a_loss() -> None:
    specs = [MeterSpec(role, role, "party", 5_000, 360_000) for role in ROLES]
    fleet = BacktestFleet(MACHINES, 1, START_MS)
    site = SitePhysics.at(
        specs,
        START_MS,
        available_w=sun_w,
        load_w=lambda site_ms: 60_000,
        connection_w=400_000,
        curtailable=True,
        seed=1,
    )
    tariff = Tariff((), 1_300, "none_at_negative_price", 200)

    def until(site_ms: int) -> None:
        site.advance(site_ms, fleet.advance(site_ms)[0] * 1000)

    def spot_cent(site_ms: int) -> int:
        return -3_000 if 4 * HOUR_MS <= site_ms - START_MS < 6 * HOUR_MS else 2_000

    until(START_MS + 1_000)
    while site.now_ms < START_MS + 11 * HOUR_MS:
        now_ms = site.now_ms
        _, available_w, throttled = site.source()
        seen = SiteState(
            site.meters["own_generation"].power_w,
            site.meters["factory"].power_w,
            available_w=available_w,
            throttled=throttled,
        )
        prices = tariff.prices(now_ms, spot_cent(now_ms), "test", None)
        plan = dispatch(seen, fleet.offers, prices, POLICY, eur_per_hash=QUOTE.eur_per_hash, now_ms=now_ms)
        until(now_ms + LAG_MS)
        fleet.apply(plan.targets)
        site.export_limit_w = plan.export_limit_w
        until(now_ms + STEP_MS)

    mined_j = 0
    for start_ms in range(START_MS, START_MS + 11 * HOUR_MS, INTERVAL_MS):
        counted = []
        for role in ROLES:
            reading = site.meters[role].interval(start_ms)
            assert reading is not None
            counted.append(reading.energy_j)
        energy = Energies(*counted)
        shares = allocate(energy)
        assert abs(energy.residual_j) <= bound_j(specs, counted)
        standby_j = len(MACHINES) * MODEL.standby_w * INTERVAL_S
        assert shares.grid_mining_j <= standby_j + abs(energy.residual_j) + 2 * 360_000
        if spot_cent(start_ms) < 0 and start_ms - START_MS > 4 * HOUR_MS:
            assert energy.export_j <= 360_000, "nothing is fed in at a loss"
        mined_j += energy.mining_j
    assert mined_j > 700 * 3_600_000, "what the machines can take of the surplus is mined"
    assert fleet.starts <= 2 * len(MACHINES), "clouds start nobody over and over"
