"""One file of two sites and the books: work of one site anchors all streams, and each can be had alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.treasury.evidence_files import OTHER_SITE_SEED, bodies_of, identity_of, rewrite
from tests.unit.treasury.treasury_site import BOOKS_SEED, CHAIN, COIN, SITE, SITE_SEED, WALLET, DemoSite, as_node

from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, Identity, verify
from photosynth.treasury.evidence.export import NoEvidenceError, export_lines

STREAMS = ("backnang", "books", "weiler")


async def two_sites(db: Database, folder: Path) -> Path:
    """Both close quarter hours in turn; the first finds a block, the second only hashes."""
    first = DemoSite(db)
    second = DemoSite(db, site=replace(SITE, site="weiler", title="The second roof"), seed=OTHER_SITE_SEED, books=first.fleet)
    books, run = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=first.clock), DatabaseThread()
    first.head = second.head
    for number in range(3):
        facts = first.facts({"hall-a-01": 2})
        if number == 1:
            with db.begin() as tx:
                first.find_block(tx)
            await books.follow(as_node(first.node), db, run)
        with db.begin() as tx:
            second.head = first.close(tx, facts).root
            second.node.chain = list(first.node.chain)
            facts = second.facts({"guest": 1})
            first.head = second.close(tx, facts).root
    run.close()
    path = folder / "evidence.jsonl"
    for stream in (None, "backnang", "weiler"):
        with db.read() as tx:
            lines = [line + b"\n" for line in export_lines(tx, identity_of, stream)]
        (path if stream is None else path.with_suffix(f".{stream}")).write_bytes(b"".join(lines))
    return path


async def test_the_file_holds_whole_and_stream_by_stream(db: Database, tmp_path: Path) -> None:
    path = await two_sites(db, tmp_path)
    report = verify(path)
    assert report.reason is None
    assert (report.complete, report.site, report.records) == (True, None, 6)
    assert [stream.stream for stream in report.streams] == list(STREAMS)
    assert [stream.quarter_hours for stream in report.streams] == [3, 0, 3]
    assert int(report.totals["shares_accepted"]) == 9
    jobs = [job for body in bodies_of(path.read_bytes()) for job in body["data"].get("jobs", ())]
    assert any(None in job["commitment"]["branch"] for job in jobs), "the last of three goes up as it is"
    for stream in ("backnang", "weiler"):
        alone = verify(path.with_suffix(f".{stream}"))
        assert (alone.reason, alone.complete, alone.site, alone.records) == (None, False, stream, 3)
    with db.read() as tx, pytest.raises(NoEvidenceError, match="of a site books; there is of backnang, weiler"):
        list(export_lines(tx, identity_of, "books"))


async def test_the_key_of_one_site_vouches_for_the_other_and_the_books(db: Database, tmp_path: Path) -> None:
    path = await two_sites(db, tmp_path)
    for seed in (SITE_SEED, OTHER_SITE_SEED):
        assert verify(path, Identity.from_seed(seed).public_key).exit_code == 0
    assert verify(path, Identity.from_seed(BOOKS_SEED).public_key).exit_code == 1


def title(bodies: list[dict[str, Any]], stream: str) -> None:
    next(body for body in bodies if body["stream"] == stream)["data"]["operator"] = "another"


def left_out(bodies: list[dict[str, Any]], stream: str) -> None:
    bodies[:] = [body for body in bodies if body["stream"] != stream]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("change", [title, left_out])
async def test_no_stream_is_changed_or_left_out_unseen(
    db: Database, tmp_path: Path, stream: str, change: Callable[[list[dict[str, Any]], str], None]
) -> None:
    path = await two_sites(db, tmp_path)
    rewrite(path, lambda bodies: change(bodies, stream))
    report = verify(path)
    assert report.exit_code == 1
    # Where the first site is gone, the books speak of quarter hours that nobody had.
    assert ("commits to" if report.failed_stream != "books" else "for which no line") in str(report.reason)
