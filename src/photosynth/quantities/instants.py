"""Instants: site time and wall time in milliseconds, quarter hours, and the market day of Europe/Berlin."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

INTERVAL_S = 900
"""Seconds of an interval: the quarter hour is the settlement unit of the European market."""
INTERVAL_MS = INTERVAL_S * 1000
MARKET_ZONE = ZoneInfo("Europe/Berlin")


class Clock(Protocol):
    """What tells the time. Both times are passed in, so that tests and backtests own them."""

    def site_ms(self) -> int:
        """The site's time, in milliseconds since the epoch, UTC; runs faster than the wall on a simulated site."""
        ...

    def wall_ms(self) -> int:
        """The machine's own time, in milliseconds since the epoch, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class ScaledTime:
    """Site time as a straight line over the machine's monotonic clock, the same in every process of the machine.

    ``speed_milli`` is site milliseconds per wall second; site time stops at ``end_ms`` where one is given.
    """

    anchor_site_ms: int
    anchor_monotonic_ns: int
    speed_milli: int
    end_ms: int | None = None

    def site_ms(self, monotonic_ns: int) -> int:
        """Site time at a reading of the monotonic clock; never before the anchor."""
        elapsed_ns = max(0, monotonic_ns - self.anchor_monotonic_ns)
        now = self.anchor_site_ms + elapsed_ns * self.speed_milli // 1_000_000_000
        return now if self.end_ms is None else min(now, self.end_ms)

    def wall_seconds_until(self, site_ms: int, monotonic_ns: int) -> float:
        """Wall seconds from a reading of the monotonic clock until the site reaches a time; zero where it is past."""
        return max(0, site_ms - self.site_ms(monotonic_ns)) / self.speed_milli


def interval_start_ms(instant_ms: int) -> int:
    """The start of the quarter hour that an instant lies in. Zones of whole quarter hours share these with UTC."""
    return instant_ms - instant_ms % INTERVAL_MS


def market_day_bounds_ms(day: date) -> tuple[int, int]:
    """First and past-the-last millisecond of a day in Europe/Berlin: 23, 24 or 25 hours."""
    start = datetime(day.year, day.month, day.day, tzinfo=MARKET_ZONE)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=MARKET_ZONE)
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000


def market_day_of(instant_ms: int) -> date:
    """The calendar day in Europe/Berlin that an instant belongs to."""
    return datetime.fromtimestamp(instant_ms / 1000, MARKET_ZONE).date()


def iso_utc(instant_ms: int) -> str:
    """An instant as ISO 8601 in UTC with whole seconds, as machines read it: 2026-06-14T09:00:00Z."""
    return datetime.fromtimestamp(instant_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_time(instant_ms: int, zone: tzinfo, *, seconds: bool = False, named: bool = True) -> str:
    """An instant on a clock that hangs in a zone, as people read it: 2026-06-14 11:00 CEST.

    Leave out the zone's name (``named``) only where it stands beside, as over a table.
    """
    written = "%Y-%m-%d %H:%M" + (":%S" if seconds else "") + (" %Z" if named else "")
    return datetime.fromtimestamp(instant_ms // 1000, zone).strftime(written)
