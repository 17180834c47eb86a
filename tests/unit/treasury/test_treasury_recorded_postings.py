"""Postings come into the books' evidence every few hours: each in one line, whatever cuts it off, and no line without end."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.unit.treasury.evidence_files import next_identity
from tests.unit.treasury.test_treasury_other_verifier import energy_holds
from tests.unit.treasury.treasury_site import (
    BOOKS_SEED,
    CHAIN,
    COIN,
    FLEET,
    WALLET,
    DemoSite,
    FakeNode,
    as_node,
    fleet_of,
    make_block,
    solve,
)

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.transaction import TxOut
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, FleetBooks, Identity, fleet_books, verify
from photosynth.treasury.evidence.lines import all_lines
from photosynth.treasury.fleet_books import unrecorded
from photosynth.treasury.journal import count_postings


@pytest.fixture
def run() -> Iterator[DatabaseThread]:
    thread = DatabaseThread()
    yield thread
    thread.close()


def recorded(tx: Connection) -> list[dict[str, Any]]:
    """What the books' lines of postings say."""
    bodies = (json.loads(record.line.body) for record in all_lines(tx, "books"))
    return [body["data"] for body in bodies if body["kind"] == "postings"]


def ids(tx: Connection) -> list[list[int]]:
    return [[posting["id"] for posting in data["postings"]] for data in recorded(tx)]


def close(tx: Connection, site: DemoSite, shares: dict[str, int]) -> None:
    """Close a quarter hour as a running site does, which leaves its postings to the hour."""
    facts = site.facts(shares)
    site.head = site.books.close_interval(tx, facts).root
    site.clock.now_ms = facts.start_ms + INTERVAL_MS


def holds(db: Database, site: DemoSite, path: Path) -> int:
    """How many postings an export has."""
    with db.read() as tx:
        site.export(tx, path)
    report = verify(path)
    assert report.reason is None
    return int(report.totals["postings"])


def test_an_hour_of_quarter_hours_is_one_line(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    for _ in range(4):
        with db.begin() as tx:
            close(tx, site, {"guest": 1})
            assert recorded(tx) == []
            assert unrecorded(tx)
    with db.begin() as tx:
        record = site.fleet.record_some(tx)
        assert record is not None
        assert ids(tx) == [list(range(1, count_postings(tx) + 1))]
        assert site.fleet.record_some(tx) is None
        assert not unrecorded(tx)
        close(tx, site, {"guest": 1})
    assert verify_lacks(db, site, tmp_path / "early.jsonl")
    with db.begin() as tx:
        assert site.fleet.record_postings(tx) is not None
        total = count_postings(tx)
    assert holds(db, site, tmp_path / "evidence.jsonl") == total == energy_holds(tmp_path / "evidence.jsonl")


def verify_lacks(db: Database, site: DemoSite, path: Path) -> bool:
    """Whether an export is refused for the postings that a quarter hour asks for and the books lack."""
    with db.read() as tx:
        site.export(tx, path)
    reason = verify(path).reason
    return reason is not None and reason.startswith("the books lack the postings interval:")


async def test_what_a_chain_pays_waits_for_no_quarter_hour(db: Database, run: DatabaseThread, tmp_path: Path) -> None:
    site = DemoSite(db)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    site.node.extend(3)
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.fleet.record_postings(tx)
        (line,) = recorded(tx)
    assert [posting["event"] for posting in line["postings"]] == ["coinbase_accrued"] * 3
    assert len(line["blocks"]) == 3
    with db.begin() as tx:
        close(tx, site, {"guest": 1})
        site.fleet.record_postings(tx)
        assert [len(data["blocks"]) for data in recorded(tx)] == [3, 0], "each block is listed once"
    holds(db, site, tmp_path / "evidence.jsonl")


async def test_a_line_has_an_end_however_much_was_posted(
    db: Database, run: DatabaseThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_books, "MOST_POSTINGS", 4)
    monkeypatch.setattr(fleet_books, "MOST_BLOCKS", 3)
    site = DemoSite(db)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    site.node.extend(10)
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        close(tx, site, {"guest": 1})
        site.fleet.record_postings(tx)
        lines, total = recorded(tx), count_postings(tx)
        assert [len(line["blocks"]) for line in lines if line["blocks"]] == [3, 3, 3, 1], "blocks come before what is of them"
        assert all(len(line["postings"]) <= 4 for line in lines)
        assert [number for line in ids(tx) for number in line] == list(range(1, total + 1))
    assert holds(db, site, tmp_path / "evidence.jsonl") == total


async def test_a_line_has_an_end_however_long_the_coinbases_are(db: Database, run: DatabaseThread, tmp_path: Path) -> None:
    site = DemoSite(db)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    for _ in range(7):
        site.node.add(with_long_coinbase(site.node))
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        close(tx, site, {"guest": 1})
        site.fleet.record_postings(tx)
        assert [len(line["blocks"]) for line in recorded(tx) if line["blocks"]] == [4, 3]
        assert max(len(record.line.body) for record in all_lines(tx, "books")) < 10_000_000
    holds(db, site, tmp_path / "evidence.jsonl")


def with_long_coinbase(node: FakeNode) -> bytes:
    """A block of another miner, whose coinbase pays us and fills it."""
    true = Block.parse(make_block(node.chain[-1], len(node.chain), 5000)).transactions[0]
    coinbase = replace(true, outputs=(*true.outputs, TxOut(0, b"\x6a" + bytes(990_000))))
    return Block(solve(node.chain[-1], coinbase.txid, 1 << 255), (coinbase,)).serialise()


def test_a_kill_leaves_a_posting_in_one_line_or_in_none(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_books, "MOST_POSTINGS", 3)
    site = DemoSite(db)
    with db.begin() as tx:
        for _ in range(2):
            close(tx, site, {"guest": 1})
        total = count_postings(tx)
    assert total > 4
    with db.begin() as tx:
        site.fleet.record_some(tx)
    with monkeypatch.context() as patched:
        patched.setattr(fleet_books, "put_meta", _killed)
        with pytest.raises(RuntimeError), db.begin() as tx:
            site.fleet.record_some(tx)
    again = FleetBooks(fleet_of(site.site), Identity.from_seed(BOOKS_SEED))
    while True:
        with db.begin() as tx:
            if again.record_some(tx) is None:
                break
    with db.read() as tx:
        assert [number for line in ids(tx) for number in line] == list(range(1, total + 1))
    assert holds(db, site, tmp_path / "evidence.jsonl") == total


def _killed(*_: object) -> None:
    raise RuntimeError("kill -9 before the last statement of the transaction")


def test_what_the_old_key_has_to_sign_comes_before_the_new_one(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    with db.begin() as tx:
        close(tx, site, {"guest": 1})
        site.fleet.rotate_key(tx, next_identity("books"))
        assert not unrecorded(tx)
        kinds = [record.kind for record in all_lines(tx, "books")]
    assert kinds == ["books", "postings", "key"]
    assert holds(db, site, tmp_path / "evidence.jsonl") > 0


def test_evidence_that_has_not_begun_lacks_nothing(db: Database) -> None:
    books = FleetBooks(FLEET, Identity.from_seed(BOOKS_SEED))
    with db.begin() as tx:
        assert books.record_some(tx) is None
        assert books.record_postings(tx) is None
        assert not unrecorded(tx)
        assert list(all_lines(tx)) == []
