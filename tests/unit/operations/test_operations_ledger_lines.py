"""The ledger as lines: the same as its document, one moment however slowly it is read, and nothing kept meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from tests.unit.treasury.treasury_site import open_database

from photosynth.documents import LedgerDocument
from photosynth.operations import ledger_lines as ledger_lines_module
from photosynth.operations.book_documents import ledger_document
from photosynth.operations.ledger_document import as_document
from photosynth.operations.ledger_lines import ledger_lines
from photosynth.storage import Database
from photosynth.treasury.journal import Posting, post, reverse, transfer

SITE = "backnang"
T = TypeVar("T")
PIECE = 40
COUNT = 2 * PIECE + 10
HOUR_MS = 3_600_000


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come in pieces of so few postings that a small journal has several."""
    monkeypatch.setattr(ledger_lines_module, "PIECE", PIECE)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with open_database(tmp_path_factory.mktemp("ledger")) as database:
        with database.begin() as tx:
            for n in range(COUNT):
                put(tx, n)
            reverse(tx, 7, 0, 0, "taken back, and late")
        yield database


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with open_database(tmp_path_factory.mktemp("empty")) as database:
        yield database


def put(tx: Connection, n: int) -> None:
    lines = transfer("1100", "3100", "BTC", n + 1) + transfer("1100", "2800", "ETH", 10**30)[: 2 * (n == 3)]
    text = 'Energy of "hall" \\ \x00\n\u2028 \U0001f600 ü'
    post(tx, Posting(f"key {n}", n * HOUR_MS, n, "e\tvent", text, lines, {"none": None, "n": n, 'q"': "\u20ac\x1f"}))


class Reading:
    """Reads, and counts how often and how much."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.calls = 0

    async def __call__(self, call: Callable[[Connection], T]) -> T:
        self.calls += 1
        with self.db.read() as tx:
            return call(tx)


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("period", [(None, None), (5 * HOUR_MS, None), (None, 79 * HOUR_MS), (3 * HOUR_MS, 40 * HOUR_MS), (5, 6)])
@pytest.mark.parametrize("limit", [0, 1, PIECE, PIECE + 1, 100_000])
@pytest.mark.parametrize("before_id", [None, 1, 60, 10**9])
async def test_lines_are_the_document(
    db: Database, period: tuple[int | None, int | None], limit: int, before_id: int | None
) -> None:
    with db.read() as tx:
        wanted = ledger_document(tx, None, *period, limit=limit, before_id=before_id)
    text = await whole(as_document(ledger_lines(Reading(db), None, *period, limit, before_id=before_id)))
    assert LedgerDocument.model_validate_json(text) == wanted
    assert text.replace(b"\n", b"") == wanted.model_dump_json().encode()
    assert text.count(b"\n") == 1 + len(wanted.postings)
    if before_id is None:
        head, *lines = (await whole(ledger_lines(Reading(db), None, *period, limit, oldest_first=True))).splitlines()
        assert json.loads(head)["total_postings"] == wanted.total_postings
        assert [json.loads(line)["id"] for line in lines] == [posting.id for posting in reversed(wanted.postings)]


TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["\x00\x1f\x7f\x80", '"\\/\b\f', "\u2028\ufeff\U0001f600"]
)
SOURCE = st.dictionaries(TEXT, TEXT | st.none() | st.integers())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, SOURCE, st.integers(1, 10**30), st.integers(1, 3)), min_size=1, max_size=6))
def test_a_line_is_byte_by_byte_what_the_document_says(
    empty: Database, entries: list[tuple[str, str, str, dict[str, str | int | None], int, int]]
) -> None:
    with empty.begin() as tx:

        async def read(call: Callable[[Connection], T]) -> T:
            return call(tx)

        for n, (key, event, text, source, amount, pairs) in enumerate(entries):
            lines = transfer("1100", "3100", "BTC", amount) + transfer("5100", "2100", "J", n + 1) * (pairs - 1)
            post(tx, Posting(key, n, -n, event, text, lines, source))
        wanted = ledger_document(tx, None, None, None, limit=100, before_id=None)
        found = asyncio.run(whole(as_document(ledger_lines(read, None, None, None, None))))
        assert wanted.postings
        assert found.replace(b"\n", b"") == wanted.model_dump_json().encode()
        undone = tx.get_transaction()
        assert undone is not None
        undone.rollback()


async def test_every_piece_is_a_question_of_its_own_and_all_are_of_one_moment(tmp_path: Path) -> None:
    with open_database(tmp_path) as db:
        with db.begin() as tx:
            for n in range(PIECE + 1):
                put(tx, n)
        for oldest_first in (False, True):
            reading = Reading(db)
            pieces = ledger_lines(reading, None, None, None, None, oldest_first=oldest_first)
            head = json.loads(await anext(pieces))
            with db.begin() as tx:  # no reader holds the journal back, and what it says meanwhile is for the next one
                put(tx, PIECE + 1 + oldest_first)
            lines = [line async for piece in pieces for line in piece.splitlines()]
            assert len(lines) == head["total_postings"] == PIECE + 1 + oldest_first
            assert reading.calls == 3


async def test_a_piece_is_no_larger_than_it_may_be(db: Database) -> None:
    sizes = [piece.count(b"\n") async for piece in ledger_lines(Reading(db), None, None, None, None)]
    assert sizes == [1, PIECE, PIECE, COUNT + 1 - 2 * PIECE]
