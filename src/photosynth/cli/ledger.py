"""`photosynth ledger`: as a table, as JSON, as CSV. Postings go through one at a time, however many there are."""

import csv as csv_writer
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from photosynth.cli import show
from photosynth.cli.ask import ask
from photosynth.cli.client import Opened
from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.format import output, user_style
from photosynth.cli.options import parse_period
from photosynth.cli.transfer import export_file
from photosynth.operations.documents import LedgerDocument, PostingDocument
from photosynth.operations.ledger_document import as_document
from photosynth.quantities.instants import iso_utc
from photosynth.storage.address import Place

SHOWN_POSTINGS = 20
D = TypeVar("D", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class _Wanted:
    from_ms: int | None
    to_ms: int | None
    limit: int | None


def ledger(state: Place, *, as_json: bool, csv: Path | None, start: str | None, end: str | None, limit: int | None) -> int:
    """Postings and trial balance of a period, which is meant on the site's clock."""
    parse_period(start, end, UTC)  # what no zone can mend is refused before anybody is asked

    async def question(opened: Opened) -> LedgerDocument | int | None:
        from_ms, to_ms = parse_period(start, end, opened.zone)
        wanted = _Wanted(from_ms, to_ms, limit)
        written = None
        if csv is not None:
            with export_file(csv) as out:
                file = io.TextIOWrapper(out, encoding="utf-8", newline="")
                written = await _write_csv(file, opened, wanted)
                file.detach()
        if as_json:
            await _write_json(sys.stdout.buffer, opened, wanted)
        elif csv is None:
            return await _newest(opened, _Wanted(from_ms, to_ms, SHOWN_POSTINGS if limit is None else limit))
        return written

    site, found = ask(state, question)
    if isinstance(found, LedgerDocument):
        output().print(show.ledger(found, site.where, user_style(), site.zone))
    elif not as_json and str(csv) != "-":
        output().print(f"{site.where}: {found} postings written to {csv}", soft_wrap=True)
    return ExitCode.OK


class _Lines:
    """The ledger as it comes, in whole lines; it knows when some of them are missing."""

    def __init__(self, opened: Opened, wanted: _Wanted, *, oldest_first: bool = False) -> None:
        self._pieces = opened.view.ledger_lines(wanted.from_ms, wanted.to_ms, wanted.limit, oldest_first=oldest_first)
        self._limit = wanted.limit

    async def pieces(self) -> AsyncIterator[bytes]:
        """The document without its postings, alone, then those in pieces of whole lines. Raises CommandError."""
        rest, expected, seen = b"", -1, 0
        async for piece in self._pieces:
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            if newline and expected < 0:
                head, _, whole = (whole + newline).partition(b"\n")
                yield head + newline
                expected, whole, newline = self._expected(head), whole[:-1], whole[-1:]
            if newline:
                # How much longer it becomes: bytes are replaced twenty times as fast as they are counted.
                seen += len(whole.replace(b"\n", b"\n\n")) - len(whole) + 1
                yield whole + newline
        if rest or seen != expected:
            message = f"The ledger broke off after {seen} of {max(0, expected)} postings; ask again."
            raise CommandError(message, ExitCode.UNAVAILABLE)

    def _expected(self, head: bytes) -> int:
        total = _read(LedgerDocument, head).total_postings
        return total if self._limit is None else min(self._limit, total)

    async def lines(self) -> AsyncIterator[bytes]:
        """The same line by line."""
        async for piece in self.pieces():
            for line in piece.splitlines():
                yield line


def _read(document: type[D], line: bytes) -> D:
    try:
        return document.model_validate_json(line)
    except ValidationError:
        message = "The ledger comes in another version's words; use the command line that the system was started with."
        raise CommandError(message, ExitCode.UNAVAILABLE) from None


async def _write_json(out: IO[bytes], opened: Opened, wanted: _Wanted) -> None:
    """One document on standard output and nothing else: a posting is a line of it, and goes through as it came."""
    async for piece in as_document(_Lines(opened, wanted).pieces()):
        out.write(piece)
    out.flush()


async def _newest(opened: Opened, wanted: _Wanted) -> LedgerDocument:
    head, *postings = [line async for line in _Lines(opened, wanted).lines()]
    return _read(LedgerDocument, head).model_copy(update={"postings": [_read(PostingDocument, line) for line in postings]})


async def _write_csv(file: IO[str], opened: Opened, wanted: _Wanted) -> int:
    """One line for each line of each posting, oldest first; amounts are integers in the asset's base unit. Counts postings."""
    columns = ("posting", "key", "site_time", "wall_time", "event", "text", "account", "name", "side", "asset", "amount")
    writer = csv_writer.writer(file)
    writer.writerow((*columns, "reverses", "source"))
    number = -1
    async for text in _Lines(opened, wanted, oldest_first=True).lines():
        number += 1
        if number == 0:
            continue  # the document without its postings
        posting = json.loads(text)
        times = (iso_utc(posting["time_ms"]), iso_utc(posting["wall_ms"]))
        head = (posting["id"], posting["key"], *times, posting["event"], posting["text"])
        reverses = posting["reverses"] if posting["reverses"] is not None else ""
        tail = (reverses, json.dumps(posting["source"], sort_keys=True))
        for line in posting["lines"]:
            row = (*head, *(line[name] for name in ("account", "name", "side", "asset", "amount")), *tail)
            writer.writerow([_harmless(cell) for cell in row])
    return number


def _harmless(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV injection)."""
    return "'" + cell if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
