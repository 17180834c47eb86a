"""What the books' stream says of a whole fleet: chains as they become known, blocks that are a site's after all, payments."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.unit.treasury.treasury_site import (
    BOOKS_SEED,
    CHAIN,
    COIN,
    FLEET,
    OTHER,
    SCRIPT,
    WALLET,
    DemoSite,
    FakeNode,
    as_node,
    solve,
)

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.coinbase import build_coinbase
from photosynth.bitcoin.transaction import Transaction
from photosynth.quantities.work import TWO_256
from photosynth.sites.heads import EvidenceHeads
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, FleetBooks, Identity, verify
from photosynth.treasury.evidence.lines import EvidenceRecord, all_lines
from photosynth.treasury.facts import BlockFact, ChainFact, FleetFacts, WalletFact
from photosynth.treasury.journal import OtherBooksError

SECOND = WalletFact("second", CHAIN, OTHER.hex(), "demo")
SIGNET = ChainFact("bitcoin/signet", b"\x07" * 32, "sBTC")
ON_SIGNET = WalletFact("signet", SIGNET.name, "51", "demo")
ETHER = WalletFact("ether", "ethereum/mainnet", "0x00", "demo")


@pytest.fixture
def run() -> Iterator[DatabaseThread]:
    thread = DatabaseThread()
    yield thread
    thread.close()


def books_lines(tx: Connection, kind: str) -> list[dict[str, Any]]:
    lines = (json.loads(record.line.body) for record in all_lines(tx, "books"))
    return [line["data"] for line in lines if line["kind"] == kind]


def events(tx: Connection) -> list[str]:
    posted = [posting for data in books_lines(tx, "postings") for posting in data["postings"]]
    return [posting["event"] for posting in posted if posting["event"].startswith("coinbase")]


def holds(db: Database, site: DemoSite, path: Path) -> dict[str, str]:
    with db.read() as tx:
        site.export(tx, path)
    report = verify(path)
    assert report.reason is None
    return {name: str(value) for name, value in report.totals.items()}


async def test_a_block_that_is_a_sites_after_all_is_reversed_and_posted_anew(
    db: Database, run: DatabaseThread, tmp_path: Path
) -> None:
    """Both postings of it are in the file, and the site's stream lists it in full once the pool has told."""
    site = DemoSite(db)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": 3}))
    claims = tuple(site.claims)
    with db.begin() as tx:
        found = site.find_block(tx, record=False)
    site.node.extend(2)
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": 2}))
        assert events(tx) == ["coinbase_accrued"] * 3
        fact = BlockFact(site.node.blocks[found], True, "hall-a-01", None, 1, 2, COIN, claims)
        site.books.record_found_block(tx, fact)
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": 2}))
        accrued = ["coinbase_accrued"] * 3
        assert events(tx) == [*accrued, *(f"{name}_reversed" for name in accrued), *accrued]
    totals = holds(db, site, tmp_path / "evidence.jsonl")
    assert (totals["blocks"], totals["foreign_blocks"]) == ("3", "2")
    assert int(totals["attributed_sat"]) > 0


async def test_a_coinbase_that_pays_two_of_our_wallets_is_one_payment(db: Database, run: DatabaseThread, tmp_path: Path) -> None:
    """Anybody can mine such a block: it must not spoil the file."""
    fleet = dataclasses.replace(FLEET, wallets=(WALLET, SECOND))
    site = DemoSite(db, books=FleetBooks(fleet, Identity.from_seed(BOOKS_SEED)))
    books = ChainBooks(CHAIN, [WALLET, SECOND], "at_maturity", lambda _: COIN, clock=site.clock)
    parts = build_coinbase(1, [(700, SCRIPT), (33, OTHER)], b"", b"", 8)
    coinbase = Transaction.parse(parts.with_extranonce(bytes(8)))
    site.node.add(Block(solve(site.node.chain[-1], coinbase.txid, TWO_256 // 4), (coinbase,)).serialise())
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
    left = site.node.rewind(0)
    site.node.extend(2, salt=3)
    await books.follow(as_node(site.node), db, run)
    site.node.restore(0, left)
    site.node.extend(102, salt=4)
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
    totals = holds(db, site, tmp_path / "evidence.jsonl")
    assert int(totals["mature_sat"]) + int(totals["immature_sat"]) == 733 + 102 * 5000


def opened(tx: Connection, *known: ChainFact, fleet: FleetFacts = FLEET) -> list[dict[str, Any]]:
    """A start whose nodes have told of these chains; the books' configurations since the beginning."""
    books = FleetBooks(dataclasses.replace(fleet, chains=()), Identity.from_seed(BOOKS_SEED))
    for chain in known:
        books.know(chain)
    books.open(tx)
    return books_lines(tx, "books")


def test_chains_are_named_as_their_nodes_tell_of_them_and_stay_named(db: Database) -> None:
    fleet = dataclasses.replace(FLEET, wallets=(WALLET, ON_SIGNET, ETHER))
    (regtest,) = FLEET.chains
    with db.begin() as tx:
        (first,) = opened(tx, regtest, fleet=fleet)
        assert [wallet["id"] for wallet in first["wallets"]] == ["mining"]
        *_, second = opened(tx, SIGNET, regtest, fleet=fleet)
        assert [chain["name"] for chain in second["chains"]] == [CHAIN, SIGNET.name]
        assert [wallet["id"] for wallet in second["wallets"]] == ["mining", "signet"]
        assert len(opened(tx, SIGNET, fleet=fleet)) == 2, "a node that is away changes nothing"
        with pytest.raises(OtherBooksError, match="genesis block of the chain bitcoin/signet"):
            opened(tx, dataclasses.replace(SIGNET, genesis_hash=bytes(32)), fleet=fleet)


def test_pools_commit_to_the_newest_root_whatever_comes_late(db: Database) -> None:
    site, told, heads = DemoSite(db), list[bytes](), EvidenceHeads()
    heads.listen(lambda: told.append(heads.root))
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
        lines: list[EvidenceRecord] = list(all_lines(tx))
    for record in (lines[1], lines[-1], lines[2]):
        heads.moved(record)
    assert told == [lines[1].root, lines[-1].root]
    assert heads.root == site.head


async def test_a_chain_that_comes_to_be_known_later_is_told_of_before_its_payments(
    db: Database, run: DatabaseThread, tmp_path: Path
) -> None:
    """A site has opened the evidence of its own chain when the node of another one, on which it does not mine, first answers."""
    fleet = FleetBooks(dataclasses.replace(FLEET, wallets=(WALLET, ON_SIGNET)), Identity.from_seed(BOOKS_SEED))
    with db.begin() as tx:
        fleet.tell(tx)
        assert books_lines(tx, "books") == [], "nothing is told where no evidence has begun"
    site = DemoSite(db, books=fleet)
    other = FakeNode(genesis=SIGNET.genesis_hash)
    other.extend(2, script=bytes.fromhex(ON_SIGNET.destination))
    fleet.know(SIGNET)
    for _ in range(2):
        with db.begin() as tx:
            fleet.tell(tx)
    books = ChainBooks(SIGNET.name, [ON_SIGNET], "at_maturity", lambda _: None, clock=site.clock)
    await books.follow(as_node(other), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": 1}))
        said = [[chain["name"] for chain in data["chains"]] for data in books_lines(tx, "books")]
        assert said == [[CHAIN], [CHAIN, SIGNET.name]]
        assert events(tx) == ["coinbase_accrued"] * 2
    assert holds(db, site, tmp_path / "evidence.jsonl")["foreign_blocks"] == "2"
