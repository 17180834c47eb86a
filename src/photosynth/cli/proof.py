"""`photosynth verify` and `photosynth backtest`: what can be recomputed without a running site."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic_core import to_json

from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.fleet_check import usable_fleet

if TYPE_CHECKING:
    from photosynth.treasury.evidence.report import VerifyReport


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
        _print_json(report.document())
    else:
        typer.echo(verification_text(report))
    return report.exit_code


def verification_text(report: "VerifyReport") -> str:
    """A verifier's report for people: the verdict first, then what it rests on."""
    if not report.is_evidence:
        return f"{report.path} is not an export of evidence: {report.reason}"
    if report.holds:
        period = f"{report.first_interval_utc} to {report.last_interval_utc}" if report.records else "no quarter hour yet"
        lines = [f"It holds: {report.records} quarter hours of {report.site}, {period}."]
    else:
        where = f"line {report.failed_line}" if report.failed_line is not None else "the file"
        record = "" if report.failed_seq is None else f", record {report.failed_seq}"
        interval = "" if report.failed_interval_utc is None else f", quarter hour {report.failed_interval_utc}"
        lines = [f"It does not hold. First at fault is {where}{record}{interval}: {report.reason}"]
        lines.append("What is said below is of the lines before it.")
    for title, sentences in (("Proven", report.proven), ("Estimated", report.estimated), ("On trust", report.trusted)):
        if sentences:
            lines += ["", title, *(f"  - {sentence}" for sentence in sentences)]
    lines += ["", f"Head {report.head}", f"Key  {report.public_key}"]
    return "\n".join(lines)


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
