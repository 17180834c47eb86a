"""The field: meters, sources and machines behind their drivers, real or simulated; the site does not know which."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from photosynth.energy.meters import Meters, Sources
from photosynth.sites.clock import RunningClock


class MetersAndSources(Meters, Sources, Protocol):
    """What stands at the grid connection."""

    async def close(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True, slots=True)
class Field:
    """The opened field: where machines answer, the meters, and how it is left."""

    meters: MetersAndSources
    machines: dict[str, tuple[str, int]]
    close: Callable[[], Awaitable[None]]


class OpenField(Protocol):
    """How a field is opened, once the pool listens and the clock runs."""

    async def __call__(self, clock: RunningClock, pool: tuple[str, int]) -> Field:
        """Connect; a simulated field is started here."""
        ...
