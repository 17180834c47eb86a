"""Drivers of meters by name: the house's own, and those that other packages announce in the group ``photosynth.meters``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from photosynth.drivers import Driver, driver_registry
from photosynth.energy.meters import Meters, MeterSpec

SIMULATED = "simulated"
"""The driver of a meter for which a fleet file names none."""


class OpenMeters(Meters, Protocol):
    """Meters that a driver reads for a site."""

    async def close(self) -> None:
        """Hang up; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class MeterAccess:
    """What the meters of a site have in common: its time, and where its simulated ones answer, if it has any."""

    site_ms: Callable[[], int]
    simulation: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class DeclaredMeter:
    """One meter as a fleet file declares it: what it is, and its driver's settings."""

    spec: MeterSpec
    settings: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterDriver(Driver):
    """A driver of meters. ``open`` is given all of a site's meters that name it and may share a line; it does not connect yet."""

    open: Callable[[MeterAccess, Sequence[DeclaredMeter]], OpenMeters]


METERS = driver_registry("photosynth.meters", MeterDriver, {SIMULATED: "photosynth.energy.simulated_meters:DRIVER"})
