"""`photosynth income`: what networks paid for running their nodes."""

import sys
from collections.abc import AsyncIterator
from typing import IO

from photosynth.cli.ask import ask
from photosynth.cli.client import Opened
from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.format import output, user_style
from photosynth.cli.table import FittingTable
from photosynth.documents import AssetDocument
from photosynth.operations.view import IncomePage, NotKnownError
from photosynth.quantities.assets import Asset, known
from photosynth.quantities.format import Style, amount
from photosynth.quantities.instants import iso_utc
from photosynth.storage.address import Place

SHOWN = 40


def income(state: Place, network: str | None, as_json: bool) -> int:
    """The whole list as JSON, or its newest entries as a table."""

    async def question(opened: Opened) -> tuple[IncomePage, list[AssetDocument]]:
        try:
            if as_json:
                await _write_json(sys.stdout.buffer, opened.view.income_lines(network))
                return IncomePage((), None), []
            found = await opened.view.income(network, SHOWN)
        except NotKnownError as error:
            raise CommandError(sentence(error), ExitCode.BAD_INPUT) from None
        return found, (await opened.view.ledger(limit=0)).assets if found.entries else []

    fleet, (found, assets) = ask(state, question)
    if as_json:
        return ExitCode.OK
    if not found.entries:
        of = "" if network is None else f" of {network}"
        output().print(f"{fleet.where}: no income{of} yet.", soft_wrap=True, markup=False)
    else:
        output().print(_table(fleet.where, found, {x.code: Asset(**x.model_dump()) for x in assets}, user_style()))
    return ExitCode.OK


async def _write_json(out: IO[bytes], pieces: AsyncIterator[bytes]) -> None:
    """One list on standard output and nothing else: a payment is a line of it, and goes through as it came."""
    rest, before = b"", b"[\n"
    async for piece in pieces:
        whole, newline, rest = (rest + piece).rpartition(b"\n")
        if newline:
            out.write(before + whole.replace(b"\n", b",\n"))
            before = b",\n"
    out.write(b"[]\n" if before == b"[\n" else b"\n]\n")
    out.flush()


def _table(where: str, found: IncomePage, assets: dict[str, Asset], style: Style) -> FittingTable:
    title = f"{where}: income" + ("" if found.cursor is None else f", the newest {SHOWN}")
    columns = ("Time (UTC)", "Network", "Node", "Validator", "Kind", "State", "Position", "Amount")
    table = FittingTable(title, *columns, left=7, whole=("Time (UTC)", "State"))
    for one in found.entries:
        paid = amount(int(one.amount), assets.get(one.asset) or known(one.asset), style)
        validator = one.validator or "none"
        table.add_row(iso_utc(one.time_ms), one.network, one.node, validator, one.kind, one.state, one.position, paid)
    return table
