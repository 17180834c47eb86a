"""Options that several commands share, and what `photosynth up` was asked for."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.storage.address import AddressError, Place, is_address, parse_address


class NodeCommand(StrEnum):
    """What can be asked of a node beside how it is."""

    LOGS = "logs"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What `photosynth up` was asked for; None means that the fleet file or the past decides.

    ``speed_milli`` is site milliseconds per second, ``run_for_s`` wall seconds after which to stop, ``replay`` a day in
    Europe/Berlin that the files in ``data`` describe.
    """

    fleet: Path
    state: Place
    fresh: bool = False
    accept_lost_shares: bool = False
    speed_milli: int | None = None
    replay: date | None = None
    data: Path | None = None
    port: int | None = None
    pool_port: int | None = None
    run_for_s: int | None = None
    open_browser: bool = True
    json_log: bool = False


def default_state() -> Path:
    """The platform's folder for this program's data."""
    import platformdirs

    return Path(platformdirs.user_data_dir("photosynth", appauthor=False))


def default_fleet() -> Path:
    """The example of an operator: in the working folder where there is one, else beside the source."""
    here = Path("examples/operator.yaml")
    return here if here.exists() else Path(__file__).parents[3] / here


def parse_state(value: str | Path) -> Place:
    """Where a state lies: a folder, or the address of a PostgreSQL database. Raises typer.BadParameter."""
    if isinstance(value, Path) or not is_address(value):
        return Path(value)
    try:
        return parse_address(value)
    except AddressError as error:
        raise typer.BadParameter(sentence(error)) from None


StateOption = Annotated[
    Any,
    typer.Option(
        "--state",
        metavar="DIR|ADDRESS",
        parser=parse_state,
        envvar="PHOTOSYNTH_STATE",
        default_factory=default_state,
        show_default="the platform's data folder",
        help="Where the fleet's state lies: a folder, or postgresql://USER@HOST:PORT/NAME?passfile=FILE.",
    ),
]
SiteOption = Annotated[
    str | None, typer.Option("--site", metavar="NAME", show_default="all sites", help="One site of the fleet, by its name.")
]
NodeOption = Annotated[
    str | None,
    typer.Option("--node", metavar="ID", show_default="the first Bitcoin node", help="A Bitcoin node of the fleet, by its name."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the JSON document and nothing else.")]
FleetArgument = Annotated[
    Path | None, typer.Argument(metavar="[FLEET]", show_default="examples/operator.yaml", help="The fleet file.")
]


def parse_day(text: str) -> date:
    """A day as in 2024-05-12. Raises typer.BadParameter."""
    try:
        if re.fullmatch(r"(19[7-9]\d|2\d{3})-\d{2}-\d{2}", text, re.ASCII):  # from 1970 on
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r} is not a day since 1970; write year-month-day, like 2024-05-12.")


def parse_speed(text: str) -> int:
    """A speed as thousandths: 60 is 60000. Raises typer.BadParameter."""
    match = re.fullmatch(r"(\d{1,4})(?:\.(\d{1,3}))?", text, re.ASCII)
    milli = int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0")) if match else 0
    if not 1 <= milli <= 3_600_000:
        raise typer.BadParameter(f"{text!r} is not a speed; write site seconds per second, from 0.001 to 3600, like 60.")
    return milli


def parse_duration(text: str) -> int:
    """A duration in seconds: 90, 90s, 10min, 2h. Raises typer.BadParameter."""
    match = re.fullmatch(r"(\d{1,7}) ?(s|min|m|h|d)?", text, re.ASCII)
    if not match or int(match[1]) == 0:
        raise typer.BadParameter(f"{text!r} is not a duration; write it like 90s, 10min or 2h.")
    return int(match[1]) * {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}[match[2] or "s"]


def parse_period(start: str | None, end: str | None, zone: tzinfo) -> tuple[int | None, int | None]:
    """Start and end of a period as :func:`parse_instant` reads them; None where it is open. Raises CommandError."""
    from_ms = parse_instant(start, zone, end=False) if start else None
    to_ms = parse_instant(end, zone, end=True) if end else None
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise CommandError(f"The period ends ({end}) before it begins ({start}).", ExitCode.BAD_INPUT)
    return from_ms, to_ms


def parse_instant(text: str, zone: tzinfo, *, end: bool) -> int:
    """A day or a time, on the clock of a zone unless it names another, as milliseconds since the epoch.

    A day as the end of a period means the whole day. Raises CommandError.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{text!r} is neither a day like 2026-06-14 nor a time like 2026-06-14T11:00.", ExitCode.BAD_INPUT
        ) from None
    try:
        if end and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            instant += timedelta(days=1)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=zone)
        milliseconds = (instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    except OverflowError:
        milliseconds = -1
    if milliseconds < 0:
        raise CommandError(f"{text!r} is outside the time that the books can know.", ExitCode.BAD_INPUT)
    return milliseconds
