"""`photosynth income`: what networks paid for running their nodes."""

import sys

from pydantic import TypeAdapter

from photosynth.cli.ask import ask
from photosynth.cli.client import Opened
from photosynth.cli.errors import ExitCode
from photosynth.cli.format import output
from photosynth.cli.table import FittingTable
from photosynth.documents import AssetDocument, IncomeDocument
from photosynth.quantities.assets import Asset, known
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
        output().print(_table(fleet.where, found, {asset.code: asset for asset in assets}))
    return ExitCode.OK


def _table(where: str, found: list[IncomeDocument], assets: dict[str, AssetDocument]) -> FittingTable:
    title = f"{where}: income" + (f", the newest {SHOWN} of {len(found)}" if len(found) > SHOWN else "")
    columns = ("Time (UTC)", "Network", "Node", "Validator", "Kind", "State", "Position", "Amount")
    table = FittingTable(title, *columns, left=7, whole=("Time (UTC)", "State"))
    for one in found[:SHOWN]:
        told = assets.get(one.asset)
        asset = known(one.asset) if told is None else Asset(told.code, told.name, told.network, told.base_unit, told.decimals)
        amount = f"{asset.format(int(one.amount))} {one.asset}"
        validator = one.validator or "none"
        table.add_row(iso_utc(one.time_ms), one.network, one.node, validator, one.kind, one.state, one.position, amount)
    return table
