"""The evidence: what holds is found to hold, and no byte, line or figure can be changed unnoticed."""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests.unit.treasury.evidence_files import Change, numbered, rewrite, set_in
from tests.unit.treasury.treasury_site import (
    BOOKS_SEED,
    CHAIN,
    COIN,
    SITE,
    SITE_SEED,
    WALLET,
    DemoSite,
    as_node,
    make_block,
    open_database,
)

from photosynth.bitcoin.block import Block
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, Identity, verify
from photosynth.treasury.evidence.envelope import body_of
from photosynth.treasury.evidence.seal import NO_HASH
from photosynth.treasury.evidence.verify import LOOK_BYTES

# The lines of three quarter hours: the books and the site, then each quarter hour and its postings, then two ends.
BOOKS, SITE_LINE, FIRST, FIRST_POSTINGS, SECOND, SECOND_POSTINGS, THIRD, THIRD_POSTINGS, END, BOOKS_END = range(10)


async def export_three(db: Database, path: Path, shares: int) -> None:
    """Three closed quarter hours with a block in the second and one in the third, exported."""
    site = DemoSite(db)
    books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
    run = DatabaseThread()
    with db.begin() as tx:
        site.close(tx, site.facts({"hall-a-01": shares, "guest": 1}))
    for _ in range(2):
        facts = site.facts({"hall-a-01": shares, "hall-b-02": 1})
        with db.begin() as tx:
            site.find_block(tx)
        await books.follow(as_node(site.node), db, run)
        with db.begin() as tx:
            site.close(tx, facts)
    with db.read() as tx:
        site.export(tx, path)
        site.export(tx, path.with_suffix(".site"), "backnang")
    run.close()


@cache
def three_quarter_hours(shares: int = 3) -> bytes:
    """Evidence of three quarter hours, made once for all tests."""
    with TemporaryDirectory() as folder, open_database(Path(folder)) as db:
        path = Path(folder) / "evidence.jsonl"
        asyncio.run(export_three(db, path, shares))
        return path.read_bytes()


@cache
def one_site(shares: int = 3) -> bytes:
    """The site's stream of the same alone."""
    with TemporaryDirectory() as folder, open_database(Path(folder)) as db:
        path = Path(folder) / "evidence.jsonl"
        asyncio.run(export_three(db, path, shares))
        return path.with_suffix(".site").read_bytes()


def test_an_export_holds_and_says_what_it_proves(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours(40))
    report = verify(path)
    assert report.reason is None
    assert (report.exit_code, report.records, report.lines, report.complete) == (0, 3, 10, True)
    assert report.totals["blocks"] == 2
    assert report.totals["anchored_line"] == SECOND_POSTINGS
    assert [stream.totals["anchored_seq"] for stream in report.streams] == [2, 2]
    assert report.totals["immature_sat"] > 0
    assert report.totals["immature_sat"] == report.totals["attributed_sat"]
    assert report.totals["own_mining_j"] == 56_600_000 * 2
    assert report.totals["grid_mining_j"] == 25_500_000
    assert any("simulated" in sentence for sentence in report.trusted)
    json.dumps(report.document())


def test_every_flipped_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    with open_database(tmp_path) as db:
        site = DemoSite(db)
        with db.begin() as tx:
            site.close(tx, site.facts({"guest": 1}))
        with db.read() as tx:
            site.export(tx, path)
    whole = path.read_bytes()
    assert verify(path).exit_code == 0
    broken = tmp_path / "broken.jsonl"
    for at in range(len(whole)):
        bit = 0x20 if whole[at : at + 1].isalpha() else 1  # a letter's other case, which a lax reader of hex takes for the same
        broken.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        report = verify(broken)
        assert report.exit_code == 1, f"byte {at} with bit {bit}"
        assert report.failed_line is not None


def test_lines_cut_put_in_doubled_or_swapped_are_found(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    lines = path.read_bytes().splitlines(keepends=True)
    broken = tmp_path / "broken.jsonl"
    for at in range(len(lines)):
        cut = [*lines[:at], *lines[at + 1 :]]
        doubled = [*lines[: at + 1], *lines[at:]]
        for changed in (cut, doubled, lines[:at], [*lines[:at], b"{}\n", *lines[at:]]):
            broken.write_bytes(b"".join(changed))
            assert verify(broken).exit_code == (1 if changed else 2)
    for at in range(1, len(lines) - 1):
        broken.write_bytes(b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]))
        assert verify(broken).exit_code == 1, at
    broken.write_bytes(path.read_bytes()[:-1])
    assert verify(broken).exit_code == 1


def test_a_cut_names_the_tail(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    report = verify(path)
    assert report.exit_code == 1
    assert report.reason is not None
    assert "cut off" in report.reason


def more_sun(bodies: list[dict[str, Any]]) -> None:
    """The first quarter hour's roof and miners metered a little more, consistently to the last posting."""
    record = bodies[FIRST]["data"]
    for meter in record["meters"]:
        if meter["id"] in ("pv", "miners"):
            meter["register_start_j"] -= 360_000
    record["allocation"]["own_mining_j"] += 360_000
    for posting in bodies[FIRST_POSTINGS]["data"]["postings"]:
        if posting["event"] == "energy":
            for line in posting["lines"]:
                line[3] += 360_000 if line[0] in ("E10", "E40") else 0


def other_text(bodies: list[dict[str, Any]]) -> None:
    """Only the books are changed: where a coin's price came from."""
    bodies[SECOND_POSTINGS]["data"]["postings"][0]["source"]["price_source"] = "hearsay"


@pytest.mark.parametrize("seed", [SITE_SEED, b"\x02" * 32], ids=["same key", "another key"])
def test_a_rewritten_reading_contradicts_the_chain(tmp_path: Path, seed: bytes) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    rewrite(path, lambda bodies: None)
    assert verify(path).exit_code == 0
    rewrite(path, more_sun, seed)
    report = verify(path)
    assert report.exit_code == 1
    assert report.reason is not None
    assert "commits to" in report.reason
    # Without shares after it, the block alone still contradicts.
    rewrite(path, without_work)
    report = verify(path)
    assert report.exit_code == 1
    assert report.reason is not None
    assert "block" in report.reason
    assert "commits to" in report.reason


def test_work_commits_to_the_books_too(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    rewrite(path, other_text)
    report = verify(path)
    assert (report.exit_code, report.failed_line, report.failed_stream) == (1, THIRD + 1, "backnang")
    assert "no root over the lines of all streams" in str(report.reason)
    # A line that no work commits to yet rests on its signature.
    path.write_bytes(three_quarter_hours())
    rewrite(path, set_in(THIRD_POSTINGS, "postings", 0, "source", "price_source", to="hearsay"))
    assert verify(path).exit_code == 0


def without_work(bodies: list[dict[str, Any]]) -> None:
    for body in bodies:
        if body["kind"] == "quarter_hour":
            body["data"].update(workers=[], targets=[], work=[], best=[], jobs=[])


def refused(path: Path, change: Change, words: str) -> None:
    """Three quarter hours, rewritten and sealed anew with the right key, are refused for this reason."""
    path.write_bytes(three_quarter_hours())
    rewrite(path, change)
    report = verify(path)
    assert report.exit_code == 1
    assert report.reason is not None
    assert words in report.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_in(FIRST, "meters", 4, "register_end_j", to=lambda v: v + 1), "residual"),
        (set_in(THIRD, "residual_j", to=7), "residual"),
        (set_in(THIRD, "allocation", "own_mining_j", to=1), "allocation"),
        (set_in(THIRD, "start_utc_s", to=lambda v: v + 900), "missing before it"),
        (set_in(THIRD, "start_utc_s", to=lambda v: v - 900), "before the end"),
        (set_in(THIRD, "meters", 0, "register_start_j", to=lambda v: v - 5), "begins at"),
        (set_in(THIRD, "prices", "spot", to=99), "meters and prices"),
        (set_in(THIRD, "envelope", "seq", to=9), "line 9"),
        (set_in(THIRD, "envelope", "version", to=3), "version"),
        (set_in(THIRD, "envelope", "kind", to="postings"), "no lines of the kind"),
        (set_in(THIRD_POSTINGS, "envelope", "kind", to="quarter_hour"), "no lines of the kind"),
        (set_in(THIRD_POSTINGS, "postings", 0, "lines", 0, 3, to=lambda v: v + 1), "accrue"),
        (set_in(THIRD_POSTINGS, "postings", 0, "id", to=lambda v: v + 1), "follows posting"),
        (set_in(THIRD, "work", 0, 3, to=1000), "best headers"),
        (set_in(SECOND, "blocks", 0, "value_sat", to=lambda v: v + 1), "pays the payout script"),
        (set_in(SECOND, "blocks", 0, "attribution", 0, 8, to=lambda v: v + 1), "split by represented"),
        (set_in(SECOND, "blocks", 0, "attribution", 0, 5, to=99), "claim 99 shares"),
        (set_in(SECOND, "blocks", 0, "reward_sat", to=1), "would have earned"),
        (set_in(SECOND, "blocks", 0, "height", to=7), "another height"),
        (set_in(SECOND, "blocks", 0, "target", to="00" * 32), "target"),
        (set_in(SECOND, "blocks", 0, "commitment", "seq", to=0), "commits to"),
        (set_in(SECOND, "blocks", 0, "commitment", "seq", to=99), "not before it"),
        (set_in(SECOND, "blocks", 0, "commitment", "place", to=1), "commits to"),
        (set_in(SECOND, "jobs", 0, "commitment", "branch", to=[]), "commits to"),
        (set_in(SECOND, "best", 0, "headers", 0, 2, to="00" * 8), "Merkle root"),
        (set_in(SECOND, "unheard", to=1), "does not know"),
        (set_in(SECOND, "duration_s", to=60), "quarter hour"),
        (set_in(SITE_LINE, "payout_script", to="0014" + "00" * 20), "pays somebody else"),
        (set_in(SITE_LINE, "rules", to={}), "rules"),
        (set_in(BOOKS, "rules", to={}), "rules"),
        (set_in(THIRD, "meters", to=lambda meters: meters[:-1]), "meters are not those"),
        (set_in(THIRD_POSTINGS, "postings", -1, "wall_ms", to=1), "meters and prices"),
        (set_in(THIRD_POSTINGS, "postings", -1, "text", to="Other"), "meters and prices"),
        (set_in(THIRD_POSTINGS, "postings", to=lambda postings: postings[:-1]), "meters and prices"),
        (set_in(THIRD_POSTINGS, "postings", to=lambda postings: postings[:1]), "the books lack the postings interval:backnang:"),
        (set_in(THIRD_POSTINGS, "postings", -1, "key", to="interval:elsewhere:0:energy"), "meters and prices"),
        (set_in(THIRD_POSTINGS, "postings", 1, "key", to="interval:elsewhere:0:energy"), "for which no line before it asks"),
        (set_in(SECOND, "blocks", 0, "attribution", 0, 0, to=lambda start_s: start_s - 900), "but 0 are on record"),
        (set_in(END, "blocks", to=[{}]), "lacks"),
        (set_in(BOOKS_END, "blocks", to=[{}]), "the books' last line lists blocks"),
    ],
)
def test_a_forger_with_the_key_fails_on_arithmetic(tmp_path: Path, change: Change, words: str) -> None:
    refused(tmp_path / "evidence.jsonl", change, words)


def twice_the_same_work(bodies: list[dict[str, Any]]) -> None:
    for name in ("workers", "targets", "work", "best", "jobs"):
        bodies[THIRD]["data"][name] = bodies[SECOND]["data"][name]


def beside_the_chain(bodies: list[dict[str, Any]]) -> None:
    """The last block is one of a side branch: as high as the block before it, and accrued all the same."""
    block = Block.parse(make_block(SITE.genesis_hash, 1, 10_000))
    coinbase = block.transactions[0].serialise(witness=False)
    bodies[THIRD]["data"]["blocks"] = []
    shown = {"chain": "bitcoin/regtest", "hash": block.hash[::-1].hex(), "height": 1, "header": block.header.serialise().hex()}
    shown |= {"coinbase": coinbase.hex(), "branch": [], "value_sat": 10_000}
    bodies[THIRD_POSTINGS]["data"]["blocks"] = [shown]
    accrual = bodies[THIRD_POSTINGS]["data"]["postings"][0]
    accrual["source"].update(block=shown["hash"], height=1)
    for line in accrual["lines"]:
        line[3] = 10_000 if line[2] == "BTC" else accrual["source"]["price_cent_per_btc"]


def with_another(line: int, **members: Any) -> Change:
    """A configuration once more before the last quarter hour, with other members."""

    def change(bodies: list[dict[str, Any]]) -> None:
        stream = bodies[line]["stream"]
        seq = next(body["seq"] for body in bodies[THIRD:] if body["stream"] == stream)
        for body in bodies[THIRD:]:
            body["seq"] += body["stream"] == stream
        bodies.insert(THIRD, bodies[line] | {"seq": seq, "data": bodies[line]["data"] | {"follows": "configuration"} | members})

    return change


def unknown_wallet(bodies: list[dict[str, Any]]) -> None:
    without_anchors(bodies)
    bodies[BOOKS]["data"]["wallets"] = []


def without_the_books(bodies: list[dict[str, Any]]) -> None:
    bodies[:] = [body for body in bodies if body["stream"] != "books"]


def doubled_under_another_name(bodies: list[dict[str, Any]]) -> None:
    """A stream that the fleet does not have, put in where work commits to all streams already."""
    bodies.insert(SECOND_POSTINGS, bodies[SITE_LINE] | {"stream": "elsewhere"})
    bodies.append(bodies[END + 1] | {"stream": "elsewhere", "seq": 1})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (twice_the_same_work, "listed twice"),
        (beside_the_chain, "although the books stand at block"),
        (with_another(SITE_LINE, payout_script="0014" + "00" * 20), "another chain or payout script"),
        (with_another(BOOKS, wallets=[{"id": "mining", "chain": "bitcoin/regtest", "script": "51"}]), "another script or chain"),
        (with_another(BOOKS, chains=[{"name": "bitcoin/regtest", "genesis_hash": "00" * 32, "asset": ""}]), "another genesis"),
        (unknown_wallet, "that no wallet of the books has"),
        (doubled_under_another_name, "no root over the lines of all streams before it"),
    ],
)
def test_what_only_a_look_at_other_lines_shows(tmp_path: Path, change: Change, words: str) -> None:
    refused(tmp_path / "evidence.jsonl", change, words)


def without_anchors(bodies: list[dict[str, Any]]) -> None:
    """Every block and every share left out, as if nothing had been mined."""
    without_work(bodies)
    for body in bodies[FIRST:END]:
        body["data"]["blocks"] = []
        if body["kind"] == "postings":
            body["data"]["postings"] = [
                posting for posting in body["data"]["postings"] if not posting["event"].startswith("coin")
            ]
    numbered(bodies)


def as_if_foreign(bodies: list[dict[str, Any]]) -> None:
    """A reading changed, the work left out, and the blocks said to be somebody else's."""
    more_sun(bodies)
    without_work(bodies)
    for at in (SECOND, THIRD):
        blocks = [{name: block[name] for name in BARE} for block in bodies[at]["data"]["blocks"]]
        bodies[at]["data"]["blocks"] = []
        bodies[at + 1]["data"]["blocks"] = [{"chain": "bitcoin/regtest", **block} for block in blocks]


BARE = ("hash", "height", "header", "coinbase", "branch", "value_sat")


def without_the_last_accrual(bodies: list[dict[str, Any]]) -> None:
    postings = bodies[THIRD_POSTINGS]["data"]["postings"]
    bodies[THIRD_POSTINGS]["data"]["postings"] = [p for p in postings if p["event"] != "coinbase_accrued"]
    numbered(bodies)


@pytest.mark.parametrize(
    ("change", "anchored", "words"),
    [
        (without_the_last_accrual, SECOND_POSTINGS, "That 1 block of the sites, whose satoshis are not in the books, left"),
        (without_anchors, -1, "Every line: no work in this file commits to any of them"),
        (as_if_foreign, -1, "2 blocks that pay a script are somebody else's"),
    ],
)
def test_what_no_file_alone_can_show_is_said_to_rest_on_trust(tmp_path: Path, change: Change, anchored: int, words: str) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    rewrite(path, change)
    report = verify(path, *(Identity.from_seed(seed).public_key for seed in (SITE_SEED, BOOKS_SEED)))
    assert report.reason is None
    assert report.totals["anchored_line"] == anchored
    assert any(words in sentence for sentence in report.trusted)
    assert any("kWh of mining" in sentence for sentence in report.trusted) == (anchored < 2)


def test_a_file_without_work_holds_only_under_keys_that_are_known(tmp_path: Path) -> None:
    """Whoever writes a file of his own, with our name and his key, has nothing that speaks for it but itself."""
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    rewrite(path, without_anchors, b"\x02" * 32)
    ours, theirs, books = (Identity.from_seed(seed).public_key for seed in (SITE_SEED, b"\x02" * 32, BOOKS_SEED))
    unasked = verify(path)
    assert (unasked.exit_code, unasked.holds, unasked.failed_line, unasked.key_expected) == (1, False, None, None)
    assert unasked.reason is not None
    assert "anybody can have written it" in unasked.reason
    assert not unasked.proven
    for keys in ((ours, books), (books,), (theirs,)):
        foreign = verify(path, *keys)
        assert (foreign.exit_code, foreign.failed_line, foreign.key_expected) == (1, None, False)
    assert f"the stream backnang begins with another key than the ones expected, {theirs.hex()}" in str(
        verify(path, books).reason
    )
    assert verify(path, ours, theirs, books).exit_code == 0


def test_the_key_of_a_site_vouches_for_all_that_its_work_commits_to(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    site, books = (Identity.from_seed(seed).public_key for seed in (SITE_SEED, BOOKS_SEED))
    unasked, known = verify(path), verify(path, site)
    assert [report.exit_code for report in (unasked, known)] == [0, 0]
    assert (unasked.key_expected, known.key_expected) == (None, True)
    assert [stream.key_expected for stream in known.streams] == [True, False]
    assert unasked.public_key == site.hex()
    assert any(f"compare these keys with those that you know: {site.hex()} of backnang, " in said for said in unasked.trusted)
    assert not any("compare these keys" in said for said in known.trusted)
    # The books have no work: their key says nothing of a site.
    alone = verify(path, books)
    assert alone.exit_code == 1
    assert "the stream backnang begins with another key" in str(alone.reason)
    assert verify(path, Identity.from_seed(b"\x05" * 32).public_key).exit_code == 1


def test_one_site_alone_says_what_it_cannot_judge(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(one_site())
    report = verify(path)
    assert (report.exit_code, report.complete, report.site, report.records) == (0, False, "backnang", 3)
    assert "without the books" in report.trusted[0]
    assert "postings" not in report.totals
    rewrite(path, more_sun_alone)
    assert "commits to" in str(verify(path).reason)


def more_sun_alone(bodies: list[dict[str, Any]]) -> None:
    bodies.insert(0, {})
    bodies.insert(FIRST_POSTINGS, {"data": {"postings": []}})
    more_sun(bodies)
    del bodies[FIRST_POSTINGS], bodies[0]


def test_a_whole_file_cannot_be_cut_to_some_streams(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    rewrite(path, without_the_books)
    assert verify(path).complete is False, "the site alone is the site alone"
    path.write_bytes(three_quarter_hours())
    lines = path.read_bytes().splitlines(keepends=True)
    # The books put behind the site, as if nobody had committed to them.
    books = [line for line in lines if b'"stream":"books"' in line]
    path.write_bytes(b"".join([line for line in lines if line not in books] + books))
    assert verify(path).exit_code == 1


def test_work_that_nobody_hashed_is_absurd(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours(40))
    rewrite(path, set_in(THIRD, "work", 0, 3, to=400))
    report = verify(path)
    assert report.reason is not None
    assert "nobody hashed" in report.reason


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"hello\n", b"{}\n", b"\x00" * 100, b'{"body":', bytes(range(256)) * 20, b"PK\x03\x04" + b"x" * 500],
)
def test_another_file_is_no_evidence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert verify(path).exit_code == 2


@pytest.mark.parametrize("more", [b"", b"x", b"y" * 2 * LOOK_BYTES, b"y" * 2 * LOOK_BYTES + b"\n"])
def test_a_pipe_is_read_like_a_file(tmp_path: Path, more: bytes) -> None:
    content = (Path(__file__).parent / "golden_evidence.jsonl").read_bytes() + more
    file, pipe = tmp_path / "file", tmp_path / "pipe"
    file.write_bytes(content)
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(pipe.write_bytes, content)
        report = verify(pipe)
        assert written.result() == len(content)
    assert replace(report, path="") == replace(verify(file), path="")
    assert report.holds is not bool(more)


def test_a_file_that_is_not_there_is_no_evidence(tmp_path: Path) -> None:
    report = verify(tmp_path / "none")
    assert report.exit_code == 2
    assert report.reason is not None
    assert "cannot be read" in report.reason


@pytest.mark.parametrize(
    "body",
    [b"[" * 5000 + b"]" * 5000, b'{"a":1,"a":1}', b'"\xff"', b"1e5", b"9" * 30, b'{"b":1,"a":2}', b"NaN", b"null", b"[1]"],
)
def test_hostile_bodies_are_refused_in_a_sentence(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "hostile"
    whole = body_of("backnang", 0, "site", NO_HASH, {"format": "photosynth-evidence", "x": 1}).replace(b'"x":1', b'"x":' + body)
    path.write_bytes(Identity.from_seed(SITE_SEED).seal(whole).text() + b"\n")
    report = verify(path)
    assert report.exit_code == 1
    assert report.reason
