"""`photosynth nodes` and `photosynth node ID`: the fleet's nodes, one node, its log, and its restart."""

import sys
import time
from pathlib import Path

import typer
from pydantic import TypeAdapter
from rich.text import Text

from photosynth.cli.ask import act_on, ask, print_json
from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.format import output, user_style
from photosynth.cli.table import FittingTable
from photosynth.documents import NodeDocument
from photosynth.operations.view import NotKnownError
from photosynth.quantities.format import Style, count, duration

STATES = {"healthy": "healthy", "degraded": "degraded", "down": "down", "unknown": "never answered"}


def nodes(state: Path, as_json: bool) -> int:
    """Every node of the fleet."""
    opened, found = ask(state, lambda site: site.view.nodes())
    if as_json:
        sys.stdout.write(TypeAdapter(list[NodeDocument]).dump_json(found, indent=2).decode() + "\n")
        return ExitCode.OK
    if not found:
        typer.echo(f"{opened.where}: nothing is seen of nodes while nothing runs; start it with `photosynth up`.")
        return ExitCode.OK
    output().print(_table(found, user_style()))
    return ExitCode.OK


def node(state: Path, node_id: str, as_json: bool) -> int:
    """One node, with what is wrong with it."""
    found = _one(state, node_id)
    if as_json:
        print_json(found)
        return ExitCode.OK
    style = user_style()
    process = found.process
    rows = [
        ("Network", f"{found.network} on {found.chain}, {found.role}"),
        ("Runs", found.run if process is None else f"{found.run}, pid {process.pid}, {_times(process.restarts)}"),
        ("State", STATES[found.state]),
        ("Head", _head(found, style)),
        ("Peers", count(found.peers, style)),
        ("Software", found.version or "unknown"),
        ("Seen", _age(found)),
    ]
    for name, text in rows:
        output().print(Text.assemble((f"{name:<10}", "bold"), text))
    for condition in found.conditions:
        output().print(Text(f"\n{condition.severity}: {condition.summary}\n  {condition.evidence}\n  {condition.runbook}"))
    return ExitCode.OK


def logs(state: Path, node_id: str, lines: int) -> int:
    """The last lines of what its process said."""
    _, found = ask(state, lambda site: site.view.node_log(node_id, lines))
    for line in found:
        typer.echo(line)
    return ExitCode.OK


def restart(state: Path, node_id: str, reason: str, as_json: bool) -> int:
    """End its process in its own time and start it anew."""
    return act_on(state, "restart", reason, as_json, lambda api, actor: api.restart_node(node_id, actor, reason))


def _one(state: Path, node_id: str) -> NodeDocument:
    _, found = ask(state, lambda site: site.view.nodes())
    for one in found:
        if one.id == node_id:
            return one
    known = ", ".join(one.id for one in found[:20]) or "nothing that is seen now"
    raise CommandError(f"There is no node {node_id!r} in this fleet; there is {known}.", ExitCode.NO) from NotKnownError(node_id)


def _table(found: list[NodeDocument], style: Style) -> FittingTable:
    table = FittingTable("Nodes", "Node", "Network", "Role", "Runs", "State", "Seen", "Head", "Peers", left=6)
    for one in found:
        words = (one.id, f"{one.network} {one.chain}", one.role, one.run, STATES[one.state], _age(one))
        table.add_row(*words, _head(one, style), count(one.peers, style))
    return table


def _head(found: NodeDocument, style: Style) -> str:
    behind = f" ({count(found.lag, style)} behind)" if found.lag else ""
    return count(found.head, style) + behind


def _age(found: NodeDocument) -> str:
    if found.observed_ms is None:
        return "never"
    return f"{duration(max(0, time.time_ns() // 1_000_000 - found.observed_ms) // 1000)} ago"


def _times(restarts: int) -> str:
    return {0: "never started anew", 1: "started anew once"}.get(restarts, f"started anew {restarts} times")
