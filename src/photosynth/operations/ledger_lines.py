"""The ledger as lines of JSON, however long it is: what the document says but for its postings, then one posting a line.

Every piece is a question of its own to the database, so that a slow reader keeps neither memory nor a transaction. The journal is
only ever appended to and the first question names the newest posting, so the pieces are of one moment all the same.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from json.encoder import encode_basestring
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from photosynth.operations.book_documents import ledger_document
from photosynth.storage.exact import exact_integer
from photosynth.treasury.accounts import account_name
from photosynth.treasury.journal import RawPosting, count_postings, oldest_of_newest, raw_lines, raw_postings

T = TypeVar("T")
PIECE = 1000
"""Postings read at once: some milliseconds of work, and less than a megabyte."""


class Reader(Protocol):
    """Runs a call with a transaction that reads, off the event loop or on it."""

    def __call__(self, call: Callable[[Connection], T], /) -> Awaitable[T]:
        """What the call returns."""
        ...


async def ledger_lines(
    read: Reader,
    site: str | None,
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
    head, newest, oldest = await read(lambda tx: _head(tx, site, from_ms, to_ms, limit if oldest_first else None))
    yield head
    left = newest if limit is None else limit
    before = newest + 1 if before_id is None else min(before_id, newest + 1)
    after = max(0, oldest - 1)

    def piece(tx: Connection) -> tuple[bytes, int, int]:
        found = raw_postings(
            tx, site, from_ms, to_ms, limit=min(PIECE, left), before_id=before, after_id=after if oldest_first else None
        )
        return (_written(tx, found), len(found), found[-1][0]) if found else (b"", 0, 0)

    while left > 0:
        text, number, last = await read(piece)
        if not number:
            return
        yield text
        left -= number
        if oldest_first:
            after = last
        else:
            before = last


def _head(tx: Connection, site: str | None, from_ms: int | None, to_ms: int | None, limit: int | None) -> tuple[bytes, int, int]:
    document = ledger_document(tx, site, from_ms, to_ms, limit=0, before_id=None)
    oldest = oldest_of_newest(tx, site, from_ms, to_ms, limit) if limit else 0
    return document.model_dump_json().encode() + b"\n", count_postings(tx), oldest


def _written(tx: Connection, postings: list[RawPosting]) -> bytes:
    """A ``PostingDocument`` a line as JSON: a twentieth of the work that it is to make them and to write those."""
    # Texts and not lists of them: Python's collector goes through whatever holds others, again and again.
    lines = defaultdict[int, str](str)
    before = _BEFORE_AMOUNT
    for number, kind, amount in raw_lines(tx, [posting[0] for posting in postings]):
        lines[number] += f'{before[kind]}{amount if type(amount) is int else exact_integer(amount)}"}}'
    written = [
        f'{{"id":{number},"site":{"null" if whose is None else encode_basestring(whose)},'
        f'"key":{encode_basestring(key)},"time_ms":{time_ms},"wall_ms":{wall_ms},'
        f'"event":{encode_basestring(event)},"text":{encode_basestring(text)},"lines":[{lines[number][1:]}],'
        f'"reverses":{"null" if reverses is None else reverses},"source":{source}}}\n'
        for number, key, whose, time_ms, wall_ms, event, text, reverses, source in postings
    ]
    return "".join(written).encode()


class _BeforeAmount(dict[str, str]):
    """What stands before a line's amount, by account, side and asset: the chart has some dozens of these."""

    def __missing__(self, kind: str) -> str:
        account, side, asset = kind.rsplit(" ", 2)
        name = encode_basestring(account_name(account))
        self[kind] = f',{{"account":{encode_basestring(account)},"name":{name},"side":"{side}","asset":"{asset}","amount":"'
        return self[kind]


_BEFORE_AMOUNT = _BeforeAmount()
