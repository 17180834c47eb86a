"""The factory's own load: a base, a working day's hump, a weekend's smaller one, and seeded machines going on and off."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000
HUMP = ((0, 0), (5, 60), (6, 450), (8, 930), (11, 1000), (12, 820), (13, 960), (15, 900), (17, 420), (20, 90), (24, 0))
"""How much of the way from base to peak the load is up, per mille, by local hour; joined by straight lines."""
RIPPLE_PERMILLE = 35
"""Seeded ripple of the load, at most so much of it either way, smooth over a quarter hour."""


@dataclass(frozen=True)
class FactoryLoad:
    """One factory. Powers in watts; the same seed gives the same load at the same time."""

    id: str
    base_w: int
    weekday_peak_w: int
    weekend_peak_w: int
    seed: int
    zone: ZoneInfo
    _hours: dict[int, tuple[int, bool]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def watts(self, site_ms: int) -> int:
        """The load in the minute that an instant lies in."""
        minute = site_ms // MINUTE_MS
        local_minute, weekend = self._local(minute)
        peak_w = self.weekend_peak_w if weekend else self.weekday_peak_w
        calm_w = self.base_w + (peak_w - self.base_w) * _hump_permille(local_minute) // 1000
        quarter, within = divmod(minute, 15)
        seed = f"{self.seed}/{self.id}"
        ripple = _ripple(seed, quarter) * (15 - within) + _ripple(seed, quarter + 1) * within
        return max(0, calm_w + calm_w * ripple // 15_000)

    def _local(self, minute: int) -> tuple[int, bool]:
        """Minute of the local day and whether it is a Saturday or Sunday; zones change on whole quarter hours."""
        quarter, within = divmod(minute, 15)
        known = self._hours.get(quarter)
        if known is None:
            if len(self._hours) > 400:
                self._hours.clear()
            local = datetime.fromtimestamp(quarter * 900, self.zone)
            known = self._hours[quarter] = (local.hour * 60 + local.minute, local.weekday() >= 5)
        return known[0] + within, known[1]


@lru_cache(maxsize=1024)
def _ripple(seed: str, quarter: int) -> int:
    """The ripple at a quarter hour's start, per mille, which each of its minutes and of those before it asks for."""
    digest = blake2b(f"{seed}/{quarter}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % (2 * RIPPLE_PERMILLE + 1) - RIPPLE_PERMILLE


def _hump_permille(local_minute: int) -> int:
    for index in range(1, len(HUMP)):
        hour, share = HUMP[index]
        if local_minute < hour * 60:
            last_hour, last_share = HUMP[index - 1]
            return last_share + (share - last_share) * (local_minute - last_hour * 60) // ((hour - last_hour) * 60)
    return HUMP[-1][1]
