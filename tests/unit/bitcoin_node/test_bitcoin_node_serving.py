"""The embedded node as its consumers use it: templates, long polling, reorganisations, the demonstration's target."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.unit.bitcoin_node.bitcoin_node_mining import (
    ANYONE,
    REGTEST_TARGET,
    block_of_template,
    hash_of,
    make_block,
    make_chain,
)

from photosynth.bitcoin.block import Block, witness_commitment_script
from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import Coin, NodeUnavailableError
from photosynth.bitcoin.target import REGTEST_BITS
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin_node import EmbeddedNode, open_node
from photosynth.bitcoin_node.template import least_time_s, median_time_past_s, subsidy_sat

START_S = 1_700_000_000.0
PAYOUT = bytes((0x00, 0x14)) + bytes(20)


class Wall:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = START_S

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[EmbeddedNode]:
    node = await open_node(tmp_path / "chain", payout_scripts=[PAYOUT])
    yield node
    await node.close()


async def submit_all(node: EmbeddedNode, blocks: list[bytes]) -> None:
    for raw in blocks:
        assert (await node.submit_block(raw)).reason in (None, "inconclusive")


async def test_a_template_is_the_next_block_but_for_coinbase_and_nonce(tmp_path: Path) -> None:
    wall = Wall()
    node = await open_node(tmp_path, now_s=wall)
    template = await node.template()
    tip = await node.tip()
    assert (template.height, template.previous_hash, template.bits) == (1, tip.hash, REGTEST_BITS)
    assert (template.version, template.time_s, template.min_time_s) == (0x20000000, int(START_S), tip.time_s + 1)
    assert template.target == template.network_target == REGTEST_TARGET
    assert (template.coinbase_value_sat, template.transactions) == (5_000_000_000, ())
    assert template.witness_commitment == witness_commitment_script([])
    wall.now = tip.time_s - 50.0
    assert (await node.template()).time_s == tip.time_s + 1, "never before the median of the last eleven"
    await node.close()


async def test_times_and_subsidies_follow_bitcoin_core() -> None:
    assert [subsidy_sat(height) for height in (1, 149, 150, 300, 4_949, 4_950, 10_000)] == [
        5_000_000_000,
        5_000_000_000,
        2_500_000_000,
        1_250_000_000,
        1,
        0,
        0,
    ]
    headers = [Block.parse(raw).header for raw in make_chain(bytes(32), 1, 12)][::-1]
    assert median_time_past_s(headers) == headers[5].time_s
    assert median_time_past_s(headers[-1:]) == headers[-1].time_s
    assert least_time_s(headers, 13) == headers[5].time_s + 1
    late = make_block(bytes(32), 1, time_s=headers[0].time_s + 5_000)
    assert least_time_s([Block.parse(late).header, *headers], 2016) == headers[0].time_s + 4_400


async def test_the_longer_branch_wins_with_its_coins(node: EmbeddedNode) -> None:
    start = make_chain((await node.tip()).hash, 1, 101, value_sat=5)
    await submit_all(node, start)
    spent = Block.parse(start[0]).transactions[0].txid
    spending = Transaction(2, (TxIn(spent, 0),), (TxOut(3, PAYOUT), TxOut(2, ANYONE)))
    ours = make_block(hash_of(start[-1]), 102, script=PAYOUT, value_sat=7, transactions=[spending])
    await submit_all(node, [ours])
    paid = await node.coins(PAYOUT)
    assert sorted(coin.value_sat for coin in paid) == [3, 7]
    assert Coin(spending.txid, 0, 3, 102, coinbase=False) in paid
    assert spent not in {coin.txid for coin in await node.coins(ANYONE)}
    theirs = make_chain(hash_of(start[-1]), 102, 2, tag=b"theirs")
    await submit_all(node, theirs)
    assert (await node.tip()).hash == hash_of(theirs[-1])
    assert await node.coins(PAYOUT) == ()
    assert spent in {coin.txid for coin in await node.coins(ANYONE)}
    assert await node.height_of(hash_of(ours)) is None
    assert await node.block(hash_of(ours)) == ours
    assert [raw async for raw in node.blocks(102)] == theirs
    await submit_all(node, make_chain(hash_of(ours), 103, 2))
    assert await node.coins(PAYOUT) == paid, "and comes back as it was"


async def test_whoever_waits_hears_of_a_tip_at_once(node: EmbeddedNode) -> None:
    before = await node.tip()
    assert await node.wait_for_tip(before.hash, 0.01) == before
    assert await node.wait_for_tip(bytes(32), 60) == before
    template = await node.template()
    waiting_for_tip = asyncio.create_task(node.wait_for_tip(before.hash, 60))
    waiting_for_template = asyncio.create_task(node.template(template.long_poll_id))
    await asyncio.sleep(0)
    raw = block_of_template(template)
    assert (await node.submit_block(raw)).accepted
    tip, following = await waiting_for_tip, await waiting_for_template
    assert (tip.height, tip.hash) == (1, hash_of(raw))
    assert (following.height, following.previous_hash) == (2, tip.hash)


async def test_waiters_are_woken_by_closing_and_closing_twice_is_safe(tmp_path: Path) -> None:
    node = await open_node(tmp_path)
    template = await node.template()
    waiting = [
        asyncio.create_task(node.wait_for_tip((await node.tip()).hash, 60)),
        asyncio.create_task(node.template(template.long_poll_id)),
    ]
    await asyncio.sleep(0)
    await asyncio.gather(node.close(), node.close())
    for task in waiting:
        with pytest.raises(NodeUnavailableError, match="closed: open it again"):
            await task
    with pytest.raises(NodeUnavailableError, match="closed"):
        await node.submit_block(b"")
    await node.close()


async def test_health_names_the_software_with_its_version(node: EmbeddedNode) -> None:
    health = await node.health()
    assert health.software.startswith("libbitcoinkernel (py-bitcoinkernel 0.")
    assert (health.chain, health.tip, health.headers, health.peers) == ("regtest", await node.tip(), 0, 0)
    assert (health.synchronised, health.warnings) == (True, ())


async def test_a_chain_ahead_of_the_clock_is_warned_of(tmp_path: Path) -> None:
    wall = Wall()
    node = await open_node(tmp_path, now_s=wall)
    await submit_all(node, [make_block((await node.tip()).hash, 1, time_s=int(START_S) + 7_201)])
    assert "more than two hours ahead" in (await node.health()).warnings[0]
    await node.close()


async def test_unknown_heights_and_hashes_are_none(node: EmbeddedNode) -> None:
    genesis = await node.block_hash(0)
    assert genesis is not None
    raw = await node.block(genesis)
    assert raw is not None
    assert (hash_of(raw), await node.height_of(genesis)) == (genesis, 0)
    assert await node.block_hash(1) is await node.block_hash(-1) is None
    for unknown in (bytes(32), b"", b"short"):
        assert await node.block(unknown) is None
        assert await node.height_of(unknown) is None


async def test_the_demonstrations_target_shapes_templates_alone(tmp_path: Path) -> None:
    wall = Wall()
    node = await open_node(tmp_path / "running", now_s=wall, demonstration=DemonstrationTarget(10, 64))
    template = await node.template()
    assert template.target < template.network_target == REGTEST_TARGET
    easy = make_block(template.previous_hash, 1)
    assert int.from_bytes(hash_of(easy), "little") > template.target
    assert (await node.submit_block(easy)).accepted, "consensus asks for no more than regtest's target"
    held = await node.template(template.long_poll_id)
    assert (held.height, held.target) == (2, 0)
    wall.now += 0.6
    resumed = await node.template(held.long_poll_id)
    assert (resumed.height, resumed.target) == (2, template.target), "a block from elsewhere teaches nothing"
    wall.now += 1.0
    assert (await node.submit_block(block_of_template(resumed))).accepted
    wall.now += 0.6
    learnt = await node.template()
    assert learnt.target != resumed.target
    shutil.copytree(tmp_path / "running", tmp_path / "crashed")
    await node.close()
    node = await open_node(tmp_path / "crashed", now_s=wall, demonstration=DemonstrationTarget(10, 64))
    assert (await node.template()).target == learnt.target, "what was learnt outlives the process"
    await node.close()


async def test_a_long_poll_fires_when_the_hold_ends(tmp_path: Path) -> None:
    node = await open_node(tmp_path, demonstration=DemonstrationTarget(10, 64))
    assert (await node.submit_block(block_of_template(await node.template()))).accepted
    held = await node.template()
    assert held.target == 0
    resumed = await node.template(held.long_poll_id)
    assert (resumed.height, resumed.target > 0) == (2, True)
    await node.close()


async def test_the_loop_goes_on_while_blocks_are_judged_and_the_library_reopens(node: EmbeddedNode) -> None:
    chain = make_chain((await node.tip()).hash, 1, 250)
    verdicts = asyncio.gather(*(node.submit_block(raw) for raw in chain))
    turns = 0
    while not verdicts.done():
        await asyncio.sleep(0)
        turns += 1
    assert all(verdict.accepted for verdict in await verdicts)
    assert turns > len(chain)
    assert (await node.tip()).height == 250


@pytest.mark.parametrize("turns", range(5))
async def test_whoever_waits_for_a_tip_can_be_cancelled_as_it_is_woken(tmp_path: Path, turns: int) -> None:
    node = await open_node(tmp_path / "chain")
    tip = await node.tip()
    waiting = asyncio.create_task(node.wait_for_tip(tip.hash, 60))
    await asyncio.sleep(0)
    node._announce()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    done, _ = await asyncio.wait({waiting}, timeout=30)
    assert done, "the cancellation was lost, and with it the end of whoever waits"
    assert waiting.cancelled()
    await node.close()
