"""Blocks of ours, of every branch: which of them the chain holds, what each pays, and telling the books of them.

What a block pays is fixed by its job (:mod:`photosynth.pool.unclaimed`), so a block that the node keeps on a side branch
is told of with its work like any other, and needs no word more where a reorganisation brings it into the chain, or takes
it out. What is looked up with every new tip is which of our blocks is the highest below it: the next job goes on there.
"""

import asyncio
from dataclasses import replace

import msgspec

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import BitcoinNode, Verdict
from photosynth.bitcoin.wire import FormatError
from photosynth.pool.config import PoolEvents
from photosynth.pool.records import ClaimRecord, JobRecord
from photosynth.pool.results import FoundBlock
from photosynth.pool.share_log import ShareLog
from photosynth.pool.unclaimed import attribute_work

MAX_UNDECIDED = 256
"""Blocks without a verdict that are kept; a node that never answers must not fill the memory. The chain is searched, too."""
SIDE_BRANCH = Verdict("inconclusive")


class OwnBlocks:
    """Our blocks that are not final. Every method that asks the node raises NodeUnavailableError."""

    def __init__(self, node: BitcoinNode, log: ShareLog, events: PoolEvents) -> None:
        self._node = node
        self._log = log
        self._events = events
        self._undecided: dict[bytes, ClaimRecord] = {}
        self._tip: tuple[int, bytes] | None = None

    def submitted(self, claim: ClaimRecord) -> None:
        """A block is on its way to the node."""
        self._undecided[claim.block_hash] = claim

    def found(self, block_hash: bytes) -> bool:
        """Whether a block is ours: from before the node has it, until nothing can take it out of the chain any more.

        May be asked on any thread.
        """
        account = self._log.account
        return block_hash in self._undecided or block_hash in account.claims or block_hash in account.counted

    def jobs(self) -> set[int]:
        """Keys of the jobs of blocks that wait for their verdict."""
        return {claim.job for claim in self._undecided.values()}

    async def decided(self, found: FoundBlock, claim: ClaimRecord) -> None:
        """Tell of a block with its verdict, and log it where the chain holds it or may come to hold it."""
        if found.verdict.reason not in (None, "inconclusive", "duplicate", "duplicate-inconclusive"):
            self._undecided.pop(claim.block_hash, None)
            self._events.block_found(found)
            return
        self._log.append_claim(msgspec.structs.replace(claim, accepted=found.verdict.accepted))
        self._undecided.pop(claim.block_hash, None)
        await self._tell(found, claim)

    async def without_verdict(self, found: FoundBlock, claim: ClaimRecord) -> None:
        """The node never said what became of a block; it is told of when it is seen in the chain, or was already."""
        self._undecided.pop(claim.block_hash, None)
        account = self._log.account
        if claim.block_hash in account.counted:
            await self._tell(found, claim)
        elif sum(held.block_hash not in account.counted for held in account.claims.values()) < MAX_UNDECIDED:
            self._log.append_claim(claim)

    async def is_active(self, block_hash: bytes) -> bool:
        """Whether the chain holds a block."""
        return await self._node.height_of(block_hash) is not None

    async def below(self, tip_hash: bytes, height: int) -> bytes | None:
        """The highest block of ours on the branch that ends with the node's tip, empty where there is none.

        None where the chain changed while it was looked at. Blocks that are new in it are told of.
        """
        account = self._log.account
        if self._tip is not None and await self._node.block_hash(self._tip[0]) != self._tip[1]:
            await self._search()  # a branch came back or in; a crash may have kept us from knowing all of ours on it
        top = b""
        # On one branch cuts grow with the height, so the first that is in the chain is the highest there.
        for claim in sorted({**self._undecided, **account.claims}.values(), key=lambda c: (c.cut, c.height), reverse=True):
            if claim.block_hash == tip_hash or await self.is_active(claim.block_hash):
                top = claim.block_hash
                break
        if await self._node.block_hash(height) != tip_hash:
            return None
        if top in self._undecided:
            self._log.append_claim(self._undecided[top])
        new = [c for c in account.branch(top) if c.block_hash not in account.counted and c.block_hash not in self._undecided]
        raws = [await self._node.block(claim.block_hash) for claim in new]
        self._log.append_top(top)
        self._tip = (height, tip_hash)
        for claim, raw in zip(new, raws, strict=True):
            if raw is not None:
                await self._tell(_again(claim, raw, Verdict(None)), claim)
        return top

    async def recover(self) -> int:
        """Tell again of all blocks of ours, and find those of logged jobs that the chain holds and nobody told of.

        Returns how many were found now.
        """
        account = self._log.account
        for claim in [c for c in account.claims.values() if c.base >= account.unclaimed.floor]:
            raw = await self._node.block(claim.block_hash)
            if raw is not None:
                active = await self.is_active(claim.block_hash)
                await self._tell(_again(claim, raw, Verdict(None) if active else SIDE_BRANCH), claim)
        found = await self._search()
        tip = await self._node.tip()
        while await self.below(tip.hash, tip.height) is None:
            tip = await self._node.tip()
        return found

    async def _search(self) -> int:
        account = self._log.account
        by_height: dict[int, list[JobRecord]] = {}
        for job in account.jobs.values():
            by_height.setdefault(job.height, []).append(job)
        found = 0
        for height in sorted(by_height):
            block_hash = await self._node.block_hash(height)
            if block_hash is None or block_hash in account.claims or block_hash in self._undecided:
                continue
            raw = await self._node.block(block_hash)
            job_found = None if raw is None else _our_job(raw, by_height[height])
            if raw is None or job_found is None or job_found.cut <= account.unclaimed.floor:
                continue
            claim = claim_of(job_found, block_hash, account.last_seq)
            self._log.append_claim(msgspec.structs.replace(claim, accepted=True))
            found += 1
            await self._tell(_again(claim, raw, Verdict(None)), claim)
        return found

    async def _tell(self, found: FoundBlock, claim: ClaimRecord) -> None:
        """Tell of a block with the work that it pays, which may be long: it is summed up on another thread."""
        work = self._log.account.work_of(claim)
        attribution = await asyncio.get_running_loop().run_in_executor(None, attribute_work, work)
        self._events.block_found(replace(found, attribution=attribution))


def claim_of(job: JobRecord, block_hash: bytes, seq: int) -> ClaimRecord:
    """What a block pays that a job's header solved: a claim that nobody accepted yet, by nobody known, of the job's time."""
    return ClaimRecord(
        block_hash,
        job.key,
        job.height,
        job.cut,
        job.value_sat,
        "",
        job.site_ms,
        job.wall_ms,
        seq,
        job.target,
        job.base,
        job.parent,
        accepted=False,
    )


def _again(claim: ClaimRecord, raw: bytes, verdict: Verdict) -> FoundBlock:
    return replace(found_block(claim, raw, verdict), recovered=True)


def found_block(claim: ClaimRecord, raw: bytes, verdict: Verdict) -> FoundBlock:
    """A block in the words of those who are told of it, without its work."""
    return FoundBlock(
        height=claim.height,
        hash=claim.block_hash,
        raw=raw,
        verdict=verdict,
        worker=claim.worker,
        job_id=claim.job,
        target=int.from_bytes(claim.target, "big"),
        cut=claim.cut,
        value_sat=claim.value_sat,
        site_ms=claim.site_ms,
        wall_ms=claim.wall_ms,
        attribution=(),
    )


def _our_job(raw: bytes, jobs: list[JobRecord]) -> JobRecord | None:
    """The job whose coinbase a block holds, None where it is somebody else's block."""
    try:
        coinbase = Block.parse(raw).transactions[0].serialise(witness=False)
    except (FormatError, IndexError):
        return None
    for job in jobs:
        size = len(job.prefix) + job.extranonce_size + len(job.suffix)
        if len(coinbase) == size and coinbase.startswith(job.prefix) and coinbase.endswith(job.suffix):
            return job
    return None
