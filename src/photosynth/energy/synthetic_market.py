"""The synthetic market of demonstrations: prices that look like Germany's, from a seed."""

from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise

from photosynth.energy.market import day_ahead_published_ms
from photosynth.energy.market_kind import MarketKind
from photosynth.energy.prices import Prices, Tariff
from photosynth.energy.synthetic_weather import draw, is_bright_day
from photosynth.quantities.instants import MARKET_ZONE, interval_start_ms, market_day_bounds_ms, market_day_of

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
        level_cent = 0 if sunday else draw(self.seed, "level", day.toordinal()) % 3001 - 1500
        source, published = SYNTHETIC_SOURCE.format(seed=self.seed), day_ahead_published_ms(day)
        made = []
        for at_ms in range(start, end, 900_000):
            local = datetime.fromtimestamp(at_ms / 1000, MARKET_ZONE)
            quarter = local.hour * 4 + local.minute // 15
            ripple_cent = draw(self.seed, "ripple", at_ms) % 241 - 120
            spot = _between_cent(shape, quarter) + level_cent + ripple_cent
            made.append(self.tariff.prices(at_ms, spot, source, published))
        return made


KIND = MarketKind(
    name="synthetic",
    title="Made-up day-ahead prices that look like Germany's",
    tier="specification",
    simulated=True,
    open=lambda at, _: SyntheticMarket(at.tariff, at.seed),
)
