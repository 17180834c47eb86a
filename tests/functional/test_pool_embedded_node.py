"""The pool at the embedded node: real consensus reorganises the chain, and each share is paid once in whatever is active."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from tests.unit.bitcoin_node.bitcoin_node_mining import FIRST_TIME_S, REGTEST_TARGET, hash_of, make_chain
from tests.unit.pool.pool_fakes import AllOfIt, Ear, ManualClock

from photosynth.bitcoin.block import Block
from photosynth.bitcoin_node import EmbeddedNode, open_node
from photosynth.pool.chain import ChainLink, Solution
from photosynth.pool.config import PoolConfig
from photosynth.pool.jobs import PoolJob
from photosynth.pool.records import ShareRecord
from photosynth.pool.share_log import ShareLog
from photosynth.pool.shares import rebuild
from photosynth.quantities.work import TWO_256, work_of_target
from photosynth.stratum.server import Submit
from photosynth.stratum.work import double_sha256

pytestmark = pytest.mark.functional

TARGET = TWO_256 // 50
WORK = work_of_target(TARGET)


class Link:
    """A pool's link to the embedded node, one step after the other."""

    def __init__(self, folder: Path, node: EmbeddedNode) -> None:
        self.node, self.ear, self.clock = node, Ear(), ManualClock(wall_ms=1000 * FIRST_TIME_S)
        self.folder = folder
        self.jobs: list[PoolJob] = []
        self.shares = 0
        self.nonce = 0

    async def open(self) -> None:
        self.log = ShareLog(self.folder, batch_s=0)
        self.link = ChainLink(
            PoolConfig(),
            self.node,
            self.clock,
            policy=AllOfIt(),
            log=self.log,
            events=self.ear,
            on_job=lambda job, _: self.jobs.append(job),
        )
        self.log.live_jobs = self.link.live_jobs
        await self.link.recover()
        await self.follow()

    async def close(self) -> None:
        await self.link.close()
        await self.log.close()

    async def follow(self) -> None:
        assert await self.link.take(await self.node.template())

    async def work(self, worker: str, count: int) -> None:
        for _ in range(count):
            self.shares += 1
            header = self.shares.to_bytes(80, "little")
            share = ShareRecord(worker, self.jobs[-1].template.height, TARGET, 1, self.clock.site, 0, 1, header, bytes(12))
            self.log.append_share(share, double_sha256(header), lambda _: None)
        await self.log.flush()
        self.link.refresh()

    async def solve(self, job: PoolJob) -> bytes:
        while True:
            self.nonce += 1
            submit = Submit(1, "w", job.key, bytes(8), job.time_s, self.nonce, 0)
            candidate = rebuild(job, submit, bytes(4), 0)
            if candidate.number <= REGTEST_TARGET:
                break
        self.link.submit(Solution(job, candidate, "w", self.clock.site, 0), lambda _: None)
        while self.link._tasks:
            await asyncio.gather(*self.link._tasks)
            await asyncio.sleep(0)
        return candidate.hash

    async def paid(self) -> Counter[str]:
        """Shares by worker that blocks of the active chain pay; what they and their coinbases say agrees."""
        found = Counter[str]()
        for block in {block.hash: block for block in self.ear.blocks}.values():
            if await self.node.height_of(block.hash) is not None:
                found += Counter({part.worker: part.shares for part in block.attribution})
                value_sat = Block.parse(block.raw).transactions[0].outputs[0].value_sat
                assert value_sat == sum(part.represented for part in block.attribution)
        return found

    @property
    def waiting(self) -> int:
        return self.log.account.unclaimed_represented // WORK


async def submit(node: EmbeddedNode, blocks: list[bytes]) -> None:
    for raw in blocks:
        assert (await node.submit_block(raw)).reason in (None, "inconclusive")


async def test_shares_are_paid_once_whichever_branch_is_active(tmp_path: Path) -> None:
    node = await open_node(tmp_path / "chain")
    pool = Link(tmp_path / "shares", node)
    await pool.open()
    genesis = await node.block_hash(0)
    assert genesis is not None
    await pool.work("a", 3)
    old_job = pool.jobs[-1]
    first = await pool.solve(old_job)
    await pool.follow()
    await pool.work("b", 2)
    second = await pool.solve(pool.jobs[-1])
    await pool.follow()
    assert (await pool.paid(), pool.waiting) == ({"a": 3, "b": 2}, 0)

    # A rival of the first block is inconclusive; what it would pay is known all the same.
    rival = await pool.solve(old_job)
    assert pool.ear.blocks[-1].verdict.reason == "inconclusive"
    assert [part.shares for part in pool.ear.blocks[-1].attribution] == [3]
    await pool.follow()
    assert (await pool.paid(), pool.waiting) == ({"a": 3, "b": 2}, 0)

    # Its branch wins, while the pool runs: it pays the work of the first, and the second's waits again.
    await submit(node, make_chain(rival, 2, 2))
    await pool.follow()
    assert await node.height_of(second) is None
    assert (await pool.paid(), pool.waiting) == ({"a": 3}, 2)
    assert pool.log.account.blocks_found == 3
    third = await pool.solve(pool.jobs[-1])
    await pool.follow()
    assert (await pool.paid(), pool.waiting) == ({"a": 3, "b": 2}, 0)

    # The first branch returns with blocks of somebody else; a restart sees the same.
    await submit(node, make_chain(second, 3, 3))
    await pool.follow()
    assert await node.height_of(third) is None
    await pool.work("c", 1)
    assert (await pool.paid(), pool.waiting) == ({"a": 3, "b": 2}, 1)
    await pool.close()
    await pool.log.close()
    await pool.open()
    assert (await pool.paid(), pool.waiting) == ({"a": 3, "b": 2}, 1)

    # A branch on which nothing of ours lies: everything waits, and one block pays it all.
    await submit(node, make_chain(genesis, 1, 8, tag=b"theirs"))
    await pool.follow()
    assert (await pool.paid(), pool.waiting) == ({}, 6)
    assert await node.height_of(first) is None
    last = await pool.solve(pool.jobs[-1])
    assert hash_of(await node.block(last) or b"") == last
    await pool.follow()
    assert (await pool.paid(), pool.waiting) == ({"a": 3, "b": 2, "c": 1}, 0)
    await pool.close()
    await pool.log.close()
    await node.close()
