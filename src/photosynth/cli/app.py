"""The commands of `photosynth` with their options; what each does is imported when it is called."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from photosynth.cli.errors import command
from photosynth.cli.options import (
    FleetArgument,
    JsonOption,
    NodeCommand,
    NodeOption,
    SiteOption,
    StateOption,
    UpOptions,
    default_fleet,
    parse_day,
    parse_duration,
    parse_speed,
    parse_state,
)

HELP = """Mine Bitcoin on surplus renewable energy, keep the books of it and prove them.

Exit codes: 0 done or yes; 1 no, not found or does not hold; 2 the command line or a file cannot be used; 3 no system
runs, the state or a port is in use, no answer, or the disk is full; 4 a mistake in Photosynth itself.
"""

app = typer.Typer(
    name="photosynth",
    help=HELP,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
chain = typer.Typer(help="Blocks out of the node and into it.", no_args_is_help=True)
evidence = typer.Typer(help="The hash-chained, signed evidence of every quarter hour and posting.", no_args_is_help=True)
fleet = typer.Typer(help="The fleet file.", no_args_is_help=True)
incident = typer.Typer(help="One incident.", no_args_is_help=True)
app.add_typer(incident, name="incident")
alerts = typer.Typer(help="Who is woken.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")
app.add_typer(chain, name="chain")
app.add_typer(evidence, name="evidence")
app.add_typer(fleet, name="fleet")
state_commands = typer.Typer(help="The state as a whole.", no_args_is_help=True)
app.add_typer(state_commands, name="state")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder with the recorded days; see docs/how-to/replay-a-real-day.md."),
]
FromArgument = Annotated[Any, typer.Argument(metavar="FROM", parser=parse_state, help="Folder or address of the state.")]
BackupArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
ToArgument = Annotated[Any, typer.Argument(metavar="TO", parser=parse_state, help="Folder or address where there is none.")]
OutputArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; - is standard output.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it goes into the audit.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"photosynth {version('photosynth')}")
        raise typer.Exit


@app.callback()
def _main(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Options before any command."""


@app.command(epilog="Example: photosynth up examples/operator.yaml --speed 60")
@command
def up(
    *,
    state: StateOption,
    fleet_file: FleetArgument = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move what the state holds aside and start anew.")] = False,
    accept_lost_shares: Annotated[
        bool,
        typer.Option("--accept-lost-shares", help="Go on where the share log is missing or damaged: count from zero."),
    ] = False,
    speed: Annotated[
        int | None, typer.Option("--speed", metavar="N", parser=parse_speed, help="Site seconds per second, for simulated sites.")
    ] = None,
    replay: Annotated[
        datetime | None,
        typer.Option("--replay", metavar="DATE", parser=parse_day, help="Drive the site with a recorded Berlin day."),
    ] = None,
    data: DataOption = None,
    port: Annotated[int | None, typer.Option("--port", metavar="N", min=0, max=65535, help="Port of console and API.")] = None,
    pool_port: Annotated[int | None, typer.Option("--pool-port", metavar="N", min=0, max=65535, help="Port of the pool.")] = None,
    run_for: Annotated[
        int | None, typer.Option("--for", metavar="DURATION", parser=parse_duration, help="Stop after so long: 90s, 10min, 2h.")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the console in a browser.")] = False,
    json_log: Annotated[bool, typer.Option("--json-log", help="Log lines of JSON in place of the live status.")] = False,
) -> int:
    """Start a site and keep it running until Ctrl-C; the next start resumes where it stopped."""
    if (replay is None) != (data is None):
        raise typer.BadParameter("--replay DATE and --data DIR belong together.")
    from photosynth.cli.up import run_up

    result: int = run_up(
        UpOptions(
            fleet=fleet_file or default_fleet(),
            state=state,
            fresh=fresh,
            accept_lost_shares=accept_lost_shares,
            speed_milli=speed,
            replay=replay,
            data=data,
            port=port,
            pool_port=pool_port,
            run_for_s=run_for,
            open_browser=not no_open,
            json_log=json_log,
        )
    )
    return result


@app.command(epilog="Example: photosynth status --json | jq .sites[0].chain.height")
@command
def status(state: StateOption, as_json: JsonOption = False) -> int:
    """Sites, nodes, books and proof in one glance, of the running system or of the stopped one's state."""
    from photosynth.cli.status import status as body

    return body(state, as_json)


@app.command(epilog="Example: photosynth workers")
@command
def workers(state: StateOption, site: SiteOption = None, as_json: JsonOption = False) -> int:
    """Each worker of the sites' pools: shares accepted, rejected by cause, work in hashes, last share."""
    from photosynth.cli.ask import workers as body

    return body(state, site, as_json)


@app.command(epilog="Example: photosynth nodes")
@command
def nodes(state: StateOption, as_json: JsonOption = False) -> int:
    """Every node of the fleet: its state, its head and how far behind it is, its peers, and how old that is."""
    from photosynth.cli.nodes import nodes as body

    return body(state, as_json)


@app.command(epilog="Example: photosynth income --network ethereum")
@command
def income(
    state: StateOption,
    network: Annotated[
        str | None, typer.Option("--network", metavar="NETWORK", help="What this network paid; without it, all of them.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """What networks paid for running their nodes: owed, claimed and received, newest first."""
    from photosynth.cli.income import income as body

    return body(state, network, as_json)


@app.command(epilog="Example: photosynth incidents --site backnang")
@command
def incidents(
    state: StateOption,
    with_resolved: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> int:
    """What is wrong and needs somebody, newest first; of a stopped system, as it left them."""
    from photosynth.cli.incidents import incidents as body

    return body(state, site, with_resolved, as_json)


@incident.command("ack", epilog="Example: photosynth incident ack 17 --by anna")
@command
def incident_ack(
    incident_id: Annotated[int, typer.Argument(metavar="ID", min=1, max=2**63 - 1, help="The incident's number.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who takes it on; it goes into the audit.")],
    state: StateOption,
    as_json: JsonOption = False,
) -> int:
    """Take an incident on: it wakes nobody any more, and says once when it is over."""
    from photosynth.cli.incidents import acknowledge

    return acknowledge(state, incident_id, by, as_json)


@alerts.command("test", epilog="Example: photosynth alerts test")
@command
def alerts_test(state: StateOption, as_json: JsonOption = False) -> int:
    """Send a message to every target of alerts and say what came of it. Exit code 0: all of them took it."""
    from photosynth.cli.incidents import test_alerts

    return test_alerts(state, as_json)


@app.command(epilog="Example: photosynth node btc-1 logs")
@command
def node(
    node_id: Annotated[str, typer.Argument(metavar="ID", help="The node's id in the fleet file.")],
    what: Annotated[
        NodeCommand | None, typer.Argument(metavar="[logs|restart]", help="Its log, or a restart of its process.")
    ] = None,
    *,
    state: StateOption,
    as_json: JsonOption = False,
    lines: Annotated[int, typer.Option("--lines", metavar="N", min=1, max=10_000, help="Lines of the log.")] = 100,
    reason: ReasonOption = "from the command line",
) -> int:
    """One node: what it says of itself, and what is wrong with it; or its process's log; or a restart of that process."""
    from photosynth.cli import nodes as bodies

    if what == NodeCommand.LOGS:
        return bodies.logs(state, node_id, lines)
    if what == NodeCommand.RESTART:
        return bodies.restart(state, node_id, reason, as_json)
    return bodies.node(state, node_id, as_json)


@app.command("stop-mining", epilog='Example: photosynth stop-mining --reason "maintenance in hall A"')
@command
def stop_mining(
    state: StateOption,
    reason: ReasonOption = "from the command line",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> int:
    """Switch every machine off at once, of one site or all, until resume-mining; exit code 0 once reading back verified that."""
    from photosynth.cli.ask import act

    return act(state, "stop", reason, site, as_json)


@app.command("resume-mining", epilog='Example: photosynth resume-mining --reason "maintenance is over"')
@command
def resume_mining(
    state: StateOption,
    reason: ReasonOption = "from the command line",
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> int:
    """Let the dispatch decide again which machines run, at one site or at all."""
    from photosynth.cli.ask import act

    return act(state, "resume", reason, site, as_json)


@app.command(epilog="Example: photosynth trace 7")
@command
def trace(
    block: Annotated[str, typer.Argument(metavar="BLOCK|TXID", help="A height, a block hash or a coinbase's txid.")],
    state: StateOption,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> int:
    """The satoshis of a coinbase back to workers, quarter hours, meters and prices."""
    from photosynth.cli.ask import trace as body

    return body(state, block, site, as_json)


@app.command(epilog="Example: photosynth ledger --from 2026-06-14 --to 2026-06-14 --csv sunday.csv")
@command
def ledger(
    *,
    state: StateOption,
    site: SiteOption = None,
    as_json: JsonOption = False,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write every line of every posting as CSV.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Site time: a day, or 2026-06-14T11:00, on the site's clock.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="The end; a day means the whole of it.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="Newest postings to show: 20 in a table, else all.")
    ] = None,
) -> int:
    """Postings, and the trial balance by account and asset, of a period of site time."""
    from photosynth.cli.ledger import ledger as body

    return body(state, site=site, as_json=as_json, csv=csv, start=start, end=end, limit=limit)


@chain.command("export", epilog="Example: photosynth chain export blocks.txt")
@command
def chain_export(file: OutputArgument, state: StateOption, node: NodeOption = None) -> int:
    """Write blocks 1 to the tip of a node, one line of hexadecimal each."""
    from photosynth.cli.transfer import export_chain

    return export_chain(state, file, node)


@chain.command("import", epilog="Example: photosynth chain import blocks.txt")
@command
def chain_import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One block per line, in hexadecimal; - is standard input.")],
    state: StateOption,
    node: NodeOption = None,
    as_json: JsonOption = False,
) -> int:
    """Submit blocks to a node, reorganisations included, and count its verdicts."""
    from photosynth.cli.transfer import import_chain

    return import_chain(state, file, node, as_json)


@evidence.command("export", epilog="Example: photosynth evidence export evidence.jsonl")
@command
def evidence_export(
    file: OutputArgument,
    state: StateOption,
    site: Annotated[str | None, typer.Option(metavar="NAME", help="The stream of one site alone, without the books.")] = None,
) -> int:
    """Write the evidence of all sites and of the books, as `photosynth verify` reads it."""
    from photosynth.cli.transfer import export_evidence

    return export_evidence(state, file, site)


@evidence.command("rotate-key", epilog="Example: photosynth evidence rotate-key --site backnang")
@command
def evidence_rotate_key(
    state: StateOption,
    site: Annotated[str | None, typer.Option(metavar="NAME", help="The site whose evidence it is; without it the books.")] = None,
) -> int:
    """Let a new key sign the evidence from now on, vouched for by the old one. Only while nothing runs on the state."""
    from photosynth.cli.transfer import rotate_key

    return rotate_key(state, site)


@app.command(epilog="Example: photosynth verify evidence.jsonl --key HEX")
@command
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export of evidence.")],
    keys: Annotated[
        list[str] | None,
        typer.Option("--key", metavar="HEX", help="The first key of one of its streams, as the operator gave it; several times."),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(metavar="CHAIN", help="An export of the chain, or of its headers alone, that it is held against."),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Recompute an export of evidence. Exit code 0: it holds; 1: names the first line that does not; 2: not such a file."""
    from photosynth.cli.proof import verify as body

    return body(file, keys or (), chain, as_json)


@app.command(epilog="Example: photosynth backtest --from 2024-05-01 --to 2024-05-31 --data ~/data")
@command
def backtest(
    *,
    start: Annotated[datetime, typer.Option("--from", metavar="DATE", parser=parse_day, help="The first day.")],
    end: Annotated[datetime, typer.Option("--to", metavar="DATE", parser=parse_day, help="The last day.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with the recorded days.")],
    fleet_file: FleetArgument = None,
    site: Annotated[
        str | None, typer.Option("--site", metavar="NAME", show_default="the first", help="The site, by its name.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Run recorded days headless, ten in a second: energy, money, work, and EUR against simpler strategies."""
    from photosynth.cli.proof import backtest as body

    return body(fleet_file or default_fleet(), start, end, data, site=site, as_json=as_json)


@fleet.command("check", epilog="Example: photosynth fleet check examples/backnang.yaml")
@command
def fleet_check(file: Annotated[Path, typer.Argument(metavar="FILE", help="The fleet file.")]) -> int:
    """Check a fleet file: all mistakes at once, each with line, column and how to mend it."""
    from photosynth.cli.fleet_check import check

    return check(file)


@fleet.command("schema", epilog="Example: photosynth fleet schema > fleet.schema.json")
@command
def fleet_schema() -> int:
    """Print a JSON Schema of the fleet file with the installed networks, for an editor that completes and checks it."""
    from photosynth.cli.fleet_check import schema

    return schema()


@state_commands.command("migrate", epilog="Example: photosynth state migrate ~/site postgresql://photosynth@db:5432/photosynth")
@command
def state_migrate(source: FromArgument, target: ToArgument) -> int:
    """Copy a stopped state from one place to another, folder or database, and show that both are the same."""
    from photosynth.cli.state import migrate as body

    return body(source, target)


@state_commands.command("backup", epilog="Example: photosynth state backup site.backup")
@command
def state_backup(file: BackupArgument, state: StateOption) -> int:
    """Write the whole state into one file, of a running system or of a stopped one; it holds the key that signs evidence."""
    from photosynth.cli.state import back_up as body

    return body(state, file)


@state_commands.command("restore", epilog="Example: photosynth state restore site.backup --state ~/restored")
@command
def state_restore(file: BackupArgument, state: StateOption) -> int:
    """Make a state out of a backup, in a folder or a database where there is none."""
    from photosynth.cli.state import restore as body

    return body(file, state)
