"""`photosynth fleet check`: what a fleet file declares, or everything that is wrong with it."""

from collections import Counter
from pathlib import Path

import typer

from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.format import user_style
from photosynth.fleet import Fleet, FleetFileError, load_fleet
from photosynth.quantities.format import count, hash_rate, power


def check(file: Path) -> int:
    """Say in a few lines what the file declares."""
    fleet = usable_fleet(file)
    style, specs = user_style(), fleet.machine_specs()
    models = Counter(spec.model.name for spec in specs)
    nominal_hs = sum(spec.model.hash_rate_hs for spec in specs)
    nominal_w = sum(spec.model.power_w for spec in specs)
    node = "embedded node" if fleet.bitcoin.node.embedded else f"bitcoind at {fleet.bitcoin.node.bitcoind}"
    typer.echo(f"{file}: nothing is wrong with it.")
    typer.echo(f"{fleet.site.title}: {power(sum(s.peak_w for s in fleet.sources), style)} of sources at peak,")
    typer.echo(f"a connection of {power(fleet.grid.connection_w, style)}, {node} on {fleet.bitcoin.network},")
    typer.echo(f"{count(len(specs), style)} machines ({power(nominal_w, style)}, {hash_rate(nominal_hs, style)}):")
    typer.echo(", ".join(f"{count(number, style)} {name}" for name, number in models.items()) + ".")
    return ExitCode.OK


def usable_fleet(file: Path) -> Fleet:
    """The fleet of a file. Raises CommandError that lists every mistake."""
    try:
        return load_fleet(file)
    except FleetFileError as error:
        number = len(error.problems)
        closing = "1 mistake; nothing was started." if number == 1 else f"{number} mistakes; nothing was started."
        raise CommandError(f"{error}\n{closing}", ExitCode.BAD_INPUT) from None
