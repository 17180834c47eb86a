"""`photosynth income`: what networks paid for running their nodes."""

import sys

from pydantic import TypeAdapter

from photosynth.cli.ask import ask
from photosynth.cli.client import Opened
from photosynth.cli.errors import ExitCode
from photosynth.cli.format import output, user_style
from photosynth.cli.table import FittingTable
from photosynth.documents import AssetDocument, IncomeDocument
from photosynth.quantities.assets import Asset, known
from photosynth.quantities.format import Style, amount
from photosynth.quantities.instants import iso_utc
from photosynth.storage.address import Place

SHOWN = 40


def income(state: Place, network: str | None, as_json: bool) -> int:
    """The whole list as JSON, or its newest entries as a table."""

    async def question(opened: Opened) -> tuple[list[IncomeDocument], list[AssetDocument]]:
        found = await opened.view.income(network)
        return found, [] if as_json or not found else (await opened.view.ledger(limit=0)).assets

    fleet, (found, assets) = ask(state, question)
    if as_json:
        sys.stdout.write(TypeAdapter(list[IncomeDocument]).dump_json(found, indent=2).decode() + "\n")
    elif not found:
        of = "" if network is None else f" of {network}"
        output().print(f"{fleet.where}: no income{of} yet.", soft_wrap=True, markup=False)
    else:
        output().print(_table(fleet.where, found, {x.code: Asset(**x.model_dump()) for x in assets}, user_style()))
    return ExitCode.OK


def _table(where: str, found: list[IncomeDocument], assets: dict[str, Asset], style: Style) -> FittingTable:
    title = f"{where}: income" + (f", the newest {SHOWN} of {len(found)}" if len(found) > SHOWN else "")
    columns = ("Time (UTC)", "Network", "Node", "Validator", "Kind", "State", "Position", "Amount")
    table = FittingTable(title, *columns, left=7, whole=("Time (UTC)", "State"))
    for one in found[:SHOWN]:
        paid = amount(int(one.amount), assets.get(one.asset) or known(one.asset), style)
        validator = one.validator or "none"
        table.add_row(iso_utc(one.time_ms), one.network, one.node, validator, one.kind, one.state, one.position, paid)
    return table
