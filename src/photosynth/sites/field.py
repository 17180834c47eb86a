"""The field: meters, sources and machines of a site; the site does not know which of them are simulated."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from photosynth.energy.meters import Sources
from photosynth.sites.clock import RunningClock
from photosynth.sites.drivers import meters_of
from photosynth.sites.site_meters import SiteMeters

if TYPE_CHECKING:
    from photosynth.sites.site import OperatedSite


@dataclass(frozen=True, slots=True)
class Field:
    """What stands in a field beside what the fleet file tells: the sources' control, and where what is simulated answers."""

    sources: Sources
    metering: tuple[str, int] | None
    """Host and port where the simulated meters answer."""
    machines: Mapping[str, tuple[str, int]]
    """Host and port of each simulated machine."""
    close: Callable[[], Awaitable[None]]
    ended: Callable[[], Awaitable[str]]
    """Waits until it ends by itself, as a simulated one may that is a process; says why."""


class OpenField(Protocol):
    """How a field is opened, once the pool's port listens and the clock runs."""

    async def __call__(self, clock: RunningClock, pool: tuple[str, int]) -> Field:
        """Connect; what is simulated is started here."""
        ...


class FieldEndedError(Exception):
    """The field ended by itself; the message says why."""


class OpenedField:
    """The field of one site in operation: its meters stand behind the site's guard as long as it is open."""

    def __init__(self, site: "OperatedSite", field: Field) -> None:
        self.field, self._guard = field, site.meters
        self.meters = SiteMeters(field.sources, meters_of(site.declared, field.metering, site.clock.site_ms))
        self._guard.connect(self.meters)

    async def run(self) -> None:
        """Watch it. Raises FieldEndedError where it ends by itself."""
        raise FieldEndedError(await self.field.ended())

    async def close(self) -> None:
        """Hang up."""
        self._guard.disconnect()
        await self.meters.close()
        await self.field.close()
