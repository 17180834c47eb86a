"""What the embedded node keeps: over restarts, crashes, damage to each of its files, and a full disk.

A copy of the folder taken while the node runs is what a crash would have left behind.
"""

import asyncio
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import lmdb
import pytest
from tests.unit.bitcoin_node.bitcoin_node_folders import facts
from tests.unit.bitcoin_node.bitcoin_node_mining import ANYONE, hash_of, make_block, make_chain

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin_node import EmbeddedNode, FolderInUseError, open_node
from photosynth.bitcoin_node.block_log import BlockLog
from photosynth.bitcoin_node.chain import NETWORK_MAGIC, REOPEN_AFTER
from photosynth.bitcoin_node.index import Index

RUN = REOPEN_AFTER + 30


async def mined(node: EmbeddedNode, count: int) -> list[bytes]:
    tip = await node.tip()
    chain = make_chain(tip.hash, tip.height + 1, count, value_sat=1)
    for raw in chain:
        assert (await node.submit_block(raw)).accepted
    return chain


async def test_a_clean_stop_replays_nothing(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    await mined(node, 5)
    before = await facts(node)
    await node.close()
    node = await open_node(tmp_path)
    assert await facts(node) == before
    assert (node.start_report.replayed, node.start_report.cut_bytes, node.start_report.rebuilt) == (0, 0, ())
    await node.close()


async def test_a_crash_replays_only_the_tail_and_loses_nothing(tmp_path: Path) -> None:
    node = await open_node(tmp_path / "running")
    chain = await mined(node, REOPEN_AFTER)
    while node._stored.wants_reopen:  # as soon as no block comes
        await asyncio.sleep(0.01)
    chain += await mined(node, RUN - REOPEN_AFTER)
    side = make_block(hash_of(chain[-2]), RUN, tag=b"side")
    assert (await node.submit_block(side)).reason == "inconclusive"
    before = await facts(node)
    shutil.copytree(tmp_path / "running", tmp_path / "crashed")
    await node.close()
    node = await open_node(tmp_path / "crashed")
    assert await facts(node) == before
    assert node.start_report.replayed == RUN - REOPEN_AFTER + 1, "the blocks since then, and the one beside them"
    assert (await node.submit_block(side)).reason == "duplicate"
    await mined(node, 3)
    await node.close()


async def test_what_was_replayed_once_is_not_replayed_again_after_the_next_crash(tmp_path: Path) -> None:
    node = await open_node(tmp_path / "running")
    await mined(node, REOPEN_AFTER)
    shutil.copytree(tmp_path / "running", tmp_path / "crashed")
    await node.close()
    node = await open_node(tmp_path / "crashed")
    assert node.start_report.replayed == REOPEN_AFTER
    shutil.copytree(tmp_path / "crashed", tmp_path / "crashed again")
    await node.close()
    node = await open_node(tmp_path / "crashed again")
    assert node.start_report.replayed == 0
    await node.close()


@pytest.mark.parametrize("lost", ["index", "kernel"])
async def test_a_lost_index_or_consensus_database_is_rebuilt_from_the_log(tmp_path: Path, lost: str) -> None:
    node = await open_node(tmp_path)
    await mined(node, RUN)
    before, size = await facts(node), (tmp_path / "blocks.log").stat().st_size
    await node.close()
    shutil.rmtree(tmp_path / lost)
    node = await open_node(tmp_path)
    assert await facts(node) == before
    assert (tmp_path / "blocks.log").stat().st_size == size, "no block is logged twice"
    await mined(node, 3)
    await node.close()


@pytest.mark.parametrize("damaged", ["index/data.mdb", "kernel/chainstate/CURRENT", "kernel/blocks/index/CURRENT"])
async def test_a_damaged_index_or_consensus_database_is_rebuilt_from_the_log(tmp_path: Path, damaged: str) -> None:
    node = await open_node(tmp_path)
    await mined(node, 20)
    before = await facts(node)
    await node.close()
    (tmp_path / damaged).write_bytes(b"garbage" * 1000)
    node = await open_node(tmp_path)
    assert await facts(node) == before
    assert node.start_report.rebuilt == (damaged.split("/", maxsplit=1)[0],)
    await node.close()


async def test_an_index_that_contradicts_the_chain_is_rebuilt(tmp_path: Path) -> None:
    node = await open_node(tmp_path / "running")
    chain = await mined(node, 101)
    await node.close()
    shutil.copytree(tmp_path / "running", tmp_path / "crashed")
    node = await open_node(tmp_path / "running")
    spent = TxIn(Block.parse(chain[0]).transactions[0].txid, 0)
    spending = Transaction(2, (spent,), (TxOut(1, ANYONE), TxOut(0, b"\x6apadding")))
    assert (await node.submit_block(make_block(hash_of(chain[-1]), 102, transactions=[spending]))).accepted
    before = await facts(node)
    await node.close()
    index = Index(tmp_path / "crashed" / "index")
    with index.write() as batch:
        index.coins._take(batch._txn, spent.previous_txid + bytes(4))
        batch.write_coins()
    index.close()
    shutil.copy(tmp_path / "running" / "blocks.log", tmp_path / "crashed" / "blocks.log")
    node = await open_node(tmp_path / "crashed")
    assert node.start_report.rebuilt == ("index",)
    assert await facts(node) == before
    await node.close()


async def test_a_torn_record_of_an_unanswered_block_is_cut_off(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    await mined(node, 5)
    before = await facts(node)
    await node.close()
    with (tmp_path / "blocks.log").open("ab") as log:
        log.write(b"\x00\x01\x00\x00torn")
    node = await open_node(tmp_path)
    assert node.start_report.cut_bytes == 8
    assert await facts(node) == before
    await mined(node, 2)
    await node.close()


async def test_a_whole_record_that_was_never_indexed_counts_at_the_next_start(tmp_path: Path) -> None:
    node = await open_node(tmp_path / "running")
    await mined(node, 5)
    shutil.copytree(tmp_path / "running", tmp_path / "crashed")
    await mined(node, 2)
    before = await facts(node)
    await node.close()
    shutil.copy(tmp_path / "running" / "blocks.log", tmp_path / "crashed" / "blocks.log")
    node = await open_node(tmp_path / "crashed")
    assert await facts(node) == before
    await node.close()


async def test_blocks_that_only_the_consensus_database_has_are_taken_from_it(tmp_path: Path) -> None:
    node = await open_node(tmp_path / "running")
    await mined(node, 5)
    shutil.copytree(tmp_path / "running", tmp_path / "crashed")
    await mined(node, 2)
    before = await facts(node)
    await node.close()
    shutil.rmtree(tmp_path / "crashed" / "kernel")
    shutil.copytree(tmp_path / "running" / "kernel", tmp_path / "crashed" / "kernel")
    node = await open_node(tmp_path / "crashed")
    assert await facts(node) == before
    await node.close()


async def test_a_log_that_lost_its_end_leaves_the_index_to_be_rebuilt(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    await mined(node, 5)
    before = await facts(node)
    await node.close()
    os.truncate(tmp_path / "blocks.log", (tmp_path / "blocks.log").stat().st_size - 300)
    node = await open_node(tmp_path)
    assert node.start_report.rebuilt == ("index",)
    assert await facts(node) == before, "the consensus library still had the blocks"
    await node.close()


async def test_a_damaged_block_in_the_log_is_read_from_the_consensus_database(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    chain = await mined(node, 5)
    content = bytearray((tmp_path / "blocks.log").read_bytes())
    content[-10] ^= 1
    (tmp_path / "blocks.log").write_bytes(content)
    assert await node.block(hash_of(chain[-1])) == chain[-1]
    assert [raw async for raw in node.blocks(1)] == chain
    await node.close()


async def test_one_folder_serves_one_node(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    with pytest.raises(FolderInUseError, match=f"in use by process {os.getpid()}: stop that one"):
        await open_node(tmp_path)
    assert (await node.tip()).height == 0
    await node.close()
    await (await open_node(tmp_path)).close()


async def test_an_opening_that_was_given_up_lets_go_of_the_folder(tmp_path: Path) -> None:
    opening = asyncio.create_task(open_node(tmp_path))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    node = None
    while node is None:
        with suppress(FolderInUseError):
            node = await open_node(tmp_path)
    await node.close()


async def test_a_refused_block_that_a_crash_left_in_the_log_does_not_count(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    chain = await mined(node, 3)
    before = await facts(node)
    await node.close()
    greedy = make_block(hash_of(chain[-1]), 4, value_sat=51 * 100_000_000)
    log = BlockLog(tmp_path / "blocks.log", NETWORK_MAGIC["regtest"])
    log.append(greedy)
    log.close()
    node = await open_node(tmp_path)
    assert await facts(node) == before
    assert await node.block(hash_of(greedy)) is None
    await mined(node, 2)
    await node.close()


async def test_another_chains_folder_is_refused(tmp_path: Path) -> None:
    await (await open_node(tmp_path)).close()
    with pytest.raises(NodeUnavailableError, match="not a block log of this chain"):
        await open_node(tmp_path, "signet")
    with pytest.raises(ValueError, match="regtest, signet, testnet4, not mainnet"):
        await open_node(tmp_path, "mainnet")
    with pytest.raises(ValueError, match="could never be spent"):
        await open_node(tmp_path, payout_scripts=[b"\x6a"])


@pytest.mark.parametrize("chain", ["signet", "testnet4"])
async def test_other_test_networks_open_and_do_not_mine(tmp_path: Path, chain: str) -> None:
    node = await open_node(tmp_path, chain)
    assert (await node.tip()).height == 0
    with pytest.raises(NodeUnavailableError, match="mines on regtest only"):
        await node.template()
    await node.close()


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system refuses every write past a file size, as it refuses those to a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_the_block_and_nothing_of_it_counts(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    chain = await mined(node, 3)
    before = await facts(node)
    following = make_block(hash_of(chain[-1]), 4)
    size = (tmp_path / "blocks.log").stat().st_size
    with (
        files_no_larger_than(size + 20),
        pytest.raises(NodeUnavailableError, match=r"blocks\.log cannot be written: .* Free some space and submit it"),
    ):
        await node.submit_block(following)
    assert (tmp_path / "blocks.log").stat().st_size == size
    assert await facts(node) == before
    assert (await node.submit_block(following)).accepted, "and goes on as soon as there is space"
    await node.close()


async def test_a_disk_that_was_full_is_gone_on_with_once_it_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await open_node(tmp_path)
    chain = await mined(node, 3)
    following = make_block(hash_of(chain[-1]), 4)
    room = shutil.disk_usage(tmp_path)

    def no_room(_index: Index) -> None:
        raise lmdb.Error("mdb_txn_commit: No space left on device")

    monkeypatch.setattr(Index, "write", no_room)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: room._replace(free=4096))
    with pytest.raises(NodeUnavailableError, match=r"stopped taking blocks: .*No space left.* goes on by itself"):
        await node.submit_block(following)
    health = await node.health()
    assert not health.synchronised
    with pytest.raises(NodeUnavailableError, match="stopped taking blocks"):
        await node.template()
    monkeypatch.undo()

    while not (await node.health()).synchronised:  # whoever asks sets it off
        await asyncio.sleep(0.01)
    assert (await node.tip()).hash == hash_of(following), "what the log had taken counts"
    assert (await node.submit_block(following)).reason == "duplicate"
    assert (await mined(node, 2))[0] is not None
    after = await facts(node)
    await node.close()
    again = await open_node(tmp_path)
    assert await facts(again) == after
    await again.close()


async def test_a_disk_that_runs_full_is_warned_of_before_a_block_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_node(tmp_path)
    await mined(node, 1)
    assert (await node.health()).warnings == ()
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: room._replace(free=4096))
    health = await node.health()
    assert [text.endswith("0 MB left and the Bitcoin node needs 100 MB: free some space") for text in health.warnings] == [True]
    assert health.synchronised, "what fits is taken"
    await mined(node, 1)
    monkeypatch.undo()
    assert (await node.health()).warnings == ()
    await node.close()


async def test_a_log_that_cannot_be_synced_stops_the_node_until_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_node(tmp_path)
    chain = await mined(node, 3)
    following = make_block(hash_of(chain[-1]), 4)

    def fail(_file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("photosynth.bitcoin_node.block_log._sync", fail)
    with pytest.raises(NodeUnavailableError, match=r"stopped taking blocks: .*Input/output error.* then restart"):
        await node.submit_block(following)
    monkeypatch.undo()
    with pytest.raises(NodeUnavailableError, match="stopped taking blocks"):
        await node.submit_block(following)
    with pytest.raises(NodeUnavailableError, match="stopped taking blocks"):
        await node.template()
    health = await node.health()
    assert (health.synchronised, len(health.warnings)) == (False, 1)
    assert (await node.tip()).hash == hash_of(chain[-1])
    await node.close()
    node = await open_node(tmp_path)
    assert (await node.submit_block(following)).reason in (None, "duplicate")
    assert (await node.tip()).hash == hash_of(following)
    await node.close()


async def test_the_library_is_not_reopened_while_the_tip_has_a_rival(tmp_path: Path) -> None:
    """It forgets which of two equals it saw first, and an accepted block would no longer be the tip."""
    node = await open_node(tmp_path)
    try:
        before = (await mined(node, REOPEN_AFTER - 2))[-1]
        (accepted,) = await mined(node, 1)
        rival = make_block(hash_of(before), REOPEN_AFTER - 1, tag=b"rival")
        assert (await node.submit_block(rival)).reason == "inconclusive"
        assert not node._stored.wants_reopen
        await mined(node, 1)
        assert await node.height_of(hash_of(accepted)) == REOPEN_AFTER - 1
    finally:
        await node.close()
