"""Files out of a site and into it: blocks and evidence, streamed, with progress on standard error."""

import asyncio
import contextlib
import errno
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO, Any

import typer

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.cli.client import running_api
from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.format import progress_output, user_style
from photosynth.files.whole import whole_file
from photosynth.operations.state import StateError
from photosynth.operations.view import NotKnownError
from photosynth.quantities.format import count
from photosynth.storage.address import Place

PIECE = 1 << 18
LONGEST_LINE = 8_000_000
"""Characters: a block weighs at most 4,000,000 and a byte weighs at least one (BIP141)."""
HARMLESS = frozenset({"duplicate", "inconclusive", "duplicate-inconclusive"})
"""Reasons that blame no block (BIP22): it is known already, or lies on a side branch."""


def export_chain(state: Place, file: Path, node: str | None) -> int:
    """Write the blocks of a node's active chain."""

    async def lines() -> AsyncGenerator[bytes]:
        api = await running_api(state)
        if api is not None:
            async with api:
                async for piece in api.chain_lines(node):
                    yield piece
            return
        from photosynth.operations.resting import open_stopped_chain

        async with open_stopped_chain(state, node) as chain:
            async for raw in chain.blocks(1):
                yield raw.hex().encode() + b"\n"

    number = _run(lambda: _write(file, lines(), "blocks"))
    return _told(file, f"{count(number, user_style())} blocks")


def export_evidence(state: Place, file: Path, site: str | None) -> int:
    """Write the evidence, of one site or of all streams."""

    async def lines() -> AsyncGenerator[bytes]:
        api = await running_api(state)
        if api is not None:
            async with api:
                async for piece in api.evidence_lines(site):
                    yield piece
            return
        from photosynth.operations.resting import open_stopped_evidence

        async with open_stopped_evidence(state, site) as evidence:
            async for line in evidence.lines():
                yield line + b"\n"

    number = _run(lambda: _write(file, lines(), "lines"))
    return _told(file, f"{count(number, user_style())} lines of evidence")


def rotate_key(state: Place, site: str | None) -> int:
    """Hand the evidence of a site, or of the books, over to a new key."""
    from photosynth.operations.key_rotation import rotate_stopped_key
    from photosynth.treasury.evidence.envelope import BOOKS

    stream = BOOKS if site is None else site
    try:
        public_key = rotate_stopped_key(state, stream)
    except StateError as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    except NotKnownError as error:
        raise CommandError(sentence(error), ExitCode.BAD_INPUT) from None
    typer.echo(f"The evidence of {stream} goes on with the key {public_key.hex()}.")
    typer.echo("Whoever verifies it needs its first key, as before.")
    return ExitCode.OK


def import_chain(state: Place, file: Path, node: str | None, as_json: bool) -> int:
    """Submit a file's blocks to a node; 0 where none was refused as invalid, 1 where one was, 2 where a line is no block."""
    result = _run(lambda: _submit(state, file, node))
    reasons: dict[str, int] = result["reasons"]
    if as_json:
        sys.stdout.write(json.dumps(result, sort_keys=True) + "\n")
    else:
        style = user_style()
        typer.echo(f"{count(result['blocks'], style)} blocks submitted, {count(result['accepted'], style)} became the tip.")
        for reason, number in sorted(reasons.items()):
            typer.echo(f"{count(number, style)} {reason}")
    if result.get("error"):
        code = ExitCode.UNAVAILABLE if result.get("unavailable") else ExitCode.BAD_INPUT
        raise CommandError(f"The import of {file} stopped: {result['error']}. The blocks before it were submitted.", code)
    return ExitCode.OK if set(reasons) <= HARMLESS else ExitCode.NO


def _run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await work()

    try:
        return asyncio.run(run())
    except (StateError, NodeUnavailableError) as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    except NotKnownError as error:
        raise CommandError(sentence(error), ExitCode.BAD_INPUT) from None


def _told(file: Path, what: str) -> int:
    if str(file) != "-":
        typer.echo(f"{what} written to {file}.", err=True)
    return ExitCode.OK


async def _write(file: Path, pieces: AsyncGenerator[bytes], what: str) -> int:
    """Write a stream beside the file and rename it when whole, so that a broken stream leaves the old file. Counts lines."""
    number = 0
    async with contextlib.aclosing(pieces):
        with export_file(file) as out, _progress(what) as progress:
            async for piece in pieces:
                out.write(piece)
                number += piece.count(b"\n")
                progress(number)
    return number


@contextlib.contextmanager
def export_file(file: Path) -> Iterator[IO[bytes]]:
    """A file that appears when all of it is written, so that what breaks off leaves the old one; - is standard output.

    Raises CommandError where nothing can be written there.
    """
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with contextlib.ExitStack() as opened:
        try:
            target = file.resolve()  # a link of the user's own is followed
            special = target.exists() and not target.is_file()  # a pipe or a device
            out = opened.enter_context(target.open("wb") if special else whole_file(target, mode=0o666))
        except (OSError, RuntimeError) as error:  # a RuntimeError is a link that leads to itself
            why = error.strerror if isinstance(error, OSError) else os.strerror(errno.ELOOP)
            message = f"{file} cannot be written: {why}. Name a file in a folder that is there and that you may write to."
            raise CommandError(message, ExitCode.UNAVAILABLE) from None
        yield out


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """A count that moves on a terminal and says nothing elsewhere."""
    console = progress_output()
    if not console.is_terminal:
        yield lambda _number: None
        return
    with console.status(f"0 {what}") as shown:
        yield lambda number: shown.update(f"{count(number, user_style())} {what}")


async def _submit(state: Place, file: Path, node: str | None) -> dict[str, Any]:
    with _opened(file) as source, _progress("bytes") as progress:
        api = await running_api(state)
        if api is not None:
            async with api:
                return await api.import_chain(_pieces(source, progress), node)
        return await _submit_stopped(state, source, node, progress)


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        source = file.open("rb")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}. Name a file that is there.", ExitCode.BAD_INPUT) from None
    with source:
        yield source


async def _pieces(source: IO[bytes], progress: Callable[[int], None]) -> AsyncIterator[bytes]:
    read = 0
    while piece := await asyncio.to_thread(source.read, PIECE):
        read += len(piece)
        progress(read)
        yield piece


async def _submit_stopped(state: Place, source: IO[bytes], node: str | None, progress: Callable[[int], None]) -> dict[str, Any]:
    from photosynth.cli.logs import warnings_only
    from photosynth.operations.resting import open_stopped_node

    warnings_only()

    reasons: Counter[str] = Counter()
    blocks = accepted = 0
    error: str | None = None

    async def lines() -> AsyncIterator[bytes]:
        nonlocal error
        number = read = 0
        while line := await asyncio.to_thread(source.readline, LONGEST_LINE + 2):
            number, read = number + 1, read + len(line)
            progress(read)
            text = line.strip()
            if not text:
                continue
            try:
                raw = bytes.fromhex(text.decode("ascii")) if len(text) <= LONGEST_LINE else b""
            except ValueError:
                raw = b""
            if not raw:
                error = f"line {number} is not a block in hexadecimal"
                return
            yield raw

    async with open_stopped_node(state, node) as opened:
        async for verdict in opened.submit_all(lines()):
            blocks += 1
            accepted += verdict.accepted
            if verdict.reason is not None:
                reasons[verdict.reason] += 1
    told: dict[str, Any] = {"blocks": blocks, "accepted": accepted, "reasons": dict(reasons), "done": error is None}
    return told if error is None else {**told, "error": error}
