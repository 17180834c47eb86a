"""`photosynth verify` and `photosynth backtest`: what can be recomputed without a running site."""

import gc
import re
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic_core import to_json

from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.fleet_check import site_of

if TYPE_CHECKING:
    from photosynth.treasury.evidence.report import VerifyReport


def verify(file: Path, keys: Sequence[str], chain: Path | None, as_json: bool) -> int:
    """Recompute an export of evidence: 0 it holds, 1 the first line that does not is named, 2 not such a file.

    ``keys`` in hexadecimal are first keys of streams; without any, the reader compares the file's own. ``chain`` is an export of
    the chain that it is held against.
    """
    from photosynth.treasury.evidence.verify import verify as recompute

    expected = [_key(text) for text in keys]
    # What a year's file leaves in memory holds no cycles, and looking for some among it takes a fifth of the time.
    gc.disable()
    try:
        report = recompute(file, *expected, chain=chain)
    finally:
        gc.enable()
    if as_json:
        _print_json(report.document())
    else:
        typer.echo(verification_text(report))
    return report.exit_code


def _key(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise CommandError(
            f"{text[:80]!r} is not a key: --key takes its 64 hexadecimal digits, as the operator gave them to you.",
            ExitCode.BAD_INPUT,
        )
    return bytes.fromhex(text)


def verification_text(report: "VerifyReport") -> str:
    """A verifier's report for people: the verdict first, then what it rests on."""
    if report.exit_code == ExitCode.BAD_INPUT:
        return f"{report.reason}. `photosynth evidence export` writes what is verified, `photosynth chain export` the chain."
    if report.holds:
        period = f", {report.first_interval_utc} to {report.last_interval_utc}" if report.records else ""
        hours = f"{report.records} quarter hour{'' if report.records == 1 else 's'}"
        sites = [stream.stream for stream in report.streams if stream.stream != "books"]
        books = " and the books" if len(sites) < len(report.streams) else ""
        lines = [f"It holds: {hours} of {', '.join(sites) or 'no site'}{books}{period}.", _whose(report)]
    elif report.failed_line is None:
        lines = [f"It does not hold: {report.reason}.", _keys(report)]
    else:
        stream = "" if report.failed_stream is None else f" of {report.failed_stream}"
        record = "" if report.failed_seq is None else f", line {report.failed_seq}{stream}"
        interval = "" if report.failed_interval_utc is None else f", quarter hour {report.failed_interval_utc}"
        lines = [f"It does not hold. First at fault is line {report.failed_line} of the file{record}{interval}: {report.reason}"]
        lines.append("What is said below is of the lines before it.")
    for title, sentences in (("Proven", report.proven), ("Estimated", report.estimated), ("On trust", report.trusted)):
        if sentences:
            lines += ["", title, *(f"  - {sentence}" for sentence in sentences)]
    lines += ["", f"Head {report.head}", *(f"Key  {stream.first_key} of {stream.stream}" for stream in report.streams)]
    return "\n".join(lines)


def _keys(report: "VerifyReport") -> str:
    named = ", ".join(f"{stream.first_key} of {stream.stream}" for stream in report.streams)
    return f"The file's streams begin with the keys {named or 'that could not be read'}."


def _whose(report: "VerifyReport") -> str:
    if report.key_expected:
        return "Its streams begin with keys that you named, or work under such a key commits to their beginning."
    return (
        f"Compare the keys below with the operator's, which you know from elsewhere; {report.public_key} alone vouches for all "
        "that its site's work commits to.\nAnybody can sign a file with keys of his own; `--key HEX` compares them for you."
    )


def backtest(fleet_file: Path, start: date, end: date, data: Path, *, site: str | None, as_json: bool) -> int:
    """Run recorded days of one site without a clock; the same days give the same bytes."""
    if end < start:
        raise CommandError(f"The last day ({end}) lies before the first ({start}).", ExitCode.BAD_INPUT)
    mining = site_of(fleet_file, site)
    if not data.is_dir():
        raise CommandError(f"{data} is not a folder; name the one with the recorded days.", ExitCode.BAD_INPUT)
    from photosynth.energy.recorded_files import RecordedDataError
    from photosynth.simulation.backtest import backtest as run

    try:
        report = run(mining, start, end, data)
    except RecordedDataError as error:
        raise CommandError(str(error), ExitCode.BAD_INPUT) from None
    if as_json:
        _print_json(report)
    else:
        typer.echo(str(report))
    return ExitCode.OK


def _print_json(report: Any) -> None:
    sys.stdout.write(to_json(report, indent=2).decode() + "\n")
