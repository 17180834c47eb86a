"""The journal held against the node: some coins at a time, all of them seldom, and what differs until it agrees again."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from tests.unit.treasury.treasury_site import CHAIN, COIN, OTHER, SCRIPT, WALLET, FakeNode, ManualClock, as_node, make_block

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.operations.conditions import unexplained_conditions
from photosynth.storage import Database, DatabaseThread
from photosynth.storage.tables import COINS
from photosynth.treasury import ChainBooks
from photosynth.treasury import journal as j
from photosynth.treasury.glance import reconciled_height
from photosynth.treasury.parties import of_wallet
from photosynth.treasury.reconciliation import LOOKED_AT_ONCE, Reconciliation
from photosynth.treasury.suspense import Unexplained, unexplained

DAY_MS = 86_400_000


class Held:
    """Books of a bitcoind, which has no index of coins by script."""

    def __init__(self, db: Database, run: DatabaseThread) -> None:
        self.db, self.run = db, run
        self.node, self.clock = FakeNode(coins_by_index=False), ManualClock()
        self.asked = 0
        self.books = self.opened()

    def opened(self) -> ChainBooks:
        return ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=self.clock, scan_every_ms=DAY_MS)

    async def reconcile(self) -> Reconciliation:
        return await self.books.reconcile(as_node(self.node), self.db, self.run)

    def unexplained(self) -> list[Unexplained]:
        with self.db.read() as tx:
            return unexplained(tx)


@pytest.fixture
def held(db: Database) -> Iterator[Held]:
    run = DatabaseThread()
    yield Held(db, run)
    run.close()


async def test_all_coins_are_read_once_a_day_and_never_at_a_tip(held: Held) -> None:
    held.node.extend(3)
    assert (await held.reconcile()).agrees
    assert held.node.scans == 1
    for _ in range(5):
        held.node.extend(1)
        assert (await held.reconcile()).agrees
    held.books = held.opened()
    assert (await held.reconcile()).agrees
    assert held.node.scans == 1, "a start does not forget when that was"
    held.clock.now_ms += DAY_MS
    assert (await held.reconcile()).agrees
    assert (await held.reconcile()).agrees
    assert held.node.scans == 2


async def test_every_coin_has_its_turn(held: Held) -> None:
    held.node.extend(2 * LOOKED_AT_ONCE + 30)
    asked: list[tuple[bytes, int]] = []
    value_of = held.node.coin_value

    async def counting(txid: bytes, index: int) -> int | None:
        asked.append((txid, index))
        return await value_of(txid, index)

    held.node.coin_value = counting  # type: ignore[method-assign]
    for rounds in range(1, 4):
        result = await held.reconcile()
        assert result.looked_at == LOOKED_AT_ONCE
        assert len(asked) == rounds * LOOKED_AT_ONCE
    assert len(set(asked)) == 2 * LOOKED_AT_ONCE + 30


async def test_a_coin_that_the_node_lacks_is_found_in_its_turn_and_not_forgotten(held: Held) -> None:
    held.node.extend(2 * LOOKED_AT_ONCE + 30)
    assert (await held.reconcile()).agrees
    with held.db.read() as tx:
        gone = max((row.txid, row.number) for row in tx.execute(sa.select(COINS)))
    value_of = held.node.coin_value
    lacking = True

    async def without(txid: bytes, index: int) -> int | None:
        return None if lacking and (txid, index) == gone else await value_of(txid, index)

    held.node.coin_value = without  # type: ignore[method-assign]
    seen = [await held.reconcile() for _ in range(5)]
    assert not seen[1].agrees
    assert [result.unknown for result in seen[1:]] == [(f"{hash_text(gone[0])}:0",)] * 4, "also when others have their turn"
    lacking = False
    assert (await held.reconcile()).agrees
    with held.db.read() as tx:
        assert reconciled_height(tx, CHAIN) == len(held.node.chain) - 1


async def test_a_coin_that_the_books_lack_is_found_by_the_scan(held: Held) -> None:
    held.node.extend(3)
    assert (await held.reconcile()).agrees
    with held.db.begin() as tx:
        lost = tx.execute(sa.select(COINS).where(COINS.c.height == 2)).one()
        tx.execute(COINS.delete().where(COINS.c.txid == lost.txid))
    result = await held.reconcile()
    assert (result.journal_sat, result.books_sat) == (15_000, 10_000), "the journal has it still"
    held.clock.now_ms += DAY_MS
    for _ in range(2):
        result = await held.reconcile()
        assert result.missing == (f"{hash_text(lost.txid)}:0",)
    with held.db.begin() as tx:
        tx.execute(COINS.insert().values(**lost._mapping))
    assert (await held.reconcile()).agrees


async def test_a_scan_and_the_books_may_be_of_different_moments(held: Held) -> None:
    """A block comes while all coins are read: what it made and spent is no difference."""
    held.node.extend(101)
    assert (await held.reconcile()).agrees
    held.clock.now_ms += DAY_MS
    scan = held.node.coins

    async def slow(script: bytes) -> object:
        found = await scan(script)
        first = Block.parse(held.node.blocks[held.node.chain[1]]).transactions[0]
        spend = Transaction(2, (TxIn(first.txid, 0),), (TxOut(700, SCRIPT),))
        held.node.add(make_block(held.node.chain[-1], len(held.node.chain), 5, transactions=(spend,)))
        return found

    held.node.coins = slow  # type: ignore[assignment, method-assign]
    assert (await held.reconcile()).agrees


async def test_a_chain_that_never_rests_is_held_against_fewer_coins(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    held.node.extend(40)
    value_of = held.node.coin_value
    asked = 0

    async def while_blocks_come(txid: bytes, index: int) -> int | None:
        nonlocal asked
        asked += 1
        if asked % 10 == 0:
            held.node.extend(1)
        return await value_of(txid, index)

    held.node.coin_value = while_blocks_come  # type: ignore[method-assign]
    result = await held.reconcile()
    assert result.agrees
    assert 0 < result.looked_at < 10


async def test_a_doubt_that_there_was_no_time_for_is_looked_at_later(held: Held) -> None:
    held.node.extend(40)
    assert (await held.reconcile()).agrees
    value_of, asked, restless = held.node.coin_value, 0, True

    async def gone_while_blocks_come(txid: bytes, index: int) -> int | None:
        nonlocal asked
        asked += 1
        if restless and asked % 10 == 0:
            held.node.extend(1)
        return None

    held.node.coin_value = gone_while_blocks_come  # type: ignore[method-assign]
    assert len((await held.reconcile()).unknown) < 10
    restless = False
    assert len((await held.reconcile()).unknown) >= 40
    held.node.coin_value = value_of  # type: ignore[method-assign]
    assert (await held.reconcile()).agrees


async def test_what_nothing_explains_is_told_with_its_transaction_until_it_is_cleared(held: Held) -> None:
    held.node.extend(101)
    assert (await held.reconcile()).agrees
    assert held.unexplained() == []
    first = Block.parse(held.node.blocks[held.node.chain[1]]).transactions[0]
    gift = Transaction(2, (TxIn(b"\x05" * 32, 0),), (TxOut(777, SCRIPT), TxOut(1, OTHER)))
    theft = Transaction(2, (TxIn(first.txid, 0),), (TxOut(4000, OTHER),))
    held.node.add(make_block(held.node.chain[-1], 102, 5, script=OTHER, transactions=(gift, theft)))
    assert (await held.reconcile()).agrees
    found = held.unexplained()
    assert [(item.wallet, item.asset, item.amount, item.txid) for item in found] == [
        ("mining", "BTC", -5000, hash_text(theft.txid)),
        ("mining", "BTC", 777, hash_text(gift.txid)),
    ]
    left, came = unexplained_conditions(found)
    assert left.subject == came.subject == "mining"
    assert "BTC left the wallet mining" in left.summary
    assert hash_text(theft.txid) in left.evidence
    assert "BTC came to the wallet mining" in came.summary
    assert left.id != came.id
    # A reorganisation takes it back; a posting that empties the suspense account explains it.
    block = held.node.rewind(101)
    held.node.extend(2, script=OTHER, salt=9)
    assert (await held.reconcile()).agrees
    assert held.unexplained() == []
    held.node.restore(101, block)
    held.node.extend(2, script=OTHER)
    assert (await held.reconcile()).agrees
    assert len(held.unexplained()) == 2
    with held.db.begin() as tx:
        sums = {asset: j.balance(tx, "9000", asset) for asset in ("BTC", "EUR")}
        lines = j.transfer("2100", "9000", "BTC", sums["BTC"]) + j.transfer("2100", "9000", "EUR", sums["EUR"])
        j.post(tx, j.Posting("cleared", 0, 0, "cleared", "Paid for energy", of_wallet(lines, None, "demo")))
    assert held.unexplained() == []
