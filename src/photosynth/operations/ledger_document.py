"""The ledger's lines as the one document that they are, without ever holding it."""

from collections.abc import AsyncIterator

_NO_POSTINGS = b'"postings":[]'
"""How a document without postings says so; no text of a document can hold it, for there its quotes are escaped."""


async def as_document(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What ``FleetView.ledger_lines`` tells as one ``LedgerDocument`` with all its postings, a line each."""
    before, empty, after = b"", b"", b""
    between = b"\n"
    async for piece in lines:
        if not empty:
            before, empty, after = piece.rstrip(b"\n").partition(_NO_POSTINGS)
            yield before + empty[:-1]
        else:
            yield between + piece[:-1].replace(b"\n", b",\n")
            between = b",\n"
    yield b"]" + after + b"\n"
