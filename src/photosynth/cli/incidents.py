"""`photosynth incidents`, `incident ack` and `alerts test`: what needs somebody, who has taken it on, and who is woken."""

import asyncio
import sys
import time

from pydantic import TypeAdapter
from rich.text import Text

from photosynth.cli import show
from photosynth.cli.ask import actor, ask, print_json
from photosynth.cli.client import running_api
from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.format import output
from photosynth.cli.table import FittingTable
from photosynth.documents import AlertTestDocument, IncidentDocument
from photosynth.operations.view import NotKnownError, RefusedError
from photosynth.quantities.format import duration
from photosynth.quantities.instants import iso_utc
from photosynth.quantities.texts import objection
from photosynth.storage.address import Place

MOST = 10_000
LONGEST_NAME = 100
"""Characters that the API takes."""


def incidents(state: Place, site: str | None, with_resolved: bool, as_json: bool) -> int:
    """What is not over, or everything, newest first."""
    fleet, found = ask(state, lambda opened: opened.view.incidents(site, resolved=with_resolved, limit=MOST))
    if as_json:
        sys.stdout.write(TypeAdapter(list[IncidentDocument]).dump_json(found, indent=2).decode() + "\n")
        return ExitCode.OK
    if not found:
        of = "" if site is None else f" at {site}"
        output().print(Text(f"{fleet.where}: no incident{of}{'' if with_resolved else ' that is not over'}."))
        return ExitCode.OK
    output().print(_table(fleet.where, found))
    if len(found) == 1:
        (one,) = found
        output().print(Text(f"\nOpened: {iso_utc(one.opened_ms)}\nSeen: {one.evidence}\nRunbook: {one.runbook}"))
    return ExitCode.OK


def acknowledge(state: Place, incident_id: int, by: str, as_json: bool) -> int:
    """Take one on in the running system, under a name."""
    name = by.strip()
    if not name or len(name) > LONGEST_NAME:
        what = f"--by takes a name of 1 to {LONGEST_NAME} characters; the audit and everybody else see it."
        raise CommandError(what, ExitCode.BAD_INPUT)
    if (said := objection(name)) is not None:
        raise CommandError(f"--by {said}.", ExitCode.BAD_INPUT)

    async def run() -> int:
        api = await running_api(state)
        if api is None:
            raise CommandError(
                f"No system runs on {state}, so nobody is woken either; start it with `photosynth up`.", ExitCode.UNAVAILABLE
            )
        async with api:
            try:
                action = await api.acknowledge(incident_id, name)
            except NotKnownError as error:
                raise CommandError(sentence(error), ExitCode.BAD_INPUT) from None
            except RefusedError as error:
                raise CommandError(sentence(error), ExitCode.NO) from None
        if as_json:
            print_json(action)
        else:
            output().print(show.action(action))
        return ExitCode.OK if action.result == "done" else ExitCode.NO

    return asyncio.run(run())


def test_alerts(state: Place, as_json: bool) -> int:
    """Send a message to every target of the running system's alerts; 0 only where all of them took it."""

    async def run() -> list[AlertTestDocument]:
        api = await running_api(state)
        if api is None:
            raise CommandError(f"No system runs on {state}; start it with `photosynth up`.", ExitCode.UNAVAILABLE)
        async with api:
            return await api.test_alerts(actor())

    found = asyncio.run(run())
    if as_json:
        sys.stdout.write(TypeAdapter(list[AlertTestDocument]).dump_json(found, indent=2).decode() + "\n")
    elif not found:
        output().print(Text("The fleet file names nobody whom alerts go to: add targets below `alerts: {to: [...]}`."))
    else:
        table = FittingTable("Alerts", "Target", "Result", left=2, whole=("Target",))
        for one in found:
            table.add_row(one.id, "took the message" if one.delivered else f"did not take it: {one.why}")
        output().print(table)
    return ExitCode.OK if found and all(one.delivered for one in found) else ExitCode.NO


def _table(where: str, found: list[IncidentDocument]) -> FittingTable:
    columns = ("Id", "Severity", "State", "For", "Subject", "What is wrong")
    table = FittingTable(f"{where}: incidents", *columns, left=6, whole=("Id", "Severity", "For"))
    now_ms = time.time_ns() // 1_000_000
    for one in found:
        lasted_s = max(0, (now_ms if one.resolved_ms is None else one.resolved_ms) - one.opened_ms) // 1000
        table.add_row(str(one.id), one.severity, _state(one), duration(lasted_s), one.subject, _summary(one))
    return table


def _state(one: IncidentDocument) -> str:
    return f"{one.state} by {one.acknowledged_by}" if one.state == "acknowledged" else one.state


def _summary(one: IncidentDocument) -> str:
    times = f" (comes and goes: {one.openings} times)" if one.flaps else ""
    return one.summary + times + ("" if one.cause is None else f" because of {one.cause}")
