"""The books follow the chain: accrual, maturity, reorganisations however long, what others pay us and what is spent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

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

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.coinbase import build_coinbase
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.quantities.value import coins_value_ueur
from photosynth.quantities.work import TWO_256
from photosynth.storage import Database, DatabaseThread
from photosynth.storage.address import Place
from photosynth.treasury import ChainBooks, ledger_totals
from photosynth.treasury import journal as j
from photosynth.treasury.facts import Recognition
from photosynth.treasury.following import Followed, NodeBehindError, WrongChainError
from photosynth.treasury.glance import reconciled_height
from photosynth.treasury.mining.blocks import find_block, read_blocks

HARDER_BITS = 0x1F7FFFFF
"""A block with this in its header took as much work as 256 of the others."""
VALUE_UEUR = coins_value_ueur(5000, COIN.price_cent_per_btc)


@dataclass
class Following:
    """The books of a node in memory."""

    db: Database
    run: DatabaseThread
    books: ChainBooks
    node: FakeNode

    async def follow(self) -> Followed:
        """Follow, and hold the journal against the chain."""
        done = await self.books.follow(as_node(self.node), self.db, self.run)
        assert done.complete
        if done.behind:
            return done
        result = await self.books.reconcile(as_node(self.node), self.db, self.run)
        assert result.agrees, result
        with self.db.read() as tx:
            assert reconciled_height(tx, CHAIN) == done.tip.height
            assert sum(row.closing for row in j.trial_balance(tx)) == 0
        return done

    def totals(self) -> tuple[int, int, int, int]:
        """Immature and mature satoshis, deferred and recognised revenue."""
        with self.db.read() as tx:
            found = ledger_totals(tx)
        return found.immature_sat, found.mature_sat, found.deferred_reward_ueur, found.mining_revenue_ueur

    def events(self) -> list[str]:
        with self.db.read() as tx:
            return [stored.posting.event for stored in reversed(j.postings(tx, limit=10_000))]


def following(place: Place, policy: Recognition = "at_maturity") -> Following:
    db = Database(place)
    books = ChainBooks(CHAIN, [WALLET], policy, lambda _: COIN, clock=ManualClock())
    return Following(db, DatabaseThread(), books, FakeNode())


@pytest.fixture
async def f(place: Place) -> AsyncIterator[Following]:
    made = following(place)
    yield made
    made.run.close()
    made.db.close()


async def test_a_coinbase_is_accrued_and_available_a_hundred_blocks_later(f: Following) -> None:
    f.node.extend(100)
    await f.follow()
    assert f.totals() == (500_000, 0, 100 * VALUE_UEUR, 0)
    f.node.extend(1)
    await f.follow()
    assert f.totals() == (500_000, 5000, 100 * VALUE_UEUR, VALUE_UEUR)
    with f.db.read() as tx:
        assert [b.state for b in read_blocks(tx, None, 200)].count("mature") == 1
        first = find_block(tx, None, "1")
        assert first is not None
        assert first.state == "mature"
        assert find_block(tx, None, first.hash[::-1].hex()) == find_block(tx, None, first.txid[::-1].hex()) == first
        assert find_block(tx, None, "nonsense") is None
    before = f.events()
    await f.follow()
    assert f.events() == before


async def test_revenue_at_accrual_is_a_policy(place: Place) -> None:
    f = following(place, "at_accrual")
    f.node.extend(101)
    await f.follow()
    assert f.totals() == (500_000, 5000, 0, 101 * VALUE_UEUR)
    f.run.close()
    f.db.close()


async def test_a_reorganisation_reverses_and_a_return_is_the_next_occurrence(f: Following) -> None:
    f.node.extend(3)
    await f.follow()
    first = f.totals()
    left = f.node.rewind(1)
    f.node.extend(3, script=OTHER, salt=9)
    done = await f.follow()
    assert (done.disconnected, done.connected) == (2, 3)
    assert f.totals() == (5000, 0, VALUE_UEUR, 0)
    f.node.restore(1, left)
    f.node.extend(2, script=OTHER)
    await f.follow()
    assert f.totals() == first
    with f.db.read() as tx:
        keys = [stored.posting.key for stored in j.postings(tx)]
        assert sum(key.endswith("coinbase_accrued:2") for key in keys) == 2
        assert sum(key.endswith("coinbase_accrued:1:reversed") for key in keys) == 2
        assert {block.occurrence for block in read_blocks(tx, None)} == {1, 2}


async def test_a_reorganisation_of_130_blocks_keeps_every_satoshi(f: Following) -> None:
    """Deeper than a coinbase takes to mature, and in three transactions each way."""
    f.node.extend(180)
    await f.follow()
    assert f.totals()[:2] == (500_000, 400_000)
    left = f.node.rewind(50)
    f.node.extend(135, value_sat=7, salt=1)
    done = await f.follow()
    assert (done.disconnected, done.connected) == (130, 135)
    # Blocks 1 to 50 stayed available: the chain never was too short for them in the end.
    assert f.totals()[:2] == (700, 50 * 5000 + 35 * 7)
    assert f.events().count("coinbase_available_reversed") == 30
    f.node.restore(50, left + f.node.chain[:0])
    f.node.extend(6, value_sat=0)
    await f.follow()
    assert f.totals()[:2] == (94 * 5000, 86 * 5000)


async def test_a_shorter_chain_makes_coins_immature_again(f: Following) -> None:
    f.node.extend(150)
    await f.follow()
    f.node.rewind(120)
    f.node.extend(10, salt=3, bits=HARDER_BITS)
    await f.follow()
    assert f.totals()[:2] == (500_000, 150_000)
    f.node.extend(20)
    await f.follow()
    assert f.totals()[:2] == (500_000, 250_000)
    with f.db.read() as tx:
        keys = [stored.posting.key for stored in j.postings(tx, limit=10_000)]
    assert sum(key.endswith("coinbase_available:2") for key in keys) == 20


async def test_a_node_that_lacks_blocks_or_has_a_lighter_branch_reverses_nothing(f: Following) -> None:
    f.node.extend(120)
    await f.follow()
    known, events, ours = f.totals(), f.events(), list(f.node.chain)
    # Another node that was left behind, one on a branch as heavy as ours, and one whose longer branch took less work.
    for above, more, salt in ((100, 0, 0), (119, 1, 5), (0, 110, 6)):
        f.node.restore(0, ours[1:])
        f.node.rewind(above)
        f.node.extend(more, value_sat=7, salt=salt)
        done = await f.follow()
        assert (done.behind, done.complete, done.disconnected, done.connected) == (True, True, 0, 0)
        with pytest.raises(NodeBehindError):
            await f.books.reconcile(as_node(f.node), f.db, f.run)
        assert (f.totals(), f.events()) == (known, events)
    # It comes to have more work than the books know: that is a reorganisation.
    f.node.extend(11, value_sat=7, salt=6)
    done = await f.follow()
    assert (done.behind, done.disconnected, done.connected) == (False, 120, 121)
    assert f.totals()[:2] == (100 * 7, 21 * 7)


async def test_a_shorter_branch_with_more_work_is_the_chain(f: Following) -> None:
    f.node.extend(10)
    await f.follow()
    f.node.rewind(8)
    f.node.extend(1, salt=2, value_sat=7, bits=HARDER_BITS)
    done = await f.follow()
    assert (done.disconnected, done.connected) == (2, 1)
    assert f.totals()[0] == 8 * 5000 + 7


async def test_a_lighter_branch_is_weighed_a_block_a_block(f: Following) -> None:
    f.node.extend(60)
    await f.follow()
    f.node.rewind(0)
    f.node.extend(40, salt=6)
    assert (await f.follow()).behind
    asked: list[bytes] = []
    whole = FakeNode.block

    async def counting(block_hash: bytes) -> bytes | None:
        asked.append(block_hash)
        return await whole(f.node, block_hash)

    f.node.block = counting  # type: ignore[method-assign]
    for _ in range(3):
        f.node.extend(1, salt=6)
        assert (await f.follow()).behind
    assert len(asked) == 3


async def test_blocks_of_others_and_claims_of_nothing_leave_no_posting(f: Following) -> None:
    f.node.extend(5, script=OTHER)
    f.node.extend(1, value_sat=0)
    await f.follow()
    assert f.events() == []
    with f.db.read() as tx:
        assert [block.height for block in read_blocks(tx, None)] == [6]


async def test_what_others_pay_us_and_what_is_spent_stands_in_suspense(f: Following) -> None:
    (ours,) = f.node.extend(1)
    f.node.extend(100, script=OTHER)
    coinbase = Block.parse(f.node.blocks[ours]).transactions[0]
    gift = Transaction(2, (TxIn(b"\x05" * 32, 0),), (TxOut(777, SCRIPT), TxOut(1, OTHER)))
    spend = Transaction(2, (TxIn(coinbase.txid, 0),), (TxOut(4000, OTHER), TxOut(900, SCRIPT)))
    again = Transaction(2, (TxIn(spend.txid, 1), TxIn(gift.txid, 0)), (TxOut(1600, OTHER),))
    height = len(f.node.chain)
    f.node.add(make_block(f.node.chain[-1], height, 1, script=OTHER, transactions=(gift, spend)))
    await f.follow()
    assert f.totals()[:2] == (0, 777 + 900)
    assert f.events()[-3:] == ["coins_received", "coins_spent", "coins_received"]
    with f.db.read() as tx:
        assert j.balance(tx, "1110", "EUR") == 0
        assert j.balance(tx, "9000", "EUR") == VALUE_UEUR
        assert j.balance(tx, "9000", "BTC") == 5000 - 777 - 900
    f.node.add(make_block(f.node.chain[-1], height + 1, 1, script=OTHER, transactions=(again,)))
    await f.follow()
    assert f.totals()[:2] == (0, 0)
    f.node.rewind(height - 1)
    f.node.extend(3, script=OTHER, salt=9)
    await f.follow()
    assert f.totals()[:2] == (0, 5000)
    with f.db.read() as tx:
        assert j.balance(tx, "9000", "BTC") == 0
        assert j.balance(tx, "9000", "EUR") == 0


async def test_a_coinbase_of_several_outputs_is_carried_to_the_last_micro_euro(f: Following) -> None:
    parts = build_coinbase(1, [(1, SCRIPT), (1, SCRIPT), (2, OTHER), (1, SCRIPT)], b"", b"", 0)
    coinbase = Transaction.parse(parts.with_extranonce(b""))
    f.node.add(Block(solve(f.node.chain[-1], coinbase.txid, TWO_256), (coinbase,)).serialise())
    f.node.extend(100, script=OTHER)
    spend = Transaction(2, tuple(TxIn(coinbase.txid, number) for number in (0, 1, 3)), (TxOut(3, OTHER),))
    f.node.add(make_block(f.node.chain[-1], 102, 1, script=OTHER, transactions=(spend,)))
    await f.follow()
    with f.db.read() as tx:
        assert j.balance(tx, "9000", "EUR") == coins_value_ueur(3, COIN.price_cent_per_btc)
        assert (j.balance(tx, "1110", "EUR"), j.balance(tx, "1110", "BTC")) == (0, 0)


async def test_the_chain_may_change_while_it_is_read(f: Following) -> None:
    f.node.extend(20)
    asked = 0
    whole = FakeNode.block

    async def shifting(block_hash: bytes) -> bytes | None:
        nonlocal asked
        asked += 1
        if asked == 10:
            f.node.rewind(4)
            f.node.extend(30, salt=8)
        return await whole(f.node, block_hash)

    f.node.block = shifting  # type: ignore[method-assign]
    await f.follow()
    assert f.totals()[0] == 34 * 5000


async def test_another_chain_is_refused(f: Following) -> None:
    f.node.extend(2)
    await f.follow()
    f.node = FakeNode(genesis=b"\x09" * 32)
    f.node.extend(3)
    with pytest.raises(WrongChainError, match="another genesis"):
        await f.follow()


async def test_a_broken_database_write_undoes_the_batch_and_the_next_call_goes_on(
    f: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    f.node.extend(5)
    from photosynth.treasury import chain

    def fails(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(chain, "settle", fails)
        with pytest.raises(RuntimeError, match="power cut"):
            await f.books.follow(as_node(f.node), f.db, f.run)
    assert f.events() == []
    await f.follow()
    assert len(f.events()) == 5
