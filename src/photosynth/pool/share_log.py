"""The share log: append-only, durable before it is believed.

Entries are queued on the event loop; one thread writes them in batches and synchronises (fdatasync) them to disk. Only then is
an entry applied to the :class:`~photosynth.pool.accounting.WorkAccount` and its sender told. Where the disk refuses, the
batch is taken back, its shares are told False, and writing goes on as soon as there is room. Jobs, claims and counts of
rejects are never dropped: they wait. Snapshots are taken beside it, by a thread of their own.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from photosynth.files.whole import own_file, sync_folder
from photosynth.pool.accounting import WorkAccount
from photosynth.pool.batches import Batch, Done, Queue
from photosynth.pool.records import (
    KIND_CLAIM,
    KIND_JOB,
    KIND_TOP,
    ClaimRecord,
    JobRecord,
    RecordError,
    ShareRecord,
    frame,
    packed_body,
)
from photosynth.pool.segments import Segment, create_segment, open_segments, snapshot_path
from photosynth.pool.snapshots import Frozen, Tidied, freeze, write_snapshot

BATCH_S = 0.003
"""Seconds that a batch gathers; with the disk's own time a share waits about 5 ms."""
RETRY_S = 0.1
MAX_SEGMENT_BYTES = 4 * 1024 * 1024
MAX_PIECES = 1_024
"""Pieces of unclaimed work, one for each job, after which a snapshot is taken that joins those of jobs that are gone."""
REJECTS_S = 1.0
"""Seconds between two writes of what was refused, so that refusals cost next to no room."""


class ShareLog:
    """The log in one folder. Opening replays it: ``account`` is the state, ``repairs`` says what was cut off.

    ``write``, ``sync`` and ``save`` stand in for os.pwrite, os.fdatasync and write_snapshot in tests. Raises ShareLogError
    and OSError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch_s: float = BATCH_S,
        write: Callable[[int, bytes, int], int] = os.pwrite,
        sync: Callable[[int], None] = os.fdatasync,
        save: Callable[[Path, Frozen], Tidied] = write_snapshot,
    ) -> None:
        replayed = open_segments(folder)
        self.folder = folder
        self.account: WorkAccount = replayed.account
        self.repairs = replayed.repairs
        self.next_job = replayed.next_job
        self._refusing: str | None = None
        self._unsaved: str | None = None
        self.after_batch: Callable[[], None] = _nothing
        # Until the pool has looked for blocks that a crash left unclaimed, every job may be one's that was solved.
        self.live_jobs: Callable[[], set[int]] = lambda: set(self.account.jobs)
        self.forget_workers: Callable[[], None] = _nothing
        """Called before a snapshot, so that it holds no more workers than it must."""
        self._segments: list[Segment] = replayed.segments
        self._batch_s = batch_s
        self._pwrite = write
        self._sync = sync
        self._save = save
        self._descriptor = own_file(self._segments[-1].path, os.O_WRONLY)
        self._untidy = False
        self._queue = Queue()
        self._in_flight: Batch | None = None
        self._rejects_due_s = 0.0
        self._wanted_checkpoint = self.account.checkpoint_seq
        self._rotate = False
        self._pieces = 0
        self._snapshot: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._round_over = asyncio.Event()
        self._asked = self._served = 0
        self._hurry = False
        self._busy = False
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="share-log")
        self._snapshot_thread = ThreadPoolExecutor(1, thread_name_prefix="share-log-snapshot")

    @property
    def condition(self) -> str | None:
        """Why shares are refused, or why old segments stay; None where all is well."""
        return self._refusing or self._unsaved

    # What the pool calls.

    def append_job(self, job: JobRecord) -> None:
        """Log a job before its first use; the write begins at once, and precedes every share of the job."""
        self.account.apply_job(job)
        self.next_job = max(self.next_job, job.key + 1)
        self._queue.records.append(frame(packed_body(KIND_JOB, job)))
        if len(self.account.unclaimed) - self._pieces > MAX_PIECES:
            self._rotate = True
        self._start()

    def append_claim(self, claim: ClaimRecord) -> None:
        """Log a block of ours that is in the chain or may enter it."""
        self.account.apply_claim(claim)
        self._queue.records.append(frame(packed_body(KIND_CLAIM, claim)))
        self._start()

    def append_top(self, block_hash: bytes) -> list[ClaimRecord]:
        """Log which block of ours is the chain's highest; returns those that are in the chain for the first time."""
        if block_hash == self.account.top:
            return []
        self._queue.records.append(frame(packed_body(KIND_TOP, block_hash)))
        self._start()
        return self.account.apply_top(block_hash)

    def append_share(self, share: ShareRecord, share_hash: bytes, done: Done) -> None:
        """Log an accepted share; ``done`` is called with True once it is durable and accounted, False where it is not."""
        shares = self._queue.shares
        shares.append((share, share_hash, done))
        if len(shares) == 1:  # the writer was told of the others before it
            self._start()

    def append_reject(self, worker: str, cause: str, code: int, site_ms: int) -> None:
        """Count a refused share; it is written with a batch of the next second or two, at the latest at :meth:`flush`."""
        self._queue.reject(worker, cause, code, site_ms)

    def checkpoint(self, seq: int) -> None:
        """The books hold every interval and found block up to this sequence number: older segments may go.

        After a crash before this took effect, intervals up to ``seq`` are offered again. A log that ends before, because
        it was moved away or is an older copy, goes on with the numbers after it: none is ever that of two entries. So a
        number past its end is told before anything is appended. Raises ValueError where it comes while entries get theirs.
        """
        if seq > self.account.last_seq and self._in_flight is not None:
            raise ValueError(f"share log {self.folder}: number {seq} is past its end, and entries before it are being written")
        self.account.last_seq = max(self.account.last_seq, seq)
        self._wanted_checkpoint = max(self._wanted_checkpoint, seq)
        if self._wanted_checkpoint > self.account.checkpoint_seq or self._segments[-1].size > MAX_SEGMENT_BYTES:
            self._rotate = True
            self._start()

    async def flush(self) -> None:
        """Return when everything appended before is durable. Raises OSError where the disk refuses."""
        if self._closing:
            raise OSError(f"share log {self.folder}: it is closed")
        self._hurry = True
        self._asked += 1
        mine = self._asked
        self._start()
        while self._served < mine:
            if self._task is None or not self._task.done():
                self._round_over.clear()
                await self._round_over.wait()
            if self._refusing is not None:
                raise OSError(self._refusing)

    async def settle(self) -> None:
        """Return when everything appended before is durable and no snapshot is owed. Raises OSError as :meth:`flush`."""
        await self.flush()
        while self._rotate or self._snapshot is not None:
            if self._snapshot is not None:
                await asyncio.wait([self._snapshot])
            await self.flush()

    async def close(self) -> None:
        """Write what is left and release the file; safe to call twice."""
        if self._closing:
            return
        self._closing = self._hurry = True
        if self._has_work():
            self._start()
        if self._task is not None:
            self._wake.set()
            await asyncio.wait([self._task])
        if self._snapshot is not None:
            await asyncio.wait([self._snapshot])
        self._thread.shutdown()
        self._snapshot_thread.shutdown()
        os.close(self._descriptor)

    # The writer.

    def _has_work(self) -> bool:
        return bool(self._queue or self._busy)

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="share-log")
            self._task.add_done_callback(self._ended)
        self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say so where a mistake of ours ended the writer: whoever waits for it must not wait for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._refusing = f"share log {self.folder}: a bug ended its writer ({error!r}); nothing counts until a restart"
            task.get_loop().call_exception_handler({"message": self._refusing, "exception": error, "task": task})
            self._round_over.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            if self._queue.shares and not self._queue.records and not self._hurry:
                await asyncio.sleep(self._batch_s)
            self._wake.clear()
            with_rejects = self._hurry or loop.time() >= self._rejects_due_s or self._queue.rejects_are_older()
            self._busy, self._hurry = True, False
            asked = self._asked
            batch = self._in_flight = self._queue.gather(self.account.last_seq, with_rejects=with_rejects)
            try:
                if batch is not None:
                    await loop.run_in_executor(self._thread, self._write, batch.data)
                    if with_rejects:
                        self._rejects_due_s = loop.time() + REJECTS_S
                    self._in_flight = None  # whatever fails from here on, these are durable
                    self._apply(batch)
                if self._rotate and self._snapshot is None:
                    await self._rotate_segment(loop)
                self._served = asked
                self._refusing = None
            except OSError as error:
                if self._in_flight is not None:
                    self._queue.take_back(self._in_flight)
                    self._in_flight = None
                self._refusing = (
                    f"share log {self.folder}: {error.strerror or error}; shares are refused until it can be written: make room"
                )
            self._busy = False
            self._round_over.set()
            self.after_batch()
            if self._refusing is not None:
                if self._closing:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._stopped()
                self._wake.set()
            elif self._closing and not self._has_work():
                return

    async def _stopped(self) -> None:
        while not self._closing:
            self._wake.clear()
            await self._wake.wait()

    def _apply(self, batch: Batch) -> None:
        self._queue.written(batch)
        for seq, reject in batch.rejects:
            self.account.apply_reject(seq, reject)
        apply_share = self.account.apply_share
        for seq, (share, share_hash, done) in zip(batch.numbers, batch.shares, strict=True):
            apply_share(seq, share, share_hash)
            done(True)
        self.account.last_seq = batch.last_seq
        self._segments[-1].size += len(batch.data)
        self._segments[-1].last_seq = self.account.last_seq

    def _write(self, data: bytes) -> None:
        """In the thread: all of it durable at the segment's end, or the segment as it was and an OSError."""
        start = self._segments[-1].size
        try:
            if self._untidy:
                os.ftruncate(self._descriptor, start)
                self._untidy = False
            view, at = memoryview(data), 0
            while at < len(data):
                at += self._pwrite(self._descriptor, view[at:], start + at)  # type: ignore[arg-type]
            self._sync(self._descriptor)
        except OSError:
            self._untidy = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, start)
                self._untidy = False
            raise

    async def _rotate_segment(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a new segment, and have the state before it written while shares go on into it."""
        account = self.account
        account.apply_checkpoint(self._wanted_checkpoint)
        account.forget_jobs(self.live_jobs())
        self.forget_workers()
        frozen = freeze(account, self.next_job)
        number = int(self._segments[-1].path.stem) + 1
        segment = await loop.run_in_executor(self._thread, create_segment, self.folder, number, frozen.checkpoint_seq)
        descriptor = own_file(segment.path, os.O_WRONLY)
        os.close(self._descriptor)
        self._descriptor, self._untidy, self._rotate = descriptor, False, False
        self._queue.new_segment()
        segment.last_seq = frozen.last_seq
        self._segments.append(segment)
        self._pieces = len(account.unclaimed)
        self._snapshot = loop.create_task(self._take_snapshot(loop, segment, frozen), name="share-log-snapshot")
        self._snapshot.add_done_callback(self._snapshot_ended)

    async def _take_snapshot(self, loop: asyncio.AbstractEventLoop, segment: Segment, frozen: Frozen) -> None:
        """Have the state before a segment written, and remove the segments that the books have outgrown."""
        try:
            tidied = await loop.run_in_executor(self._snapshot_thread, self._save, snapshot_path(segment.path), frozen)
        except (OSError, RecordError) as error:
            reason = (error.strerror or error) if isinstance(error, OSError) else error
            self._unsaved = f"share log {self.folder}: no snapshot ({reason}); old segments stay until one can be written"
            return
        self._unsaved = None
        segment.has_snapshot = True
        account = self.account
        account.unclaimed.adopt(tidied.pieces, frozen.pieces, tidied.floor)
        account.forget_claims()
        self._pieces = len(account.unclaimed)
        first = next(at for at, kept in enumerate(self._segments) if kept is segment or kept.last_seq > account.checkpoint_seq)
        while not self._segments[first].has_snapshot and first:
            first -= 1  # a replay begins with a snapshot
        outgrown, self._segments = self._segments[:first], self._segments[first:]
        await loop.run_in_executor(self._snapshot_thread, _remove, self.folder, [s.path for s in outgrown])

    def _snapshot_ended(self, task: asyncio.Task[None]) -> None:
        self._snapshot = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._unsaved = f"share log {self.folder}: no snapshot ({error!r}); old segments stay until one can be written"
            if not isinstance(error, OSError):
                task.get_loop().call_exception_handler({"message": self._unsaved, "exception": error, "task": task})
        if self._rotate and not self._closing:
            self._start()


def _remove(folder: Path, paths: list[Path]) -> None:
    for path in reversed(paths):  # a stop in between leaves segments that begin with a snapshot
        path.unlink(missing_ok=True)
        path.with_suffix(".damaged").unlink(missing_ok=True)
        snapshot_path(path).unlink(missing_ok=True)
    if paths:
        sync_folder(folder)


def _nothing() -> None:
    return
