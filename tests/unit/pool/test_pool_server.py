"""The pool over real sockets on a node that is written out: what miners are answered, and what is accounted."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
import pytest_asyncio
from tests.unit.pool.pool_fakes import EASY_SHARES, PATIENCE_S, AllOfIt, Ear, FakeNode, ManualClock, Miner

from photosynth.bitcoin.block import Block, Header, merkle_root, root_of_branch
from photosynth.bitcoin.coinbase import read_commitment, read_height
from photosynth.bitcoin.node import NodeUnavailableError, Verdict
from photosynth.pool.config import PoolConfig
from photosynth.pool.server import Pool
from photosynth.pool.share_log import ShareLog
from photosynth.quantities.instants import INTERVAL_MS, interval_start_ms
from photosynth.quantities.work import target_of_difficulty, work_of_target
from photosynth.stratum.client import Authorized, DifficultyChanged, SubmitResult, Subscribed, VersionRolling
from photosynth.stratum.messages import encode_request
from photosynth.stratum.work import double_sha256

SOLVED = 1 << 250
"""A target that one hash in 64 meets; the shares' own is met by one in four."""


class Rig:
    """A pool with everything around it."""

    def __init__(self, folder: Path, **config: object) -> None:
        self.clock = ManualClock()
        self.node = FakeNode(self.clock)
        self.policy = AllOfIt()
        self.ear = Ear()
        self.folder = folder
        self.config = PoolConfig(port=0, refresh_s=3600, **{"min_difficulty": EASY_SHARES, **config})  # type: ignore[arg-type]
        self.pool = self._pool()

    def _pool(self) -> Pool:
        log = ShareLog(self.folder)
        return Pool(self.config, self.node, self.clock, self.policy, lambda worker: 7 if worker == "asic" else 1, log, self.ear)

    async def restart(self, checkpoint: int = 0) -> None:
        await self.pool.close()
        self.pool = self._pool()
        self.pool.log.checkpoint(checkpoint)
        await self.pool.log.flush()
        await self.pool.recover()
        await self.pool.start()

    async def aim(self) -> None:
        """Let one hash in 64 be a block, and wait until the pool's jobs say so."""
        self.node.target = SOLVED
        await self.node.changed()
        await asyncio.wait_for(_until(self._aimed), PATIENCE_S)

    def _aimed(self) -> bool:
        current = self.pool._chain.book.current
        return current is not None and current.template.target == SOLVED

    async def miner(self, worker: str = "asic") -> Miner:
        return await Miner(worker).connect(self.pool.address)


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    await rig.pool.start()
    yield rig
    await rig.pool.close()


async def test_a_miner_is_greeted_and_gets_a_job(rig: Rig) -> None:
    rig.policy.commitment = bytes(range(32))
    async with await rig.miner() as miner:
        assert (await miner.wait(VersionRolling)).mask == 0x1FFFE000
        subscribed = await miner.wait(Subscribed)
        assert len(subscribed.extranonce1) == 4
        assert subscribed.extranonce2_size == 8
        assert (await miner.wait(Authorized)).accepted
        difficulty = await miner.wait(DifficultyChanged)
        assert difficulty.target == target_of_difficulty(difficulty.difficulty)
        job = await miner.job()
        assert job.clean
        assert job.previous_hash == rig.node.chain[-1]


async def test_a_good_share_is_answered_true_and_accounted_with_its_scale(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = await miner.job()
        assert (await miner.share(job)).accepted
        assert (await miner.share(job)).accepted
    snapshot = rig.pool.snapshot()
    work = 2 * work_of_target(job.target)
    assert (snapshot.accepted, snapshot.work, snapshot.represented) == (2, work, 7 * work)
    assert snapshot.workers[0].name == "asic"
    assert snapshot.hash_rate.shares == 2
    assert snapshot.hash_rate.standard_error == pytest.approx(2**-0.5)


async def test_every_refusal_has_its_code(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = await miner.job()
        assert (await miner.share(job)).accepted
        duplicate = await miner.repeat(miner.last_line)
        assert (duplicate.code, duplicate.message) == (22, "duplicate share")
        low = await miner.share(job, lambda number: number > job.target)
        assert low.code == 23
        unknown = await miner.share(replace(job, id="ffff00"))
        assert unknown.code == 21
        late = await miner.share(replace(job, time_s=job.time_s + 7001))
        assert late.code == 20
        await rig.node.extend()
        fresh = await miner.job()
        assert fresh.clean
        stale = await miner.share(job)
        assert stale.code == 21
        stranger = await miner.repeat(miner.last_line.replace(b'"asic"', b'"other"'))
        assert stranger.code == 24
        bits = await miner.repeat(miner.last_line.replace(b'"00000000"]', b'"00000001"]'))
        assert bits.code == 20
    await rig.pool.log.flush()
    snapshot = rig.pool.snapshot()
    assert snapshot.workers[0].rejected == {
        "duplicate": 1, "low-difficulty": 1, "stale": 2, "time": 1, "malformed": 1
    }  # fmt: skip
    assert snapshot.rejected["unauthorized"] == 1
    assert [worker.name for worker in snapshot.workers] == ["asic"]


async def test_a_rolled_version_is_hashed_and_stands_in_the_block(rig: Rig) -> None:
    await rig.aim()
    async with await rig.miner() as miner:
        job = await miner.job()
        assert (await miner.share(job, lambda number: number <= SOLVED, version_bits=0x00A2C000)).accepted
        await miner.job()
    (found,) = rig.ear.blocks
    assert Block.parse(found.raw).header.version == 0x20A2C000


async def test_bits_that_may_be_rolled_are_clear_in_the_job_whatever_the_node_signals(rig: Rig) -> None:
    rig.node.version = 0x30000004  # regtest signals its test deployment in bit 28, which BIP320 leaves to machines
    await rig.aim()
    async with await rig.miner() as miner:
        job = await miner.job()
        assert job.version == 0x20000004
        assert (await miner.share(job, lambda number: number <= SOLVED)).accepted
        await miner.job()
    (found,) = rig.ear.blocks
    assert Block.parse(found.raw).header.version == 0x20000004


async def test_a_share_for_an_older_job_of_the_same_tip_keeps_that_jobs_target(rig: Rig) -> None:
    async with await rig.miner() as miner:
        first = await miner.job()
        miner.send(encode_request(99, "mining.suggest_difficulty", [2.0**-26]))
        second = await miner.job()
        assert second.target < first.target
        assert second.id != first.id
        assert (await miner.share(first, lambda number: second.target < number <= first.target)).accepted
        low = await miner.share(second, lambda number: second.target < number <= first.target)
        assert low.code == 23
        rig.pool.refresh()
        third = await miner.job()
        assert not third.clean
        assert third.target == second.target


async def test_a_stale_or_weak_share_is_still_tested_for_a_block(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = await miner.job()
        old = rig.node.chain[-1]
        await rig.node.extend()
        await miner.job()
        rig.node.chain.pop()  # the other block went away again: ours fits
        assert rig.node.chain[-1] == old
        await rig.aim()
        job = await miner.job()
        await rig.node.extend()
        await miner.job()
        result = await miner.share(job, lambda number: number <= SOLVED)
        assert result.code == 21
        await asyncio.wait_for(_until(lambda: bool(rig.ear.blocks)), PATIENCE_S)
    (found,) = rig.ear.blocks
    assert found.verdict.reason == "inconclusive"
    assert found.attribution == (), "its job had no work to claim"
    assert rig.pool.snapshot().blocks_found == 0


async def test_a_block_on_a_job_that_its_finder_was_never_sent_is_handed_over_too(rig: Rig) -> None:
    await rig.aim()
    async with await rig.miner() as first:
        job = await first.job()
        rig.pool.refresh()
        async with await rig.miner("late") as late:
            mine_of_it = replace(job, extranonce1=(await late.job()).extranonce1)
            assert (await late.share(mine_of_it, lambda number: number <= SOLVED)).code == 21
            await asyncio.wait_for(_until(lambda: bool(rig.ear.blocks)), PATIENCE_S)
    assert rig.ear.blocks[0].verdict.accepted


async def test_the_work_of_a_block_without_a_verdict_is_paid_by_it_or_by_its_rival(tmp_path: Path) -> None:
    rig = Rig(tmp_path, submit_timeout_s=0.1)
    await rig.pool.start()
    async with await rig.miner() as miner:
        assert (await miner.share(await miner.job())).accepted
        await rig.aim()
        job = await miner.job()
        rig.node.gate = asyncio.Event()
        assert (await miner.share(job, lambda number: number <= SOLVED)).accepted
        await asyncio.wait_for(_until(lambda: bool(rig.pool.log.account.claims)), PATIENCE_S)
        rig.pool.refresh()
        one = 7 * work_of_target(job.target)
        assert rig.policy.seen[-1] == 2 * one, "a job on the same tip makes a rival: only one of them is ever in the chain"
        # The node had taken it; the next template stands on it.
        block = Block.parse(rig.node.submitted[0])
        rig.node.raw[block.hash] = rig.node.submitted[0]
        await rig.node.reorganise([*rig.node.chain, block.hash])
        await asyncio.wait_for(_until(lambda: rig.policy.seen[-1] == one), PATIENCE_S)
    (found,) = rig.ear.blocks
    assert found.recovered
    assert found.verdict.accepted
    assert [part.shares for part in found.attribution] == [1]
    assert rig.pool.snapshot().blocks_found == 1
    await rig.pool.close()


async def test_a_block_pays_its_work_while_it_is_in_the_chain_and_only_then(rig: Rig) -> None:
    async with await rig.miner() as miner:
        assert (await miner.share(await miner.job())).accepted
        await rig.aim()
        job = await miner.job()
        rig.node.verdicts = [Verdict("inconclusive")]
        assert (await miner.share(job, lambda number: number <= SOLVED)).accepted
        await asyncio.wait_for(_until(lambda: bool(rig.ear.blocks)), PATIENCE_S)
        (found,) = rig.ear.blocks
        assert [part.shares for part in found.attribution] == [1], "what it would pay is known from its job"
        assert rig.pool.snapshot().blocks_found == 0
        one, beside = 7 * work_of_target(job.target), list(rig.node.chain)
        assert rig.pool.snapshot().unclaimed_represented == 2 * one

        # Its branch gets more work, with a block of somebody else on top: the next job leaves its work out.
        await rig.node.reorganise([*beside, found.hash, double_sha256(b"theirs")])
        await asyncio.wait_for(_until(lambda: rig.policy.seen[-1] == one), PATIENCE_S)
        assert rig.pool.snapshot().blocks_found == 1
        assert rig.pool.snapshot().unclaimed_represented == one

        # It leaves the chain again, and the next job claims its work; also after a restart.
        await rig.node.reorganise([*beside, *(double_sha256(bytes([n])) for n in range(3))])
        await asyncio.wait_for(_until(lambda: rig.policy.seen[-1] == 2 * one), PATIENCE_S)
    await rig.restart()
    assert rig.pool.snapshot().unclaimed_represented == 2 * one
    assert rig.ear.blocks[-1].attribution == found.attribution
    assert rig.ear.blocks[-1].verdict.reason == "inconclusive"


async def test_a_held_template_earns_shares_and_no_block(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = await miner.job()
        assert (await miner.share(job, lambda number: number <= SOLVED)).accepted
        assert rig.node.submitted == []
        await rig.aim()
        after = await miner.job()
        assert not after.clean
        assert after.previous_hash == job.previous_hash


async def test_the_block_is_handed_over_before_the_share_is_logged_or_answered(rig: Rig) -> None:
    await rig.aim()
    rig.node.gate = asyncio.Event()
    async with await rig.miner() as miner:
        job = await miner.job()
        miner.send_share(job, lambda number: number <= SOLVED)
        await asyncio.wait_for(_until(lambda: bool(rig.node.submitted)), PATIENCE_S)
        assert rig.pool.log.account.last_seq == 0
        # Jobs made meanwhile leave out the work that the block under way would claim.
        rig.node.gate.set()
        assert (await miner.wait(SubmitResult)).accepted
    assert rig.pool.log.account.last_seq == 1


@pytest.mark.parametrize("reason", ["high-hash", "bad-cb-amount", "duplicate-invalid"])
async def test_a_refused_block_claims_nothing(rig: Rig, reason: str) -> None:
    await rig.aim()
    rig.node.verdicts = [Verdict(reason)]
    async with await rig.miner() as miner:
        job = await miner.job()
        assert (await miner.share(job, lambda number: number <= SOLVED)).accepted
        await asyncio.wait_for(_until(lambda: bool(rig.ear.blocks)), PATIENCE_S)
    assert rig.ear.blocks[0].verdict.reason == reason
    assert rig.pool.snapshot().blocks_found == 0
    assert rig.pool.snapshot().unclaimed_represented > 0


async def test_a_node_that_is_away_for_a_moment_still_gets_the_block(rig: Rig) -> None:
    await rig.aim()
    rig.node.verdicts = [NodeUnavailableError("busy: wait"), Verdict(None)]
    async with await rig.miner() as miner:
        job = await miner.job()
        assert (await miner.share(job, lambda number: number <= SOLVED)).accepted
    assert len(rig.node.submitted) == 2
    assert rig.pool.snapshot().blocks_found == 1
    assert rig.pool.snapshot().condition is None


async def test_without_a_node_connections_stay_and_the_condition_says_why(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = await miner.job()
        rig.node.available = False
        await rig.node.changed()
        await asyncio.wait_for(_until(lambda: rig.pool.snapshot().condition is not None), PATIENCE_S)
        assert "switch it on" in str(rig.pool.snapshot().condition)
        assert (await miner.share(job)).accepted
        rig.node.available = True
        await rig.node.extend()
        assert (await miner.job()).clean
        assert rig.pool.snapshot().condition is None


async def test_a_closed_interval_is_complete_repeats_itself_and_goes_at_the_checkpoint(rig: Rig) -> None:
    start_ms = interval_start_ms(rig.clock.site)
    rig.clock.site = start_ms + 61_000
    async with await rig.miner() as asic, await rig.miner("guest") as guest:
        job, other = await asic.job(), await guest.job()
        for _ in range(3):
            assert (await asic.share(job)).accepted
        assert (await guest.share(other)).accepted
        assert (await guest.share(other, lambda number: number > other.target)).code == 23
        with pytest.raises(ValueError, match="not over"):
            await rig.pool.close_interval(start_ms)
        rig.clock.site = start_ms + INTERVAL_MS
        work = await rig.pool.close_interval(start_ms)
        assert [(e.worker, e.round, e.scale, e.accepted) for e in work.entries] == [("asic", 1, 7, 3), ("guest", 1, 1, 1)]
        assert work.entries[0].minutes == (0, 3) + (0,) * 13
        assert work.rejected == {("guest", 23): 1}
        assert {scale: len(best) for scale, best in work.best.items()} == {7: 3, 1: 1}
        for best in work.best.values():
            for entry in best:
                parts = work.jobs[entry.job]
                root = root_of_branch(double_sha256(parts.prefix + entry.extranonce + parts.suffix), parts.branch)
                assert Header.parse(entry.header).merkle_root == root
        hashes = [double_sha256(e.header) for e in work.best[7]]
        assert work.entries[0].share_root in {merkle_root(list(order)) for order in permutations(hashes)}
        assert (await asic.share(job)).accepted
        assert await rig.pool.close_interval(start_ms) == work
        await rig.restart()
        assert await rig.pool.close_interval(start_ms) == work
    assert rig.pool.snapshot().open_intervals_ms == (start_ms, start_ms + INTERVAL_MS)
    before = rig.pool.snapshot()
    rig.pool.log.checkpoint(work.last_seq)
    await rig.pool.log.flush()
    assert rig.pool.snapshot().open_intervals_ms == (start_ms + INTERVAL_MS,)
    await rig.restart()
    after = rig.pool.snapshot()
    assert (after.accepted, after.represented, after.unclaimed_represented, after.rejected, after.open_intervals_ms) == (
        before.accepted, before.represented, before.unclaimed_represented, before.rejected, (start_ms + INTERVAL_MS,)
    )  # fmt: skip


async def test_shares_of_one_round_have_one_time_but_none_that_lies_before_what_was_asked_since(rig: Rig) -> None:
    start_ms = interval_start_ms(rig.clock.site)
    async with await rig.miner() as asic:
        job = await asic.job()
        (connection,) = rig.pool._connections.values()
        connection.data_received(asic.prepare_share(job))
        rig.clock.site = start_ms + INTERVAL_MS
        connection.data_received(asic.prepare_share(job))
        assert rig.pool.site_ms() == rig.clock.site
        connection.data_received(asic.prepare_share(job))
        work = await rig.pool.close_interval(start_ms)
        assert [entry.accepted for entry in work.entries] == [2]
        rig.clock.site += INTERVAL_MS
        assert (await asic.share(job)).accepted
        for later in (1, 2):
            rig.clock.site = start_ms + (later + 1) * INTERVAL_MS
            entries = (await rig.pool.close_interval(start_ms + later * INTERVAL_MS)).entries
            assert [entry.accepted for entry in entries] == [1]


async def test_a_clock_that_was_put_back_loses_no_refused_shares(rig: Rig) -> None:
    start_ms = interval_start_ms(rig.clock.site)
    rig.clock.site = start_ms + INTERVAL_MS
    rig.pool.rejected("asic", "stale")
    await rig.pool.log.flush()
    rig.clock.site = start_ms  # a stop without warning, and the clock's file is older than the log
    await rig.restart()
    async with await rig.miner() as asic:
        assert (await asic.share(await asic.job())).accepted
    rig.clock.site = start_ms + INTERVAL_MS
    rig.pool.log.checkpoint((await rig.pool.close_interval(start_ms)).last_seq)
    await rig.pool.log.settle()
    rig.clock.site = start_ms + 2 * INTERVAL_MS
    assert sum((await rig.pool.close_interval(start_ms + INTERVAL_MS)).rejected.values()) == 1


async def test_a_block_that_a_crash_left_unclaimed_is_found_in_the_chain(rig: Rig) -> None:
    async with await rig.miner() as miner:
        assert (await miner.share(await miner.job())).accepted
        await rig.aim()
        job = await miner.job()
        rig.node.gate = asyncio.Event()
        miner.send_share(job, lambda number: number <= SOLVED)
        await asyncio.wait_for(_until(lambda: bool(rig.node.submitted)), PATIENCE_S)
    # The node has taken the block; the pool ends before it hears of it.
    block = Block.parse(rig.node.submitted[0])
    rig.node.chain.append(block.hash)
    rig.node.raw[block.hash] = rig.node.submitted[0]
    await rig.restart(checkpoint=1)
    (found,) = rig.ear.blocks
    assert found.recovered
    assert (found.hash, found.height) == (block.hash, 1)
    assert [part.shares for part in found.attribution] == [1]
    assert rig.pool.snapshot().blocks_found == 1
    assert rig.pool.snapshot().unclaimed_represented == 7 * work_of_target(job.target), "the solving share itself"
    await rig.restart()
    assert [block.hash for block in rig.ear.blocks] == [block.hash] * 2, "told again, with the same attribution"
    assert rig.ear.blocks[1].attribution == found.attribution
    assert rig.pool.snapshot().blocks_found == 1


async def test_a_full_disk_refuses_shares_and_loses_none(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    full = False

    def write(descriptor: int, data: bytes, offset: int) -> int:
        if full:
            os.pwrite(descriptor, data[: len(data) // 2], offset)
            raise OSError(28, "No space left on device")
        return os.pwrite(descriptor, data, offset)

    await rig.pool.log.close()
    log = ShareLog(tmp_path, write=write)
    pool = Pool(rig.config, rig.node, rig.clock, rig.policy, lambda _: 1, log, rig.ear)
    await pool.start()
    async with await Miner("asic").connect(pool.address) as miner:
        job = await miner.job()
        assert (await miner.share(job)).accepted
        full = True
        refused = await miner.share(job)
        assert (refused.code, refused.message[:7]) == (20, "storage")
        assert "No space left" in str(pool.snapshot().condition)
        full = False
        again = await miner.repeat(miner.last_line)
        assert again.accepted, "what was not saved may be handed in again"
        await log.flush()
        assert pool.snapshot().condition is None
        assert pool.snapshot().accepted == 2
        assert pool.snapshot().workers[0].rejected == {"storage": 1}
    await pool.close()
    replayed = ShareLog(tmp_path)
    assert replayed.repairs == ()
    assert replayed.account.totals["asic"].accepted == 2
    await replayed.close()


async def test_a_burst_raises_the_difficulty_at_once(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = first = await miner.job()
        for _ in range(16):
            miner.send_share(job)
        job = await miner.job()
        assert job.target < first.target // 16
        assert not job.clean


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_a_block_is_submitted_claimed_and_told(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = await miner.job()
        for _ in range(3):
            assert (await miner.share(job)).accepted
        rig.policy.commitment = bytes(range(32))
        await rig.aim()
        job = await miner.job()
        assert not job.clean
        result = await miner.share(job, lambda number: number <= SOLVED)
        assert result.accepted
        fresh = await miner.job()
        assert fresh.clean
    (found,) = rig.ear.blocks
    block = Block.parse(found.raw)
    assert block.hash == found.hash == rig.node.chain[1]
    assert found.verdict.accepted
    coinbase = block.transactions[0]
    assert read_height(coinbase) == 1
    assert read_commitment(coinbase) == bytes(range(32))
    # Three shares before the job's cut are claimed, to the hash; the solving one carries over.
    represented = 3 * 7 * work_of_target(job.target)
    assert coinbase.outputs[0].value_sat == found.value_sat == represented
    assert [(part.shares, part.represented) for part in found.attribution] == [(3, represented)]
    assert rig.pool.snapshot().unclaimed_represented == 7 * work_of_target(job.target)
    assert rig.policy.seen[-1] in (0, 7 * work_of_target(job.target))
    assert rig.pool.snapshot().blocks_found == 1


async def test_what_was_seen_on_stale_jobs_is_forgotten(rig: Rig) -> None:
    async with await rig.miner() as miner:
        job = await miner.job()
        assert (await miner.share(job)).accepted
        held = rig.pool._chain.book.current
        assert held is not None
        assert len(held.seen) == 1
        await rig.node.extend()
        assert (await miner.job()).clean
    assert held.seen == set()
