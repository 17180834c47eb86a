"""Blocks that are taken in together: the same verdicts as one at a time, one sync, and none lost or half kept by any stop.

A copy of the folder taken while the node runs is what a kill would have left behind; with pages of the log missing, a loss of
power.
"""

import asyncio
import gc
import os
import random
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from tests.unit.bitcoin_node.bitcoin_node_folders import copy_folder, facts, flip
from tests.unit.bitcoin_node.bitcoin_node_mining import block_of_template, hash_of, make_block, make_chain

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import NodeUnavailableError, Verdict
from photosynth.bitcoin_node import EmbeddedNode, block_log, group_note, open_node
from photosynth.bitcoin_node import node as node_module
from photosynth.bitcoin_node.block_log import HEAD_BYTES, BlockLog, Record
from photosynth.bitcoin_node.chain import NETWORK_MAGIC, StoredChain
from photosynth.bitcoin_node.importing import submit_all
from photosynth.bitcoin_node.index import Index
from photosynth.bitcoin_node.intake import Answer
from photosynth.bitcoin_node.kernel import Kernel

BEFORE = 3
PAGE = 4096


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[EmbeddedNode]:
    node = await open_node(tmp_path / "node")
    yield node
    await node.close()


async def mined(node: EmbeddedNode, count: int) -> list[bytes]:
    """Blocks of one at a time."""
    tip = await node.tip()
    chain = make_chain(tip.hash, tip.height + 1, count, value_sat=1)
    for raw in chain:
        assert (await node.submit_block(raw)).accepted
    return chain


async def together(node: EmbeddedNode, raws: Sequence[bytes]) -> list[Verdict | BaseException]:
    """The answers to blocks that all wait for the thread that writes."""
    gate = threading.Event()
    node._writer.submit(gate.wait)
    answers = asyncio.gather(*(node.submit_block(raw) for raw in raws), return_exceptions=True)
    await asyncio.sleep(0)
    gate.set()
    return await answers


def mixture(parent: bytes, height: int) -> list[bytes]:
    """Blocks on a tip that come to every end that a block can come to: its own tests say which."""
    first, second = make_chain(parent, height, 2, value_sat=1)
    rival = make_block(parent, height, tag=b"rival")
    greedy = make_block(hash_of(first), height + 1, value_sat=51 * 100_000_000)
    equal = make_block(hash_of(rival), height + 1, tag=b"equal")
    turning = make_block(hash_of(equal), height + 2, value_sat=1)
    parted = make_block(bytes(32), height)
    bare = Block.parse(make_block(hash_of(turning), height + 3, value_sat=1))
    last = bare.header.serialise() + b"\x01" + bare.transactions[0].serialise(witness=False)
    return [first, first, rival, b"", greedy, second, bytes(4_000_001), equal, greedy, turning, parted, turning[:-1], last]


ENDS = (
    *(None, "duplicate", "inconclusive", "Block decode failed", "bad-cb-amount", None, "bad-blk-length", "inconclusive"),
    *("duplicate-invalid", None, "prev-blk-not-found", "Block decode failed", None),
)


def reasons(answers: Sequence[Verdict | BaseException]) -> list[str | None]:
    """The verdicts' reasons; every answer must be a verdict."""
    assert all(isinstance(answer, Verdict) for answer in answers), answers
    return [answer.reason for answer in answers if isinstance(answer, Verdict)]


def logged(folder: Path) -> list[bytes]:
    """The blocks in a stopped node's log."""
    log = BlockLog(folder / "blocks.log", NETWORK_MAGIC["regtest"])
    found = [part.raw for part in log.records() if isinstance(part, Record)]
    log.close()
    return found


async def test_a_group_has_the_verdicts_and_the_chain_of_one_at_a_time(tmp_path: Path) -> None:
    told = []
    for name in ("alone", "group"):
        node = await open_node(tmp_path / name)
        chain = await mined(node, BEFORE)
        raws = mixture(hash_of(chain[-1]), BEFORE + 1)
        answers = await together(node, raws) if name == "group" else [await node.submit_block(raw) for raw in raws]
        assert reasons(answers) == list(ENDS)
        running = await facts(node)
        copy_folder(tmp_path / name, tmp_path / "crashed" / name)
        await node.close()
        for folder in (tmp_path / name, tmp_path / "crashed" / name):
            again = await open_node(folder)
            assert (await facts(again), again.start_report.rebuilt) == (running, ())
            await again.close()
            told.append((running, logged(folder)))
    assert all(one == told[0] for one in told)


async def test_blocks_that_wait_share_a_sync_and_a_commit(node: EmbeddedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_chain((await node.tip()).hash, 1, 20)
    done: list[str] = []

    def noting(what: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            done.append(what)
            return real(*arguments)

        return call

    monkeypatch.setattr(block_log, "_sync", noting("log", block_log._sync))
    monkeypatch.setattr(group_note, "_sync", noting("note", group_note._sync))
    monkeypatch.setattr(Index, "write", noting("index", Index.write))
    assert reasons(await together(node, chain)) == [None] * 20
    assert done == ["note", "log", "note", "index"]
    done.clear()
    assert reasons(await together(node, make_chain(hash_of(chain[-1]), 21, 1))) == [None]
    assert done == ["log", "index"], "one alone needs no note"


async def test_a_group_is_bounded_in_blocks_and_in_bytes(node: EmbeddedNode, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = StoredChain.submit

    def noting(stored: StoredChain, raws: Sequence[bytes]) -> list[Answer]:
        sizes.append(len(raws))
        return real(stored, raws)

    monkeypatch.setattr(StoredChain, "submit", noting)
    chain = make_chain((await node.tip()).hash, 1, 70)
    assert reasons(await together(node, chain)) == [None] * 70
    assert sizes == [32, 32, 6]
    sizes.clear()
    chain = make_chain(hash_of(chain[-1]), 71, 7)
    monkeypatch.setattr(node_module, "GROUP_BYTES", 3 * len(chain[0]))
    assert reasons(await together(node, chain)) == [None] * 7
    assert sizes == [3, 3, 1]
    sizes.clear()
    monkeypatch.setattr(node_module, "GROUP_BYTES", 1)
    assert reasons(await together(node, make_chain(hash_of(chain[-1]), 78, 2))) == [None] * 2
    assert sizes == [1, 1], "one is taken in whatever its size"


async def test_whoever_stops_waiting_takes_a_block_back_that_was_not_begun(node: EmbeddedNode) -> None:
    first, second = make_chain((await node.tip()).hash, 1, 2)
    rival = make_block((await node.tip()).hash, 1, tag=b"rival")
    gate = threading.Event()
    node._writer.submit(gate.wait)
    waiting = [asyncio.create_task(node.submit_block(raw)) for raw in (first, rival, second)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[1]
    gate.set()
    assert [(await waiting[0]).reason, (await waiting[2]).reason] == [None, None]
    assert await node.block(hash_of(rival)) is None


async def test_the_demonstration_learns_from_each_block_of_a_group(tmp_path: Path) -> None:
    learnt = []
    for name in ("alone", "group"):
        node = await open_node(tmp_path / name, demonstration=DemonstrationTarget(10, 64), now_s=lambda: 1_700_000_100.0)
        raw = block_of_template(await node.template())
        raws = [raw, make_block(hash_of(raw), 2, time_s=1_700_000_101)]
        if name == "alone":
            for raw in raws:
                assert (await node.submit_block(raw)).accepted
        else:
            assert reasons(await together(node, raws)) == [None, None]
        learnt.append(node._stored.index.meta("demonstration"))
        await node.close()
    assert learnt[0] == learnt[1]
    assert learnt[0] is not None


# Stops


@dataclass(frozen=True, slots=True)
class Left:
    """What a stop leaves: a folder, and what the node was about to do."""

    folder: Path
    step: str


class Stops:
    """Copies a node's folder before every step of its writing thread, and in the middle of each write."""

    def __init__(self, source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: list[Left] = []
        self._source = source
        self._target = target
        self._within = False
        for place, name in ((os, "ftruncate"), (block_log, "_sync"), (group_note, "_sync"), (Kernel, "submit"), (Index, "write")):
            monkeypatch.setattr(place, name, self._before(f"{name} of {place.__name__}", getattr(place, name)))
        monkeypatch.setattr(os, "pwrite", self._halfway(os.pwrite))

    def _copy(self, step: str) -> None:
        folder = self._target / str(len(self.left))
        copy_folder(self._source, folder)
        self.left.append(Left(folder, step))

    def _before(self, step: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            self._copy(f"before {step}")
            return real(*arguments)

        return call

    def _halfway(self, real: Callable[[int, bytes, int], int]) -> Callable[[int, bytes, int], int]:
        def call(file: int, data: bytes, offset: int) -> int:
            self._copy(f"before a write of {len(data)} bytes")
            half = len(data) // 2
            if half > PAGE // 8 or len(data) < 40:  # a note, or a large block
                return real(file, data, offset)
            real(file, data[:half], offset)
            self._copy(f"in the middle of a write of {len(data)} bytes")
            return real(file, data[half:], offset + half) + half

        return call


async def test_a_kill_at_any_step_leaves_what_was_answered_and_a_chain_to_go_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_node(tmp_path / "running")
    before = await mined(node, BEFORE)
    raws = mixture(hash_of(before[-1]), BEFORE + 1)
    with monkeypatch.context() as patched:
        stops = Stops(tmp_path / "running", tmp_path / "left", patched)
        assert reasons(await together(node, raws)) == list(ENDS)
    copy_folder(tmp_path / "running", tmp_path / "left" / "answered")
    after = await facts(node)
    await node.close()
    assert len(stops.left) > 30
    for left in stops.left:
        again = await open_node(left.folder)
        assert again.start_report.rebuilt == (), left.step
        for raw in before:
            assert await again.height_of(hash_of(raw)) is not None, left.step
        reasons(await together(again, raws))
        # Of two equals the one that the kill left may be the first now, but the longest chain is the same.
        assert await facts(again) == after, left.step
        await again.close()
        kept = logged(left.folder)
        assert len(kept) == len(set(kept)), left.step
        shutil.rmtree(left.folder)
    again = await open_node(tmp_path / "left" / "answered")
    assert (await facts(again), again.start_report.cut_bytes, again.start_report.rebuilt) == (after, 0, ())
    await again.close()


@dataclass(frozen=True, slots=True)
class Torn:
    """A folder in which a group was written and not answered for: its blocks, where their records start, and the log's end."""

    folder: Path
    before: list[bytes]
    group: list[bytes]
    offsets: list[int]

    @property
    def log(self) -> Path:
        return self.folder / "blocks.log"

    @property
    def note(self) -> Path:
        return self.folder / "blocks.log.group"


@pytest.fixture(scope="module")
def unsynced(tmp_path_factory: pytest.TempPathFactory) -> Torn:
    """What a kill leaves after the group's last record, before its sync."""
    folder = tmp_path_factory.mktemp("unsynced")

    async def write() -> tuple[list[bytes], list[bytes]]:
        node = await open_node(folder / "running")
        before = await mined(node, BEFORE)
        group = make_chain(hash_of(before[-1]), BEFORE + 1, 20, value_sat=1)
        with pytest.MonkeyPatch.context() as patched:

            def copy(_log: BlockLog) -> None:
                copy_folder(folder / "running", folder / "left")
                raise OSError(5, "Input/output error")

            patched.setattr(BlockLog, "end_group", copy)
            assert all(isinstance(answer, NodeUnavailableError) for answer in await together(node, group))
        await node.close()
        return before, group

    before, group = asyncio.run(write())
    end = (folder / "left" / "blocks.log").stat().st_size
    offsets = [end]
    for raw in reversed(group):
        offsets.insert(0, offsets[0] - HEAD_BYTES - len(raw))
    return Torn(folder / "left", before, group, offsets)


@pytest.fixture
def torn(unsynced: Torn, tmp_path: Path) -> Torn:
    """A copy of it, of which each test loses something."""
    copy_folder(unsynced.folder, tmp_path / "torn")
    return Torn(tmp_path / "torn", unsynced.before, unsynced.group, unsynced.offsets)


@pytest.mark.parametrize("index", ["present", "lost"])
@pytest.mark.parametrize("struck", [(0, 3), (7,), (7, 8, 9), (7, 12), (19,), (0, 19)])
async def test_a_torn_group_is_cut_at_its_first_damage(torn: Torn, struck: tuple[int, ...], index: str) -> None:
    content = bytearray(torn.log.read_bytes())
    for number in struck:
        start, end = torn.offsets[number], torn.offsets[number + 1]
        content[start:end] = bytes(end - start)
    torn.log.write_bytes(content)
    if index == "lost":
        shutil.rmtree(torn.folder / "index")
    node = await open_node(torn.folder)
    whole = struck[0]
    assert (await node.tip()).height == BEFORE + whole
    assert node.start_report.cut_bytes == torn.offsets[-1] - torn.offsets[whole]
    assert [raw async for raw in node.blocks()] == torn.before + torn.group[:whole]
    assert torn.folder.joinpath("blocks.log.cut").read_bytes() == content[torn.offsets[whole] :]
    assert reasons(await together(node, torn.group)) == ["duplicate"] * whole + [None] * (20 - whole)
    after = await facts(node)
    await node.close()
    again = await open_node(torn.folder)
    assert (await facts(again), again.start_report.cut_bytes, again.start_report.rebuilt) == (after, 0, ())
    await again.close()


@pytest.mark.parametrize("index", ["present", "lost"])
@pytest.mark.parametrize("seed", range(3))
async def test_pages_of_a_group_that_never_reached_the_disk_cost_nothing_before_it(torn: Torn, seed: int, index: str) -> None:
    chance = random.Random(seed)
    content = bytearray(torn.log.read_bytes())
    size = chance.randrange(torn.offsets[0], torn.offsets[-1])
    for start in range(torn.offsets[0], size, 512):
        if chance.random() < 0.2:
            content[start : start + 512] = bytes(512)
    torn.log.write_bytes(content[:size])
    if index == "lost":
        shutil.rmtree(torn.folder / "index")
    node = await open_node(torn.folder)
    found = [raw async for raw in node.blocks()]
    assert len(found) >= BEFORE
    assert found == (torn.before + torn.group)[: len(found)]
    await mined(node, 2)
    await node.close()


@pytest.mark.parametrize("kernel", ["present", "lost"])
@pytest.mark.parametrize("struck", [0, 7, 19])
async def test_rot_in_a_group_that_ended_is_never_cut(tmp_path: Path, struck: int, kernel: str) -> None:
    folder = tmp_path / "node"
    node = await open_node(folder)
    before = await mined(node, BEFORE)
    group = make_chain(hash_of(before[-1]), BEFORE + 1, 20, value_sat=1)
    assert reasons(await together(node, group)) == [None] * 20
    after = await facts(node)
    await node.close()
    log, end = folder / "blocks.log", sum(HEAD_BYTES + len(raw) for raw in group[struck:])
    flip(log, log.stat().st_size - end + HEAD_BYTES + 100)
    damaged = log.read_bytes()
    shutil.rmtree(folder / "index")
    if kernel == "lost":
        shutil.rmtree(folder / "kernel")
        for _ in range(2):
            with pytest.raises(NodeUnavailableError, match=r"blocks\.log is damaged from byte"):
                await open_node(folder)
            assert log.read_bytes() == damaged
        return
    node = await open_node(folder)
    assert (await facts(node), node.start_report.cut_bytes) == (after, 0)
    await node.close()


@pytest.mark.parametrize("how", ["flipped", "missing", "empty", "another log's"])
async def test_without_a_note_to_be_trusted_a_torn_group_is_left_as_it_is(torn: Torn, how: str) -> None:
    for number in (7, 12):
        flip(torn.log, torn.offsets[number] + HEAD_BYTES + 100)
    content, note = torn.log.read_bytes(), torn.note.read_bytes()
    if how == "flipped":
        flip(torn.note, 17)
    elif how == "missing":
        torn.note.unlink()
    elif how == "empty":
        torn.note.write_bytes(b"")
    else:
        torn.note.unlink()
        other = group_note.GroupNote(torn.note, b"its mark")
        other.write(group_note.Noted(torn.offsets[0], group=True))
        other.close()
    with pytest.raises(NodeUnavailableError, match=rf"blocks\.log is damaged from byte {torn.offsets[7]} "):
        await open_node(torn.folder)
    assert torn.log.read_bytes() == content
    torn.note.write_bytes(note)
    node = await open_node(torn.folder)
    assert (await node.tip()).height == BEFORE + 7
    await node.close()


async def test_rot_before_a_torn_group_is_mended_or_told_and_the_group_alone_is_cut(torn: Torn) -> None:
    flip(torn.log, torn.offsets[0] - 10)
    flip(torn.log, torn.offsets[0] + HEAD_BYTES + 100)
    answered = torn.log.read_bytes()[: torn.offsets[0]]
    shutil.rmtree(torn.folder / "index")
    shutil.rmtree(torn.folder / "kernel")
    for _ in range(3):
        with pytest.raises(NodeUnavailableError, match=r"blocks\.log is damaged from byte"):
            await open_node(torn.folder)
        assert torn.log.read_bytes() == answered, "what was answered for is no torn tail, however often it is tried"


# A disk that is full, or broken


async def test_a_disk_that_fills_within_a_group_keeps_the_blocks_before(
    node: EmbeddedNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await mined(node, BEFORE)
    good = make_chain(hash_of(before[-1]), BEFORE + 1, 6, value_sat=1)
    greedy = make_block(hash_of(good[1]), BEFORE + 3, value_sat=51 * 100_000_000)
    group = [*good[:2], greedy, *good[2:]]
    log = tmp_path / "node" / "blocks.log"
    room = log.stat().st_size + sum(HEAD_BYTES + len(raw) for raw in good[:3]) + 50
    real = os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if offset + len(data) > room:
            if offset < room:
                real(file, bytes(data)[: room - offset], offset)
            raise OSError(28, "No space left on device")
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    answers = await together(node, group)
    monkeypatch.undo()
    assert reasons(answers[:4]) == [None, None, "bad-cb-amount", None]
    assert all(isinstance(answer, NodeUnavailableError) and "Free some space" in str(answer) for answer in answers[4:])
    assert (await node.tip()).hash == hash_of(good[2])
    assert log.stat().st_size == room - 50
    copy_folder(tmp_path / "node", tmp_path / "crashed")
    assert reasons(await together(node, group)) == [*["duplicate"] * 2, "duplicate-invalid", "duplicate", None, None, None]
    again = await open_node(tmp_path / "crashed")
    assert (await again.tip()).hash == hash_of(good[2])
    await again.close()


@pytest.mark.parametrize(("module", "failing"), [(group_note, 1), (block_log, 1), (group_note, 2)])
async def test_a_sync_that_fails_answers_for_nothing_and_stops_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: object, failing: int
) -> None:
    """Before the group, at its end, and after it."""
    node = await open_node(tmp_path)
    before = await mined(node, BEFORE)
    group = make_chain(hash_of(before[-1]), BEFORE + 1, 5, value_sat=1)
    real, calls = group_note._sync, []

    def fail(file: int) -> None:
        calls.append(file)
        if len(calls) == failing:
            raise OSError(5, "Input/output error")
        real(file)

    monkeypatch.setattr(module, "_sync", fail)
    answers = await together(node, group)
    monkeypatch.undo()
    assert all(isinstance(answer, NodeUnavailableError) and "then restart" in str(answer) for answer in answers)
    with pytest.raises(NodeUnavailableError, match="stopped taking blocks"):
        await node.submit_block(group[0])
    assert (await node.tip()).hash == hash_of(before[-1])
    await node.close()
    node = await open_node(tmp_path)
    assert set(reasons(await together(node, group))) <= {None, "duplicate"}
    assert (await node.tip()).hash == hash_of(group[-1])
    await node.close()


async def test_a_fault_within_a_group_is_told_to_all_and_not_gone_on_from(
    node: EmbeddedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = make_chain((await node.tip()).hash, 1, 4)
    real = Kernel.submit

    def fail(kernel: Kernel, raw: bytes) -> object:
        if raw == chain[2]:
            raise ZeroDivisionError("a fault of ours")
        return real(kernel, raw)

    monkeypatch.setattr(Kernel, "submit", fail)
    assert all(isinstance(answer, ZeroDivisionError) for answer in await together(node, chain))
    monkeypatch.undo()
    assert gc.isenabled()
    with pytest.raises(NodeUnavailableError, match="stopped taking blocks: a fault of ours"):
        await node.submit_block(chain[0])


# Many blocks


async def given(raws: Sequence[bytes]) -> AsyncIterator[bytes]:
    for raw in raws:
        yield raw


async def test_many_blocks_have_their_verdicts_in_order(node: EmbeddedNode) -> None:
    chain = make_chain((await node.tip()).hash, 1, 150)
    raws = [*chain[:75], chain[3], b"bad", *chain[75:]]
    found = [verdict.reason async for verdict in submit_all(node, given(raws))]
    assert found == [None] * 75 + ["duplicate", "Block decode failed"] + [None] * 75
    assert (await node.tip()).height == 150


async def test_many_blocks_end_with_the_first_that_the_node_cannot_take(
    node: EmbeddedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = make_chain((await node.tip()).hash, 1, 100)
    real = StoredChain.submit

    def fail(stored: StoredChain, raws: Sequence[bytes]) -> list[Answer]:
        if chain[60] in raws:
            raise NodeUnavailableError("not now")
        return real(stored, raws)

    monkeypatch.setattr(StoredChain, "submit", fail)
    found: list[str | None] = []

    async def collect() -> None:
        async for verdict in submit_all(node, given(chain)):
            found.append(verdict.reason)

    with pytest.raises(NodeUnavailableError, match="not now"):
        await collect()
    assert found == [None] * len(found)
    assert 0 < len(found) <= 60
