"""The share log's files: numbered segments, each beginning with a snapshot of everything before it.

A segment is written beside, synchronised, then renamed, so its head is always whole; only its tail can be torn. Opening
replays the segments that are there, cuts a torn tail off at the first bad record (keeping the cut bytes in a
``.damaged`` file) and says so.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from photosynth.files.whole import forget_unfinished, own_file, write_whole
from photosynth.pool.accounting import WorkAccount
from photosynth.pool.records import (
    KIND_CLAIM,
    KIND_GROUP,
    KIND_JOB,
    KIND_REJECT,
    KIND_SHARE,
    KIND_SNAPSHOT,
    ClaimRecord,
    JobRecord,
    RecordError,
    RejectRecord,
    WorkerTotals,
    frame,
    packed_body,
    parse_share,
    read_records,
    unpack_body,
)
from photosynth.pool.results import Attribution
from photosynth.stratum.work import double_sha256

FORMAT = 1


class ShareLogError(Exception):
    """The share log cannot be used; the message names the file and says what to do."""


@dataclass(slots=True)
class Segment:
    """One file of the log: where it is, its bytes that count, and the last sequence number in it."""

    path: Path
    size: int
    last_seq: int


@dataclass(slots=True)
class Replayed:
    """What opening found: the state, the segments in order, the next job's key, and what had to be mended."""

    account: WorkAccount
    segments: list[Segment]
    next_job: int
    repairs: tuple[str, ...]


def snapshot(account: WorkAccount, next_job: int) -> bytes:
    """The head of a new segment: the whole state but open intervals, whose entries stay in the segments before."""
    claims = [(claim, [_row(part) for part in parts]) for claim, parts in account.claims.values()]
    body = packed_body(
        KIND_SNAPSHOT,
        FORMAT,
        account.checkpoint_seq,
        account.last_seq,
        next_job,
        account.blocks_found,
        account.claimed_cut,
        account.totals,
        account.pending(),
        claims,
    )
    return frame(body) + b"".join(frame(packed_body(KIND_JOB, job)) for job in account.jobs.values())


def _row(part: Attribution) -> tuple[Any, ...]:
    return (part.interval_start_ms, part.round, part.worker, part.scale, part.shares, part.work, part.represented)


def write_segment(folder: Path, number: int, data: bytes) -> Path:
    """Create a segment that begins with these bytes, durable before it has its name. Raises OSError."""
    path = folder / f"{number:08d}.log"
    write_whole(path, data)
    return path


def open_segments(folder: Path, *, read_only: bool = False) -> Replayed:
    """Replay the log in a folder, which is created where it is missing. Raises ShareLogError and OSError.

    ``read_only`` changes nothing: a torn tail is left where it is and not counted, and a folder without a log is empty.
    """
    if not read_only:
        folder.mkdir(parents=True, exist_ok=True)
        forget_unfinished(folder)
    paths = sorted(folder.glob("[0-9]*.log"))
    if not paths:
        account = WorkAccount()
        if read_only:
            return Replayed(account, [], 1, ())
        head = snapshot(account, 1)
        path = write_segment(folder, 1, head)
        return Replayed(account, [Segment(path, len(head), 0)], 1, ())
    contents: list[list[bytes]] = []
    segments: list[Segment] = []
    repairs: list[str] = []
    for path in paths:
        data = path.read_bytes()
        bodies, end = [], 0
        for end, body in read_records(data):  # noqa: B007  the last end is where the good records stop
            bodies.append(body)
        if not bodies or bodies[0][0] != KIND_SNAPSHOT:
            raise ShareLogError(
                f"{path} does not begin with a whole snapshot, so the totals before it are not known here. "
                f"Restore it from a backup, or start with --accept-lost-shares to count from zero."
            )
        if end < len(data) and not read_only:
            repairs.append(_cut_tail(path, data, end))
        contents.append(bodies)
        segments.append(Segment(path, end, 0))
    account, next_job = _replay(contents, segments, repairs)
    return Replayed(account, segments, next_job, tuple(repairs))


def _cut_tail(path: Path, data: bytes, end: int) -> str:
    damaged = path.with_suffix(".damaged")
    write_whole(damaged, data[end:])
    with os.fdopen(own_file(path, os.O_RDWR), "r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    return (
        f"{path}: {len(data) - end} bytes after offset {end} are not whole records (a stop in the middle of writing); "
        f"cut off and kept in {damaged.name}"
    )


def _replay(contents: list[list[bytes]], segments: list[Segment], repairs: list[str]) -> tuple[WorkAccount, int]:
    account = WorkAccount()
    account.checkpoint_seq = int(unpack_body(contents[-1][0])[1])
    cuts = sorted({int(unpack_body(body)[0][6]) for bodies in contents for body in bodies if body[0] == KIND_JOB}, reverse=True)
    next_job = 1
    for at, bodies in enumerate(contents):
        values = unpack_body(bodies[0])
        if values[0] != FORMAT:
            raise ShareLogError(f"{segments[at].path} has format {values[0]}; this version reads {FORMAT}")
        if at == 0 or account.last_seq != values[2]:
            if at:
                repairs.append(f"{segments[at].path}: entries before it are missing; totals are those of its snapshot")
            _restore(account, values)
        next_job = max(next_job, values[3])
        groups: dict[int, tuple[str, int, int, int]] = {}
        for body in bodies[1:]:
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
                claim = msgspec.convert(unpack_body(body)[0], ClaimRecord)
                _mark_cuts(account, cuts, claim.cut + 1)
                account.apply_claim(claim)
            else:
                raise RecordError(f"a record of a kind that is not known: {kind}")
        segments[at].last_seq = account.last_seq
    _mark_cuts(account, cuts, account.last_seq + 1)
    return account, next_job


def _mark_cuts(account: WorkAccount, cuts: list[int], seq: int) -> None:
    """Part the unclaimed work where a job was cut, before the entry ``seq`` is applied; uses up ``cuts`` from the end."""
    while cuts and cuts[-1] < seq:
        account.mark_cut(cuts.pop())


def _restore(account: WorkAccount, values: list[Any]) -> None:
    account.last_seq, account.blocks_found, account.claimed_cut = values[2], values[4], values[5]
    account.totals = {name: msgspec.convert(row, WorkerTotals) for name, row in values[6].items()}
    account.restore_pending((start, [tuple(row) for row in rows]) for start, rows in values[7])
    account.claims = {}
    for claim_row, parts in values[8]:
        claim = msgspec.convert(claim_row, ClaimRecord)
        account.claims[claim.block_hash] = (claim, tuple(Attribution(*row) for row in parts))
