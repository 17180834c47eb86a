"""Several of each in one database: sites with the same quarter hours, chains with the same heights, wallets, parties."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.unit.treasury.treasury_site import (
    CHAIN,
    COIN,
    OTHER,
    SCRIPT,
    SITE,
    START_MS,
    WALLET,
    DemoSite,
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
from photosynth.storage.tables import COINS, INTERVALS
from photosynth.treasury import ChainBooks, ledger_totals, verify
from photosynth.treasury import journal as j
from photosynth.treasury.evidence.lines import all_lines, newest_line, quarter_hour_line
from photosynth.treasury.facts import BlockFact, WalletFact
from photosynth.treasury.glance import evidence_state, followed_top, reconciled_height
from photosynth.treasury.mining.blocks import find_block, read_blocks
from photosynth.treasury.mining.trace import trace
from photosynth.treasury.parties import keep_wallets
from photosynth.treasury.sums import Whose

HUSUM = dataclasses.replace(SITE, site="husum", title="Wind", operator="wind")
SECOND = bytes.fromhex("0014ffffffffffffffffffffffffffffffffffffffff")
CLIENT = WalletFact("client", CHAIN, SECOND.hex(), "factory")


def books_of(*wallets: WalletFact, chain: str = CHAIN, found_by: Callable[[bytes], str | None] = lambda _: None) -> ChainBooks:
    """The books of a chain in memory."""
    return ChainBooks(chain, wallets, "at_maturity", lambda _: COIN, clock=ManualClock(), found_by=found_by)


@pytest.fixture
def run() -> Iterator[DatabaseThread]:
    thread = DatabaseThread()
    yield thread
    thread.close()


def test_two_sites_close_the_same_quarter_hour(db: Database) -> None:
    here = DemoSite(db)
    there = DemoSite(db, site=HUSUM, seed=b"\x02" * 32, books=here.fleet)
    records = []
    for _ in range(2):
        for site in (here, there):
            facts = site.facts({"guest": 1})
            with db.begin() as tx:
                records.append(site.close(tx, facts))
    assert [(record.stream, record.seq) for record in records] == [("books", seq) for seq in range(1, 5)]
    with db.read() as tx:
        starts = sa.select(INTERVALS.c.site, INTERVALS.c.start_ms).order_by(INTERVALS.c.start_ms, INTERVALS.c.site)
        assert [tuple(row) for row in tx.execute(starts)][:2] == [("backnang", START_MS), ("husum", START_MS)]
        for name in ("backnang", "husum"):
            assert [(line.kind, line.seq) for line in all_lines(tx, name)] == [
                ("site", 0),
                ("quarter_hour", 1),
                ("quarter_hour", 2),
            ]
            found = quarter_hour_line(tx, name, START_MS)
            assert found is not None
            assert found.stream == name
        state, newest = evidence_state(tx), newest_line(tx)
        assert newest is not None
        assert (state.records, state.head) == (4, newest.root)
        closings = [(name, seq) for seq in (1, 2) for name in ("backnang", "husum")]
        posted = [item for n, closing in enumerate(closings, 1) for item in (closing, ("books", n))]
        assert [(line.stream, line.seq) for line in all_lines(tx)] == [("books", 0), ("backnang", 0), ("husum", 0), *posted]
        assert {stored.posting.key.split(":")[1] for stored in j.postings(tx)} == {"backnang", "husum"}
        assert {stored.posting.site for stored in j.postings(tx, "husum")} == {"husum"}
        one, other, both = (j.trial_balance(tx, None, None, Whose(site=name)) for name in ("backnang", "husum", None))
        assert [row.closing for row in one] == [row.closing for row in other]
        assert [row.closing for row in both] == [2 * row.closing for row in one]
        assert ledger_totals(tx, "husum").mining_energy_j * 2 == ledger_totals(tx).mining_energy_j
        assert j.count_postings_of(tx, "husum", None, None) * 2 == j.count_postings(tx)


async def test_two_chains_have_the_same_heights(db: Database, run: DatabaseThread) -> None:
    node, other_node = FakeNode(), FakeNode(genesis=b"\x07" * 32)
    signet = WalletFact("signet", "bitcoin/signet", SCRIPT.hex(), "factory")
    books, other = books_of(WALLET), books_of(signet, chain="bitcoin/signet")
    node.extend(110)
    other_node.extend(120, value_sat=7)
    for chain, source in ((books, node), (other, other_node), (books, node)):
        assert (await chain.reconcile(as_node(source), db, run)).agrees
    # The one is reorganised from its first block on, which is no matter of the other.
    other_node.rewind(0)
    other_node.extend(121, value_sat=9, salt=3)
    assert (await other.reconcile(as_node(other_node), db, run)).agrees
    assert (await books.reconcile(as_node(node), db, run)).agrees
    with db.read() as tx:
        assert followed_top(tx, CHAIN) == (110, node.chain[-1])
        assert followed_top(tx, "bitcoin/signet") == (121, other_node.chain[-1])
        assert (reconciled_height(tx, CHAIN), reconciled_height(tx, "bitcoin/signet")) == (110, 121)
        held = {name: j.balance(tx, "1110", "BTC", Whose(wallet=name)) for name in ("mining", "signet")}
        assert held == {"mining": 10 * 5000, "signet": 21 * 9}
        heights = [(block.chain, block.height) for block in read_blocks(tx, None, 400) if block.state != "orphaned"]
        assert heights.count((CHAIN, 5)) == heights.count(("bitcoin/signet", 5)) == 1


async def test_a_coinbase_and_a_transaction_may_pay_several_wallets(db: Database, run: DatabaseThread) -> None:
    node, books = FakeNode(), books_of(WALLET, CLIENT)
    parts = build_coinbase(1, [(5, SCRIPT), (2, SECOND), (1, OTHER), (3, SCRIPT)], b"", b"", 0)
    coinbase = Transaction.parse(parts.with_extranonce(b""))
    node.add(Block(solve(node.chain[-1], coinbase.txid, TWO_256), (coinbase,)).serialise())
    node.extend(100, script=OTHER)
    assert (await books.reconcile(as_node(node), db, run)).agrees

    def held(account: str, asset: str = "BTC") -> tuple[int, int]:
        with db.read() as tx:
            return (
                j.balance(tx, account, asset, Whose(wallet="mining", party="demo")),
                j.balance(tx, account, asset, Whose(wallet="client", party="factory")),
            )

    assert (held("1100"), held("1110")) == ((0, 0), (8, 2))
    assert sum(held("1110", "EUR")) == coins_value_ueur(10, COIN.price_cent_per_btc)
    spend = Transaction(2, (TxIn(coinbase.txid, 0), TxIn(coinbase.txid, 1)), (TxOut(6, SECOND),))
    node.add(make_block(node.chain[-1], 102, 1, script=OTHER, transactions=(spend,)))
    assert (await books.reconcile(as_node(node), db, run)).agrees
    assert held("1110") == (3, 6)
    with db.read() as tx:
        revenue = {party: -j.balance(tx, "4100", "EUR", Whose(party=party)) for party in ("demo", "factory")}
        assert sum(revenue.values()) == coins_value_ueur(10, COIN.price_cent_per_btc)
        assert revenue["demo"] > revenue["factory"] > 0
        coins = {(row.txid, row.number): row.wallet for row in tx.execute(sa.select(COINS))}
        assert coins[coinbase.txid, 1] == "client"
        assert coins[spend.txid, 0] == "client"
    node.rewind(1)
    node.extend(1, script=OTHER, salt=5, bits=0x1F7FFFFF)  # more work than all before it
    assert (await books.reconcile(as_node(node), db, run)).agrees
    assert (held("1100"), held("1110")) == ((8, 2), (0, 0))


async def test_a_sites_revenue_has_its_site(db: Database, run: DatabaseThread) -> None:
    node = FakeNode()
    ours = {node.extend(1)[0], node.extend(2)[1]}
    node.extend(100, script=OTHER)
    books = books_of(WALLET, found_by=lambda block: "backnang" if block in ours else None)
    assert (await books.reconcile(as_node(node), db, run)).agrees
    with db.read() as tx:
        revenue = [-j.balance(tx, "4100", "EUR", Whose(site=site)) for site in ("backnang", None)]
        assert revenue == [
            2 * coins_value_ueur(5000, COIN.price_cent_per_btc),
            3 * coins_value_ueur(5000, COIN.price_cent_per_btc),
        ]
        assert [block.height for block in read_blocks(tx, "backnang")] == [3, 1]
        assert [block.height for block in read_blocks(tx, None)] == [3, 2, 1]
        assert find_block(tx, "backnang", "2") is None
        assert find_block(tx, None, "2") is not None
        found = trace(tx, None, "2", lambda _: SITE.meters)
        assert found is not None
        assert [stored.posting.site for stored in found.postings] == [None, None]


async def test_a_block_that_turns_out_to_be_a_sites_is_posted_anew_as_its(db: Database, run: DatabaseThread) -> None:
    """A kill between the node's answer and the pool's log: the chain has the block before anybody knows whose it is."""
    node, books = FakeNode(), books_of(WALLET)
    first, second, _ = node.extend(3)
    assert (await books.reconcile(as_node(node), db, run)).agrees
    facts = [BlockFact(node.blocks[name], True, "w", None, START_MS, START_MS, COIN, None) for name in (second, first)]
    site = DemoSite(db)
    with db.begin() as tx:
        for fact in facts:
            site.books.record_found_block(tx, fact)
            site.books.record_found_block(tx, fact)
    done = await books.follow(as_node(node), db, run)
    assert (done.disconnected, done.connected) == (3, 3)
    assert (await books.follow(as_node(node), db, run)).connected == 0
    assert (await books.reconcile(as_node(node), db, run)).agrees
    with db.read() as tx:
        value = coins_value_ueur(5000, COIN.price_cent_per_btc)
        assert j.balance(tx, "1100", "BTC", Whose(site="backnang")) == 2 * 5000
        assert j.balance(tx, "2800", "EUR") == -3 * value
        assert [block.site for block in read_blocks(tx, None)] == [None, "backnang", "backnang"]


async def test_books_begin_at_a_wallets_birth_with_what_it_held(db: Database, run: DatabaseThread) -> None:
    node = FakeNode()
    node.extend(30)
    node.extend(10, script=OTHER)
    books = books_of(dataclasses.replace(WALLET, birth_height=21), dataclasses.replace(CLIENT, birth_height=35))
    done = await books.follow(as_node(node), db, run)
    assert done.connected == 20, "nothing below the birth is read"
    assert (await books.reconcile(as_node(node), db, run)).agrees
    with db.read() as tx:
        opened, *_ = j.postings_by_key(tx, f"{CHAIN}:opening:mining:")
        assert opened.posting.event == "opening_balance"
        assert opened.posting.lines[0] == j.PostingLine("1110", "debit", "BTC", 20 * 5000, "mining", "demo")
        assert opened.posting.lines[1].account == "3000"
        source = opened.posting.source
        assert (source["coins"], source["below_height"], source["read_at_height"]) == (20, 21, 40)
        assert source["immature_sat"] == 20 * 5000
        assert j.balance(tx, "1110", "BTC") == 20 * 5000
        assert j.balance(tx, "1100", "BTC") == 10 * 5000
        assert -j.balance(tx, "3000", "EUR") == coins_value_ueur(20 * 5000, COIN.price_cent_per_btc)
        assert j.postings_by_key(tx, f"{CHAIN}:opening:client:") == [], "it held nothing"
    # What was there is spent like any coin.
    old = Block.parse(node.blocks[node.chain[5]]).transactions[0]
    spend = Transaction(2, (TxIn(old.txid, 0),), (TxOut(4000, OTHER),))
    node.add(make_block(node.chain[-1], 41, 1, script=OTHER, transactions=(spend,)))
    assert (await books.reconcile(as_node(node), db, run)).agrees
    with db.read() as tx:
        assert j.balance(tx, "1110", "BTC") == 19 * 5000


async def test_a_node_that_has_not_come_to_a_wallets_birth_is_waited_for(db: Database, run: DatabaseThread) -> None:
    node, books = FakeNode(), books_of(dataclasses.replace(WALLET, birth_height=50))
    node.extend(10)
    assert not (await books.follow(as_node(node), db, run)).begun
    assert (await books.reconcile(as_node(node), db, run)).agrees
    assert node.scans == 0
    node.extend(60)
    assert (await books.reconcile(as_node(node), db, run)).agrees
    with db.read() as tx:
        assert j.balance(tx, "1110", "BTC") == 49 * 5000
        assert j.balance(tx, "1100", "BTC") == 21 * 5000


async def test_a_wallet_that_comes_later_begins_above_what_was_followed(db: Database, run: DatabaseThread) -> None:
    node = FakeNode()
    node.extend(5)
    node.extend(5, script=SECOND, value_sat=11)
    assert (await books_of(WALLET).reconcile(as_node(node), db, run)).agrees
    books = books_of(WALLET, CLIENT)
    assert (await books.reconcile(as_node(node), db, run)).agrees
    # The blocks at which it was opened leave the chain: what it held then was not what it holds.
    node.rewind(8)
    node.extend(4, script=SECOND, value_sat=13, salt=4)
    assert (await books.reconcile(as_node(node), db, run)).agrees
    node.extend(1, script=SECOND, value_sat=17)
    assert (await books.reconcile(as_node(node), db, run)).agrees
    with db.read() as tx:
        assert [stored.posting.event for stored in j.postings_by_key(tx, f"{CHAIN}:opening:client:")] == [
            "opening_balance",
            "opening_balance_reversed",
            "opening_balance",
        ]
        assert sum(j.balance(tx, name, "BTC", Whose(wallet="client")) for name in ("1100", "1110")) == 3 * 11 + 4 * 13 + 17
        assert j.balance(tx, "3000", "BTC") < 0
        assert sum(row.closing for row in j.trial_balance(tx)) == 0


def test_wallets_of_other_networks_are_no_matter_of_a_chain(db: Database) -> None:
    with db.begin() as tx:
        keep_wallets(tx, [WalletFact("ether", "ethereum/mainnet", "0x00", "demo")])
        lines = j.transfer("1110", "9000", "ETH", 1)
        j.post(
            tx, j.Posting("e", 0, 0, "income", "t", tuple(dataclasses.replace(x, wallet="ether") for x in lines[:1]) + lines[1:])
        )
        assert j.balance(tx, "1110", "BTC") == 0


async def test_an_opening_balance_is_proven(db: Database, run: DatabaseThread, tmp_path: Path) -> None:
    site = DemoSite(db)
    site.node.extend(3)
    await books_of(dataclasses.replace(WALLET, birth_height=3)).follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
        site.export(tx, tmp_path / "evidence.jsonl")
    report = verify(tmp_path / "evidence.jsonl")
    assert report.reason is None
    assert report.totals["mature_sat"] == 2 * 5000
