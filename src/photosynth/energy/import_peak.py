"""The import peak that a demand charge is paid for: the highest quarter hour of the running year or month."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from photosynth.quantities.instants import market_day_bounds_ms, market_day_of

DemandPeriod = Literal["year", "month"]
"""How long a peak counts, in calendar years or months of Europe/Berlin."""
HOUR_MS = 3_600_000


def period_start_ms(instant_ms: int, period: DemandPeriod) -> int:
    """The first millisecond of the period that an instant lies in."""
    return _period_start_of_hour(instant_ms - instant_ms % HOUR_MS, period)


@lru_cache(maxsize=64)
def _period_start_of_hour(hour_ms: int, period: DemandPeriod) -> int:
    """Periods begin on whole hours, and the calendar takes long to ask for what is asked with every decision."""
    day = market_day_of(hour_ms)
    return market_day_bounds_ms(date(day.year, day.month if period == "month" else 1, 1))[0]


@dataclass(slots=True)
class ImportPeak:
    """The highest quarter-hour mean of import (watts) since the period began; it has to be paid for anyway."""

    period: DemandPeriod = "year"
    start_ms: int = 0
    watts: int = 0

    def count(self, interval_start_ms: int, import_w: int) -> None:
        """Take a closed quarter hour's mean import; one of an earlier period changes nothing."""
        start_ms = period_start_ms(interval_start_ms, self.period)
        if start_ms > self.start_ms:
            self.start_ms, self.watts = start_ms, 0
        if start_ms == self.start_ms:
            self.watts = max(self.watts, import_w)

    def watts_at(self, instant_ms: int) -> int:
        """The peak so far of the period that an instant lies in, zero where none of its quarter hours is closed."""
        return self.watts if period_start_ms(instant_ms, self.period) == self.start_ms else 0
