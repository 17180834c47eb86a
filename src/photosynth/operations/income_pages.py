"""What networks paid, page by page: each answer is bounded, and says where the next one goes on."""

import base64
import binascii
import json
from collections.abc import AsyncIterator
from dataclasses import astuple

from sqlalchemy import Connection

from photosynth.documents import IncomeDocument
from photosynth.operations.ledger_lines import Reader
from photosynth.operations.summaries import like
from photosynth.operations.view import LONGEST_CURSOR, CursorError, IncomePage
from photosynth.quantities.texts import objection
from photosynth.treasury.income import IncomePlace, read_income

PIECE = 500
"""Payments read at once for a list of all: some milliseconds of work."""
_LARGEST = 2**63 - 1


def income_page(tx: Connection, network: str | None, limit: int, cursor: str | None) -> IncomePage:
    """So many payments, of a network where one is named, from where a cursor says. Raises CursorError."""
    found = read_income(tx, network, limit=limit + 1, after=None if cursor is None else _place(cursor))
    entries = [
        like(IncomeDocument, fact, network=chain.partition("/")[0], node=node, amount=str(fact.amount))
        for chain, node, fact in found[:limit]
    ]
    if len(found) <= limit:
        return IncomePage(entries, None)
    chain, _, last = found[limit - 1]
    return IncomePage(entries, _cursor(IncomePlace(last.time_ms, last.height, chain, last.id, last.state)))


async def income_lines(read: Reader, network: str | None) -> AsyncIterator[bytes]:
    """All of them as pieces of whole lines, an ``IncomeDocument`` as JSON each; every piece is a question to the database."""
    cursor: str | None = None
    while True:
        page = await read(lambda tx, at=cursor: income_page(tx, network, PIECE, at))  # type: ignore[misc]
        if page.entries:
            yield b"".join(entry.model_dump_json().encode() + b"\n" for entry in page.entries)
        if page.cursor is None:
            return
        cursor = page.cursor


def _cursor(place: IncomePlace) -> str:
    return base64.urlsafe_b64encode(json.dumps(astuple(place)).encode()).decode()


def _place(cursor: str) -> IncomePlace:
    try:
        told = json.loads(base64.b64decode(cursor[:LONGEST_CURSOR], altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        told = None
    if isinstance(told, list) and [type(item) for item in told] == [int, int, str, str, str]:
        time_ms, height, *texts = told
        if abs(time_ms) <= _LARGEST and abs(height) <= _LARGEST and not any(map(objection, texts)):
            return IncomePlace(time_ms, height, *texts)
    raise CursorError("cursor is none that a page of this list gave")
