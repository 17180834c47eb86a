"""A recorded day's sun and wind at the plants' scale: hourly means made into minutes that keep every hour's energy.

The country's solar and wind generation are scaled so that the highest hour of the file's year is the plants' nominal power.
(A country's wind is steadier than one turbine's: it is never quite calm, and seldom full.) Within an hour power runs along two
straight lines through the hour's borders, bent so that the hour's mean is the recorded one.
"""

from datetime import date
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from photosynth.energy.recorded_market import HOUR_MS, RecordedEnergy
from photosynth.quantities.instants import market_day_bounds_ms
from photosynth.simulation.series import Series

_FINE = 10**6
"""Powers are worked with in microwatts, so that rounding to whole watts is the only rounding."""
MINUTES = 60


class Nominal(NamedTuple):
    """What a site's photovoltaic plants and wind turbines make at most, in watts."""

    solar_w: int
    wind_w: int


def hourly_means_uw(energy: RecordedEnergy, day: date, nominal: Nominal) -> list[int]:
    """Mean power of each hour of a Berlin day (23 to 25 of them) in microwatts. Raises RecordedDataError."""
    start_ms, end_ms = market_day_bounds_ms(day)
    hours = range(start_ms, end_ms, HOUR_MS)
    means = []
    for hour_ms in hours:
        exact = Fraction(0)
        if nominal.solar_w:
            exact += energy.solar_share(hour_ms, day.year) * nominal.solar_w
        if nominal.wind_w:
            exact += energy.wind_share(hour_ms, day.year) * nominal.wind_w
        means.append(round(exact * _FINE))
    return means


def minutes_of(means_uw: list[int], peak_w: int) -> tuple[int, ...]:
    """Whole watts by minute whose sum over each hour is the hour's, but for less than a watt-minute and the cap at the peak.

    A border between two hours lies at their mean, but at most at twice the lower, so that no value is negative.
    """
    borders = [means_uw[0]]
    borders += [min((a + b) // 2, 2 * a, 2 * b) for a, b in pairwise(means_uw)]
    borders.append(means_uw[-1])
    watts: list[int] = []
    exact, given_w = 0, 0
    for index, mean in enumerate(means_uw):
        first, last = borders[index], borders[index + 1]
        twice_middle = 4 * mean - first - last
        for minute in range(MINUTES):
            at = 2 * minute + 1  # 0 to 2 x MINUTES: the middle of the hour is MINUTES
            if at < MINUTES:
                exact += 2 * MINUTES * first + (twice_middle - 2 * first) * at
            else:
                exact += MINUTES * twice_middle + (2 * last - twice_middle) * (at - MINUTES)
            whole = exact // (2 * MINUTES * _FINE)  # exact is in microwatts by twice the minutes, so that no part is lost
            watts.append(min(whole - given_w, peak_w))
            given_w = whole
    return tuple(watts)


def generation_of(folder: Path | RecordedEnergy, day: date, nominal: Nominal) -> Series:
    """The plants' generation over a recorded Berlin day, watts by minute. Raises RecordedDataError naming file and hour."""
    energy = folder if isinstance(folder, RecordedEnergy) else RecordedEnergy(folder)
    watts = minutes_of(hourly_means_uw(energy, day, nominal), nominal.solar_w + nominal.wind_w)
    scaled = {"solar": nominal.solar_w, "wind": nominal.wind_w}
    of = " and ".join(f"{name} generation scaled to {power_w} W" for name, power_w in scaled.items() if power_w)
    return Series(market_day_bounds_ms(day)[0], watts, f"recorded {day}: {of}")
