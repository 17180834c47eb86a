"""Do best headers hold: each hashes low enough, was not listed before, and its coinbase pays us and commits to a line."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from photosynth.bitcoin.block import root_of_branch
from photosynth.bitcoin.wire import FormatError, double_sha256
from photosynth.treasury.evidence.coinbases import JobCoinbases, ReadCoinbase
from photosynth.treasury.evidence.heads import Commitment
from photosynth.treasury.evidence.reading import EvidenceError, count, octets, row
from photosynth.treasury.evidence.seen import SeenHeaders

HEADER_BYTES = 80


@dataclass(slots=True)
class HeaderState:
    """What is carried over: what was seen, and the place in the file up to which work commits to lines.

    ``seen`` are all best headers, ``parents`` the blocks that they stand on, the genesis block aside.
    """

    headers: int = 0
    unlinked_headers: int = 0
    anchored_by_work: int = -1
    seen: SeenHeaders = field(default_factory=SeenHeaders)
    parents: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one scale's best headers are held against: the loosest target of its shares, its rounds, the jobs, who is paid.

    ``committed`` gives the place in the file that a commitment binds, and raises EvidenceError where it binds none.
    """

    loosest: int
    rounds: set[int]
    jobs: list[JobCoinbases]
    payout_script: bytes
    committed: Callable[[Commitment, bytes], int]


def check_headers(entries: list[Any], asked: Asked, state: HeaderState) -> int:
    """Check the best headers of one scale, at least one, and remember them; returns the highest hash as a number."""
    highest = _all_at_once(entries, asked, state)
    if highest is None:
        highest = max(_check_header(entry, asked, state) for entry in entries)
    return highest


def _all_at_once(entries: list[Any], asked: Asked, state: HeaderState) -> int | None:
    """The same for headers without fault, of one job each, in a third of the time; None, and nothing done, for any others."""
    if not all(type(entry) is list and len(entry) == 3 for entry in entries):
        return None
    raws, places, extranonces = zip(*entries, strict=True)
    headers = _cut(raws, HEADER_BYTES)
    if headers is None or not all(type(at) is int and 0 <= at < len(asked.jobs) for at in places):
        return None
    hashes = [sha256(sha256(header).digest()).digest() for header in headers]
    highest = int.from_bytes(max(header_hash[::-1] for header_hash in hashes), "big")
    new: dict[bytes, list[bytes]] = {}
    for header, header_hash in zip(headers, hashes, strict=True):
        new.setdefault(header[4:36], []).append(header_hash)
    if highest > asked.loosest or len(set(hashes)) != len(hashes):
        return None
    if not all(state.seen.holds_none(parent, mine) for parent, mine in new.items()):
        return None
    parents, anchored = set(), -1
    for at in set(places):
        of_job = [n for n, place in enumerate(places) if place == at]
        found = _of_one_job(asked.jobs[at], [headers[n] for n in of_job], tuple(extranonces[n] for n in of_job))
        if found is None:
            return None
        try:
            height, committed = _check_coinbase(found, asked.jobs[at].commitment, asked)
        except EvidenceError:
            return None
        anchored = max(anchored, committed)
        if height > 1:
            parents |= {headers[n][4:36] for n in of_job}
    for parent, mine in new.items():
        state.seen.add(parent, mine)
    state.parents |= parents
    state.headers += len(headers)
    state.anchored_by_work = max(state.anchored_by_work, anchored)
    return highest


def _cut(texts: tuple[Any, ...], size: int) -> list[bytes] | None:
    """Hexadecimal texts as bytes, where each is of that size; None where one is not as it must be."""
    if not all(type(text) is str and len(text) == 2 * size for text in texts):
        return None
    together = "".join(texts)
    try:
        found = bytes.fromhex(together)
    except ValueError:
        return None
    if found.hex() != together:
        return None
    return [found[at : at + size] for at in range(0, len(found), size)]


def _of_one_job(job: JobCoinbases, headers: list[bytes], extranonces: tuple[Any, ...]) -> ReadCoinbase | None:
    """The coinbase that all these headers share but for its extranonce; None where one of them has another, or none."""
    size = len(extranonces[0]) // 2 if type(extranonces[0]) is str else 0
    cut = _cut(extranonces, size) if size else None
    known = None if cut is None else job.shared(cut[0])
    if cut is None or known is None or not known.is_coinbase:
        return None
    prefix, suffix, branch = job.prefix, job.suffix, job.branch
    roots = [sha256(sha256(prefix + extranonce + suffix).digest()).digest() for extranonce in cut]
    if branch:
        roots = [root_of_branch(root, branch) for root in roots]
    return known if roots == [header[36:68] for header in headers] else None


def _check_header(entry: Any, asked: Asked, state: HeaderState) -> int:
    raw, job_at, extranonce = row(entry, 3, "a best header")
    header = octets(raw, "a best header", HEADER_BYTES)
    header_hash = double_sha256(header)
    if not state.seen.holds_none(header[4:36], (header_hash,)):
        raise EvidenceError("a header is listed twice among the best, here or in a record before")
    state.seen.add(header[4:36], (header_hash,))
    hash_number = int.from_bytes(header_hash, "little")
    if hash_number > asked.loosest:
        raise EvidenceError("a best header does not meet the target of its shares")
    if job_at is None:
        state.unlinked_headers += 1
        return hash_number
    at = count(job_at, "a best header's job")
    if at >= len(asked.jobs):
        raise EvidenceError("a best header refers to a job that is not listed")
    job = asked.jobs[at]
    try:
        coinbase = job.coinbase(octets(extranonce, "an extranonce"))
    except FormatError as error:
        raise EvidenceError(f"a best header's coinbase cannot be read: {error}") from error
    if not coinbase.is_coinbase or root_of_branch(coinbase.txid, job.branch) != header[36:68]:
        raise EvidenceError("a best header is not of the job that it names: its Merkle root is another")
    height, anchored = _check_coinbase(coinbase, job.commitment, asked)
    state.headers += 1
    if height > 1:
        state.parents.add(header[4:36])
    state.anchored_by_work = max(state.anchored_by_work, anchored)
    return hash_number


def _check_coinbase(coinbase: ReadCoinbase, commitment: Commitment, asked: Asked) -> tuple[int, int]:
    """Check what a best header's coinbase says; returns its height, and the place in the file that it commits to."""
    if not coinbase.pays_only(asked.payout_script):
        raise EvidenceError("a best header's coinbase pays somebody else")
    height, root = coinbase.height, coinbase.commitment
    if height is None or height not in asked.rounds:
        raise EvidenceError("a best header belongs to a round in which no work is listed")
    if root is None:
        raise EvidenceError("a best header's coinbase commits to nothing; every job of ours commits to a line")
    try:
        return height, asked.committed(commitment, root)
    except EvidenceError as error:
        raise EvidenceError(f"a best header's coinbase {error}") from None
