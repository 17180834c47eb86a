"""The share log: append-only, durable before it is believed.

Entries are queued on the event loop; one thread writes them in batches and synchronises (fdatasync) them to disk. Only then is
an entry applied to the :class:`~photosynth.pool.accounting.WorkAccount` and its sender told. Where the disk refuses, the
batch is taken back, its shares are told False, and writing goes on as soon as there is room. Jobs, claims and counts of
rejects are never dropped: they wait.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from photosynth.files.whole import own_file, sync_folder
from photosynth.pool.accounting import WorkAccount
from photosynth.pool.records import (
    KIND_CLAIM,
    KIND_GROUP,
    KIND_JOB,
    KIND_REJECT,
    ClaimRecord,
    JobRecord,
    RejectRecord,
    ShareRecord,
    frame,
    packed_body,
    share_body,
)
from photosynth.pool.segments import (
    Segment,
    open_segments,
    snapshot,
    write_segment,
)
from photosynth.quantities.instants import interval_start_ms

BATCH_S = 0.003
"""Seconds that a batch gathers; with the disk's own time a share waits about 5 ms."""
RETRY_S = 0.1
MAX_SEGMENT_BYTES = 4 * 1024 * 1024
MAX_REJECT_KEYS = 50_000

Done = Callable[[bool], None]


@dataclass(slots=True)
class _Batch:
    data: bytes
    shares: list[tuple[int, ShareRecord, bytes, Done]]
    rejects: list[tuple[int, RejectRecord]]
    reject_keys: list[tuple[str, str, int, int]]
    waiting: int
    new_groups: list[tuple[str, int, int, int]]


class ShareLog:
    """The log in one folder. Opening replays it: ``account`` is the state, ``repairs`` says what was cut off.

    ``write`` and ``sync`` stand in for os.pwrite and os.fdatasync in tests. Raises ShareLogError and OSError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch_s: float = BATCH_S,
        write: Callable[[int, bytes, int], int] = os.pwrite,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        replayed = open_segments(folder)
        self.folder = folder
        self.account: WorkAccount = replayed.account
        self.repairs = replayed.repairs
        self.next_job = replayed.next_job
        self.condition: str | None = None
        self.after_batch: Callable[[], None] = _nothing
        # Until the pool has looked for blocks that a crash left unclaimed, every job may be one's that was solved.
        self.live_jobs: Callable[[], set[int]] = lambda: set(self.account.jobs)
        self._segments: list[Segment] = replayed.segments
        self._batch_s = batch_s
        self._pwrite = write
        self._sync = sync
        self._descriptor = own_file(self._segments[-1].path, os.O_WRONLY)
        self._untidy = False
        # A restart continues the segment and tells its groups anew; what is told last holds.
        self._groups: dict[tuple[str, int, int, int], int] = {}
        self._shares: list[tuple[ShareRecord, bytes, Done]] = []
        self._waiting: list[bytes] = []
        self._rejects: dict[tuple[str, str, int, int], int] = {}
        self._wanted_checkpoint = self.account.checkpoint_seq
        self._rotate = False
        self._wake = asyncio.Event()
        self._round_over = asyncio.Event()
        self._asked = self._served = 0
        self._hurry = False
        self._busy = False
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="share-log")

    # What the pool calls.

    def append_job(self, job: JobRecord) -> None:
        """Log a job before its first use; the write begins at once, and precedes every share of the job."""
        self.account.apply_job(job)
        self.next_job = max(self.next_job, job.key + 1)
        self._waiting.append(frame(packed_body(KIND_JOB, job)))
        self._start()

    def append_claim(self, claim: ClaimRecord) -> None:
        """Log that a block of ours was accepted; the account must have applied it already."""
        self._waiting.append(frame(packed_body(KIND_CLAIM, claim)))
        self._start()

    def append_share(self, share: ShareRecord, share_hash: bytes, done: Done) -> None:
        """Log an accepted share; ``done`` is called with True once it is durable and accounted, False where it is not."""
        self._shares.append((share, share_hash, done))
        self._start()

    def append_reject(self, worker: str, cause: str, code: int, site_ms: int) -> None:
        """Count a refused share; it is written with the next batch, at the latest at :meth:`flush`."""
        key = (worker, cause, code, interval_start_ms(site_ms))
        if key in self._rejects or len(self._rejects) < MAX_REJECT_KEYS:
            self._rejects[key] = self._rejects.get(key, 0) + 1

    def checkpoint(self, seq: int) -> None:
        """The books hold every interval and found block up to this sequence number: older segments may go.

        After a crash before this took effect, intervals up to ``seq`` are offered again.
        """
        self._wanted_checkpoint = max(self._wanted_checkpoint, min(seq, self.account.last_seq))
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
            if self.condition is not None:
                raise OSError(self.condition)

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
        self._thread.shutdown()
        os.close(self._descriptor)

    # The writer.

    def _has_work(self) -> bool:
        return bool(self._shares or self._waiting or self._rejects or self._rotate or self._busy)

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="share-log")
            self._task.add_done_callback(self._ended)
        self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say so where a mistake of ours ended the writer: whoever waits for it must not wait for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.condition = f"share log {self.folder}: a bug ended its writer ({error!r}); nothing counts until a restart"
            task.get_loop().call_exception_handler({"message": self.condition, "exception": error, "task": task})
            self._round_over.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            if self._shares and not self._waiting and not self._hurry:
                await asyncio.sleep(self._batch_s)
            self._wake.clear()
            self._busy, self._hurry = True, False
            batch, asked = self._gather(), self._asked
            try:
                if batch is not None:
                    await loop.run_in_executor(self._thread, self._write, batch.data)
                    self._apply(batch)
                    batch = None  # whatever fails from here on, these are durable
                if self._rotate:
                    await self._rotate_segment(loop)
                self._served = asked
                self.condition = None
            except OSError as error:
                self._take_back(batch)
                self.condition = (
                    f"share log {self.folder}: {error.strerror or error}; shares are refused until it can be written: make room"
                )
            self._busy = False
            self._round_over.set()
            self.after_batch()
            if self.condition is not None:
                if self._closing:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped(), RETRY_S)
                self._wake.set()
            elif self._closing and not self._has_work():
                return

    async def _stopped(self) -> None:
        while not self._closing:
            self._wake.clear()
            await self._wake.wait()

    def _gather(self) -> _Batch | None:
        if not (self._shares or self._waiting or self._rejects):
            return None
        seq = self.account.last_seq
        parts = list(self._waiting)
        batch = _Batch(b"", [], [], [], len(parts), [])
        for key, count in self._rejects.items():
            worker, cause, code, site_ms = key
            seq += 1
            reject = RejectRecord(worker, cause, code, count, site_ms)
            parts.append(frame(packed_body(KIND_REJECT, seq, reject)))
            batch.rejects.append((seq, reject))
            batch.reject_keys.append(key)
        groups = self._groups
        for share, share_hash, done in self._shares:
            group_key = (share.worker, share.round, share.target, share.scale)
            group = groups.get(group_key)
            if group is None:
                group = groups[group_key] = len(groups)
                batch.new_groups.append(group_key)
                parts.append(frame(packed_body(KIND_GROUP, group, *group_key)))
            seq += 1
            parts.append(frame(share_body(seq, share, group)))
            batch.shares.append((seq, share, share_hash, done))
        self._shares = []
        batch.data = b"".join(parts)
        return batch

    def _apply(self, batch: _Batch) -> None:
        del self._waiting[: batch.waiting]
        for seq, reject in batch.rejects:
            self.account.apply_reject(seq, reject)
        for key, (_, reject) in zip(batch.reject_keys, batch.rejects, strict=True):
            left = self._rejects[key] - reject.count
            if left:
                self._rejects[key] = left
            else:
                del self._rejects[key]
        apply_share = self.account.apply_share
        for seq, share, share_hash, done in batch.shares:
            apply_share(seq, share, share_hash)
            done(True)
        self._segments[-1].size += len(batch.data)
        self._segments[-1].last_seq = self.account.last_seq

    def _take_back(self, batch: _Batch | None) -> None:
        if batch is None:
            return
        for key in batch.new_groups:
            del self._groups[key]
        for _, _, _, done in batch.shares:
            done(False)

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
        """Begin a new segment with a snapshot of the present state, and remove those that the books have outgrown."""
        account = self.account
        account.apply_checkpoint(self._wanted_checkpoint)
        account.forget_jobs(self.live_jobs())
        # What still waits was applied to the account, so the snapshot holds jobs and claims among it already.
        in_snapshot = len(self._waiting)
        head = snapshot(account, self.next_job)
        last_seq = account.last_seq
        number = int(self._segments[-1].path.stem) + 1
        path = await loop.run_in_executor(self._thread, write_segment, self.folder, number, head)
        descriptor = own_file(path, os.O_WRONLY)
        os.close(self._descriptor)
        self._descriptor, self._untidy, self._rotate = descriptor, False, False
        del self._waiting[:in_snapshot]
        self._groups.clear()
        self._segments.append(Segment(path, len(head), last_seq))
        outgrown = [s for s in self._segments[:-1] if s.last_seq <= account.checkpoint_seq]
        self._segments = [s for s in self._segments if s not in outgrown]
        await loop.run_in_executor(self._thread, _remove, self.folder, [s.path for s in outgrown])


def _remove(folder: Path, paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
        path.with_suffix(".damaged").unlink(missing_ok=True)
    if paths:
        sync_folder(folder)


def _nothing() -> None:
    return
