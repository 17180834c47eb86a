"""A node that lies: what it tells is taken into no books, and keeps none from following one that tells the truth."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.unit.treasury.treasury_site import (
    CHAIN,
    COIN,
    OTHER,
    SCRIPT,
    WALLET,
    FakeNode,
    ManualClock,
    as_node,
    make_block,
    solve,
)

from photosynth.bitcoin.block import Block, merkle_root
from photosynth.bitcoin.target import REGTEST_BITS
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, ledger_totals
from photosynth.treasury.following import NodeAtFaultError
from photosynth.treasury.glance import followed_top

HUGE_BITS = 0x04000100
"""Of a target of 1, which half of all there is would have to be hashed for."""
Lie = Callable[[FakeNode], Block]


@pytest.fixture
def run() -> Iterator[DatabaseThread]:
    thread = DatabaseThread()
    yield thread
    thread.close()


def true_block(node: FakeNode, *, script: bytes = SCRIPT, salt: int = 9, transactions: tuple[Transaction, ...] = ()) -> Block:
    """What a node that lies could have told in truth."""
    return Block.parse(make_block(node.chain[-1], len(node.chain), 5000, script=script, salt=salt, transactions=transactions))


def claiming(bits: int) -> Lie:
    """A block whose header names a target that it does not meet."""

    def made(node: FakeNode) -> Block:
        true = true_block(node, script=OTHER)
        return replace(true, header=replace(true.header, bits=bits))

    return made


def with_coinbase_value(value_sat: int) -> Lie:
    """A block that pays us what there is not."""

    def made(node: FakeNode) -> Block:
        true = true_block(node)
        return _of(true, replace(true.transactions[0], outputs=(TxOut(value_sat, SCRIPT),)))

    return made


def _of(block: Block, *transactions: Transaction) -> Block:
    """A block of these transactions, worked for."""
    root = merkle_root([transaction.txid for transaction in transactions])
    return Block(solve(block.header.previous_hash, root, 1 << 255), transactions)


def paid_by_nobody(node: FakeNode) -> Block:
    """A true header, under which another coinbase is put."""
    true = true_block(node, script=OTHER)
    coinbase = replace(true.transactions[0], outputs=(TxOut(5_000_000_000, SCRIPT),))
    return replace(true, transactions=(coinbase,))


def paid_twice(node: FakeNode) -> Block:
    """A true header's transactions with the last of them once more, which has the same root (CVE-2012-2459)."""
    pays = Transaction(2, (TxIn(b"\x05" * 32, 0),), (TxOut(7, SCRIPT),))
    other = replace(pays, lock_time=1)
    true = true_block(node, script=OTHER, transactions=(other, pays))
    return replace(true, transactions=(*true.transactions, pays))


def without_transactions(node: FakeNode) -> Block:
    """A header with nothing behind it."""
    return _of(true_block(node))


def without_coinbase(node: FakeNode) -> Block:
    """A block that begins with any transaction."""
    return _of(true_block(node), Transaction(2, (TxIn(b"\x05" * 32, 0),), (TxOut(7, SCRIPT),)))


LIES: dict[str, Lie] = {
    "no target": claiming(0),
    "a negative target": claiming(0x04800100),
    "huge work": claiming(HUGE_BITS),
    "another coinbase": paid_by_nobody,
    "a transaction twice": paid_twice,
    "no transactions": without_transactions,
    "no coinbase": without_coinbase,
    "less than nothing": with_coinbase_value(-1),
    "more than there is": with_coinbase_value(2**63 - 1),
}


def put(node: FakeNode, block: Block) -> None:
    """Let a node tell of a block, whatever it is."""
    raw = block.header.serialise() + (b"\0" if not block.transactions else block.serialise()[80:])
    node.blocks[block.hash] = raw
    node.chain.append(block.hash)


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_a_block_that_cannot_be_is_taken_into_no_books(lie: Lie, db: Database, run: DatabaseThread) -> None:
    node = FakeNode()
    node.extend(3)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=ManualClock())
    await books.follow(as_node(node), db, run)
    put(node, lie(node))
    for _ in range(2):
        with pytest.raises(NodeAtFaultError):
            await books.follow(as_node(node), db, run)
    with db.read() as tx:
        assert followed_top(tx, CHAIN) == (3, node.chain[3])
        assert ledger_totals(tx).immature_sat == 15_000
    # It tells the truth again.
    node.rewind(3)
    node.extend(2)
    assert (await books.follow(as_node(node), db, run)).connected == 2


@pytest.mark.parametrize("bits", [0, 0x04800100, HUGE_BITS])
async def test_work_that_nobody_did_reverses_nothing(bits: int, db: Database, run: DatabaseThread) -> None:
    node = FakeNode()
    node.extend(5)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=ManualClock())
    await books.follow(as_node(node), db, run)
    ours = node.rewind(2)
    put(node, claiming(bits)(node))
    with pytest.raises(NodeAtFaultError):
        await books.follow(as_node(node), db, run)
    with db.read() as tx:
        assert followed_top(tx, CHAIN) == (5, ours[-1])
    node.restore(2, ours)
    assert (await books.follow(as_node(node), db, run)).disconnected == 0


async def test_a_coinbase_that_comes_again_is_no_error_of_ours(db: Database, run: DatabaseThread) -> None:
    node = FakeNode()
    (first,) = node.extend(1)
    again = Block.parse(node.blocks[first]).transactions[0]
    header = solve(node.chain[-1], again.txid, 1 << 255, REGTEST_BITS)
    put(node, Block(header, (again,)))
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=ManualClock())
    with pytest.raises(NodeAtFaultError):
        await books.follow(as_node(node), db, run)
