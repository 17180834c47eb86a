"""Whatever the chain does, every share is paid by exactly one block of ours in it, or waits for one."""

import asyncio
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.pool.pool_fakes import AllOfIt, Ear, FakeNode, ManualClock

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import Verdict
from photosynth.pool.chain import ChainLink, Solution
from photosynth.pool.config import PoolConfig
from photosynth.pool.jobs import PoolJob
from photosynth.pool.records import ShareRecord
from photosynth.pool.results import FoundBlock
from photosynth.pool.share_log import ShareLog
from photosynth.pool.shares import Candidate
from photosynth.pool.unclaimed import FINAL
from photosynth.quantities.instants import INTERVAL_MS, interval_start_ms
from photosynth.quantities.work import TWO_256, work_of_target
from photosynth.stratum.work import double_sha256, header_head

TARGET = TWO_256 // 7
WORK = work_of_target(TARGET)
SCALES = {"a": 3, "b": 1, "c": 10**20}


class BranchingNode(FakeNode):
    """A node that keeps every block and has no opinion: a test says which branch has most work."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, target=TWO_256 - 1)
        self.parents: dict[bytes, bytes] = {self.chain[0]: b""}
        self.answers: list[str | None] = []

    def path(self, tip: bytes) -> list[bytes]:
        found = [tip]
        while self.parents[found[-1]]:
            found.append(self.parents[found[-1]])
        return found[::-1]

    def foreign(self, number: int) -> None:
        """Somebody else's block on the tip."""
        name = double_sha256(self.chain[-1] + number.to_bytes(8, "little"))
        self.parents[name] = self.chain[-1]
        self.chain.append(name)

    async def submit_block(self, raw: bytes) -> Verdict:
        block = Block.parse(raw)
        self.raw[block.hash] = raw
        self.parents[block.hash] = block.header.previous_hash
        reason = self.answers.pop(0)
        if reason is None and block.header.previous_hash == self.chain[-1]:
            self.chain.append(block.hash)
            return Verdict(None)
        return Verdict(reason or "inconclusive")


@dataclass
class Model:
    """What must come out, from nothing but the order of shares and the cuts of jobs."""

    shares: list[tuple[int, int, str]] = field(default_factory=list)
    cuts: dict[int, int] = field(default_factory=dict)
    ours: dict[bytes, int] = field(default_factory=dict)
    told: dict[bytes, FoundBlock] = field(default_factory=dict)

    def work(self, base: int, cut: int) -> Counter[tuple[int, int, str]]:
        return Counter(self.shares[base:cut])


class World:
    """A pool's link to a chain, and everything that may happen to both."""

    def __init__(self, folder: Path, node: BranchingNode | None = None, mark: bytes = b"") -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.node = BranchingNode(self.clock) if node is None else node
        self.config = PoolConfig(mark=mark)
        self.model = Model()
        self.ear, self.policy = Ear(), AllOfIt()
        self.jobs: list[PoolJob] = []
        self.lives = 0
        self.seen: set[bytes] = set()
        self.number = 0
        self.open()

    def open(self) -> None:
        self.log = ShareLog(self.folder / str(self.lives), batch_s=0)
        self.link = ChainLink(
            self.config, self.node, self.clock, policy=self.policy, log=self.log, events=self.ear, on_job=self.on_job
        )
        self.log.live_jobs = self.link.live_jobs

    def on_job(self, job: PoolJob, clean: bool) -> None:
        self.jobs.append(job)
        self.model.cuts[job.key] = len(self.model.shares)

    async def begin(self) -> None:
        await self.link.recover()
        await self.follow()

    async def follow(self) -> None:
        """What the pool does with every template."""
        assert await self.link.take(await self.node.template())

    async def share(self, worker: str) -> None:
        self.number += 1
        height = len(self.node.chain)
        header = self.number.to_bytes(80, "little")
        share = ShareRecord(worker, height, TARGET, SCALES[worker], self.clock.site, 0, self.jobs[-1].key, header, bytes(12))
        self.log.append_share(share, double_sha256(header), lambda _: None)
        await self.log.flush()
        self.model.shares.append((interval_start_ms(self.clock.site), height, worker))

    async def solve(self, job: PoolJob, answer: str | None) -> None:
        """A header of a job, as if it met its target."""
        self.number += 1
        header = header_head(1, job.template.previous_hash, bytes(32), self.number, job.template.bits) + bytes(4)
        block_hash = double_sha256(header)
        self.node.answers.append(answer)
        self.link.submit(Solution(job, Candidate(header, block_hash, 0, bytes(12)), "a", self.clock.site, 0), lambda _: None)
        self.model.ours[block_hash] = self.model.cuts[job.key]
        while self.link._tasks:
            await asyncio.gather(*self.link._tasks)
            await asyncio.sleep(0)

    async def snapshot(self) -> None:
        """The quarter hour is over, and the books have it."""
        await self.log.flush()
        self.clock.site += INTERVAL_MS
        self.log.checkpoint(self.log.account.last_seq)
        await self.log.settle()

    async def restart(self, *, kill: bool) -> None:
        await self.log.flush()
        if kill:
            shutil.copytree(self.folder / str(self.lives), self.folder / str(self.lives + 1))
        await self.link.close()
        await self.log.close()
        if not kill:
            (self.folder / str(self.lives)).rename(self.folder / str(self.lives + 1))
        self.lives += 1
        before = self.standing()
        self.open()
        assert self.standing() == before, "a restart gives the same state"
        await self.begin()

    def standing(self) -> object:
        account = self.log.account
        return (
            account.last_seq,
            account.top,
            account.blocks_found,
            account.unclaimed_represented,
            {name: (held, account.attribution(held)) for name, held in account.claims.items()},
        )

    def check(self) -> None:
        """Every share is paid once in the chain, or waits; what was told of a block never changes."""
        model, account = self.model, self.log.account
        for block in self.ear.blocks:
            before = model.told.setdefault(block.hash, block)
            assert _rows(before) == _rows(block)
        self.ear.blocks.clear()
        paid = Counter[tuple[int, int, str]]()
        base = 0
        for name in self.node.chain:
            if name in model.ours:
                cut = model.ours[name]
                rows = _rows(model.told[name])
                assert rows == model.work(base, cut)
                represented = sum(part.represented for part in model.told[name].attribution)
                assert represented == sum(WORK * SCALES[worker] * count for (_, _, worker), count in rows.items())
                assert Block.parse(self.node.raw[name]).transactions[0].outputs[0].value_sat == min(5_000_000_000, represented)
                paid += rows
                base = cut
        waiting = model.work(base, len(model.shares))
        assert paid + waiting == Counter(model.shares)
        assert account.unclaimed_represented == sum(WORK * SCALES[w] * count for (_, _, w), count in waiting.items())
        assert account.blocks_found == len([name for name in model.ours if name in self.seen])


def _rows(block: FoundBlock) -> Counter[tuple[int, int, str]]:
    return Counter({(part.interval_start_ms, part.round, part.worker): part.shares for part in block.attribution})


async def play(world: World, seed: int, steps: list[str]) -> None:
    """Let things happen, and look at every new tip whether all adds up."""
    chance = random.Random(seed)
    await world.begin()
    for step in steps:
        if step == "share":
            for _ in range(chance.randint(1, 3)):
                await world.share(chance.choice("abc"))
        elif step == "job":
            world.link.refresh()
        elif step in ("accepted", "side"):
            alive = world.link.book.keys()
            live = [job for job in world.jobs if job.key in alive]
            job = world.jobs[-1] if step == "accepted" else chance.choice(live)
            await world.solve(job, None if step == "accepted" else "inconclusive")
        elif step == "foreign":
            world.node.foreign(world.number)
        elif step == "reorganise":
            tips = sorted(world.node.parents.keys() - world.node.parents.values())
            shallow = [tip for tip in tips if len(set(world.node.chain) - set(world.node.path(tip))) < FINAL]
            world.node.chain = world.node.path(chance.choice(shallow))
        elif step == "bury":
            for _ in range(FINAL):
                world.node.foreign(world.number)
        elif step == "snapshot":
            await world.snapshot()
        else:
            await world.restart(kill=step == "kill")
        if step not in ("share", "job", "snapshot"):
            world.seen |= set(world.node.chain)
            await world.follow()
            world.check()
    await world.link.close()
    await world.log.close()


STEPS = ["share", "share", "share", "job", "accepted", "accepted", "side", "foreign", "reorganise", "snapshot", "restart", "kill"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.lists(st.sampled_from([*STEPS, "bury"]), max_size=40))
async def test_every_share_is_paid_by_one_block_of_the_chain_or_waits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: list[str]
) -> None:
    await play(World(tmp_path_factory.mktemp("world")), seed, steps)


@pytest.mark.parametrize("seed", range(3))
async def test_also_in_long_lives(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    world = World(tmp_path)
    await play(world, seed, chance.choices([*STEPS, "bury"], [1] * len(STEPS) + [0.1], k=300))
    assert len(world.model.ours) > 20
    assert len(world.log.account.claims) <= len(world.model.ours)


async def test_pools_that_pay_one_script_on_one_node_take_each_others_blocks_for_those_of_others(tmp_path: Path) -> None:
    south = World(tmp_path / "south", mark=b"south")
    north = World(tmp_path / "north", south.node, mark=b"north")
    for world in (south, north):
        await world.begin()
        await world.share("a")
        await world.follow()
    ours, theirs = south.jobs[-1], north.jobs[-1]
    assert (ours.key, ours.template.height, ours.plan) == (theirs.key, theirs.template.height, theirs.plan)
    await south.solve(ours, None)
    await north.restart(kill=True)
    assert (south.log.account.blocks_found, north.log.account.blocks_found) == (1, 0)
    assert not north.ear.blocks
    for world in (south, north):
        await world.link.close()
        await world.log.close()
