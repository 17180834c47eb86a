"""The electricity market of a site as everything that decides sees it."""

from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from photosynth.energy.prices import Prices
from photosynth.quantities.instants import MARKET_ZONE


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
