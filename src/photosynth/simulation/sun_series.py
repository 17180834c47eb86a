"""The sun of a simulated site day by day: computed by a child process ahead of time, kept in a folder."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from photosynth.energy.synthetic_weather import is_bright_day
from photosynth.simulation import sun
from photosynth.simulation.source_model import SourceModel, World

if TYPE_CHECKING:
    from photosynth.energy.photovoltaic import Photovoltaic
    from photosynth.fleet import Site

MINUTE_MS = 60_000
SUN_RETRY_S = 20.0
_EPOCH = date(1970, 1, 1)


def utc_day(site_ms: int) -> date:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(site_ms / 1000, UTC).date()


class SunSeries:
    """The sun by UTC day from the cache; the next day is computed in the afternoon, so that midnight finds it there."""

    def __init__(self, panels: tuple[sun.Panels, ...], seed: int, folder: Path) -> None:
        self.panels, self.seed, self.folder = panels, seed, folder
        self._days: dict[date, sun.SunDay] = {}
        self._wanted: asyncio.Task[None] | None = None
        self._retry_at = 0.0

    async def begin(self, first_ms: int, last_ms: int) -> None:
        """Have every day from an instant to another. Raises SunError."""
        day, last = utc_day(first_ms), utc_day(last_ms)
        while day <= last:
            await self.need(day)
            day += timedelta(days=1)

    async def need(self, day: date) -> None:
        """Have a day, computing it where it is not cached. Raises SunError."""
        if day in self._days:
            return
        path = sun.day_path(self.folder, self.panels, self.seed, day)
        known = sun.read_day(path)
        if known is None:
            bright = is_bright_day(self.seed, day)
            known = await sun.compute_day(sun.SunRequest(self.panels, self.seed, day, bright, str(path)))
        self._days[day] = known
        for old in [item for item in self._days if item < day - timedelta(days=1)]:
            del self._days[old]
        sun.forget_old_days(self.folder, day)

    def watts(self, site_ms: int) -> int:
        """Watts in the minute of an instant. Raises SunError where its day was not computed."""
        day_number, within_ms = divmod(site_ms, 86_400_000)
        day = self._days.get(_EPOCH + timedelta(days=day_number))
        if day is None:
            raise sun.SunError(f"the sun of {_EPOCH + timedelta(days=day_number)} is not known")
        return day.watts[within_ms // MINUTE_MS]

    def ready_for(self, site_ms: int) -> bool:
        """Whether an instant's day is there; what is missing, or tomorrow in the afternoon (UTC), begins to be computed.

        A failure is told and tried again later.
        """
        today = _EPOCH + timedelta(days=site_ms // 86_400_000)
        known = today in self._days
        wanted = today + timedelta(days=1) if known and site_ms % 86_400_000 >= 43_200_000 else today
        computing = self._wanted is not None and not self._wanted.done()
        if wanted not in self._days and not computing and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + SUN_RETRY_S
            self._wanted = asyncio.create_task(self._try(wanted))
        return known

    async def _try(self, day: date) -> None:
        try:
            await self.need(day)
            self._retry_at = 0.0
        except (sun.SunError, OSError) as error:
            print(f"world: {error}", file=sys.stderr, flush=True)

    async def close(self) -> None:
        """Give up what is being computed."""
        if self._wanted is not None:
            self._wanted.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._wanted


def panels_of(_: str, source: "Photovoltaic", site: "Site") -> sun.Panels:
    """A declared plant as the world process is told of it."""
    return sun.Panels(
        latitude=float(site.latitude),
        longitude=float(site.longitude),
        tilt_deg=source.tilt_mdeg / 1000,
        azimuth_deg=source.azimuth_mdeg / 1000,
        peak_w=source.peak_w,
        inverter_w=source.peak_w,
    )


def _generation(plants: Sequence[Any], world: World) -> SunSeries:
    return SunSeries(msgspec.convert(plants, tuple[sun.Panels, ...]), world.seed, world.folder)


MODEL = SourceModel(name="photovoltaic", tier="specification", plant=panels_of, generation=_generation, follows="sun")
