"""Does a quarter hour's work hold: its lowest headers really hash as low as so much work would, and pay us."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from photosynth.bitcoin.block import Header, root_of_branch
from photosynth.bitcoin.coinbase import read_commitment, read_height
from photosynth.bitcoin.transaction import Transaction
from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.work import TWO_256
from photosynth.treasury.evidence.body import BEST_HEADERS
from photosynth.treasury.evidence.parsing import parse_work
from photosynth.treasury.evidence.reading import EvidenceError, Members, count, octets, row, rows
from photosynth.treasury.facts import SiteFacts, WorkFact

LEAST, MOST = 8, 80
"""Bounds of how many listed shares hash as low as the highest of 32 best headers, by expectation. For honest shares of one
target it follows a gamma distribution of shape 32 (mean 32, standard deviation 5.7), of several targets a narrower one:
outside these bounds lies less than one honest record in a thousand million. Above it shares were invented. Below it they were
left out, or a miner handed in only what met a harder target of its own, as some machines do: that is no fault."""


@dataclass(slots=True)
class WorkState:
    """What is carried over: heads that may be committed to, accepted shares by key, and sums for the report.

    ``hashes`` are those of all best headers, ``parents`` the blocks that they stand on, the genesis block aside.
    """

    heads: dict[bytes, int] = field(default_factory=dict)
    accepted: dict[int, dict[tuple[int, str, int], list[int]]] = field(default_factory=dict)
    newest_ms: int = -1
    shares: int = 0
    rejected: int = 0
    work: int = 0
    represented: int = 0
    estimated_work: int = 0
    better_than_listed: int = 0
    headers: int = 0
    unlinked_headers: int = 0
    anchored_by_work: int = -1
    hashes: set[bytes] = field(default_factory=set)
    parents: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Job:
    prefix: bytes
    suffix: bytes
    branch: tuple[bytes, ...]


def check_work(m: Members, site: SiteFacts, start_ms: int, state: WorkState) -> int:
    """Check a record's work against its best headers, remember it for the blocks that claim it; returns accepted shares."""
    work, rejected = parse_work(m)
    jobs = [_job(entry) for entry in m.rows("jobs")]
    by_scale: dict[int, list[WorkFact]] = {}
    totals = state.accepted.setdefault(start_ms, {})
    state.newest_ms = start_ms
    for fact in work:
        by_scale.setdefault(fact.scale, []).append(fact)
        sums = totals.setdefault((fact.round, fact.worker, fact.scale), [0, 0])
        sums[0] += fact.accepted
        sums[1] += fact.work
        state.work += fact.work
        state.represented += fact.represented
        state.shares += fact.accepted
    state.rejected += sum(fact.shares for fact in rejected)
    listed = {}
    for entry in m.rows("best"):
        best = Members(entry, "best headers")
        scale = best.count("scale")
        if scale in listed:
            raise EvidenceError(f"best headers are listed twice for the scale {scale}")
        listed[scale] = best.rows("headers")
        best.finish()
    if not listed.keys() <= by_scale.keys():
        raise EvidenceError("it lists best headers of a scale without work")
    for scale, facts in by_scale.items():
        _check_best(listed.get(scale, []), facts, jobs, site, state)
    return sum(fact.accepted for fact in work)


def _check_best(entries: list[Any], work: list[WorkFact], jobs: list[_Job], site: SiteFacts, state: WorkState) -> None:
    accepted = sum(fact.accepted for fact in work)
    if len(entries) != min(BEST_HEADERS, accepted):
        raise EvidenceError(f"{accepted} accepted shares have {min(BEST_HEADERS, accepted)} best headers, not {len(entries)}")
    if not entries:
        return
    loosest = max(fact.target for fact in work if fact.accepted)
    rounds = {fact.round for fact in work}
    numbers = [_check_header(entry, loosest, rounds, jobs, site=site, state=state) for entry in entries]
    claimed = sum(fact.work for fact in work)
    if len(numbers) < BEST_HEADERS:
        state.estimated_work += claimed
        return
    as_low = expected_as_low(work, max(numbers))
    if as_low > MOST * TWO_256:
        raise EvidenceError("its best headers are too few for so much work: shares are listed that nobody hashed")
    state.better_than_listed += as_low < LEAST * TWO_256
    state.estimated_work += claimed * (BEST_HEADERS - 1) * TWO_256 // max(1, as_low)


def expected_as_low(work: Iterable[WorkFact], highest: int) -> int:
    """How many of the listed shares hash as low as a header by expectation, times 2^256.

    A share of a target below the header is as low for certain, any other one with the chance of header / target.
    """
    return sum(fact.work * min(highest, fact.target) for fact in work)


def _check_header(entry: Any, loosest: int, rounds: set[int], jobs: list[_Job], *, site: SiteFacts, state: WorkState) -> int:
    raw, job_at, extranonce = row(entry, 3, "a best header")
    header = Header.parse(octets(raw, "a best header", 80))
    if header.hash in state.hashes:
        raise EvidenceError("a header is listed twice among the best, here or in a record before")
    state.hashes.add(header.hash)
    if header.hash_number > loosest:
        raise EvidenceError("a best header does not meet the target of its shares")
    if job_at is None:
        state.unlinked_headers += 1
        return header.hash_number
    at = count(job_at, "a best header's job")
    if at >= len(jobs):
        raise EvidenceError("a best header refers to a job that is not listed")
    job = jobs[at]
    try:
        coinbase = Transaction.parse(job.prefix + octets(extranonce, "an extranonce") + job.suffix)
    except FormatError as error:
        raise EvidenceError(f"a best header's coinbase cannot be read: {error}") from error
    if not coinbase.is_coinbase or root_of_branch(coinbase.txid, job.branch) != header.merkle_root:
        raise EvidenceError("a best header is not of the job that it names: its Merkle root is another")
    if any(output.value_sat and output.script != site.payout_script for output in coinbase.outputs):
        raise EvidenceError("a best header's coinbase pays somebody else")
    height = read_height(coinbase)
    if height is None or height not in rounds:
        raise EvidenceError("a best header belongs to a round in which no work is listed")
    commitment = read_commitment(coinbase)
    if commitment is None:
        raise EvidenceError("a best header's coinbase commits to nothing; every job of ours commits to a line")
    anchored = state.heads.get(commitment)
    if anchored is None:
        raise EvidenceError(
            f"a best header's coinbase commits to {commitment.hex()}, which is the hash of no line before it: "
            "a line before was changed after this work was done"
        )
    state.headers += 1
    if height > 1:
        state.parents.add(header.previous_hash)
    state.anchored_by_work = max(state.anchored_by_work, anchored)
    return header.hash_number


def _job(value: Any) -> _Job:
    m = Members(value, "a job")
    job = _Job(
        m.octets("prefix"),
        m.octets("suffix"),
        tuple(octets(entry, "a branch", 32) for entry in rows(m.take("branch"), "a branch")),
    )
    m.finish()
    return job
