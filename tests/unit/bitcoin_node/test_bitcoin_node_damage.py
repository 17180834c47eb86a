"""Damage to the node's files: what can be rebuilt is, what cannot is told, and nothing that is whole is ever cut off."""

import asyncio
import os
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.unit.bitcoin_node.bitcoin_node_folders import copy_folder, facts, flip
from tests.unit.bitcoin_node.bitcoin_node_mining import hash_of, make_block, make_chain

from photosynth.bitcoin.node import NodeUnavailableError, hash_text
from photosynth.bitcoin_node import open_node
from photosynth.bitcoin_node.block_log import HEAD_BYTES, BlockLog, Record
from photosynth.bitcoin_node.chain import NETWORK_MAGIC
from photosynth.bitcoin_node.index_file import FileDamagedError, check, seal

BLOCKS = 8
REGIONS = {"mark": 0, "length": 8, "checksum": 12, "header": HEAD_BYTES + 70, "body": HEAD_BYTES + 100}
"""Where in a record a byte is flipped."""
PAGE = 4096


@dataclass(frozen=True, slots=True)
class Stopped:
    """A node's folder after a clean stop: its blocks, where their records start, and what it answered."""

    folder: Path
    chain: list[bytes]
    offsets: list[int]
    facts: object

    @property
    def log(self) -> Path:
        return self.folder / "blocks.log"

    @property
    def data(self) -> Path:
        return self.folder / "index" / "data.mdb"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """The folder that every test damages a copy of."""
    folder = tmp_path_factory.mktemp("original") / "node"

    async def mined() -> tuple[list[bytes], object]:
        node = await open_node(folder)
        chain = make_chain((await node.tip()).hash, 1, BLOCKS, value_sat=1)
        for raw in chain:
            assert (await node.submit_block(raw)).accepted
        told = await facts(node)
        await node.close()
        return chain, told

    chain, told = asyncio.run(mined())
    log = BlockLog(folder / "blocks.log", NETWORK_MAGIC["regtest"])
    offsets = [record.offset for record in log.records() if isinstance(record, Record)]
    log.close()
    return Stopped(folder, chain, offsets[1:], told)


@pytest.fixture
def stopped(original: Stopped, tmp_path: Path) -> Stopped:
    """A copy of it."""
    copy_folder(original.folder, tmp_path / "node")
    return replace(original, folder=tmp_path / "node")


def lose_index(stopped: Stopped, how: str) -> None:
    if how == "lost":
        shutil.rmtree(stopped.folder / "index")
    elif how == "truncated":
        for path in (stopped.folder / "index").iterdir():
            os.truncate(path, 5000)


@pytest.mark.parametrize("kernel", ["present", "lost"])
@pytest.mark.parametrize(
    ("region", "index"), [*((region, index) for region in REGIONS for index in ("present", "lost")), ("body", "truncated")]
)
@pytest.mark.parametrize("place", ["middle", "last"])
async def test_a_flipped_byte_of_the_log_costs_no_other_block(
    stopped: Stopped, region: str, place: str, index: str, kernel: str
) -> None:
    number = BLOCKS // 2 if place == "middle" else BLOCKS - 1
    flip(stopped.log, stopped.offsets[number] + REGIONS[region])
    damaged = stopped.log.read_bytes()
    lose_index(stopped, index)
    if kernel == "lost":
        shutil.rmtree(stopped.folder / "kernel")
    torn = place == "last" and index != "present" and region != "mark"  # nothing tells it from a block that was being written
    if kernel == "lost" and region in ("header", "body") and not torn:
        named = stopped.chain[number]
        with pytest.raises(
            NodeUnavailableError, match=rf"is damaged from byte {stopped.offsets[number]} .*{hash_text(hash_of(named))}"
        ):
            await open_node(stopped.folder)
        assert stopped.log.read_bytes() == damaged, "nothing is cut off or overwritten"
        return
    node = await open_node(stopped.folder)
    if torn and kernel == "lost":
        assert (await node.tip()).hash == hash_of(stopped.chain[-2])
        assert node.start_report.cut_bytes == len(damaged) - stopped.offsets[-1]
    else:
        assert await facts(node) == stopped.facts
    await node.close()
    assert stopped.log.read_bytes()[: stopped.offsets[number]] == damaged[: stopped.offsets[number]]
    again = await open_node(stopped.folder)
    assert again.start_report.rebuilt == (), "it is mended once"
    await again.close()


async def test_two_damaged_blocks_are_written_anew_from_the_consensus_library(stopped: Stopped) -> None:
    before = stopped.log.read_bytes()
    for number in (3, 4, BLOCKS - 2, BLOCKS - 1):
        flip(stopped.log, stopped.offsets[number] + REGIONS["body"])
    lose_index(stopped, "lost")
    node = await open_node(stopped.folder)
    assert await facts(node) == stopped.facts
    assert set(node.start_report.rebuilt) == {"block log"}
    await node.close()
    assert stopped.log.read_bytes() == before


async def test_no_other_block_of_the_same_size_is_written_in_the_place_of_one_that_nobody_has(stopped: Stopped) -> None:
    for number in (BLOCKS - 2, BLOCKS - 1):
        flip(stopped.log, stopped.offsets[number] + REGIONS["body"])
    damaged = stopped.log.read_bytes()
    shutil.rmtree(stopped.folder / "index")
    shutil.rmtree(stopped.folder / "kernel")
    for _ in range(2):
        with pytest.raises(NodeUnavailableError, match=rf"is damaged from byte {stopped.offsets[-2]} .*: the last block"):
            await open_node(stopped.folder)
        assert stopped.log.read_bytes() == damaged


async def test_a_block_beside_the_chain_is_mended_from_the_hash_in_its_header(stopped: Stopped) -> None:
    node = await open_node(stopped.folder)
    side = make_block(hash_of(stopped.chain[3]), 5, tag=b"side", value_sat=1)
    assert (await node.submit_block(side)).reason == "inconclusive"
    (following,) = make_chain(hash_of(stopped.chain[-1]), BLOCKS + 1, 1, value_sat=1)
    assert (await node.submit_block(following)).accepted
    await node.close()
    before = stopped.log.read_bytes()
    flip(stopped.log, before.index(side) + 100)
    shutil.rmtree(stopped.folder / "index")
    node = await open_node(stopped.folder)
    assert await node.block(hash_of(side)) == side
    assert await node.block(hash_of(stopped.chain[-1])) == stopped.chain[-1]
    await node.close()
    assert stopped.log.read_bytes() == before


async def test_a_damaged_block_that_nobody_has_is_said_to_be_unreadable_and_not_unknown(stopped: Stopped) -> None:
    shutil.rmtree(stopped.folder / "kernel")
    node = await open_node(stopped.folder)
    flip(stopped.log, stopped.offsets[3] + REGIONS["body"])
    shutil.rmtree(stopped.folder / "kernel" / "blocks")
    with pytest.raises(NodeUnavailableError, match=r"cannot be read: .*blocks\.log is damaged at byte"):
        await node.block(hash_of(stopped.chain[3]))
    await node.close()


@pytest.mark.parametrize("at", [0, 9, 13, 21])
async def test_a_flipped_byte_of_the_logs_head_is_mended(stopped: Stopped, at: int) -> None:
    before = stopped.log.read_bytes()
    flip(stopped.log, at)
    node = await open_node(stopped.folder)
    assert await facts(node) == stopped.facts
    await node.close()
    assert stopped.log.read_bytes() == before


async def test_a_log_that_lost_blocks_which_nobody_else_has_is_refused(stopped: Stopped) -> None:
    os.truncate(stopped.log, stopped.offsets[-2])
    shutil.rmtree(stopped.folder / "kernel")
    for _ in range(2):
        with pytest.raises(
            NodeUnavailableError, match=rf"does not have the best block that was known, {hash_text(hash_of(stopped.chain[-1]))}"
        ):
            await open_node(stopped.folder)
    shutil.rmtree(stopped.folder / "index")
    node = await open_node(stopped.folder)
    assert (await node.tip()).height == BLOCKS - 2, "what is missing was given up on purpose"
    await node.close()


@pytest.mark.parametrize(
    ("size", "clean"),
    [(1, True), (6 * PAGE, True), *((size, False) for size in (1, 100, PAGE, 5000, 2 * PAGE, 2 * PAGE + 1, 6 * PAGE))],
)
async def test_index_files_that_are_cut_off_are_rebuilt(stopped: Stopped, size: int, clean: bool) -> None:
    for path in (stopped.folder / "index").glob("*.mdb"):
        os.truncate(path, size)
    if not clean:
        (stopped.folder / "index" / "closed.json").unlink()
    node = await open_node(stopped.folder)
    assert node.start_report.rebuilt == ("index",)
    assert await facts(node) == stopped.facts
    await node.close()


@pytest.mark.parametrize("where", ["first half", "last half"])
async def test_any_changed_byte_of_the_index_is_found_after_a_clean_stop(stopped: Stopped, where: str) -> None:
    size = stopped.data.stat().st_size
    flip(stopped.data, size // 4 if where == "first half" else size - size // 4)
    node = await open_node(stopped.folder)
    assert node.start_report.rebuilt == ("index",)
    assert await facts(node) == stopped.facts
    await node.close()


@pytest.mark.parametrize("seed", range(24))
async def test_no_page_of_garbage_is_mapped_after_a_crash(stopped: Stopped, seed: int) -> None:
    """LMDB would end this process: each page of the file, and each of its heads, is struck in turn."""
    (stopped.folder / "index" / "closed.json").unlink()
    chance = random.Random(seed)
    content = bytearray(stopped.data.read_bytes())
    page = seed // 2 % (len(content) // PAGE)
    if seed % 2:
        content[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    else:
        content[page * PAGE + chance.randrange(24)] ^= 1 << chance.randrange(8)
    stopped.data.write_bytes(content)
    node = await open_node(stopped.folder)
    assert await facts(node) == stopped.facts
    await node.close()


async def test_what_lies_in_the_indexs_place_and_is_no_file_is_not_opened(stopped: Stopped) -> None:
    stopped.data.unlink()
    os.mkfifo(stopped.data)
    node = await open_node(stopped.folder)
    assert node.start_report.rebuilt == ("index",)
    await node.close()


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_file(path: Path) -> None:
    path.write_bytes(b"something else")


@pytest.mark.parametrize("part", ["lock", "starting", "blocks.log", "blocks.log.group", "index/closed.json"])
@pytest.mark.parametrize("made", [as_pipe, Path.mkdir])
async def test_what_lies_in_a_files_place_and_is_none_is_named(stopped: Stopped, part: str, made: Callable[[Path], None]) -> None:
    path = stopped.folder / part
    path.unlink(missing_ok=True)
    made(path)
    for _ in range(2):
        with pytest.raises(NodeUnavailableError, match=rf"cannot start: .*{re.escape(str(path))} is not a file: move it away"):
            await open_node(stopped.folder)
    path.rmdir() if path.is_dir() else path.unlink()
    if part != "blocks.log":
        node = await open_node(stopped.folder)
        assert await facts(node) == stopped.facts
        await node.close()


@pytest.mark.parametrize("part", ["", "index", "kernel", "kernel.damaged"])
@pytest.mark.parametrize("made", [as_pipe, as_file])
async def test_what_lies_in_a_folders_place_and_is_none_is_named(
    stopped: Stopped, part: str, made: Callable[[Path], None]
) -> None:
    path = stopped.folder / part
    if path.exists():
        path.rename(stopped.folder.with_name("moved"))
    made(path)
    for _ in range(2):
        with pytest.raises(NodeUnavailableError, match=rf"cannot start: .*{re.escape(str(path))} is not a folder: move it away"):
            await open_node(stopped.folder)
    path.unlink()
    if part == "":
        stopped.folder.with_name("moved").rename(path)
    node = await open_node(stopped.folder)
    assert await facts(node) == stopped.facts
    await node.close()


async def test_a_consensus_database_is_not_given_up_for_what_lies_in_the_place_where_it_is_kept(stopped: Stopped) -> None:
    (stopped.folder / "kernel" / "chainstate" / "CURRENT").write_bytes(b"garbage")
    (stopped.folder / "kernel.damaged").write_bytes(b"something else")
    with pytest.raises(NodeUnavailableError, match=r"kernel\.damaged is not a folder: move it away"):
        await open_node(stopped.folder)
    assert list((stopped.folder / "kernel" / "blocks").glob("blk*.dat"))


async def test_a_sound_index_passes_sealed_or_not(stopped: Stopped) -> None:
    check(stopped.data)
    sealed = stopped.data.with_name("closed.json")
    for content in (b"{", b"[]", b'{"transaction": 0, "bytes": 1, "crc32": 1}'):
        sealed.write_bytes(content)
        check(stopped.data)
    seal(stopped.data)
    sealed.write_text(sealed.read_text().replace('"bytes": ', '"bytes": 1'))
    with pytest.raises(FileDamagedError, match="not those of the last clean stop"):
        check(stopped.data)


async def test_a_consensus_database_that_ends_the_process_at_every_start_is_rebuilt(stopped: Stopped) -> None:
    (stopped.folder / "starting").write_text("2")
    node = await open_node(stopped.folder)
    assert node.start_report.rebuilt == ("kernel",)
    assert await facts(node) == stopped.facts
    assert not (stopped.folder / "kernel.damaged").exists()
    await node.close()
    node = await open_node(stopped.folder)
    assert node.start_report.rebuilt == ()
    await node.close()


async def test_a_consensus_database_is_kept_until_all_is_there_again(stopped: Stopped) -> None:
    flip(stopped.log, stopped.offsets[3] + REGIONS["body"])
    shutil.rmtree(stopped.folder / "index")
    (stopped.folder / "kernel" / "chainstate" / "CURRENT").write_bytes(b"garbage")
    for _ in range(2):
        with pytest.raises(NodeUnavailableError, match="is damaged from byte"):
            await open_node(stopped.folder)
    assert list((stopped.folder / "kernel.damaged" / "blocks").glob("blk*.dat"))
