"""The simulated site: flows that balance, registers that latch, a sun and a factory that are the same each time."""

from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.simulation.meter_bound import bound_j

from photosynth.energy.meters import MeterSpec
from photosynth.energy.recorded_market import RecordedEnergy
from photosynth.quantities.balance import ROLES, Energies, MeterRole
from photosynth.quantities.instants import INTERVAL_MS, market_day_bounds_ms
from photosynth.simulation.factory import FactoryLoad
from photosynth.simulation.registers import SimulatedMeter
from photosynth.simulation.replay import Nominal, generation_of, minutes_of
from photosynth.simulation.series import Series, read_series, write_series
from photosynth.simulation.site_physics import SitePhysics, balance
from photosynth.simulation.sun import MINUTES, Panels, SunRequest, clouds, compute_day, day_path, make_day, read_day

START_MS = 1_781_427_600_000
STEP_J = 360_000
SPECS = [MeterSpec(f"meter-{role}", role, "party", 5_000, STEP_J) for role in ROLES]
ROOF = Panels(48.946, 9.43, 12, 165, 600_000, 600_000)


def site(now_ms: int = START_MS, sun_w: int = 300_000, **other: object) -> SitePhysics:
    """A site with steady sun and a 60 kW factory."""
    made = SitePhysics.at(
        SPECS,
        now_ms,
        available_w=lambda at_ms: sun_w,
        load_w=lambda at_ms: 60_000,
        connection_w=400_000,
        curtailable=True,
        seed=7,
    )
    return replace_attributes(made, **other)


def replace_attributes(made: SitePhysics, **other: object) -> SitePhysics:
    for name, value in other.items():
        setattr(made, name, value)
    return made


@given(
    span_ms=st.integers(1, 60_000),
    available_mj=st.integers(0, 10**12),
    factory_mj=st.integers(0, 10**11),
    mining_mj=st.integers(0, 10**11),
    source_limit_w=st.one_of(st.none(), st.integers(0, 10**7)),
    export_limit_w=st.one_of(st.none(), st.integers(0, 10**7)),
)
def test_every_joule_has_one_way(
    *,
    span_ms: int,
    available_mj: int,
    factory_mj: int,
    mining_mj: int,
    source_limit_w: int | None,
    export_limit_w: int | None,
) -> None:
    flows = balance(
        span_ms=span_ms,
        available_mj=available_mj,
        factory_mj=factory_mj,
        mining_mj=mining_mj,
        source_limit_w=source_limit_w,
        export_limit_w=export_limit_w,
    )
    assert flows.generated_mj + flows.import_mj == factory_mj + mining_mj + flows.export_mj
    assert flows.generated_mj + flows.lost_mj == available_mj
    assert min(flows.generated_mj, flows.import_mj, flows.export_mj, flows.lost_mj) >= 0
    assert flows.import_mj == 0 or flows.export_mj == 0
    if export_limit_w is not None:
        assert flows.export_mj <= export_limit_w * span_ms
    if source_limit_w is not None:
        assert flows.generated_mj <= source_limit_w * span_ms


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 400_000), min_size=1, max_size=60), st.integers(0, 400_000))
def test_however_time_is_cut_the_registers_latch_the_same(cuts_ms: list[int], mining_w: int) -> None:
    end_ms = START_MS + 3 * INTERVAL_MS
    whole, cut = site(), site()
    whole.advance(end_ms, mining_w * (end_ms - START_MS))
    for cut_ms in cuts_ms:
        until = min(end_ms, cut.now_ms + cut_ms)
        cut.advance(until, mining_w * (until - cut.now_ms))
    cut.advance(end_ms, mining_w * (end_ms - cut.now_ms))
    for name, meter in whole.meters.items():
        assert cut.meters[name].profile == meter.profile
        assert list(meter.profile) == [START_MS, START_MS + INTERVAL_MS, START_MS + 2 * INTERVAL_MS]


def test_intervals_join_and_their_residual_stays_within_the_classes() -> None:
    made = site()
    for _ in range(400):
        made.advance(made.now_ms + 9_137, 180_000 * 9_137)
    counted: dict[MeterRole, int] = {}
    for meter in made.meters.values():
        readings = [meter.interval(START_MS + index * INTERVAL_MS) for index in range(4)]
        assert all(reading is not None and reading.quality == "good" for reading in readings)
        for before, after in pairwise(readings):
            assert before is not None
            assert after is not None
            assert before.end_j == after.start_j
            assert after.start_j % STEP_J == 0
        last = readings[-1]
        assert last is not None
        counted[meter.spec.role] = last.energy_j
    energy = Energies(*(counted[role] for role in ROLES))
    assert 0 < abs(energy.residual_j) <= bound_j(SPECS, [counted[spec.role] for spec in SPECS])
    assert made.meters["meter-export"].interval(START_MS + 4 * INTERVAL_MS) is None


def test_limits_are_kept_and_estimated_beyond() -> None:
    made = site(sun_w=600_000)
    made.advance(START_MS + 60_000, 0)
    assert made.source()[0] == 460_000, "the plant controller keeps the connection by itself"
    made.export_limit_w = 0
    made.advance(START_MS + 120_000, 40_000 * 60_000)
    power_w, available_w, throttled = made.source()
    assert (power_w, throttled) == (100_000, True)
    assert 588_000 <= available_w <= 612_000
    made.export_limit_w, made.source_limit_w = None, 50_000
    made.advance(START_MS + 180_000, 0)
    assert made.flows is not None
    assert made.flows.import_mj == 10_000 * 60_000


def test_a_site_resumes_from_its_memory_and_says_what_was_not_observed() -> None:
    made = site()
    made.advance(START_MS + 1_000_000, 100_000 * 1_000_000)
    kept = made.state()
    again = SitePhysics.at(
        SPECS,
        START_MS + 1_500_000,
        state=kept,
        available_w=lambda at_ms: 300_000,
        load_w=lambda at_ms: 60_000,
        connection_w=400_000,
        curtailable=True,
        seed=7,
    )
    assert again.now_ms == START_MS + 1_000_000
    assert again.state() == kept
    again.advance(START_MS + 1_500_000, 100_000 * 500_000, estimated=True)
    again.advance(START_MS + 2 * INTERVAL_MS, 0)
    again.advance(START_MS + 3 * INTERVAL_MS, 0)
    qualities = [again.meters["meter-mining"].interval(START_MS + index * INTERVAL_MS) for index in range(3)]
    assert [reading.quality if reading else None for reading in qualities] == ["good", "estimated", "good"]


def test_meters_err_within_their_class_and_the_same_way_each_time() -> None:
    meters = [SimulatedMeter.new(replace(SPECS[0], id=f"m{index}"), 3) for index in range(200)]
    assert all(abs(meter.gain_ppm) <= 3_000 for meter in meters)
    assert len({meter.gain_ppm for meter in meters}) > 100
    assert SimulatedMeter.new(SPECS[0], 3) == SimulatedMeter.new(SPECS[0], 3)


def test_a_factory_works_on_weekdays() -> None:
    load = FactoryLoad("factory", 38_000, 210_000, 62_000, 1, ZoneInfo("Europe/Berlin"))
    monday, _ = market_day_bounds_ms(date(2024, 6, 17))
    sunday, _ = market_day_bounds_ms(date(2024, 6, 16))
    hour = 3_600_000
    assert 200_000 < load.watts(monday + 11 * hour) < 220_000
    assert 58_000 < load.watts(sunday + 11 * hour) < 66_000
    assert 36_000 < load.watts(sunday) < 40_000
    minutes = [load.watts(monday + minute * 60_000) for minute in range(1440)]
    assert max(abs(a - b) for a, b in pairwise(minutes)) < 4_000
    assert load.watts(market_day_bounds_ms(date(2024, 10, 27))[0] + 25 * hour - 1) > 0


def test_clouds_are_seeded_and_soft() -> None:
    bright, dull = clouds(1, date(2026, 6, 14), bright=True), clouds(1, date(2026, 6, 14), bright=False)
    assert bright == clouds(1, date(2026, 6, 14), bright=True)
    assert len(bright) == MINUTES
    assert min(bright) > 0.5 > sum(dull) / MINUTES
    assert max(abs(a - b) for a, b in pairwise(bright)) < 0.02


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # pvlib's, of pandas
def test_a_june_sunday_shines_and_a_december_day_is_short(tmp_path: Path) -> None:
    june = make_day(SunRequest((ROOF,), 1, date(2026, 6, 14), True, ""))
    december = make_day(SunRequest((ROOF,), 1, date(2026, 12, 14), False, ""))
    assert 400_000 < max(june.watts) < 540_000
    assert 3_500 < sum(june.watts) / 60_000 < 4_800
    assert max(december.watts) < 250_000
    assert june.watts[0] == june.watts[1380] == 0
    assert make_day(SunRequest((ROOF,), 1, date(2026, 6, 14), True, "")) == june


async def test_a_child_computes_a_day_into_a_file(tmp_path: Path) -> None:
    path = day_path(tmp_path, (ROOF,), 1, date(2026, 6, 14))
    assert read_day(path) is None
    day = await compute_day(SunRequest((ROOF,), 1, date(2026, 6, 14), True, str(path)))
    assert read_day(path) == day
    path.write_bytes(path.read_bytes()[:-5])
    assert read_day(path) is None


@given(st.lists(st.integers(0, 600_000 * 10**6), min_size=23, max_size=25))
def test_minutes_keep_the_energy_of_every_hour(means_uw: list[int]) -> None:
    watts = minutes_of(means_uw, 10**9)
    assert len(watts) == 60 * len(means_uw)
    assert min(watts) >= 0
    for index, mean in enumerate(means_uw):
        hour = sum(watts[index * 60 : index * 60 + 60])
        assert abs(hour * 10**6 - mean * 60) <= 2 * 10**6


@pytest.mark.parametrize(("day", "hours"), [(date(2023, 3, 26), 23), (date(2023, 10, 29), 25), (date(2023, 7, 2), 24)])
def test_a_replayed_day_has_its_hours_and_its_scale(tmp_path: Path, day: date, hours: int) -> None:
    start, end = market_day_bounds_ms(day)
    lines = ["timestamp_unix,solar_mw_avg,day_ahead_price_eur_mwh\n"]
    lines += [
        f"{at_ms // 1000},{max(0, 6 - abs(at_ms // 3_600_000 % 24 - 11)) * 5000},1\n" for at_ms in range(start, end, 3_600_000)
    ]
    (tmp_path / "de_hourly_price_load_renewables_2023.csv").write_text("".join(lines))
    series = generation_of(RecordedEnergy(tmp_path), day, Nominal(600_000, 0))
    assert len(series.watts) == hours * 60
    assert series.at(start) == series.at(end - 1) == 0
    assert max(series.watts) == 600_000
    write_series(tmp_path / "series.json", series)
    assert read_series(tmp_path / "series.json") == series
    assert Series(0, (5, 6), "").at(-(10**9)) == 5
    assert Series(0, (5, 6), "").at(10**12) == 6
