"""The share log's files: numbered segments of entries, and beside each a snapshot of the state before it.

A segment is created with its first record by a rename, so only its tail can be torn; its snapshot follows a moment later.
Opening begins with the oldest segment's snapshot and replays the segments that are there, cuts a torn tail off at the
first bad record (keeping the cut bytes in a ``.damaged`` file) and says so.
"""

import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from photosynth.files.whole import forget_unfinished, own_file, whole_file, write_whole
from photosynth.pool.accounting import WorkAccount
from photosynth.pool.records import (
    KIND_CLAIM,
    KIND_GROUP,
    KIND_JOB,
    KIND_REJECT,
    KIND_SEGMENT,
    KIND_SHARE,
    KIND_TOP,
    ClaimRecord,
    JobRecord,
    RecordError,
    RejectRecord,
    frame,
    packed_body,
    parse_share,
    read_records,
    unpack_body,
)
from photosynth.pool.snapshots import FORMAT, Snapshot, freeze, read_snapshot, write_snapshot
from photosynth.stratum.work import double_sha256

_NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, OverflowError, struct.error, msgspec.MsgspecError)
"""What reading raises where a record has its checksum and is none of ours."""


class ShareLogError(Exception):
    """The share log cannot be used; the message names the file and says what to do."""


@dataclass(slots=True)
class Segment:
    """One file of the log: where it is, its bytes that count, the last sequence number in it, and if it has a snapshot."""

    path: Path
    size: int
    last_seq: int
    has_snapshot: bool = False


@dataclass(slots=True)
class Replayed:
    """What opening found: the state, the segments in order, the next job's key, and what had to be mended."""

    account: WorkAccount
    segments: list[Segment]
    next_job: int
    repairs: tuple[str, ...]


def create_segment(folder: Path, number: int, checkpoint_seq: int) -> Segment:
    """A new segment with its first record, durable before it has its name. Raises OSError."""
    path = folder / f"{number:08d}.log"
    head = frame(packed_body(KIND_SEGMENT, FORMAT, checkpoint_seq))
    write_whole(path, head)
    return Segment(path, len(head), 0)


def snapshot_path(segment: Path) -> Path:
    """Where the snapshot of the state before a segment is."""
    return segment.with_suffix(".state")


def open_segments(folder: Path, *, read_only: bool = False) -> Replayed:
    """Replay the log in a folder, which is created where it is missing. Raises ShareLogError and OSError.

    ``read_only`` changes nothing: a torn tail is left where it is and not counted, and a folder without a log is empty.
    """
    if not read_only:
        folder.mkdir(parents=True, exist_ok=True)
        forget_unfinished(folder)
    paths = sorted(folder.glob(f"{'[0-9]' * 8}.log"))
    if not paths:
        if any(path.stem != "00000001" for path in folder.glob("*.state")):
            raise ShareLogError(
                f"{folder} has snapshots without the entries after them. Restore it from a backup, or move it away to "
                "count from zero."
            )
        account = WorkAccount()
        if read_only:
            return Replayed(account, [], 1, ())
        write_snapshot(folder / "00000001.state", freeze(account, 1))
        segment = create_segment(folder, 1, 0)
        segment.has_snapshot = True
        return Replayed(account, [segment], 1, ())
    repairs: list[str] = []
    segments: list[Segment] = []
    cuts: set[int] = set()
    for path in paths:
        end, size = _look_through(path, cuts)
        if not end or (path is paths[0] and _snapshot_of(path) is None):
            raise ShareLogError(
                f"{path} or {snapshot_path(path).name} beside it is not whole, so the totals before it are not known here. "
                f"Restore both from a backup, or start with --accept-lost-shares to count from zero."
            )
        if end < size and not read_only:
            repairs.append(_cut_tail(path, end, size))
        segments.append(Segment(path, end, 0))
    try:
        account, next_job = _replay(segments, sorted(cuts, reverse=True), repairs)
    except _NOT_UNDERSTOOD as error:
        raise ShareLogError(_advice(folder, error)) from error
    return Replayed(account, segments, next_job, tuple(repairs))


def _look_through(path: Path, cuts: set[int]) -> tuple[int, int]:
    """Add a segment's cuts, which must be known before the entries that they part are applied.

    Returns where its whole records end, zero where it does not begin as a segment does, and its size.
    """
    end = 0
    with path.open("rb") as file:
        for at, body in read_records(file):
            if not end and body[0] != KIND_SEGMENT:
                break
            end = at
            if body[0] == KIND_JOB:
                try:
                    cuts.add(int(unpack_body(body)[0][6]))
                except _NOT_UNDERSTOOD as error:
                    raise ShareLogError(_advice(path, error)) from error
        return end, os.fstat(file.fileno()).st_size


def _snapshot_of(segment: Path) -> Snapshot | None:
    try:
        return read_snapshot(snapshot_path(segment))
    except _NOT_UNDERSTOOD as error:
        raise ShareLogError(_advice(snapshot_path(segment), error)) from error


def _bodies(segment: Segment) -> Iterator[bytes]:
    """A segment's records up to where they are whole, one at a time: a long log need not fit into the memory."""
    with segment.path.open("rb") as file:
        for end, body in read_records(file):
            yield body
            if end >= segment.size:
                return


def _advice(path: Path, error: Exception) -> str:
    return (
        f"{path}: what is written there is whole and cannot be understood ({error}): another version wrote it. Start that "
        "one, restore a backup, or start with --accept-lost-shares to count from zero."
    )


def _cut_tail(path: Path, end: int, size: int) -> str:
    damaged = path.with_suffix(".damaged")
    with os.fdopen(own_file(path, os.O_RDWR), "r+b") as file:
        file.seek(end)
        with whole_file(damaged) as kept:
            shutil.copyfileobj(file, kept)
        file.truncate(end)
        os.fsync(file.fileno())
    return (
        f"{path}: {size - end} bytes after offset {end} are not whole records (a stop in the middle of writing); "
        f"cut off and kept in {damaged.name}"
    )


def _replay(segments: list[Segment], cuts: list[int], repairs: list[str]) -> tuple[WorkAccount, int]:
    account = WorkAccount()
    account.checkpoint_seq = int(unpack_body(next(_bodies(segments[-1])))[1])
    next_job, before = 1, 0
    for at, segment in enumerate(segments):
        path, bodies = segment.path, _bodies(segment)
        form = unpack_body(next(bodies))[0]
        if form != FORMAT:
            raise ShareLogError(f"{path} has format {form}; this version reads {FORMAT}")
        snapshot = _snapshot_of(path)
        segment.has_snapshot = snapshot is not None
        gap = at > 0 and int(path.stem) != before + 1
        before = int(path.stem)
        if snapshot is not None:
            if gap and snapshot.last_seq > account.checkpoint_seq:
                repairs.append(f"{path}: entries before it are missing; totals are those of its snapshot")
            if at == 0 or gap or account.last_seq != snapshot.last_seq:
                snapshot.restore(account)
            else:
                snapshot.restore_unclaimed(account)
            next_job = max(next_job, snapshot.next_job)
        elif gap:
            raise ShareLogError(f"the segment before {path} is missing, and so is its snapshot. Restore them from a backup.")
        next_job = max(next_job, _apply_entries(account, bodies, cuts))
        segment.last_seq = account.last_seq
    _mark_cuts(account, cuts, account.last_seq + 1)
    return account, next_job


def _apply_entries(account: WorkAccount, bodies: Iterable[bytes], cuts: list[int]) -> int:
    """Apply a segment's entries in their order; returns the key after the last job's."""
    next_job = 1
    groups: dict[int, tuple[str, int, int, int]] = {}
    for body in bodies:
        kind = body[0]
        if kind == KIND_SHARE:
            seq, share = parse_share(body, groups)
            _mark_cuts(account, cuts, seq)
            account.apply_share(seq, share, double_sha256(share.header))
        elif kind == KIND_GROUP:
            number, worker, round_, target, scale = unpack_body(body)
            groups[number] = (worker, round_, target, scale)
        elif kind == KIND_REJECT:
            seq, reject = unpack_body(body)
            _mark_cuts(account, cuts, seq)
            account.apply_reject(seq, msgspec.convert(reject, RejectRecord))
        elif kind == KIND_JOB:
            job = msgspec.convert(unpack_body(body)[0], JobRecord)
            account.apply_job(job)
            next_job = max(next_job, job.key + 1)
        elif kind == KIND_CLAIM:
            account.apply_claim(msgspec.convert(unpack_body(body)[0], ClaimRecord))
        elif kind == KIND_TOP:
            account.apply_top(unpack_body(body)[0])
        else:
            raise RecordError(f"a record of a kind that is not known: {kind}")
    return next_job


def _mark_cuts(account: WorkAccount, cuts: list[int], seq: int) -> None:
    """Part the unclaimed work where a job was cut, before the entry ``seq`` is applied; uses up ``cuts`` from the end."""
    while cuts and cuts[-1] < seq:
        account.mark_cut(cuts.pop())
