"""`photosynth verify` and `photosynth backtest`: what can be recomputed without a running site."""

import sys
from datetime import date
from pathlib import Path
from typing import Any

import typer
from pydantic_core import to_json

from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.fleet_check import usable_fleet


def verify(file: Path, as_json: bool) -> int:
    """Recompute an export of evidence: 0 it holds, 1 the first record that does not is named, 2 not such a file."""
    from photosynth.treasury.evidence.verify import NotEvidenceError
    from photosynth.treasury.evidence.verify import verify as recompute

    try:
        report = recompute(file)
    except NotEvidenceError as error:
        raise CommandError(f"{file} is not an export of evidence: {error}", ExitCode.BAD_INPUT) from None
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.", ExitCode.BAD_INPUT) from None
    if as_json:
        _print_json(report)
    else:
        typer.echo(str(report))
    return ExitCode.OK if report.holds else ExitCode.NO


def backtest(fleet_file: Path, start: date, end: date, data: Path, as_json: bool) -> int:
    """Run recorded days without a clock; the same days give the same bytes."""
    if end < start:
        raise CommandError(f"The last day ({end}) lies before the first ({start}).", ExitCode.BAD_INPUT)
    fleet = usable_fleet(fleet_file)
    if not data.is_dir():
        raise CommandError(f"{data} is not a folder; name the one with the recorded days.", ExitCode.BAD_INPUT)
    from photosynth.energy.recorded_files import RecordedDataError
    from photosynth.simulation.backtest import backtest as run

    try:
        report = run(fleet, start, end, data)
    except RecordedDataError as error:
        raise CommandError(str(error), ExitCode.BAD_INPUT) from None
    if as_json:
        _print_json(report)
    else:
        typer.echo(str(report))
    return ExitCode.OK


def _print_json(report: Any) -> None:
    sys.stdout.write(to_json(report, indent=2).decode() + "\n")
