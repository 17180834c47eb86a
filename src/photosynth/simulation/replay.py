"""A recorded day's sun at the plant's scale: hourly means made into minutes that keep every hour's energy.

The country's solar generation is scaled so that the highest hour of the file's year is the plant's peak. Within an hour
power runs along two straight lines through the hour's borders, bent so that the hour's mean is the recorded one.
"""

from datetime import date
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from photosynth.energy.recorded_market import HOUR_MS, RecordedEnergy
from photosynth.quantities.instants import market_day_bounds_ms
from photosynth.simulation.series import Series

_FINE = 10**6
"""Powers are worked with in microwatts, so that rounding to whole watts is the only rounding."""
MINUTES = 60


def hourly_means_uw(energy: RecordedEnergy, day: date, peak_w: int) -> list[int]:
    """Mean power of each hour of a Berlin day (23 to 25 of them) in microwatts. Raises RecordedDataError."""
    start_ms, end_ms = market_day_bounds_ms(day)
    hours = range(start_ms, end_ms, HOUR_MS)
    return [round(energy.solar_share(hour_ms, day.year) * peak_w * _FINE) for hour_ms in hours]


def minutes_of(means_uw: list[int], peak_w: int) -> tuple[int, ...]:
    """Whole watts by minute whose sum over each hour is the hour's, but for less than a watt-minute and the cap at the peak.

    A border between two hours lies at their mean, but at most at twice the lower, so that no value is negative.
    """
    borders = [means_uw[0]]
    borders += [min((a + b) // 2, 2 * a, 2 * b) for a, b in pairwise(means_uw)]
    borders.append(means_uw[-1])
    watts: list[int] = []
    exact_uw, given_w = Fraction(0), 0
    for index, mean in enumerate(means_uw):
        first, last = borders[index], borders[index + 1]
        middle = Fraction(4 * mean - first - last, 2)
        for minute in range(MINUTES):
            at = Fraction(2 * minute + 1, MINUTES)  # 0 to 2: the middle of the hour is 1
            value = first + (middle - first) * at if at < 1 else middle + (last - middle) * (at - 1)
            exact_uw += value
            whole = int(exact_uw / _FINE)
            watts.append(min(whole - given_w, peak_w))
            given_w = whole
    return tuple(watts)


def generation_of(folder: Path | RecordedEnergy, day: date, peak_w: int) -> Series:
    """The plant's generation over a recorded Berlin day, watts by minute. Raises RecordedDataError naming file and hour."""
    energy = folder if isinstance(folder, RecordedEnergy) else RecordedEnergy(folder)
    watts = minutes_of(hourly_means_uw(energy, day, peak_w), peak_w)
    return Series(market_day_bounds_ms(day)[0], watts, f"recorded solar generation of {day}, scaled to {peak_w} W")
