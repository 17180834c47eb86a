"""Verdicts of the embedded node: bitcoind's reason strings (BIP22), and hostile bytes that never do harm."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.bitcoin_node.bitcoin_node_mining import (
    ANYONE,
    REGTEST_TARGET,
    block_of_template,
    hash_of,
    make_block,
    make_chain,
    solve,
)

from photosynth.bitcoin.block import Block, Header, merkle_root
from photosynth.bitcoin.target import REGTEST_BITS
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin_node import EmbeddedNode, open_node

SUBSIDY_SAT = 50 * 100_000_000


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[EmbeddedNode]:
    node = await open_node(tmp_path / "chain")
    yield node
    await node.close()


async def genesis(node: EmbeddedNode) -> bytes:
    found = await node.block_hash(0)
    assert found is not None
    return found


async def reason(node: EmbeddedNode, raw: bytes) -> str | None:
    return (await node.submit_block(raw)).reason


def with_header(raw: bytes, header: Header) -> bytes:
    return solve(header).serialise() + raw[80:]


async def test_blocks_are_accepted_once_and_side_branches_are_inconclusive(node: EmbeddedNode) -> None:
    first, second = make_chain(await genesis(node), 1, 2)
    side = make_block(await genesis(node), 1, tag=b"side")
    assert await reason(node, first) is None
    assert await reason(node, first) == "duplicate"
    assert await reason(node, second) is None
    assert await reason(node, side) == "inconclusive"
    assert await reason(node, side) == "duplicate"
    assert (await node.tip()).hash == hash_of(second)
    assert await node.block(hash_of(side)) == side
    assert await node.height_of(hash_of(side)) is None
    assert await node.height_of(hash_of(second)) == 2


async def test_blocks_that_the_connection_refuses_stay_known_as_invalid(node: EmbeddedNode) -> None:
    greedy = make_block(await genesis(node), 1, value_sat=SUBSIDY_SAT + 1)
    assert await reason(node, greedy) == "bad-cb-amount"
    assert await reason(node, greedy) == "duplicate-invalid"
    assert await reason(node, make_block(hash_of(greedy), 2)) == "bad-prevblk"
    assert (await node.tip()).height == 0
    assert await node.block(hash_of(greedy)) is None
    assert await node.coins(ANYONE) == ()


async def test_headers_are_refused_with_bitcoinds_reasons(node: EmbeddedNode) -> None:
    blocks = make_chain(await genesis(node), 1, 12)
    for raw in blocks:
        assert await reason(node, raw) is None
    tip = hash_of(blocks[-1])
    good = make_block(tip, 13)
    header = Header.parse(good[:80])
    median_s = Header.parse(blocks[6][:80]).time_s
    assert await reason(node, make_block(tip, 13, time_s=median_s)) == "time-too-old"
    assert await reason(node, make_block(tip, 13, time_s=int(time.time()) + 7300)) == "time-too-new"
    assert await reason(node, make_block(tip, 13, bits=REGTEST_BITS - 1)) == "bad-diffbits"
    assert await reason(node, make_block(bytes(32), 13)) == "prev-blk-not-found"
    old = Header(1, tip, header.merkle_root, header.time_s, header.bits, 0)
    assert await reason(node, with_header(good, old)) == "bad-version(0x00000001)"
    unsolved = header
    while unsolved.hash_number <= REGTEST_TARGET:
        unsolved = Header(unsolved.version, tip, unsolved.merkle_root, unsolved.time_s, unsolved.bits, unsolved.nonce + 1)
    assert await reason(node, unsolved.serialise() + good[80:]) == "high-hash"
    assert await reason(node, good) is None


async def test_contents_are_refused_with_bitcoinds_reasons(node: EmbeddedNode) -> None:
    first = await genesis(node)
    good = make_block(first, 1)
    header, coinbase = Header.parse(good[:80]), Block.parse(good).transactions[0]
    other_root = Header(header.version, first, bytes(32), header.time_s, header.bits, 0)
    assert await reason(node, with_header(good, other_root)) == "bad-txnmrklroot"
    assert await reason(node, make_block(first, 2)) == "bad-cb-height"
    missing = Transaction(2, (TxIn(bytes(31) + b"\x01", 0, ANYONE),), (TxOut(0, ANYONE),))
    assert await reason(node, make_block(first, 1, transactions=[missing])) == "bad-txns-inputs-missingorspent"
    twice = Block(header, (coinbase, coinbase))
    root = merkle_root([coinbase.txid, coinbase.txid])
    twice_header = Header(header.version, first, root, header.time_s, header.bits, 0)
    assert await reason(node, with_header(twice.serialise(), twice_header)) in ("bad-txns-duplicate", "bad-cb-multiple")
    await reason(node, good)
    early = Transaction(2, (TxIn(coinbase.txid, 0),), (TxOut(0, ANYONE),))
    assert await reason(node, make_block(hash_of(good), 2, transactions=[early])) == "bad-txns-premature-spend-of-coinbase"


async def test_a_script_that_fails_is_named(node: EmbeddedNode) -> None:
    never = bytes((0x52, 0x88))
    blocks = make_chain(await genesis(node), 1, 1, script=never, value_sat=1)
    blocks += make_chain(hash_of(blocks[0]), 2, 100)
    for raw in blocks:
        assert await reason(node, raw) is None
    spend = Transaction(2, (TxIn(Block.parse(blocks[0]).transactions[0].txid, 0),), (TxOut(0, ANYONE),))
    refused = await reason(node, make_block(hash_of(blocks[-1]), 102, transactions=[spend]))
    assert refused is not None
    assert refused.startswith(("mandatory-script-verify-flag-failed (", "block-script-verify-flag-failed ("))
    assert refused.endswith(")")


async def test_a_coinbase_without_its_witness_gets_it_as_bitcoind_does(node: EmbeddedNode) -> None:
    good = make_block(await genesis(node), 1)
    block = Block.parse(good)
    bare = good[:80] + b"\x01" + block.transactions[0].serialise(witness=False)
    assert len(bare) < len(good)
    assert await reason(node, bare) is None
    assert await node.block(hash_of(good)) == good


async def test_bytes_that_are_not_one_block_are_refused(node: EmbeddedNode) -> None:
    good = make_block(await genesis(node), 1)
    for raw in (b"", b"\x00", good[:80], good[:-1], good + b"\x00", b"\xff" * 1000):
        assert await reason(node, raw) == "Block decode failed"
    assert await reason(node, bytes(4_000_001)) == "bad-blk-length"
    empty = Header.parse(good[:80]).serialise() + b"\x00"
    assert await reason(node, empty) == "bad-txnmrklroot"
    assert await reason(node, good) is None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
async def test_no_bytes_at_all_hurt_the_node(node: EmbeddedNode, data: st.DataObject) -> None:
    good = make_block(await genesis(node), 1)
    raw = bytearray(good)
    for at in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    hostile = bytes(raw[: data.draw(st.integers(0, len(raw)))]) + data.draw(st.binary(max_size=30))
    before = await node.tip()
    verdict = await node.submit_block(hostile)
    if verdict.reason not in (None, "inconclusive"):
        assert await node.tip() == before


async def test_a_block_of_a_template_is_accepted(node: EmbeddedNode) -> None:
    assert await reason(node, block_of_template(await node.template())) is None
