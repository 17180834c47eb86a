"""The evidence: what holds is found to hold, and no byte, line or figure can be changed unnoticed."""

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests.unit.treasury.treasury_site import CHAIN, COIN, SITE, WALLET, DemoSite, as_node, make_block, open_database

from photosynth.bitcoin.block import Block
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, Identity, verify
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.seal import NO_HASH
from photosynth.treasury.evidence.verify import LOOK_BYTES

SEED = b"\x01" * 32


async def export_three(db: Database, path: Path, shares: int) -> None:
    """Three closed quarter hours with a block in the second and one in the third, exported."""
    site = DemoSite(db, seed=SEED)
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
    run.close()


@cache
def three_quarter_hours(shares: int = 3) -> bytes:
    """Evidence of three quarter hours, made once for all tests."""
    with TemporaryDirectory() as folder, open_database(Path(folder)) as db:
        path = Path(folder) / "evidence.jsonl"
        asyncio.run(export_three(db, path, shares))
        return path.read_bytes()


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], None], seed: bytes = SEED) -> None:
    """Change bodies, then recompute every hash, the last line and every signature, as a forger with a key would."""
    bodies = [json.loads(line)["body"] for line in path.read_bytes().splitlines()]
    change(bodies)
    identity, previous, out = Identity.from_seed(seed), NO_HASH, b""
    for body in bodies:
        if body["type"] == "header":
            body["public_key"] = identity.public_key.hex()
        if body["type"] == "end":
            body["head"] = previous.hex()
        sealed = identity.seal(previous, canonical(body))
        previous = sealed.hash
        out += sealed.text() + b"\n"
    path.write_bytes(out)


def test_an_export_holds_and_says_what_it_proves(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours(40))
    report = verify(path)
    assert report.reason is None
    assert (report.exit_code, report.records, report.lines) == (0, 3, 5)
    assert report.totals["blocks"] == 2
    assert report.totals["anchored_seq"] == 2
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
    for at in range(len(lines) - 1):
        broken.write_bytes(b"".join([*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]))
        assert verify(broken).exit_code == 1
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
    record = bodies[1]
    for meter in record["meters"]:
        if meter["id"] in ("pv", "miners"):
            meter["register_start_j"] -= 360_000
    record["allocation"]["own_mining_j"] += 360_000
    for posting in record["postings"]:
        if posting["event"] == "energy":
            for line in posting["lines"]:
                line[3] += 360_000 if line[0] in ("E10", "E40") else 0


@pytest.mark.parametrize("seed", [SEED, b"\x02" * 32], ids=["same key", "another key"])
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


def without_work(bodies: list[dict[str, Any]]) -> None:
    for body in bodies:
        if body["type"] == "record":
            body.update(workers=[], targets=[], work=[], best=[], jobs=[])


def _set(record: int, *path: str | int, to: Any) -> Callable[[list[dict[str, Any]]], None]:
    def change(bodies: list[dict[str, Any]]) -> None:
        where: Any = bodies[record]
        for step in path[:-1]:
            where = where[step]
        where[path[-1]] = to(where[path[-1]]) if callable(to) else to

    return change


def refused(path: Path, change: Callable[[list[dict[str, Any]]], None], words: str) -> None:
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
        (_set(1, "meters", 4, "register_end_j", to=lambda v: v + 1), "residual"),
        (_set(3, "residual_j", to=7), "residual"),
        (_set(3, "allocation", "own_mining_j", to=1), "allocation"),
        (_set(3, "start_utc_s", to=lambda v: v + 900), "missing before it"),
        (_set(3, "start_utc_s", to=lambda v: v - 900), "before the end"),
        (_set(3, "meters", 0, "register_start_j", to=lambda v: v - 5), "begins at"),
        (_set(3, "prices", "spot", to=99), "meters and prices"),
        (_set(3, "seq", to=9), "seq"),
        (_set(3, "postings", 0, "lines", 0, 3, to=lambda v: v + 1), "balance"),
        (_set(3, "postings", 0, "id", to=lambda v: v + 1), "follows posting"),
        (_set(3, "work", 0, 3, to=1000), "best headers"),
        (_set(2, "blocks", 0, "value_sat", to=lambda v: v + 1), "pays the payout script"),
        (_set(2, "blocks", 0, "attribution", 0, 8, to=lambda v: v + 1), "split by represented"),
        (_set(2, "blocks", 0, "attribution", 0, 5, to=99), "claim 99 shares"),
        (_set(2, "blocks", 0, "reward_sat", to=1), "would have earned"),
        (_set(2, "blocks", 0, "height", to=7), "another height"),
        (_set(2, "blocks", 0, "target", to="00" * 32), "target"),
        (_set(2, "best", 0, "headers", 0, 2, to="00" * 8), "Merkle root"),
        (_set(2, "unheard", to=1), "does not know"),
        (_set(2, "duration_s", to=60), "quarter hour"),
        (_set(0, "payout_script", to="0014" + "00" * 20), "pays somebody else"),
        (_set(0, "rules", to={}), "rules"),
        (_set(-1, "records", to=2), "count or head"),
        (_set(3, "meters", to=lambda meters: meters[:-1]), "meters are not those"),
        (_set(3, "postings", -1, "wall_ms", to=1), "meters and prices"),
        (_set(2, "blocks", 0, "attribution", 0, 0, to=lambda start_s: start_s - 900), "but 0 are on record"),
    ],
)
def test_a_forger_with_the_key_fails_on_arithmetic(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], words: str
) -> None:
    refused(tmp_path / "evidence.jsonl", change, words)


def twice_the_same_work(bodies: list[dict[str, Any]]) -> None:
    for name in ("workers", "targets", "work", "best", "jobs"):
        bodies[3][name] = bodies[2][name]


def beside_the_chain(bodies: list[dict[str, Any]]) -> None:
    """The last record's block is one of a side branch: as high as the block before it, and accrued all the same."""
    block = Block.parse(make_block(SITE.genesis_hash, 1, 10_000))
    coinbase, shown = block.transactions[0].serialise(witness=False), bodies[3]["blocks"][0]
    shown.update(hash=block.hash[::-1].hex(), height=1, header=block.header.serialise().hex(), coinbase=coinbase.hex(), branch=[])
    shown.update(value_sat=10_000, origin="chain", attribution=None, target=None)
    accrual = bodies[3]["postings"][0]
    accrual["source"].update(block=shown["hash"], height=1)
    for line in accrual["lines"]:
        line[3] = 10_000 if line[2] == "BTC" else accrual["source"]["price_cent_per_btc"]


def for_another_script(bodies: list[dict[str, Any]]) -> None:
    bodies.insert(4, bodies[0] | {"seq": 4, "follows": "configuration", "payout_script": "0014" + "00" * 20})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (twice_the_same_work, "listed twice"),
        (beside_the_chain, "although the books stand at block"),
        (for_another_script, "another chain or payout script"),
    ],
)
def test_what_only_a_look_at_other_lines_shows(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], words: str
) -> None:
    refused(tmp_path / "evidence.jsonl", change, words)


def without_anchors(bodies: list[dict[str, Any]]) -> None:
    """Every block and every share left out, as if nothing had been mined."""
    number = 0
    for body in bodies[1:-1]:
        body.update(blocks=[], workers=[], targets=[], work=[], best=[], jobs=[])
        body["postings"] = [posting for posting in body["postings"] if not posting["event"].startswith("coin")]
        for posting in body["postings"]:
            number += 1
            posting["id"] = number


def as_if_foreign(bodies: list[dict[str, Any]]) -> None:
    """A reading changed, the work left out, and the blocks said to be somebody else's."""
    more_sun(bodies)
    without_work(bodies)
    for body in bodies[2:4]:
        for block in body["blocks"]:
            block.update(origin="chain", attribution=None)


def without_the_last_accrual(bodies: list[dict[str, Any]]) -> None:
    bodies[3]["postings"] = [p for p in bodies[3]["postings"] if p["event"] != "coinbase_accrued"]
    for number, posting in enumerate((p for body in bodies[1:4] for p in body["postings"]), 1):
        posting["id"] = number


@pytest.mark.parametrize(
    ("change", "anchored", "words"),
    [
        (without_the_last_accrual, 2, "That 1 block of the records, whose satoshis are not in the books, left"),
        (without_anchors, -1, "Every line: no work in this file commits to any of them"),
        (as_if_foreign, 0, "2 blocks that pay the script are somebody else's"),
    ],
)
def test_what_no_file_alone_can_show_is_said_to_rest_on_trust(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], anchored: int, words: str
) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    rewrite(path, change)
    report = verify(path, Identity.from_seed(SEED).public_key)
    assert report.reason is None
    assert report.totals["anchored_seq"] <= anchored
    assert any(words in sentence for sentence in report.trusted)
    assert any("kWh of mining" in sentence for sentence in report.trusted) == (anchored < 2)


def test_a_file_without_work_holds_only_under_a_key_that_is_known(tmp_path: Path) -> None:
    """Whoever writes a file of his own, with our name and his key, has nothing that speaks for it but itself."""
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    rewrite(path, without_anchors, b"\x02" * 32)
    ours, theirs = (Identity.from_seed(seed).public_key for seed in (SEED, b"\x02" * 32))
    unasked = verify(path)
    assert (unasked.exit_code, unasked.holds, unasked.failed_line, unasked.key_expected) == (1, False, None, None)
    assert unasked.reason is not None
    assert "anybody can have written it" in unasked.reason
    assert not unasked.proven
    foreign = verify(path, ours)
    assert (foreign.exit_code, foreign.failed_line) == (1, 1)
    assert foreign.reason == f"the header names another key than the one expected: {theirs.hex()}"
    assert verify(path, ours, theirs).exit_code == 0


def test_whose_key_it_is_rests_on_trust_until_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours())
    key = Identity.from_seed(SEED).public_key
    unasked, known = verify(path), verify(path, key)
    assert [report.exit_code for report in (unasked, known)] == [0, 0]
    assert (unasked.key_expected, known.key_expected) == (None, True)
    assert f"compare this key, {key.hex()}," in unasked.trusted[0] + unasked.trusted[1]
    assert not any("compare this key" in sentence for sentence in known.trusted)


def test_work_that_nobody_hashed_is_absurd(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(three_quarter_hours(40))
    rewrite(path, _set(3, "work", 0, 3, to=400))
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
    sealed = Identity.from_seed(SEED).seal(NO_HASH, b'{"format":"photosynth-evidence","type":"header","x":' + body + b"}")
    path.write_bytes(sealed.text() + b"\n")
    report = verify(path)
    assert report.exit_code == 1
    assert report.reason
