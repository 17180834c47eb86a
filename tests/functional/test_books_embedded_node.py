"""The books at the embedded node: real consensus reorganises a chain, and the journal agrees to the satoshi each time."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.bitcoin_node.bitcoin_node_mining import ANYONE, hash_of, make_block, make_chain
from tests.unit.treasury.treasury_site import CHAIN, COIN, WALLET, ManualClock, open_database

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin_node import EmbeddedNode, open_node
from photosynth.storage import DatabaseThread
from photosynth.treasury import ChainBooks, ledger_totals
from photosynth.treasury.glance import reconciled_height

pytestmark = pytest.mark.functional


async def submit(node: EmbeddedNode, blocks: list[bytes]) -> None:
    for raw in blocks:
        assert (await node.submit_block(raw)).reason in (None, "inconclusive")


async def test_the_journal_agrees_with_the_node_through_reorganisations(tmp_path: Path) -> None:
    node = await open_node(tmp_path / "chain")
    run = DatabaseThread()
    with open_database(tmp_path) as db:
        books = ChainBooks(CHAIN, [replace(WALLET, destination=ANYONE.hex())], "at_maturity", lambda _: COIN, clock=ManualClock())

        async def totals() -> tuple[int, int]:
            assert (await books.reconcile(node, db, run)).agrees
            with db.read() as tx:
                found = ledger_totals(tx)
                reconciled = reconciled_height(tx, CHAIN)
            assert reconciled == (await node.tip()).height
            return found.immature_sat, found.mature_sat

        genesis = await node.block_hash(0)
        assert genesis is not None
        ours = make_chain(genesis, 1, 130, value_sat=1000)
        await submit(node, ours)
        first = await totals()
        assert first == (100_000, 30_000)

        # Somebody spends a coin of ours that has matured, and pays a part of it back.
        coinbase = Block.parse(ours[0]).transactions[0]
        spend = Transaction(2, (TxIn(coinbase.txid, 0),), (TxOut(600, ANYONE), TxOut(400, b"\x52")))
        spending = make_block(hash_of(ours[-1]), 131, value_sat=1000, transactions=(spend,))
        await submit(node, [spending])
        assert sum(await totals()) == 131_000 - 400

        # A longer branch from low down pays somebody else: everything of ours above it is reversed.
        theirs = make_chain(hash_of(ours[4]), 6, 220, script=b"\x52", tag=b"theirs")
        await submit(node, theirs)
        assert (await node.tip()).height == 225
        assert await totals() == (0, 5000)

        # Our branch grows past it and returns, to the satoshi.
        await submit(node, make_chain(hash_of(spending), 132, 95, value_sat=0))
        assert (await node.tip()).height == 226
        assert sum(await totals()) == 131_000 - 400
    run.close()
    await node.close()
