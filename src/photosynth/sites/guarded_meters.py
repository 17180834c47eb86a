"""The guard before meters and inverters: whatever a driver of theirs does, what comes out is sound, in time, or a MeterError."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from photosynth.energy.metering_protocol import MOST_J, MOST_W
from photosynth.energy.meters import IntervalReading, MeterError, MeterReading, Meters, SourceReading, Sources
from photosynth.miners.guard import BrokenCallError, Guard

T = TypeVar("T")

CALL_LIMIT_S = 5.0
"""Wall seconds that a call may take; a sound driver ends it within two or three."""
MOST_MS = 1 << 53
QUALITIES = ("good", "estimated", "stale", "unknown")


class MetersAndSources(Meters, Sources, Protocol):
    """What stands at the grid connection."""

    async def close(self) -> None:
        """Hang up."""
        ...


class GuardedMeters:
    """Meters and sources that raise MeterError alone, also while they are not connected; satisfies ``Meters``, ``Sources``."""

    def __init__(self, inner: MetersAndSources | None = None, limit_s: float = CALL_LIMIT_S) -> None:
        self._inner, self._limit_s = inner, limit_s
        self._guard = Guard("meters", MeterError)

    def connect(self, inner: MetersAndSources) -> None:
        """From now on these answer."""
        self._inner = inner

    def disconnect(self) -> None:
        """From now on none answer."""
        self._inner = None

    async def read(self) -> dict[str, MeterReading]:
        """Every meter's register and power now, by its id."""
        return await self._call("read", lambda inner: inner.read(), sound_readings)

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        """Every meter's latched registers of one quarter hour; None where it has not ended or is kept no longer."""
        return await self._call("profile", lambda inner: inner.profile(interval_start_ms), sound_profile)

    async def read_source(self) -> SourceReading:
        """Power, what is available, and the limits in force."""
        return await self._call("read_source", lambda inner: inner.read_source(), _source)

    async def limit(self, source_w: int | None, export_w: int | None) -> None:
        """Set both limits, None lifting one."""
        await self._call("limit", lambda inner: inner.limit(source_w, export_w), lambda _: None)

    async def _call(self, name: str, call: Callable[[MetersAndSources], Awaitable[object]], checked: Callable[[object], T]) -> T:
        inner = self._inner
        if inner is None:
            raise MeterError("the meters are not connected")
        try:
            return await self._guard.call(name, lambda: call(inner), checked, self._limit_s)
        except BrokenCallError as error:
            raise MeterError(f"the meters' driver is at fault: its {error}") from error


def sound_readings(found: object) -> dict[str, MeterReading]:
    """Readings whose every field is of its kind and within reason. Raises TypeError and ValueError."""
    if not isinstance(found, dict):
        raise TypeError(f"a {type(found).__name__} instead of readings")
    for name, reading in found.items():
        if type(name) is not str or type(reading) is not MeterReading:
            raise TypeError(f"a {type(reading).__name__} instead of a meter's reading")
        _whole("its reading's time", reading.at_ms, MOST_MS)
        _whole("its register", reading.register_j, MOST_J)
        if reading.power_w is not None:
            _whole("its power", reading.power_w, MOST_W, -MOST_W)
        _quality(reading.quality)
    return found


def sound_profile(found: object) -> dict[str, IntervalReading] | None:
    """Latched registers whose every field is of its kind and within reason. Raises TypeError and ValueError."""
    if found is None:
        return None
    if not isinstance(found, dict):
        raise TypeError(f"a {type(found).__name__} instead of a profile")
    for name, reading in found.items():
        if type(name) is not str or type(reading) is not IntervalReading:
            raise TypeError(f"a {type(reading).__name__} instead of an interval")
        _whole("its register", reading.start_j, MOST_J)
        _whole("its register", reading.end_j, MOST_J, reading.start_j)
        _quality(reading.quality)
    return found


def _source(found: object) -> SourceReading:
    if type(found) is not SourceReading:
        raise TypeError(f"a {type(found).__name__} instead of what the inverters say")
    _whole("its reading's time", found.at_ms, MOST_MS)
    _whole("the inverters' power", found.power_w, MOST_W)
    for watts in (found.available_w, found.source_limit_w, found.export_limit_w):
        if watts is not None:
            _whole("the inverters' power or limit", watts, MOST_W)
    if type(found.throttled) is not bool:
        raise TypeError("whether the inverters are throttled is neither yes nor no")
    return found


def _whole(what: str, value: object, most: int, least: int = 0) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{what} is no whole number from {least} to {most}")


def _quality(value: object) -> None:
    if value not in QUALITIES:
        raise ValueError("its reading's quality is none that is known")
