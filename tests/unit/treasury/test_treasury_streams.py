"""Streams of evidence in the books: heads under one root, keys that are handed over, readings that came late."""

import dataclasses
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.treasury.evidence_files import GOLDEN, bodies_of, identity_of, next_identity, seal_all
from tests.unit.treasury.treasury_site import DemoSite

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.storage import Database
from photosynth.treasury import OtherBooksError, TreasuryError, verify
from photosynth.treasury import journal as j
from photosynth.treasury.evidence import lines
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.heads import HeadTree, branch_of, root_of_branch, root_of_heads
from photosynth.treasury.facts import CorrectionFacts, IntervalFacts, MeterFact
from photosynth.treasury.mining.unknown_intervals import unknown_intervals

HEADS = st.dictionaries(
    st.sampled_from([f"site-{n}" for n in range(20)] + ["books", "a", "z"]), st.binary(min_size=32, max_size=32)
)


@settings(max_examples=80, deadline=None)
@given(HEADS.filter(bool))
def test_every_head_leads_to_the_root_and_no_other_does(heads: dict[str, bytes]) -> None:
    root = root_of_heads(heads)
    for name, head in heads.items():
        place, branch = branch_of(heads, name)
        assert root_of_branch(name, head, place, branch) == root
        assert root_of_branch(name, sha256(head).digest(), place, branch) != root
        assert root_of_branch(f"{name}x", head, place, branch) != root
        assert root_of_branch(name, head, place + 1, branch) != root
        assert root_of_branch(name, head, place, (*branch, None)) == root, "a row of one goes up as it is"
        assert root_of_branch(name, head, place, (*branch, bytes(32))) != root


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdefghijk"), st.binary(min_size=32, max_size=32)), min_size=1, max_size=60))
def test_a_tree_that_goes_on_is_the_tree_built_anew(puts: list[tuple[str, bytes]]) -> None:
    tree, heads = HeadTree(), dict[str, bytes]()
    for name, head in puts:
        heads[name] = head
        assert tree.put(name, head) == root_of_heads(heads)


def test_the_root_of_every_line_leads_to_each_stream_as_it_was_then(db: Database) -> None:
    site = DemoSite(db)
    with db.begin() as tx:
        for _ in range(3):
            site.close(tx, site.facts({"guest": 1}))
        known: dict[str, list[bytes]] = {"backnang": [], "books": []}
        for record in list(lines.all_lines(tx)):
            known[record.stream].append(record.hash)
            for stream, hashes in known.items():
                found = lines.commitment_to(tx, stream, record.root)
                assert (found is None) == (not hashes)
                if found is not None:
                    assert found.seq == len(hashes) - 1
                    assert root_of_branch(stream, hashes[-1], found.place, found.branch) == record.root
        assert lines.commitment_to(tx, "backnang", bytes(32)) is None
        assert lines.commitment_to(tx, "elsewhere", record.root) is None


def exported(db: Database, site: DemoSite, folder: Path) -> Path:
    path = folder / "evidence.jsonl"
    with db.read() as tx:
        site.export(tx, path)
    return path


def test_a_stream_goes_on_under_a_new_key_that_the_first_one_vouches_for(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    first = site.identity.public_key
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
        site.head = site.books.rotate_key(tx, next_identity("backnang")).root
        site.close(tx, site.facts({"guest": 1}))
        assert lines.signing_key(tx, "backnang") == next_identity("backnang").public_key
    report = verify(exported(db, site, tmp_path), first)
    assert report.reason is None
    (stream, _) = report.streams
    assert (stream.first_key, stream.public_key) == (first.hex(), next_identity("backnang").public_key.hex())
    assert (stream.rotations, stream.lines) == (1, 4), "the configuration is as it was: no line says otherwise"
    assert any("1 times the key of backnang" in sentence for sentence in report.proven)
    assert verify(exported(db, site, tmp_path), next_identity("backnang").public_key).exit_code == 1, "the first key is asked for"
    with pytest.raises(OtherBooksError, match=r"Restore keys/backnang\.key"):
        DemoSite(db)


def key_line() -> int:
    return next(at for at, body in enumerate(bodies_of(GOLDEN.read_bytes())) if body["kind"] == "key")


@pytest.mark.parametrize("forged", ["nobody's proof", "another's proof"])
def test_nobody_is_handed_a_stream_that_he_did_not_sign_for(tmp_path: Path, forged: str) -> None:
    bodies, at = bodies_of(GOLDEN.read_bytes()), key_line()
    lines_before = seal_all(bodies[: at + 1])
    body = bodies[at]
    previous = bytes.fromhex(body["previous"])
    body["data"]["proof"] = "00" * 64 if forged == "nobody's proof" else next_identity("backnang").proof(previous).hex()
    sealed = identity_of(body["stream"]).seal(canonical(body)).text() + b"\n"
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(b"".join([*lines_before[:-1], sealed]))
    assert "did not sign its place" in str(verify(path).reason)


def dark(facts_of: DemoSite, names: tuple[str, ...], shares: int = 1) -> tuple[IntervalFacts, dict[str, MeterFact]]:
    """A quarter hour in which some meters say nothing, and what they would have said."""
    facts = facts_of.facts({"guest": shares})
    known = {meter.id: meter for meter in facts.meters}
    meters = tuple(
        dataclasses.replace(meter, register_start_j=None, register_end_j=None, quality="unknown") if meter.id in names else meter
        for meter in facts.meters
    )
    return dataclasses.replace(facts, meters=meters), known


def correction(start_ms: int, *meters: MeterFact) -> CorrectionFacts:
    return CorrectionFacts(start_ms, start_ms + 7 * INTERVAL_MS, meters)


def test_late_registers_complete_a_quarter_hour_and_post_what_it_lacked(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    facts, late = dark(site, ("pv", "hall"))
    start_ms = facts.start_ms
    with db.begin() as tx:
        site.close(tx, facts)
        assert site.books.correct_interval(tx, correction(start_ms, late["pv"])) is None, "the hall is unknown still"
        assert unknown_intervals(tx, None, 0) != []
        assert j.count_postings(tx) == 0
        record = site.books.correct_interval(tx, correction(start_ms, late["pv"], late["hall"]))
        assert record is not None
        site.head = record.root
        assert unknown_intervals(tx, None, 0) == []
        count = j.count_postings(tx)
        assert site.books.correct_interval(tx, correction(start_ms, late["pv"], late["hall"])) is None, "it is known already"
        assert j.count_postings(tx) == count > 0
        assert {p.posting.key.rsplit(":", 1)[0] for p in j.postings(tx)} == {f"correction:backnang:{start_ms}:1"}
        site.close(tx, site.facts({"guest": 1}))
    report = verify(exported(db, site, tmp_path))
    assert report.reason is None
    assert report.totals["corrections"] == 1
    assert report.totals["own_mining_j"] == 56_600_000
    assert any("Readings of 1 quarter hour that came after" in sentence for sentence in report.trusted)
    assert not any("unknown, and posted nowhere" in sentence for sentence in report.trusted)


def test_a_later_reading_replaces_a_late_one_and_reverses_what_it_posted(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    facts, late = dark(site, ("pv",))
    start_ms, roof = facts.start_ms, late["pv"]
    assert roof.register_end_j is not None
    guessed = dataclasses.replace(roof, register_end_j=roof.register_end_j - 10**7, quality="estimated")
    with db.begin() as tx:
        site.close(tx, facts)
        for meter in (guessed, roof):
            record = site.books.correct_interval(tx, correction(start_ms, meter))
            assert record is not None
            site.head = record.root
        assert j.balance(tx, "E10", "J") == -90_000_000
        site.close(tx, site.facts({"guest": 1}))
    report = verify(exported(db, site, tmp_path))
    assert report.reason is None
    assert (report.totals["corrections"], report.totals["residual_j"]) == (1, 400_000 + 500_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda roof: dataclasses.replace(roof, register_start_j=1), "evidence knows"),
        (lambda roof: dataclasses.replace(roof, register_end_j=roof.register_end_j + 1), "evidence knows"),
        (lambda roof: dataclasses.replace(roof, id="miners"), "lacks no register of miners"),
    ],
)
def test_late_registers_that_contradict_others_are_refused(
    db: Database, change: Callable[[MeterFact], MeterFact], words: str
) -> None:
    site = DemoSite(db)
    with db.begin() as tx:
        site.close(tx, site.facts({"guest": 1}))
        facts, late = dark(site, ("pv",))
        site.close(tx, facts)
        site.close(tx, site.facts({"guest": 1}))
        with pytest.raises(TreasuryError, match=words):
            site.books.correct_interval(tx, correction(facts.start_ms, change(late["pv"])))
        with pytest.raises(TreasuryError, match="not closed"):
            site.books.correct_interval(tx, correction(facts.start_ms + 99 * INTERVAL_MS, late["pv"]))


def test_two_quarter_hours_without_a_meter_are_corrected_one_after_the_other(db: Database, tmp_path: Path) -> None:
    site = DemoSite(db)
    with db.begin() as tx:
        hours = []
        for _ in range(2):
            facts, late = dark(site, ("pv",))
            site.close(tx, facts)
            hours.append((facts.start_ms, late["pv"]))
        site.close(tx, site.facts({"guest": 1}))
        for start_ms, roof in reversed(hours):
            record = site.books.correct_interval(tx, correction(start_ms, roof))
            assert record is not None
            site.head = record.root
        site.close(tx, site.facts({"guest": 1}))
    report = verify(exported(db, site, tmp_path))
    assert report.reason is None
    assert report.totals["corrections"] == 2
    # In the file alone, the second must begin where the first ended.
    bodies = bodies_of(exported(db, site, tmp_path).read_bytes())
    wrong = [body for body in bodies if body["kind"] == "correction"][1]["data"]["meters"][0]
    wrong["register_end_j"] += 1
    (tmp_path / "wrong").write_bytes(b"".join(seal_all(bodies)))
    assert "contradict those beside them" in str(verify(tmp_path / "wrong").reason)
