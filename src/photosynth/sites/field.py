"""The field: meters, sources and machines behind their drivers, real or simulated; the site does not know which."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from photosynth.sites.clock import RunningClock
from photosynth.sites.guarded_meters import GuardedMeters, MetersAndSources


@dataclass(frozen=True, slots=True)
class Field:
    """The opened field: where machines answer, the meters, and how it is left."""

    meters: MetersAndSources
    machines: dict[str, tuple[str, int]]
    close: Callable[[], Awaitable[None]]
    ended: Callable[[], Awaitable[str]]
    """Waits until it ends by itself, as a simulated one may that is a process; says why."""


class OpenField(Protocol):
    """How a field is opened, once the pool's port listens and the clock runs."""

    async def __call__(self, clock: RunningClock, pool: tuple[str, int]) -> Field:
        """Connect; a simulated field is started here."""
        ...


class FieldEndedError(Exception):
    """The field ended by itself; the message says why."""


class OpenedField:
    """The field of one site in operation: its meters are connected to the site's guard as long as it is open."""

    def __init__(self, field: Field, guard: GuardedMeters) -> None:
        self.field, self._guard = field, guard
        guard.connect(field.meters)

    async def run(self) -> None:
        """Watch it. Raises FieldEndedError where it ends by itself."""
        raise FieldEndedError(await self.field.ended())

    async def close(self) -> None:
        """Hang up."""
        self._guard.disconnect()
        await self.field.close()
