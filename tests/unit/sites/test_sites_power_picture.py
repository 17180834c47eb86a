"""One look at the meters: roles, ages, and nothing that was not said."""

from dataclasses import replace

import pytest
from tests.unit.sites.sites_fakes import SPECS

from photosynth.energy.meters import MeterReading, MeterSpec, SourceReading
from photosynth.sites.power_picture import LOST_AFTER_MS, STALE_AFTER_MS, PowerPicture

SOURCE = SourceReading(1_000, 90_000, 120_000, True, None, 0)
READINGS = {
    spec.id: MeterReading(1_000 + index, 5, watts, "good")
    for index, (spec, watts) in enumerate(zip(SPECS, (90_000, 3_000, 1_000, 60_000, 32_000), strict=True))
}


def picture(readings: dict[str, MeterReading] = READINGS, source: SourceReading | None = SOURCE) -> PowerPicture:
    return PowerPicture.of(SPECS, readings, source, site_ms=2_000, wall_ms=10_000, speed_milli=1_000)


def test_meters_are_brought_together_by_their_roles() -> None:
    seen = picture()
    assert (seen.generation_w, seen.load_w, seen.mining_w, seen.grid_w) == (90_000, 60_000, 32_000, 2_000)
    assert seen.at_ms == 1_000, "as old as its oldest reading"
    assert seen.throttled
    assert seen.curtailed_w == 30_000


@pytest.mark.parametrize(
    ("age_ms", "quality"),
    [
        (0, "good"),
        (STALE_AFTER_MS, "good"),
        (STALE_AFTER_MS + 1, "stale"),
        (LOST_AFTER_MS, "stale"),
        (LOST_AFTER_MS + 1, "unknown"),
        (-3_600_000, "unknown"),  # the clock was set back by an hour while the meters were silent
    ],
)
def test_a_look_grows_old(age_ms: int, quality: str) -> None:
    assert picture().quality(10_000 + age_ms) == quality


@pytest.mark.parametrize("missing", ["own_generation", "factory"])
def test_without_generation_or_load_no_surplus_is_known(missing: str) -> None:
    without = {name: reading for name, reading in READINGS.items() if name != missing}
    assert picture(without).quality(10_000) == "unknown"
    silent = {**READINGS, missing: replace(READINGS[missing], power_w=None)}
    assert picture(silent).quality(10_000) == "unknown"


@pytest.mark.parametrize("missing", ["import", "export"])
def test_half_a_connection_is_no_grid_power(missing: str) -> None:
    assert picture({**READINGS, missing: replace(READINGS[missing], power_w=None)}).grid_w is None


def test_what_could_be_made_is_only_what_inverters_say() -> None:
    assert picture(source=None).curtailed_w is None
    assert picture(source=replace(SOURCE, available_w=None)).curtailed_w is None
    assert picture(source=replace(SOURCE, throttled=False)).curtailed_w == 0
    assert picture(source=replace(SOURCE, available_w=80_000)).curtailed_w == 0


def test_no_reading_at_all_is_of_the_present() -> None:
    seen = picture({})
    assert (seen.at_ms, seen.grid_w, seen.quality(10_000)) == (2_000, None, "unknown")


def test_all_meters_of_a_role_count_and_one_that_is_silent_is_not_left_out() -> None:
    roof = MeterSpec("second roof", "own_generation", "operator", 5000, 360_000)
    both = {**READINGS, roof.id: MeterReading(1_000, 5, 7_000, "good")}

    def of(readings: dict[str, MeterReading]) -> PowerPicture:
        return PowerPicture.of((*SPECS, roof), readings, SOURCE, site_ms=2_000, wall_ms=10_000, speed_milli=1_000)

    assert of(both).generation_w == 97_000
    assert of(READINGS).generation_w is None
    assert of({**both, roof.id: replace(both[roof.id], power_w=None)}).quality(10_000) == "unknown"


def test_a_power_that_its_meter_does_not_stand_by_is_unknown() -> None:
    assert picture({**READINGS, "factory": replace(READINGS["factory"], quality="unknown")}).load_w is None
    assert picture({**READINGS, "factory": replace(READINGS["factory"], quality="estimated")}).load_w == 60_000


@pytest.mark.parametrize("at_ms", [2_000 - STALE_AFTER_MS - 1, 2_000 + STALE_AFTER_MS + 1, 2_000 + 3_600_000])
def test_a_power_of_another_time_is_not_the_present_ones(at_ms: int) -> None:
    readings = {name: replace(reading, at_ms=max(0, at_ms)) for name, reading in READINGS.items()}

    def of(site_ms: int, speed_milli: int) -> PowerPicture:
        return PowerPicture.of(SPECS, readings, SOURCE, site_ms=site_ms, wall_ms=10_000, speed_milli=speed_milli)

    site_ms = 2_000 + max(0, at_ms) - at_ms
    seen = of(site_ms, 1_000)
    assert (seen.generation_w, seen.load_w, seen.mining_w, seen.grid_w) == (None, None, None, None)
    assert seen.quality(10_000) == "unknown"
    assert [text.split(" says its power of ")[0] for text in seen.silent] == ["own_generation", "factory"]
    if abs(at_ms - 2_000) < 60 * STALE_AFTER_MS:
        assert of(site_ms, 60_000).quality(10_000) == "good", "in five seconds of the wall's, five minutes of the site's pass"


def test_what_a_silent_meter_leaves_unknown_is_the_last_looks_and_as_old() -> None:
    before = picture()
    silent = {**READINGS, "factory": replace(READINGS["factory"], power_w=None)}
    later = PowerPicture.of(SPECS, silent, SOURCE, site_ms=3_000, wall_ms=12_000, speed_milli=1_000)
    last = PowerPicture.of(SPECS, silent, SOURCE, site_ms=4_000, wall_ms=41_000, speed_milli=1_000)
    seen = later.after(before)
    assert (seen.load_w, seen.generation_w, seen.wall_ms, seen.at_ms) == (60_000, 90_000, 10_000, 1_000)
    assert seen.silent == ("factory does not say its power",)
    assert (seen.quality(15_000), seen.quality(15_001), seen.quality(40_001)) == ("good", "stale", "unknown")
    assert last.after(seen).quality(41_000) == "unknown"
    assert later.after(None) == later
    assert picture().after(before) == picture()
