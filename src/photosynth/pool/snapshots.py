"""The state before a segment of the share log, in a file of its own: taken in an instant, tidied and written elsewhere.

The event loop only takes a frozen view (:func:`freeze`): the pieces of unclaimed work never change once they are sealed,
the rest is copied. Another thread folds what is old, writes it in records of bounded size and synchronises it, while
shares go on into the log. A snapshot is whole or does not count.
"""

import os
import struct
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from photosynth.files.whole import whole_file
from photosynth.pool.accounting import WorkAccount
from photosynth.pool.records import (
    ClaimRecord,
    JobRecord,
    RecordError,
    WorkerTotals,
    frame,
    packed_body,
    read_records,
    unpack_body,
)
from photosynth.pool.unclaimed import FINAL, MANY_ROWS, SOON_FINAL, Piece, Unclaimed, count_rows, tidy

FORMAT = 2
CHUNK = 2_000
"""Rows of one record: some 100 kB, so that no single call holds the interpreter for long."""
_HEAD, _TOTALS, _NAMES, _SCALES, _PIECE, _ROWS, _CLAIM, _JOB, _END = range(32, 41)
_ROW = struct.Struct("<qIII32s")
"""Start (ms), round, place of the worker and of the scale in their lists, shares and work in one integer."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """The state at one moment, shared with nobody who changes it. ``final`` and ``soon_final`` are cuts paid for good."""

    checkpoint_seq: int
    last_seq: int
    next_job: int
    blocks_found: int
    tip_height: int
    top: bytes
    totals: dict[str, WorkerTotals]
    pieces: tuple[Piece, ...]
    claims: tuple[ClaimRecord, ...]
    counted: tuple[bytes, ...]
    jobs: tuple[JobRecord, ...]
    final: int
    soon_final: int
    closed_before_ms: int


@dataclass(frozen=True, slots=True)
class Tidied:
    """What became of the frozen pieces, up to where shares are paid for good, and the bytes that were written."""

    pieces: list[Piece]
    floor: int
    size: int


def freeze(account: WorkAccount, next_job: int) -> Frozen:
    """A view of the account as it is now; the time that this takes grows with the workers and not with their work."""
    account.mark_cut()
    totals = {name: _copy(totals) for name, totals in account.totals.items()}
    last_ms = max((t.last_share_site_ms or 0 for t in totals.values()), default=0)
    final = account.final(FINAL)
    return Frozen(
        account.checkpoint_seq,
        account.last_seq,
        next_job,
        account.blocks_found,
        account.tip_height,
        account.top,
        totals,
        account.unclaimed.sealed(),
        tuple(account.claims.values()),
        tuple(account.counted),
        tuple(account.jobs.values()),
        final,
        max(final, account.final(SOON_FINAL)),
        min(account.open_intervals(), default=last_ms),
    )


def _copy(totals: WorkerTotals) -> WorkerTotals:
    copied = copy(totals)
    copied.rejected = totals.rejected.copy()
    return copied


def write_snapshot(path: Path, frozen: Frozen) -> Tidied:
    """Tidy the frozen work and write it all, durable before it has its name. Raises OSError and RecordError."""
    needed = {cut for job in frozen.jobs for cut in (job.base, job.cut)}
    needed |= {cut for claim in frozen.claims for cut in (claim.base, claim.cut)}
    floor = frozen.final
    pieces = tidy(frozen.pieces, needed, floor, frozen.closed_before_ms)
    if count_rows(pieces) > MANY_ROWS and frozen.soon_final > floor:
        floor = frozen.soon_final
        pieces = tidy(pieces, needed, floor, frozen.closed_before_ms)
    records = size = 0
    with whole_file(path) as file:
        for body in _bodies(frozen, pieces, floor):
            size += file.write(frame(body))
            records += 1
        size += file.write(frame(packed_body(_END, records)))
    return Tidied(pieces, floor, size)


def _bodies(frozen: Frozen, pieces: list[Piece], floor: int) -> Iterator[bytes]:
    f = frozen
    yield packed_body(
        _HEAD, FORMAT, f.checkpoint_seq, f.last_seq, f.next_job, f.blocks_found, f.tip_height, f.top, floor, list(f.counted)
    )
    names = list(f.totals)
    for at in range(0, len(names), CHUNK):
        yield packed_body(_TOTALS, [(name, f.totals[name]) for name in names[at : at + CHUNK]])
    workers: dict[str, int] = {}
    scales: dict[int, int] = {}
    for piece in pieces:
        for _, _, worker, scale in piece.rows:
            workers.setdefault(worker, len(workers))
            scales.setdefault(scale, len(scales))
    for kind, listed in ((_NAMES, list(workers)), (_SCALES, list(scales))):
        for at in range(0, len(listed), CHUNK):
            yield packed_body(kind, listed[at : at + CHUNK])
    for piece in pieces:
        yield packed_body(_PIECE, piece.start)
        packed = []
        for (start_ms, round_, worker, scale), value in piece.rows.items():
            packed.append(_ROW.pack(start_ms, round_, workers[worker], scales[scale], value.to_bytes(32, "little")))
            if len(packed) == CHUNK:
                yield bytes([_ROWS]) + b"".join(packed)
                packed = []
        if packed:
            yield bytes([_ROWS]) + b"".join(packed)
    for claim in f.claims:
        yield packed_body(_CLAIM, claim)
    for job in f.jobs:
        yield packed_body(_JOB, job)


@dataclass(slots=True)
class Snapshot:
    """A snapshot as it was read."""

    checkpoint_seq: int
    last_seq: int
    next_job: int
    blocks_found: int
    tip_height: int
    top: bytes
    floor: int
    counted: set[bytes]
    totals: dict[str, WorkerTotals] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    scales: list[int] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    claims: list[ClaimRecord] = field(default_factory=list)
    jobs: list[JobRecord] = field(default_factory=list)

    def restore(self, account: WorkAccount) -> None:
        """Make an account what it was."""
        account.last_seq = self.last_seq
        account.take_totals(self.totals)
        self.restore_unclaimed(account)

    def restore_unclaimed(self, account: WorkAccount) -> None:
        """Make an account's unclaimed work, blocks and jobs what they were, tidied as they were then."""
        account.jobs = {job.key: job for job in self.jobs}
        account.blocks_found, account.tip_height, account.top = self.blocks_found, self.tip_height, self.top
        account.counted = self.counted
        account.claims = {claim.block_hash: claim for claim in self.claims}
        account.unclaimed = Unclaimed(self.pieces, self.floor)
        account.mark_cut(self.last_seq)
        account.forget_claims()


def read_snapshot(path: Path) -> Snapshot | None:
    """A snapshot, None where it is missing or not whole. Raises RecordError where it is of another format."""
    snapshot: Snapshot | None = None
    records = end = 0
    last = b""
    try:
        with path.open("rb") as file:
            for end, body in read_records(file):  # noqa: B007  the last end is where the good records stop
                if snapshot is None:
                    if body[0] != _HEAD:
                        return None
                    snapshot = _begin(path, body)
                elif records > 1:
                    _take(snapshot, last)
                records, last = records + 1, body
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return None
    whole = end == size and records > 1 and last[0] == _END and unpack_body(last) == [records - 1]
    return snapshot if whole else None


def _begin(path: Path, head: bytes) -> Snapshot:
    form, *values, counted = unpack_body(head)
    if form != FORMAT:
        raise RecordError(f"{path} has format {form}; this version reads {FORMAT}")
    checkpoint_seq, last_seq, next_job, blocks_found, tip_height, top, floor = values
    return Snapshot(checkpoint_seq, last_seq, next_job, blocks_found, tip_height, top, floor, set(counted))


def _take(snapshot: Snapshot, body: bytes) -> None:
    kind = body[0]
    if kind == _ROWS:
        _take_rows(snapshot, body)
        return
    (value,) = unpack_body(body)
    if kind == _TOTALS:
        snapshot.totals.update({name: msgspec.convert(row, WorkerTotals) for name, row in value})
    elif kind == _NAMES:
        snapshot.names += value
    elif kind == _SCALES:
        snapshot.scales += value
    elif kind == _PIECE:
        snapshot.pieces.append(Piece(value))
    elif kind == _CLAIM:
        snapshot.claims.append(msgspec.convert(value, ClaimRecord))
    elif kind == _JOB:
        snapshot.jobs.append(msgspec.convert(value, JobRecord))
    else:
        raise RecordError(f"a snapshot holds a record of a kind that is not known: {kind}")


def _take_rows(snapshot: Snapshot, body: bytes) -> None:
    held, names, scales = snapshot.pieces[-1].rows, snapshot.names, snapshot.scales
    rows: Any = _ROW.iter_unpack(memoryview(body)[1:])
    for start_ms, round_, worker, scale, value in rows:
        held[start_ms, round_, names[worker], scales[scale]] = int.from_bytes(value, "little")
