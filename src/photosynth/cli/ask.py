"""The commands that ask a site for a document or for an action, and print it as a table or as JSON."""

import asyncio
import csv as csv_writer
import getpass
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel

from photosynth.cli import show
from photosynth.cli.client import Opened, open_site, running_api
from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.format import output, user_style
from photosynth.cli.options import parse_instant
from photosynth.operations.documents import LedgerDocument, PostingDocument
from photosynth.operations.view import NotKnownError
from photosynth.quantities.instants import iso_utc

T = TypeVar("T")
PAGE = 1000
SHOWN_POSTINGS = 20


def ask(state: Path, question: Callable[[Opened], Awaitable[T]]) -> tuple[str, T]:
    """Open a site, ask it, and say where the answer comes from. Raises CommandError."""

    async def run() -> tuple[str, T]:
        async with open_site(state) as opened:
            return opened.where, await question(opened)

    try:
        return asyncio.run(run())
    except NotKnownError as error:
        raise CommandError(sentence(error), ExitCode.NO) from None


def print_json(document: BaseModel) -> None:
    """One document on standard output and nothing else."""
    sys.stdout.write(document.model_dump_json(indent=2) + "\n")


def workers(state: Path, as_json: bool) -> int:
    """The pool's workers."""
    where, document = ask(state, lambda opened: opened.view.workers())
    if as_json:
        print_json(document)
    else:
        output().print(show.workers(document, where, user_style()))
    return ExitCode.OK


def trace(state: Path, block: str, as_json: bool) -> int:
    """A block's satoshis back to their meters."""
    where, document = ask(state, lambda opened: opened.view.trace(block))
    if as_json:
        print_json(document)
    else:
        output().print(show.trace(document, where, user_style()))
    return ExitCode.OK


def act(state: Path, kind: Literal["stop", "resume"], reason: str, as_json: bool) -> int:
    """Stop or resume mining in the running system; 0 only where reading back confirmed it."""
    actor = f"cli:{_user()}"

    async def run() -> int:
        api = await running_api(state)
        if api is None:
            raise CommandError(
                f"No system runs on {state}, so there is nothing to {kind}; start it with `photosynth up`.", ExitCode.UNAVAILABLE
            )
        try:
            action = await (api.stop_mining(actor, reason) if kind == "stop" else api.resume_mining(actor, reason))
        finally:
            await api.close()
        if as_json:
            print_json(action)
        else:
            output().print(show.action(action))
        return ExitCode.OK if action.result == "done" else ExitCode.NO

    return asyncio.run(run())


def _user() -> str:
    try:
        return getpass.getuser()[:80]
    except (OSError, KeyError):
        return "unknown"


def ledger(state: Path, *, as_json: bool, csv: Path | None, start: str | None, end: str | None, limit: int | None) -> int:
    """Postings and trial balance of a period."""
    from_ms = parse_instant(start, end=False) if start else None
    to_ms = parse_instant(end, end=True) if end else None
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise CommandError(f"The period ends ({end}) before it begins ({start}).", ExitCode.BAD_INPUT)
    wanted = limit if limit is not None else None if (as_json or csv) else SHOWN_POSTINGS

    async def question(opened: Opened) -> LedgerDocument:
        first = await opened.view.ledger(from_ms, to_ms, min(PAGE, wanted) if wanted is not None else PAGE)
        postings = list(first.postings)
        async for posting in _older(opened, from_ms, to_ms, postings, wanted):
            postings.append(posting)
        return first.model_copy(update={"postings": postings})

    where, document = ask(state, question)
    if csv is not None:
        _write_csv(csv, document.postings)
    if as_json:
        print_json(document)
    elif csv is None:
        output().print(show.ledger(document, where, user_style()))
    else:
        output().print(f"{where}: {len(document.postings)} postings written to {csv}", soft_wrap=True)
    return ExitCode.OK


async def _older(
    opened: Opened, from_ms: int | None, to_ms: int | None, first: list[PostingDocument], wanted: int | None
) -> AsyncIterator[PostingDocument]:
    """The pages after the first one, until the oldest posting or as many as are wanted."""
    known, last = len(first), first[-1].id if first else None
    while last is not None and (wanted is None or known < wanted):
        size = PAGE if wanted is None else min(PAGE, wanted - known)
        page = (await opened.view.ledger(from_ms, to_ms, size, last)).postings
        for posting in page:
            yield posting
        known += len(page)
        last = page[-1].id if page else None


def _write_csv(path: Path, postings: list[PostingDocument]) -> None:
    """One line for each line of each posting, oldest first; amounts are integers in the asset's base unit."""
    columns = ("posting", "key", "site_time", "wall_time", "event", "text", "account", "name", "side", "asset", "amount")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv_writer.writer(file)
        writer.writerow((*columns, "reverses", "source"))
        for posting in reversed(postings):
            head = (posting.id, posting.key, iso_utc(posting.time_ms), iso_utc(posting.wall_ms), posting.event, posting.text)
            tail = (posting.reverses if posting.reverses is not None else "", json.dumps(posting.source, sort_keys=True))
            for line in posting.lines:
                row = (*head, line.account, line.name, line.side, line.asset, line.amount, *tail)
                writer.writerow([_harmless(cell) for cell in row])


def _harmless(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV injection)."""
    return "'" + cell if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
