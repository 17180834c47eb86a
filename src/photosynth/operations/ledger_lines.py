"""The ledger as lines of JSON, however long it is: what the document says but for its postings, then one posting a line.

Every piece is a question of its own to the database, so that a slow reader keeps neither memory nor a transaction. The journal is
only ever appended to and the first question names the newest posting, so the pieces are of one moment all the same.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from json.encoder import encode_basestring
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from photosynth.operations.book_documents import ledger_document
from photosynth.treasury.accounts import account_name
from photosynth.treasury.journal import RawPosting, count_postings, oldest_of_newest, raw_postings

T = TypeVar("T")
PIECE = 500
"""Postings read at once: some milliseconds of work."""


class Reader(Protocol):
    """Runs a call with a transaction that reads, off the event loop or on it."""

    def __call__(self, call: Callable[[Connection], T], /) -> Awaitable[T]:
        """What the call returns."""
        ...


async def ledger_lines(
    read: Reader,
    from_ms: int | None,
    to_ms: int | None,
    limit: int | None,
    *,
    before_id: int | None = None,
    oldest_first: bool = False,
) -> AsyncIterator[bytes]:
    """Pieces of whole lines: a ``LedgerDocument`` without postings, alone, then the newest ``limit`` postings (None for all).

    Those are older than ``before_id`` where it is given, which does not go with ``oldest_first``.
    """
    head, newest, oldest = await read(lambda tx: _head(tx, from_ms, to_ms, limit if oldest_first else None))
    yield head
    left = newest if limit is None else limit
    before = newest + 1 if before_id is None else min(before_id, newest + 1)
    after = max(0, oldest - 1)

    def piece(tx: Connection) -> list[RawPosting]:
        return raw_postings(
            tx, from_ms, to_ms, limit=min(PIECE, left), before_id=before, after_id=after if oldest_first else None
        )

    while left > 0:
        found = await read(lambda tx: [(posting.id, _line(posting)) for posting in piece(tx)])
        if not found:
            return
        yield "".join(line for _, line in found).encode()
        left -= len(found)
        if oldest_first:
            after = found[-1][0]
        else:
            before = found[-1][0]


def _head(tx: Connection, from_ms: int | None, to_ms: int | None, limit: int | None) -> tuple[bytes, int, int]:
    document = ledger_document(tx, from_ms, to_ms, limit=0, before_id=None)
    oldest = oldest_of_newest(tx, from_ms, to_ms, limit) if limit else 0
    return document.model_dump_json().encode() + b"\n", count_postings(tx), oldest


def _line(posting: RawPosting) -> str:
    """A ``PostingDocument`` as JSON: a tenth of the work that it is to make one and to write that."""
    lines = ",".join([f"{_BEFORE_AMOUNT[account, side, asset]}{amount}}}" for _, account, side, asset, amount in posting.lines])
    return (
        f'{{"id":{posting.id},"key":{encode_basestring(posting.key)},"time_ms":{posting.time_ms},"wall_ms":{posting.wall_ms},'
        f'"event":{encode_basestring(posting.event)},"text":{encode_basestring(posting.text)},"lines":[{lines}],'
        f'"reverses":{"null" if posting.reverses is None else posting.reverses},"source":{posting.source}}}\n'
    )


class _BeforeAmount(dict[tuple[str, str, str], str]):
    """What stands before a line's amount, by account, side and asset: the chart has some dozens of these."""

    def __missing__(self, line: tuple[str, str, str]) -> str:
        account, side, asset = line
        name = encode_basestring(account_name(account))
        self[line] = f'{{"account":{encode_basestring(account)},"name":{name},"side":"{side}","asset":"{asset}","amount":'
        return self[line]


_BEFORE_AMOUNT = _BeforeAmount()
