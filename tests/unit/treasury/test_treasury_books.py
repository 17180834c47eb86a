"""Closing quarter hours: once each, in one transaction, with gaps, changes and unknowns said as such."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.treasury.evidence_files import GOLDEN
from tests.unit.treasury.golden import write_golden
from tests.unit.treasury.treasury_site import CHAIN, COIN, OTHER, SITE, WALLET, DemoSite, as_node, make_block

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.storage import Database, DatabaseThread
from photosynth.storage.tables import ASSETS
from photosynth.treasury import ChainBooks, OtherBooksError, TreasuryError, fleet_books, verify
from photosynth.treasury import journal as j
from photosynth.treasury.evidence.lines import all_lines
from photosynth.treasury.facts import BlockFact, SiteFacts
from photosynth.treasury.glance import evidence_state
from photosynth.treasury.mining.trace import trace


def bodies(db: Database, stream: str = "backnang") -> list[dict[str, Any]]:
    with db.read() as tx:
        return [json.loads(record.line.body) for record in all_lines(tx, stream)]


def quarter_hours(db: Database) -> list[dict[str, Any]]:
    return [body["data"] for body in bodies(db) if body["kind"] == "quarter_hour"]


def exported(db: Database, site: DemoSite, folder: Path) -> Path:
    path = folder / "evidence.jsonl"
    with db.read() as tx:
        site.export(tx, path)
    return path


def test_closing_again_changes_nothing(db: Database) -> None:
    site = DemoSite(db)
    facts = site.facts({"guest": 2})
    with db.begin() as tx:
        record = site.close(tx, facts)
        count = j.count_postings(tx)
        assert site.books.close_interval(tx, facts) == record
        assert j.count_postings(tx) == count
        assert evidence_state(tx).records == 1
        assert evidence_state(tx).head == record.root == site.books.root(tx)


def fails(*_: object) -> None:
    """What happens at the last statement of the transaction."""
    raise RuntimeError("power cut")


def test_a_failure_leaves_nothing_behind(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    site = DemoSite(db)
    facts = site.facts({"guest": 2})
    with monkeypatch.context() as patched:
        patched.setattr(fleet_books, "put_meta", fails)
        with pytest.raises(RuntimeError, match="power cut"), db.begin() as tx:
            site.close(tx, facts)
    with db.begin() as tx:
        assert evidence_state(tx).records == 0
        assert j.count_postings(tx) == 0
        site.close(tx, facts)
        assert evidence_state(tx).records == 1


def test_what_is_no_quarter_hour_or_was_passed_is_refused(db: Database) -> None:
    site = DemoSite(db)
    facts = site.facts({})
    with db.begin() as tx:
        site.close(tx, facts)
        with pytest.raises(TreasuryError, match="not the start of a quarter hour"):
            site.books.close_interval(tx, dataclasses.replace(facts, start_ms=facts.start_ms + 1))
        with pytest.raises(TreasuryError, match="lies before"):
            site.books.close_interval(tx, dataclasses.replace(facts, start_ms=facts.start_ms - INTERVAL_MS))
        strange = dataclasses.replace(facts.meters[0], id="strange")
        with pytest.raises(TreasuryError, match="no meter strange"):
            site.books.close_interval(tx, dataclasses.replace(facts, start_ms=facts.start_ms + INTERVAL_MS, meters=(strange,)))


def test_a_gap_and_a_change_have_lines_of_their_own(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
        site.clock.now_ms += 4 * INTERVAL_MS
        site.close(tx, site.facts({"guest": 1}))
        site.registers["pv"] += 10**6
        site.close(tx, site.facts({"guest": 1}))
    site.books.site = dataclasses.replace(SITE, title="The same roof, renamed")
    with db.begin() as tx:
        site.head = site.books.open(tx)
        assert site.books.open(tx) == site.head
        site.close(tx, site.facts({"guest": 1}))
    kinds = [(body["kind"], body["data"].get("follows")) for body in bodies(db)]
    quarter_hour = ("quarter_hour", None)
    assert kinds == [
        ("site", "nothing"),
        quarter_hour,
        ("site", "gap"),
        quarter_hour,
        ("site", "gap"),
        quarter_hour,
        ("site", "configuration"),
        quarter_hour,
    ]
    report = verify(exported(db, site, tmp_path))
    assert report.reason is None
    assert any("1 gap in time, after a configuration" in sentence for sentence in report.trusted)


@pytest.mark.parametrize(
    ("site", "seed", "words"),
    [
        (dataclasses.replace(SITE, payout_script=b"\x51"), b"\x01" * 32, "output script of the wallet"),
        (dataclasses.replace(SITE, genesis_hash=bytes(32)), b"\x01" * 32, "genesis block"),
        (SITE, b"\x02" * 32, "Restore keys/backnang.key"),
    ],
)
def test_books_of_another_chain_script_or_key_are_refused(db: Database, site: SiteFacts, seed: bytes, words: str) -> None:
    DemoSite(db)
    with pytest.raises(OtherBooksError, match=words):
        DemoSite(db, site=site, seed=seed)


def test_a_site_that_pays_another_wallet_of_the_books_is_refused(db: Database) -> None:
    site = DemoSite(db)
    other = dataclasses.replace(SITE, payout_script=OTHER)
    with pytest.raises(OtherBooksError, match="payout script 0014751e"):
        DemoSite(db, site=other, books=site.fleet)


def test_unknown_registers_are_null_and_post_nothing(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    facts = site.facts({"guest": 1})
    dark = dataclasses.replace(facts.meters[0], register_end_j=None, quality="unknown")
    with db.begin() as tx:
        site.close(tx, dataclasses.replace(facts, meters=(dark, *facts.meters[1:])))
        assert j.count_postings(tx) == 0
        site.close(tx, site.facts({"guest": 1}, prices=None))
        assert [p.posting.event for p in j.postings(tx)] == ["energy"]
    assert quarter_hours(db)[0]["allocation"] is None
    report = verify(exported(db, site, tmp_path))
    assert report.reason is None
    assert any("not good" in sentence for sentence in report.trusted)


def test_meters_that_contradict_each_other_are_suspect(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    facts = site.facts({"guest": 1})
    end = facts.meters[0].register_end_j
    assert end is not None
    wild = dataclasses.replace(facts.meters[0], register_end_j=end + 50_000_000)
    site.registers["pv"] += 50_000_000
    with db.begin() as tx:
        site.close(tx, dataclasses.replace(facts, meters=(wild, *facts.meters[1:])))
    assert {meter["quality"] for meter in quarter_hours(db)[0]["meters"]} == {"suspect"}
    assert verify(exported(db, site, tmp_path)).reason is None


async def test_a_block_of_the_chain_is_its_sites_as_soon_as_the_pool_tells(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    books, run = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock), DatabaseThread()
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": 3}))
    claims = tuple(site.claims)
    with db.begin() as tx:
        block_hash = site.find_block(tx, record=False)
    # Another block pays us and was never reported: it is posted all the same.
    site.node.add(make_block(site.node.chain[-1], 2, 11, commitment=b"\x77" * 32))
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": 2}))
    raw = site.node.blocks[block_hash]
    late = BlockFact(raw, True, "hall-a-01", None, site.clock.site_ms(), site.clock.wall_ms(), COIN, claims)
    with db.begin() as tx:
        site.books.record_found_block(tx, late)
        site.books.record_found_block(tx, late)
        site.close(tx, site.facts({"hall-a-01": 2}))
        found = trace(tx, None, "1", lambda _: SITE.meters)
        assert trace(tx, None, "77", lambda _: SITE.meters) is None
    run.close()
    assert found is not None
    assert sum(share.value_sat for share in found.shares) == found.block.value_sat
    assert found.intervals[0].record == 1
    assert found.intervals[0].own_mining_j == 56_600_000
    assert found.intervals[0].spot_cent_per_mwh == -1234
    assert found.intervals[0].meters[0].role == "own_generation"
    assert [p.posting.event for p in found.postings] == ["coinbase_accrued"]
    assert [len(body["data"]["blocks"]) for body in bodies(db, "books")[1:]] == [0, 2, 0]
    assert [len(data["blocks"]) for data in quarter_hours(db)] == [0, 0, 1]
    report = verify(exported(db, site, tmp_path))
    assert report.reason is None
    assert any("1 block that pays a script is somebody else's" in sentence for sentence in report.trusted)
    assert report.totals["attributed_sat"] == found.block.value_sat


async def test_an_orphaned_block_leaves_its_trace(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    books, run = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock), DatabaseThread()
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": 3}))
        site.find_block(tx)
    await books.follow(as_node(site.node), db, run)
    left = site.node.rewind(0)
    site.node.extend(2, salt=5)
    await books.follow(as_node(site.node), db, run)
    with db.begin() as tx:
        site.close(tx, site.facts({}))
        found = trace(tx, None, left[0][::-1].hex(), lambda _: SITE.meters)
    assert found is not None
    assert "not in the chain" in found.notes[0]
    assert [p.posting.event for p in found.postings] == ["coinbase_accrued", "coinbase_accrued_reversed"]
    site.node.restore(0, left)
    site.node.extend(110, value_sat=3)
    await books.follow(as_node(site.node), db, run)
    run.close()
    with db.begin() as tx:
        site.close(tx, site.facts({}))
    report = verify(exported(db, site, tmp_path))
    assert report.reason is None
    with db.read() as tx:
        assert report.totals["immature_sat"] == j.balance(tx, "1100", "BTC")
        assert report.totals["mature_sat"] == j.balance(tx, "1110", "BTC") > 0


@pytest.mark.parametrize("network", ["regtest", "signet"])
def test_a_claim_of_more_than_its_work_is_found(db: Database, tmp_path: Path, network: str) -> None:
    site = DemoSite(db, site=dataclasses.replace(SITE, network=network))
    raw = make_block(site.node.chain[-1], 1, 5000, commitment=site.head)
    facts = site.facts({"hall-a-01": 1})
    claim = dataclasses.replace(site.claims[0], work=1, represented=10**18)
    with db.begin() as tx:
        site.books.record_found_block(tx, BlockFact(raw, True, "hall-a-01", None, 0, 0, COIN, (claim,)))
        site.close(tx, facts)
    report = verify(exported(db, site, tmp_path))
    if network == "regtest":
        assert report.reason is not None
        assert "block 1 claims 5000 sat; its work would have earned 581 sat" in report.reason
    else:
        assert report.reason is None, "real coins are worth what consensus pays"


def test_a_block_that_pays_somebody_else_is_refused(db: Database) -> None:
    site = DemoSite(db)
    raw = make_block(site.node.chain[-1], 1, 50, script=b"\x51")
    with db.begin() as tx, pytest.raises(TreasuryError, match="does not pay"):
        site.books.record_found_block(tx, BlockFact(raw, True, None, None, 0, 0, None, None))


def test_a_posting_of_any_size_and_asset_is_proven(db: Database, tmp_path: Path) -> None:
    """10^30 wei, and a coin that no version of this program knows."""
    site = DemoSite(db)
    with db.begin() as tx:
        tx.execute(ASSETS.insert().values(code="SHELL", name="Shells", network=None, base_unit="shell", decimals=0))
        lines = j.transfer("1110", "9000", "ETH", 10**30) + j.transfer("1110", "9000", "SHELL", 2**53 + 1)
        j.post(tx, j.Posting("ethereum:1", site.clock.site_ms(), 0, "coins_received", "Ether", lines, {"wei": 10**30}))
        site.close(tx, site.facts({"guest": 1}))
    path = exported(db, site, tmp_path)
    assert verify(path).exit_code == 0
    posting = bodies(db, "books")[1]["data"]["postings"][0]
    assert posting["lines"][0] == ["1110", "debit", "ETH", "1" + "0" * 30]
    assert posting["lines"][2] == ["1110", "debit", "SHELL", str(2**53 + 1)]
    assert posting["source"] == {"wei": "1" + "0" * 30}


async def test_the_format_does_not_change_by_accident(db: Database, tmp_path: Path) -> None:
    await write_golden(db, tmp_path / "evidence.jsonl")
    assert (tmp_path / "evidence.jsonl").read_bytes() == GOLDEN.read_bytes(), "another format is another version"
    assert verify(GOLDEN).exit_code == 0
