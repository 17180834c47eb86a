"""A fleet in operation: what is the whole fleet's opened in order, its parts handed to the supervisor, and all closed again."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import structlog

from photosynth.fleet import Fleet
from photosynth.operations.alerting.alerts import AlertService, Failing
from photosynth.operations.audit import AuditLog
from photosynth.operations.bitcoin_nodes import OpenedNode
from photosynth.operations.fleet_units import ChainUnits, SiteUnits
from photosynth.operations.incidents.watch import IncidentWatch
from photosynth.operations.node_watch import NodeWatch
from photosynth.operations.noting import KeptManifest
from photosynth.operations.readers import Readers
from photosynth.operations.recording import RecordedPostings
from photosynth.operations.simulated_nodes import OpenSimulatedNodes
from photosynth.operations.state import StateError, StateFolder
from photosynth.operations.supervisor import Supervisor, Unit
from photosynth.pool.segments import ShareLogError
from photosynth.sites.clock import RememberedTime, RunningClock
from photosynth.sites.site import SiteSettings
from photosynth.storage import Database, StorageError
from photosynth.treasury.evidence.seal import SealError
from photosynth.treasury.following import WrongChainError
from photosynth.treasury.journal import OtherBooksError

log = structlog.get_logger()
T = TypeVar("T")

START_PATIENCE_S = 2.0
"""So long a start waits for its parts before the console serves; what is slower goes on, and is said to be so."""
REMEMBER_S = 1.0
FATAL = (StateError, StorageError, ShareLogError, SealError, OtherBooksError, WrongChainError)
"""What is wrong with the state itself, which only an operator can mend: it ends a start."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is not where it belongs: entries of the audit that wait in the spool, those that nothing took, and the sites of which
    it could not be written down whether they are switched off."""

    spooled: int
    lost: int
    unkept_switches: tuple[str, ...]

    @property
    def forgotten(self) -> bool:
        """Whether the next start does not know all of it."""
        return bool(self.lost or self.unkept_switches)


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """What one run of a fleet is given: its file, its state, its clock's speed, what each site is given, what opens models."""

    fleet: Fleet
    state: StateFolder
    speed_milli: int
    sites: tuple[SiteSettings, ...]
    open_simulated: OpenSimulatedNodes | None = None
    """None where nodes that are declared as simulated are not to be had."""


@dataclass(frozen=True, slots=True)
class RunningFleet:
    """Everything of a fleet that runs, whole. :meth:`start` it, :meth:`close` it.

    Made by :func:`photosynth.operations.opening.open_fleet`.
    """

    settings: FleetSettings
    manifest: KeptManifest
    clock: RunningClock
    database: Database
    readers: Readers
    audit: AuditLog
    nodes: Mapping[str, Unit[OpenedNode]]
    chains: Mapping[str, ChainUnits]
    sites: Mapping[str, SiteUnits]
    watch: NodeWatch
    incidents: Unit[IncidentWatch]
    alerts: Unit[AlertService]
    recorded: RecordedPostings
    supervisor: Supervisor
    held: contextlib.AsyncExitStack
    """What was opened before the parts, and is closed after them."""

    @property
    def state_id(self) -> str:
        """What tells this state from every other."""
        return self.manifest.now.state

    @property
    def undelivered(self) -> list[Failing]:
        """Targets of alerts that take nothing."""
        return [] if self.alerts.service is None else self.alerts.service.failing()

    @property
    def left_out(self) -> int:
        """Conditions for which there is no room among the incidents."""
        return 0 if self.incidents.service is None else self.incidents.service.incidents.left_out

    async def start(self) -> None:
        """Begin every part. Raises what is wrong with the state itself; then nothing runs any more."""
        await self.supervisor.start(START_PATIENCE_S)

    def end_soon(self) -> None:
        """This process ends: nothing waits for a database that is away any more."""
        self.database.hurry()

    def left(self) -> Left:
        """What of operators' decisions and of what was done the database and the disks do not hold; final once it is closed."""
        unkept = tuple(name for name, units in self.sites.items() if not units.site.stop.kept)
        return Left(*self.audit.left, unkept)

    async def close(self) -> None:
        """Close everything in the reverse order; safe to call twice."""
        self.end_soon()
        await self.supervisor.close()
        await self.recorded.finish()
        await self.watch.close()
        await self.held.aclose()


class KeptTime:
    """Writes the fleet's time down again and again; a service."""

    def __init__(self, clock: RunningClock, folder: StateFolder) -> None:
        self._clock, self._folder = clock, folder

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._remember()
            await asyncio.sleep(REMEMBER_S)

    async def close(self) -> None:
        """Once more."""
        self._remember()

    def _remember(self) -> None:
        """A full disk is no reason to stop: shares and books tell the time too."""
        with contextlib.suppress(OSError):
            RememberedTime(self._clock.site_ms(), self._clock.wall_ms()).save(self._folder.clock)


class WatchedNodes:
    """The watch over the fleet's nodes as a service; what it keeps running outlives a mistake of its own."""

    def __init__(self, watch: NodeWatch) -> None:
        self._watch = watch

    async def run(self) -> None:
        """Look and keep running until cancelled."""
        await self._watch.run()

    async def close(self) -> None:
        """Nothing ends here: processes end with the fleet."""
