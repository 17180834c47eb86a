"""The watch over all conditions: a look every few seconds, and what came of it written down.

Where the database takes nothing, incidents live on in memory and are written as soon as it does: they are what has to be told
then. A kill meanwhile forgets what was not written, and the next start opens anew what it sees.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import structlog

from photosynth.operations.incidents.kinds import LOOK_EVERY_S
from photosynth.operations.incidents.life import KEPT_MS, Incident, Incidents, Look
from photosynth.operations.view import NotKnownError
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.incidents import (
    forget_incidents,
    last_incident_id,
    one_incident,
    unresolved_incidents,
    write_incidents,
)

log = structlog.get_logger()

WRITE_PATIENCE_S = 2.0
"""So long a look waits for the disk; what hangs is waited for by nobody."""
FORGET_EVERY = 720
"""Looks between two passes over what is old: an hour."""


class IncidentWatch:
    """Looks again and again; a service, made by :func:`open_incidents`."""

    def __init__(
        self,
        incidents: Incidents,
        look: Callable[[], Awaitable[Look]],
        database: Database,
        run: Runner,
        wall_ms: Callable[[], int],
    ) -> None:
        self.incidents = incidents
        self._look, self._database, self._run, self._wall_ms = look, database, run, wall_ms
        self._writing: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._until_forgetting = 0
        self.fault: str | None = None
        """Why incidents cannot be written down now."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def close(self) -> None:
        """Write what is not written yet, where that can be done."""
        await self._write()

    async def look(self) -> None:
        """One look, written down where that takes no long time."""
        found = await self._look()
        self.incidents.look(found, self._wall_ms())
        await self._write()
        await self._forget()
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()

    async def next_look(self) -> None:
        """Wait until the next look is over."""
        await self._looked.wait()

    async def one(self, incident_id: int) -> Incident:
        """One by its id, also where it was resolved long ago. Raises NotKnownError, StorageError."""
        found = self.incidents.by_id.get(incident_id) or await self._run(lambda: self._stored(incident_id))
        if found is None:
            raise NotKnownError(f"There is no incident {incident_id}; see `photosynth incidents --all`.")
        return found

    async def acknowledge(self, incident_id: int, by: str) -> tuple[Incident, str | None]:
        """Somebody takes one on that is here; it, and why that is not written down yet. Raises ValueError for a resolved one."""
        incident = self.incidents.acknowledge(incident_id, by, self._wall_ms())
        await self._write()
        return incident, (self.fault or "the disk is slow") if incident_id in self.incidents.unwritten else None

    def _stored(self, incident_id: int) -> Incident | None:
        with self._database.read() as tx:
            row = one_incident(tx, incident_id)
        return None if row is None else Incident(**row)

    async def _write(self) -> None:
        """Write all that changed, and wait a little for it; a commit that is under way goes first."""
        until_s = time.monotonic() + WRITE_PATIENCE_S
        while self.incidents.unwritten or self._writing is not None:
            writing = self._writing = self._writing or asyncio.get_running_loop().create_task(self._commit())
            await asyncio.wait({writing}, timeout=max(0.0, until_s - time.monotonic()))
            if not writing.done():
                return
            if self._writing is writing:
                self._writing = None
            writing.result()
            if self.fault is not None:
                return

    async def _commit(self) -> None:
        changed = [self.incidents.by_id[number] for number in sorted(self.incidents.unwritten)]

        def write() -> None:
            with self._database.begin() as tx:
                write_incidents(tx, map(asdict, changed))

        try:
            await self._run(write)
        except StorageError as error:
            if self.fault is None:
                log.error("incidents cannot be written down", error=str(error))
            self.fault = str(error)
            return
        self.fault = None
        for incident in changed:
            if self.incidents.by_id.get(incident.id) is incident:
                self.incidents.unwritten.discard(incident.id)

    async def _forget(self) -> None:
        """Once an hour, remove some of what is old; a database that takes nothing is asked again in an hour."""
        self._until_forgetting -= 1
        if self._until_forgetting >= 0 or self.fault is not None or self._writing is not None:
            return
        self._until_forgetting = FORGET_EVERY

        def forget() -> None:
            with self._database.begin() as tx:
                forget_incidents(tx, self._wall_ms())

        try:
            async with asyncio.timeout(WRITE_PATIENCE_S):
                await self._run(forget)
        except (StorageError, TimeoutError) as error:
            log.warning("old incidents cannot be removed now", error=str(error))


async def open_incidents(
    look: Callable[[], Awaitable[Look]],
    database: Database,
    run: Runner,
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> IncidentWatch:
    """The watch, going on from what is written down. Raises StorageError."""

    def read() -> Incidents:
        with database.read() as tx:
            rows = unresolved_incidents(tx, wall_ms() - KEPT_MS)
            return Incidents([Incident(**row) for row in rows], last_incident_id(tx) + 1)

    return IncidentWatch(await run(read), look, database, run, wall_ms)
