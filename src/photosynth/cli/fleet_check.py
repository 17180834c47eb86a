"""`photosynth fleet check`: what a fleet file declares, or everything that is wrong with it."""

import json
from collections import Counter
from pathlib import Path

import typer

from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.format import user_style
from photosynth.fleet import Fleet, FleetFileError, MiningSite, Node, load_fleet
from photosynth.quantities.format import Style, count, hash_rate, power


def check(file: Path) -> int:
    """Say in a few lines what the file declares."""
    fleet = usable_fleet(file)
    style = user_style()
    typer.echo(f"{file}: nothing is wrong with it.")
    for mining in fleet.mining_sites():
        typer.echo(_site(mining, style))
    for node in fleet.nodes:
        typer.echo(f"Node {node.id}: {_node(node)}.")
    for wallet in fleet.wallets:
        typer.echo(
            f"Wallet {wallet.id}: {wallet.network} on {wallet.chain}, of {wallet.party}, {wallet.custody}, {wallet.storage}."
        )
    return ExitCode.OK


def _site(mining: MiningSite, style: Style) -> str:
    site, specs = mining.site, mining.site.machine_specs()
    models = Counter(spec.model.name for spec in specs)
    nominal_hs = sum(spec.model.hash_rate_hs for spec in specs)
    nominal_w = sum(spec.model.power_w for spec in specs)
    return (
        f"{site.title}: {power(sum(s.nominal_w for s in site.sources), style)} of sources at peak,\n"
        f"a connection of {power(site.grid.connection_w, style)}, mining on {mining.node.id} for {mining.wallet.id},\n"
        f"{count(len(specs), style)} machines ({power(nominal_w, style)}, {hash_rate(nominal_hs, style)}):\n"
        + ", ".join(f"{count(number, style)} {name}" for name, number in models.items())
        + "."
    )


def _node(node: Node) -> str:
    how = {"external": "run by somebody else", "process": "run as a child process"}.get(node.run, node.run)
    where = f" at {', '.join(node.endpoints.values())}" if node.endpoints else ""
    return f"{node.network} on {node.chain}, {node.role}, {how}{where}"


def schema() -> int:
    """Print the schema of a fleet file."""
    from photosynth.fleet.schema import REGISTRIES, fleet_schema

    typer.echo(json.dumps(fleet_schema(), indent=2, ensure_ascii=False))
    for registry in REGISTRIES:
        for problem in registry.problems():
            typer.echo(f"Left out: {problem}.", err=True)
    return ExitCode.OK


def usable_fleet(file: Path) -> Fleet:
    """The fleet of a file. Raises CommandError that lists every mistake."""
    try:
        return load_fleet(file)
    except FleetFileError as error:
        number = len(error.problems)
        closing = "1 mistake; nothing was started." if number == 1 else f"{number} mistakes; nothing was started."
        raise CommandError(f"{error}\n{closing}", ExitCode.BAD_INPUT) from None


def site_of(file: Path, name: str | None) -> MiningSite:
    """One site of a fleet file: the named one, else the first. Raises CommandError where it is not there."""
    sites = usable_fleet(file).mining_sites()
    for mining in sites:
        if name in (None, mining.site.name):
            return mining
    found = ", ".join(mining.site.name for mining in sites) or "none"
    wanted = "no site" if name is None else f"no site {name!r}"
    raise CommandError(f"{file} has {wanted}; its sites: {found}.", ExitCode.BAD_INPUT)
