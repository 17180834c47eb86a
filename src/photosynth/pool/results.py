"""What the pool hands to the rest of the system: closed intervals and found blocks."""

from dataclasses import dataclass

from photosynth.bitcoin.node import Verdict
from photosynth.stratum.messages import ErrorCode

CAUSES: dict[str, ErrorCode] = {
    "malformed": ErrorCode.OTHER,
    "storage": ErrorCode.OTHER,
    "time": ErrorCode.OTHER,
    "stale": ErrorCode.JOB_NOT_FOUND,
    "duplicate": ErrorCode.DUPLICATE,
    "low-difficulty": ErrorCode.LOW_DIFFICULTY,
    "unauthorized": ErrorCode.UNAUTHORIZED,
    "not-subscribed": ErrorCode.NOT_SUBSCRIBED,
}
"""Why a share is rejected, by name, with the code that the miner is told."""


@dataclass(frozen=True, slots=True)
class WorkEntry:
    """What one worker proved in one interval, round, target and scale.

    ``work`` hashes are ``accepted`` times the target's work; ``represented`` is that times ``scale``. ``share_root`` is
    the Merkle root over the accepted headers' hashes in the order of the log. ``minutes`` are the accepted shares of
    each of the interval's fifteen minutes (site time). ``round`` is the height that was worked on.
    """

    worker: str
    round: int
    target: int
    scale: int
    accepted: int
    work: int
    represented: int
    share_root: bytes
    minutes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BestHeader:
    """One of an interval's 32 lowest headers of a scale: 80 bytes, its job's key, and both parts of the extranonce."""

    header: bytes
    job: int
    extranonce: bytes


@dataclass(frozen=True, slots=True)
class JobParts:
    """What links a header to its coinbase: ``prefix + extranonce + suffix`` hashes along ``branch`` to its root."""

    prefix: bytes
    suffix: bytes
    branch: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class IntervalWork:
    """A closed quarter hour of site time. ``last_seq`` is the number of the last log entry that it or one before holds."""

    interval_start_ms: int
    entries: tuple[WorkEntry, ...]
    rejected: dict[tuple[str, int], int]
    best: dict[int, tuple[BestHeader, ...]]
    jobs: dict[int, JobParts]
    last_seq: int


@dataclass(frozen=True, slots=True, order=True)
class Attribution:
    """Work of one interval, round and worker that a block's satoshis are split over.

    Old work comes folded: with round 0, ``interval_start_ms`` is the start of a UTC day, or zero for all days before; there
    the worker ``(others)`` stands for many with little work each.
    """

    interval_start_ms: int
    round: int
    worker: str
    scale: int
    shares: int
    work: int
    represented: int


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """A block that a share of ours solved, with the node's verdict.

    ``attribution`` names exactly the shares that it pays while it is in the chain: those up to ``cut`` that no block of
    ours below it on its branch pays. It never changes, and is empty where the node refused the block. ``target`` is what
    its job asked of a block. ``recovered`` says that it is told again, or late.
    """

    height: int
    hash: bytes
    raw: bytes
    verdict: Verdict
    worker: str
    job_id: int
    target: int
    cut: int
    value_sat: int
    site_ms: int
    wall_ms: int
    attribution: tuple[Attribution, ...]
    recovered: bool = False
