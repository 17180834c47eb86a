"""All meters of one site behind one door, whichever drivers read them: what one driver does is the concern of its own meters."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog

from photosynth.energy.meter_driver import OpenMeters
from photosynth.energy.meters import IntervalReading, MeterError, MeterReading, SourceReading, Sources
from photosynth.miners.guard import BrokenCallError, Guard, text_of
from photosynth.sites.guarded_meters import sound_profile, sound_readings

log = structlog.get_logger()
T = TypeVar("T")

DRIVER_LIMIT_S = 4.0
"""Wall seconds that a driver may take, below what all meters together may: one that hangs takes nobody's reading away."""


class SiteMeters:
    """Meters by their drivers, and the control of the sources; satisfies ``Meters`` and ``Sources``.

    A driver that fails leaves its meters out, which are then unknown; where all fail, the first error is everybody's.
    """

    def __init__(
        self, sources: Sources, drivers: Mapping[str, tuple[frozenset[str], OpenMeters]], limit_s: float = DRIVER_LIMIT_S
    ) -> None:
        self._sources = sources
        self._drivers = [_Guarded(name, ids, meters, limit_s) for name, (ids, meters) in drivers.items()]

    async def read(self) -> dict[str, MeterReading]:
        """Every meter's register and power now, by its id. Raises MeterError."""
        return _together(await self._each(lambda driver: driver.read()))

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        """Every meter's latched registers of one quarter hour; None where no meter has them. Raises MeterError."""
        found = await self._each(lambda driver: driver.profile(interval_start_ms))
        return None if all(one is None for one in found) else _together([one or {} for one in found])

    async def read_source(self) -> SourceReading:
        """What the inverters say now."""
        return await self._sources.read_source()

    async def limit(self, source_w: int | None, export_w: int | None) -> None:
        """Set both limits of the sources (watts), None lifting one."""
        await self._sources.limit(source_w, export_w)

    async def close(self) -> None:
        """Hang up; what one driver does keeps no other from it."""
        await asyncio.gather(*(driver.close() for driver in self._drivers))

    async def _each(self, ask: Callable[["_Guarded"], Awaitable[T]]) -> list[T]:
        async def asked(driver: "_Guarded") -> T | MeterError:
            try:
                return await ask(driver)
            except MeterError as error:
                return error

        answers = await asyncio.gather(*(asked(driver) for driver in self._drivers))
        sound = [answer for answer in answers if not isinstance(answer, MeterError)]
        if not sound:
            raise next((answer for answer in answers if isinstance(answer, MeterError)), MeterError("the site has no meters"))
        return sound


class _Guarded:
    """One driver's meters behind its guard: what comes out is sound, of its own meters, and in time, or a MeterError."""

    def __init__(self, name: str, ids: frozenset[str], meters: OpenMeters, limit_s: float) -> None:
        self._name, self._ids, self._meters, self._limit_s = name, ids, meters, limit_s
        self._guard = Guard(f"meters of {name}", MeterError)

    async def read(self) -> dict[str, MeterReading]:
        return self._own(await self._call("read", lambda: self._meters.read(), sound_readings))  # noqa: PLW0108 - it may lack that

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        found = await self._call("profile", lambda: self._meters.profile(interval_start_ms), sound_profile)
        return None if found is None else self._own(found)

    async def close(self) -> None:
        try:
            await self._call("close", lambda: self._meters.close(), lambda _: None)  # noqa: PLW0108 - it may lack that
        except MeterError as error:
            log.warning("a driver did not close", driver=self._name, error=text_of(error))
        self._guard.close()

    def _own(self, found: dict[str, T]) -> dict[str, T]:
        return {meter: reading for meter, reading in found.items() if meter in self._ids}

    async def _call(self, name: str, call: Callable[[], Awaitable[object]], checked: Callable[[object], T]) -> T:
        try:
            return await self._guard.call(name, call, checked, self._limit_s)
        except BrokenCallError as error:
            raise MeterError(f"the driver {self._name} of meters is at fault: its {error}") from error


def _together(found: list[dict[str, T]]) -> dict[str, T]:
    return {meter: reading for one in found for meter, reading in one.items()}
