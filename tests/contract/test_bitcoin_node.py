"""What every BitcoinNode must do, asked of each: the embedded node, and a real bitcoind through its driver."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.solving import OP_TRUE_SCRIPT, Recipe, branch, build, hash_of, mine, spend
from tests.peers.bitcoind import RunningBitcoind

from photosynth import bitcoin_node
from photosynth.bitcoin.block import Block
from photosynth.bitcoin.coinbase import with_witness
from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.merkle import WITNESS_COMMITMENT_HEADER, witness_commitment_script
from photosynth.bitcoin.node import UNDECODABLE, BitcoinNode, Coin, Template, Verdict, hash_text
from photosynth.bitcoin.target import REGTEST_BITS, target_of_bits
from photosynth.bitcoin.transaction import Transaction
from photosynth.bitcoin.wire import FormatError
from photosynth.networks.bitcoin.node import BitcoindNode
from photosynth.networks.bitcoin.rpc import CredentialsFile

REGTEST_GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
OTHER_SCRIPT = bytes.fromhex("52")
REWARD_SAT = 50 * 10**8
SOON_S = 30.0
IMPLEMENTATIONS = ["embedded", "bitcoind"]


async def open_node(
    kind: str,
    request: pytest.FixtureRequest,
    folder: Path,
    demonstration: DemonstrationTarget | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> BitcoinNode:
    """The implementation of a name, on a fresh regtest chain."""
    if kind == "embedded":
        return await bitcoin_node.open_node(
            folder / "chain", payout_scripts=[OP_TRUE_SCRIPT], demonstration=demonstration, now_s=clock
        )
    running: RunningBitcoind = request.getfixturevalue("bitcoind")
    return BitcoindNode(running.url, CredentialsFile(running.cookie), demonstration, clock=clock)


@pytest.fixture(params=IMPLEMENTATIONS)
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BitcoinNode]:
    """Each implementation in turn."""
    opened = await open_node(request.param, request, tmp_path)
    yield opened
    await opened.close()


async def test_the_first_template_builds_on_the_genesis_block(node: BitcoinNode) -> None:
    template = await node.template()
    assert hash_text(template.previous_hash) == REGTEST_GENESIS
    assert template.height == 1
    assert template.bits == REGTEST_BITS
    assert template.target == template.network_target == target_of_bits(REGTEST_BITS)
    assert template.coinbase_value_sat == REWARD_SAT
    assert template.time_s >= template.min_time_s == 1296688602 + 1
    assert template.version & 0xE0000000 == 0x20000000
    assert template.transactions == ()
    assert template.witness_commitment == witness_commitment_script([])
    assert template.long_poll_id


async def test_a_mined_block_becomes_the_tip_and_can_be_asked_for(node: BitcoinNode) -> None:
    raw = build(await node.template())
    assert await node.submit_block(raw) == Verdict(None)
    tip = await node.tip()
    assert (tip.height, tip.hash) == (1, hash_of(raw))
    assert tip.time_s == int.from_bytes(raw[68:72], "little")
    assert await node.block(tip.hash) == raw
    assert await node.block_hash(1) == tip.hash
    assert await node.height_of(tip.hash) == 1
    following = await node.template()
    assert (following.height, following.previous_hash) == (2, tip.hash)
    assert following.min_time_s <= following.time_s


async def test_what_a_node_does_not_have_is_none(node: BitcoinNode) -> None:
    assert await node.block_hash(1) is None
    assert await node.block_hash(-1) is None
    assert await node.block_hash(2**31 - 1) is None
    assert await node.block(bytes(32)) is None
    assert await node.height_of(bytes(32)) is None
    assert await node.coins(OP_TRUE_SCRIPT) == ()
    assert hash_text(await node.block_hash(0) or b"") == REGTEST_GENESIS
    genesis = await node.block(await node.block_hash(0) or b"")
    assert genesis is not None
    assert hash_text(hash_of(genesis)) == REGTEST_GENESIS


async def test_a_block_that_it_has_is_a_duplicate(node: BitcoinNode) -> None:
    (raw,) = await mine(node)
    assert await node.submit_block(raw) == Verdict("duplicate")


async def test_a_side_branch_is_inconclusive_until_it_is_longer(node: BitcoinNode) -> None:
    start = await node.template()
    main = await mine(node, 2)
    side = branch(start, 3, Recipe(extranonce=b"side", script=OTHER_SCRIPT))
    assert await node.submit_block(side[0]) == Verdict("inconclusive")
    assert await node.submit_block(side[0]) == Verdict("duplicate")
    assert await node.submit_block(side[1]) == Verdict("inconclusive")
    assert (await node.tip()).hash == hash_of(main[1])
    assert await node.height_of(hash_of(side[0])) is None
    assert await node.submit_block(side[2]) == Verdict(None)
    assert (await node.tip()).hash == hash_of(side[2])
    assert [await node.height_of(hash_of(raw)) for raw in (*main, *side)] == [None, None, 1, 2, 3]
    assert [await node.block(hash_of(raw)) for raw in (*main, *side)] == [*main, *side]
    assert await node.coins(OP_TRUE_SCRIPT) == ()
    assert [coin.height for coin in await node.coins(OTHER_SCRIPT)] == [1, 2, 3]
    assert await node.submit_block(main[1]) == Verdict("duplicate")


async def test_the_first_branch_returns_when_it_grows(node: BitcoinNode) -> None:
    start = await node.template()
    main = branch(start, 4, Recipe())
    side = branch(start, 2, Recipe(extranonce=b"side", script=OTHER_SCRIPT))
    for raw in (main[0], *side):
        await node.submit_block(raw)
    assert (await node.tip()).hash == hash_of(side[1])
    assert [await node.submit_block(raw) for raw in main[1:]] == [Verdict("inconclusive"), Verdict(None), Verdict(None)]
    assert (await node.tip()).hash == hash_of(main[3])
    assert [coin.height for coin in await node.coins(OP_TRUE_SCRIPT)] == [1, 2, 3, 4]
    assert await node.coins(OTHER_SCRIPT) == ()


WRONG_COMMITMENT = WITNESS_COMMITMENT_HEADER + bytes(32)
BROKEN: dict[str, tuple[str, Callable[[Template], Recipe]]] = {
    "claims too much": ("bad-cb-amount", lambda t: Recipe(value_sat=t.coinbase_value_sat + 1)),
    "wrong merkle root": ("bad-txnmrklroot", lambda _: Recipe(merkle_root=bytes(32))),
    "hash above the target": ("high-hash", lambda _: Recipe(meets=False)),
    "wrong height": ("bad-cb-height", lambda t: Recipe(height=t.height + 1)),
    "older than the median": ("time-too-old", lambda t: Recipe(time_s=t.min_time_s - 1)),
    "three hours ahead": ("time-too-new", lambda t: Recipe(time_s=t.time_s + 3 * 3600)),
    "unknown parent": ("prev-blk-not-found", lambda _: Recipe(previous_hash=b"\x07" * 32)),
    "another target": ("bad-diffbits", lambda _: Recipe(bits=0x207FFFFE)),
    "old version": ("bad-version(0x00000001)", lambda _: Recipe(version=1)),
    "wrong commitment": ("bad-witness-merkle-match", lambda _: Recipe(witness_commitment=WRONG_COMMITMENT)),
    "witness without commitment": (
        "unexpected-witness",
        lambda _: Recipe(witness_commitment=bytes.fromhex("6a")),
    ),
}


async def test_a_broken_block_is_refused_with_bitcoinds_reason(node: BitcoinNode) -> None:
    await mine(node)
    for name, (reason, recipe) in BROKEN.items():
        before = await node.tip()
        template = await node.template()
        assert await node.submit_block(build(template, recipe(template))) == Verdict(reason), name
        assert await node.tip() == before, name
        await mine(node)


async def test_a_coinbase_is_not_spent_before_it_is_mature_and_then_once(node: BitcoinNode) -> None:
    mined = await mine(node, 99)
    early = build(await node.template(), Recipe(transactions=(spend(mined[0], OTHER_SCRIPT),)))
    assert await node.submit_block(early) == Verdict("bad-txns-premature-spend-of-coinbase")
    assert await node.submit_block(early) == Verdict("duplicate-invalid")
    mined += await mine(node)
    payment = spend(mined[0], OTHER_SCRIPT, fee_sat=1000)
    (spending,) = await mine(node, 1, Recipe(transactions=(payment,), value_sat=REWARD_SAT + 1000))
    assert await node.coins(OTHER_SCRIPT) == (Coin(Transaction.parse(payment).txid, 0, REWARD_SAT - 1000, 101, False),)
    assert await node.coin_value(Transaction.parse(payment).txid, 0) == REWARD_SAT - 1000
    spent = Transaction.parse(payment).inputs[0]
    assert await node.coin_value(spent.previous_txid, spent.previous_index) is None
    coins = await node.coins(OP_TRUE_SCRIPT)
    assert [coin.height for coin in coins] == list(range(2, 102))
    assert all(coin.coinbase for coin in coins)
    assert coins[-1].value_sat == REWARD_SAT + 1000
    again = build(await node.template(), Recipe(transactions=(spend(mined[0], OP_TRUE_SCRIPT),)))
    assert await node.submit_block(again) == Verdict("bad-txns-inputs-missingorspent")
    assert (await node.tip()).hash == hash_of(spending)


async def test_a_forgotten_coinbase_witness_is_filled_in(node: BitcoinNode) -> None:
    raw = build(await node.template(), Recipe(coinbase_witness=False))
    assert await node.submit_block(raw) == Verdict(None)
    stored = await node.block(hash_of(raw))
    assert stored is not None
    assert stored[81:] == with_witness(raw[81:])


async def test_coins_tell_where_they_are(node: BitcoinNode) -> None:
    (raw,) = await mine(node, 1, Recipe(value_sat=6800))
    coinbase = Transaction.parse(raw[81:])
    assert await node.coins(OP_TRUE_SCRIPT) == (Coin(coinbase.txid, 0, 6800, 1, True),)
    assert await node.coin_value(coinbase.txid, 0) == 6800
    assert await node.coin_value(coinbase.txid, 1) is None
    assert await node.coin_value(bytes(32), 0) is None


async def test_bytes_that_are_no_block_are_refused(node: BitcoinNode) -> None:
    for raw in (b"", b"\x00", bytes(80), b"\xff" * 200):
        assert await node.submit_block(raw) == UNDECODABLE, raw


async def test_a_long_poll_answers_when_the_tip_changes(node: BitcoinNode) -> None:
    first = await node.template()
    waiting = asyncio.create_task(node.template(first.long_poll_id))
    raw = build(first)
    await asyncio.sleep(0)
    assert await node.submit_block(raw) == Verdict(None)
    second = await asyncio.wait_for(waiting, SOON_S)
    assert second.previous_hash == hash_of(raw)
    assert second.long_poll_id != first.long_poll_id
    late = await asyncio.wait_for(node.template(first.long_poll_id), SOON_S)
    assert late.previous_hash == hash_of(raw)


async def test_several_long_polls_can_be_given_up_and_the_rest_are_answered(node: BitcoinNode) -> None:
    first = await node.template()
    waiting = [asyncio.create_task(node.template(first.long_poll_id)) for _ in range(6)]
    _, pending = await asyncio.wait(waiting, timeout=0.1)
    assert len(pending) == 6
    for task in waiting[:4]:
        task.cancel()
    await mine(node)
    answered = await asyncio.wait_for(asyncio.gather(*waiting[4:]), SOON_S)
    assert [template.height for template in answered] == [2, 2]


async def test_an_unknown_long_poll_id_is_answered_at_once(node: BitcoinNode) -> None:
    assert (await asyncio.wait_for(node.template("of another node"), SOON_S)).height == 1


async def test_waiting_for_a_tip(node: BitcoinNode) -> None:
    tip = await node.tip()
    assert await node.wait_for_tip(tip.hash, 0) == tip
    assert await node.wait_for_tip(bytes(32), SOON_S) == tip
    waiting = asyncio.create_task(node.wait_for_tip(tip.hash, SOON_S))
    (raw,) = await mine(node)
    assert (await waiting).hash == hash_of(raw)


async def test_health_says_chain_tip_and_software(node: BitcoinNode) -> None:
    await mine(node, 2)
    health = await node.health()
    assert health.chain == "regtest"
    assert health.tip == await node.tip()
    assert health.headers == 2
    assert health.synchronised
    assert health.software
    assert health.warnings == ()


@pytest.mark.parametrize("kind", IMPLEMENTATIONS)
async def test_a_demonstration_hands_out_a_harder_target_and_holds_after_a_block(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    demonstration = DemonstrationTarget(interval_s=0.8, start_hash_rate_hs=20_000)
    now = [time.time()]
    node = await open_node(kind, request, tmp_path, demonstration, clock=lambda: now[0])
    try:
        first = await node.template()
        assert 0 < first.target < first.network_target
        assert await node.submit_block(build(first)) == Verdict(None)
        held = await node.template(first.long_poll_id)
        assert (held.height, held.target) == (2, 0)
        assert (await node.template()).long_poll_id == held.long_poll_id
        now[0] += 0.6
        released = await asyncio.wait_for(node.template(held.long_poll_id), SOON_S)
        assert released.height == 2
        assert 0 < released.target < released.network_target
        easy = Recipe(bits=REGTEST_BITS, extranonce=b"easy")
        assert await node.submit_block(build(released, easy)) == Verdict(None)
        assert (await node.template()).target == 0
    finally:
        await node.close()


@pytest.mark.parametrize("kind", IMPLEMENTATIONS)
async def test_a_long_poll_answers_when_the_hold_ends_by_itself(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    node = await open_node(kind, request, tmp_path, DemonstrationTarget(interval_s=5, start_hash_rate_hs=20_000))
    try:
        template = await node.template()
        assert await node.submit_block(build(template)) == Verdict(None)
        while template.height == 1 or template.target == 0:
            template = await asyncio.wait_for(node.template(template.long_poll_id), SOON_S)
        assert (template.height, template.target < template.network_target) == (2, True)
    finally:
        await node.close()


async def test_both_answer_the_same_to_the_same_blocks(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    nodes = [await open_node(kind, request, tmp_path) for kind in IMPLEMENTATIONS]
    try:
        template = await nodes[0].template()
        chain = branch(template, 5, Recipe())
        side = branch(template, 7, Recipe(extranonce=b"side", script=OTHER_SCRIPT))
        broken = [build(template, recipe(template)) for _, recipe in BROKEN.values()]
        odd = replace(template, height=6, previous_hash=hash_of(chain[4]), time_s=template.time_s + 6)
        flipped = [_flip(build(odd, Recipe(extranonce=bytes([at, 0, 0, 0]))), at) for at in range(240)]
        sent = [*broken, *chain, *broken, *chain, *side[:5], side[3], *flipped, *side[5:], *chain, *flipped[::7]]
        verdicts = [[(await node.submit_block(raw)).reason for raw in sent] for node in nodes]
        for raw, ours, theirs in zip(sent, *verdicts, strict=True):
            if _is_block(raw):
                assert ours == theirs, raw.hex()
            else:
                # bitcoind reads over bytes that follow a block; whatever it says then, it refuses these too.
                assert ours == UNDECODABLE.reason
                assert theirs is not None
        assert await nodes[0].tip() == await nodes[1].tip()
        assert await nodes[0].coins(OTHER_SCRIPT) == await nodes[1].coins(OTHER_SCRIPT)
    finally:
        for node in nodes:
            await node.close()


def _is_block(raw: bytes) -> bool:
    try:
        Block.parse(raw)
    except FormatError:
        return False
    return True


def _flip(raw: bytes, at: int) -> bytes:
    """The block with one bit changed, somewhere in it."""
    place = at % len(raw)
    return raw[:place] + bytes([raw[place] ^ (1 << at % 8)]) + raw[place + 1 :]
