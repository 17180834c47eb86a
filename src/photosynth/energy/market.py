"""The electricity market of a site: a synthetic one for demonstrations; the recorded one is in ``recorded_market``."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from itertools import pairwise
from typing import Protocol

from photosynth.energy.prices import Prices, Tariff
from photosynth.quantities.instants import MARKET_ZONE, interval_start_ms, market_day_bounds_ms, market_day_of


class Market(Protocol):
    """Prices by quarter hour."""

    def prices(self, instant_ms: int) -> Prices | None:
        """The prices of the quarter hour that an instant lies in; None where they are not known."""
        ...


def day_ahead_published_ms(day: date) -> int:
    """When the day-ahead prices of a market day came out: about 13:00 local time on the day before."""
    before = day - timedelta(days=1)
    local = datetime(before.year, before.month, before.day, 13, tzinfo=MARKET_ZONE)
    return int(local.astimezone(UTC).timestamp()) * 1000


# Control points of a day's shape: local hour and EUR/MWh, joined by straight lines.
_Shape = tuple[tuple[int, int], ...]
_SUNNY_SUNDAY: _Shape = (
    *((0, 62), (3, 55), (6, 48), (8, 30), (10, 6), (11, -14), (12, -31)),
    *((13, -38), (14, -33), (15, -15), (16, 5), (18, 55), (20, 112), (22, 92), (24, 70)),
)
_SUNNY_DAY: _Shape = (
    *((0, 78), (4, 70), (7, 104), (9, 72), (11, 34), (13, 18)),
    *((15, 30), (17, 76), (20, 138), (22, 104), (24, 82)),
)
_DULL_DAY: _Shape = ((0, 84), (4, 76), (7, 128), (9, 122), (12, 98), (14, 96), (17, 132), (19, 158), (22, 108), (24, 86))
SYNTHETIC_SOURCE = "synthetic day-ahead shape, seed {seed}"


def is_bright_day(seed: int, day: date) -> bool:
    """Whether the synthetic weather gives a day sun: every Sunday of the bright half of the year, else by the seed."""
    if day.weekday() == 6 and 4 <= day.month <= 9:
        return True
    return _draw(seed, "bright", day.toordinal()) % 100 < (60 if 4 <= day.month <= 9 else 30)


def _draw(seed: int, *names: object) -> int:
    text = ":".join(str(item) for item in (seed, *names)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def _between_cent(points: _Shape, quarter: int) -> int:
    """The shape at the middle of a local quarter hour (0 to 95), in cent/MWh."""
    eighths = 2 * quarter + 1
    for (hour, price), (next_hour, next_price) in pairwise(points):
        if eighths < next_hour * 8:
            return price * 100 + (next_price - price) * 100 * (eighths - hour * 8) // ((next_hour - hour) * 8)
    return points[-1][1] * 100


@dataclass
class SyntheticMarket:
    """A made-up market that looks like Germany's: bright Sundays have negative noons. Same seed, same prices."""

    tariff: Tariff
    seed: int
    _days: dict[date, list[Prices]] = field(init=False, repr=False, default_factory=dict)

    def prices(self, instant_ms: int) -> Prices:
        """The prices of the quarter hour that an instant lies in; it knows every instant."""
        day = market_day_of(instant_ms)
        if day not in self._days:
            if len(self._days) > 8:
                self._days.clear()
            self._days[day] = self._make(day)
        start = market_day_bounds_ms(day)[0]
        return self._days[day][(interval_start_ms(instant_ms) - start) // 900_000]

    def _make(self, day: date) -> list[Prices]:
        start, end = market_day_bounds_ms(day)
        bright = is_bright_day(self.seed, day)
        sunday = day.weekday() == 6 and bright and 4 <= day.month <= 9
        shape = _SUNNY_SUNDAY if sunday else _SUNNY_DAY if bright else _DULL_DAY
        level_cent = 0 if sunday else _draw(self.seed, "level", day.toordinal()) % 3001 - 1500
        source, published = SYNTHETIC_SOURCE.format(seed=self.seed), day_ahead_published_ms(day)
        made = []
        for at_ms in range(start, end, 900_000):
            local = datetime.fromtimestamp(at_ms / 1000, MARKET_ZONE)
            quarter = local.hour * 4 + local.minute // 15
            ripple_cent = _draw(self.seed, "ripple", at_ms) % 241 - 120
            spot = _between_cent(shape, quarter) + level_cent + ripple_cent
            made.append(self.tariff.prices(at_ms, spot, source, published))
        return made
