"""The books' postings into evidence: four hours' at a time while the fleet runs, and what is left at an export and the end.

A signature a posting would be most of what a verifier has to check. What waits meanwhile is in the journal, and what a quarter
hour posts follows from its site's line, which every coinbase after it commits to.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from photosynth.operations import consistency
from photosynth.operations.evidence_keys import open_identity
from photosynth.operations.manifest import Seen, check_parts, save_manifest
from photosynth.operations.resting import begun, read_state
from photosynth.operations.state import StateError, StateFolder
from photosynth.sites.clock import RunningClock
from photosynth.sites.heads import EvidenceHeads
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.address import Place
from photosynth.treasury.evidence.envelope import BOOKS
from photosynth.treasury.evidence.lines import EvidenceRecord, newest_line
from photosynth.treasury.fleet_books import FleetBooks, record_all, unrecorded
from photosynth.treasury.journal import TreasuryError

log = structlog.get_logger()

PERIOD_MS = 4 * 3_600_000
"""With a line an hour a year takes a tenth longer to verify, for postings that mostly follow from what sites sealed before."""
PAST_MS = 300_000
"""So long past the hour its postings are written down: the quarter hour that ended with it is closed by then, with its blocks."""
RETRY_S = 1.0
LONGEST_WAIT_S = PERIOD_MS / 1000
"""A clock may have come to its end."""


def next_ms(site_ms: int) -> int:
    """When the postings are written down next, after an instant of fleet time."""
    return site_ms - (site_ms - PAST_MS) % PERIOD_MS + PERIOD_MS


class RecordedPostings:
    """Writes the postings down every four hours of fleet time; a service. What an earlier run left comes at once.

    ``heads`` are told of each time's lines, so that the next jobs of every pool commit to them.
    """

    def __init__(self, books: FleetBooks, database: Database, run: Runner, clock: RunningClock, heads: EvidenceHeads) -> None:
        self._books, self._database, self._run, self._clock, self._heads = books, database, run, clock, heads
        self._fault: str | None = None

    async def run(self) -> None:
        """Until cancelled. Faults of the disk, and what the books refuse, are told, and are retried."""
        while True:
            try:
                await self.record()
            except (StorageError, TreasuryError) as error:
                if self._fault is None:
                    log.warning("postings have to wait for their evidence", error=str(error))
                self._fault = str(error)
                await asyncio.sleep(RETRY_S)
                continue
            if self._fault is not None:
                log.info("postings come into evidence again")
                self._fault = None
            site_ms = self._clock.site_ms()
            await asyncio.sleep(min(LONGEST_WAIT_S, self._clock.wall_seconds_until(next_ms(site_ms))))

    async def record(self) -> None:
        """Write down everything that is posted by now, a line a transaction. Raises StorageError, TreasuryError."""
        newest: EvidenceRecord | None = None
        try:
            while (record := await self._run(self._record_some)) is not None:
                newest = record
        finally:
            if newest is not None:
                self._heads.moved(newest)

    async def close(self) -> None:
        """The last ones are written down by :meth:`finish`, when whoever posts has ended too."""

    async def finish(self) -> None:
        """Write down what the end of a run leaves; where the disk does not let it, the next start or export does."""
        try:
            await self.record()
        except (StorageError, TreasuryError) as error:
            log.warning("the last postings are not in evidence yet; the next start writes them down", error=str(error))

    def _record_some(self) -> EvidenceRecord | None:
        with self._database.begin() as tx:
            return self._books.record_some(tx)


@contextmanager
def stopped_books(state: Place) -> Iterator[tuple[StateFolder, Database]]:
    """The database of a stopped system, to write evidence; how far that came is noted at the end.

    Raises StateError (also where the system runs), StorageError, OSError.
    """
    folder = StateFolder(state)
    begun(folder)
    folder.lock()
    try:
        manifest = begun(folder)
        check_parts(folder, manifest)
        with Database(folder.database) as database:
            with database.begin() as tx:
                consistency.claim_database(tx, folder, manifest)
            yield folder, database
            with database.read() as tx:
                record = newest_line(tx)
        for name, part in manifest.active_sites().items():
            if part.seen is not None and record is not None:
                manifest = manifest.with_site(name, seen=Seen(record.id, record.root.hex(), part.seen.share_seq))
        with contextlib.suppress(OSError):  # the older note is true as well
            save_manifest(folder, manifest)
    finally:
        folder.unlock()


def record_stopped(state: Place) -> None:
    """Write down the postings that a kill left without evidence; a state that lacks none is only read.

    Raises StateError, StorageError, SealError, OSError.
    """
    with read_state(state) as (folder, _), Database(folder.database, at_rest=True) as database, database.read() as tx:
        if not unrecorded(tx):
            return
    try:
        with stopped_books(state) as (folder, database), database.begin() as tx:
            record_all(tx, open_identity(tx, folder, BOOKS))
    except StateError as error:
        raise StateError(
            f"a kill left postings without evidence, which an export of all streams writes down first, but {error}. "
            "A site's own stream (--site NAME) needs nothing to be written"
        ) from error
