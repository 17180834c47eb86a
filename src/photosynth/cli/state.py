"""A state as a whole: from one place to another, into one file, and back."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from photosynth.cli.errors import CommandError, ExitCode, sentence
from photosynth.cli.format import output, user_style
from photosynth.operations.state import StateError
from photosynth.quantities.format import count
from photosynth.storage.address import Place

if TYPE_CHECKING:
    from photosynth.operations.migration import Migrated


def migrate(source: Place, target: Place) -> int:
    """Copy a stopped state, and show that both are the same."""
    from photosynth.operations.migration import migrate as copy

    try:
        done = copy(source, target)
    except StateError as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    _show(done, "there", "here")
    typer.echo(f"{source} and {target} hold the same. Start from {target} from now on: {source} stays as it is, and two systems")
    typer.echo("that go on from the same state would sign two histories.")
    return ExitCode.OK


def back_up(state: Place, file: Path) -> int:
    """Write a state into one file."""
    from photosynth.operations.backup import back_up as write

    try:
        done = write(state, file, time.time_ns() // 1_000_000)
    except StateError as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    how = "while the system ran" if done.running else "of the stopped system"
    style = user_style()
    typer.echo(f"{file}: {count(done.files, style)} files in {count(done.bytes, style)} bytes, taken {how}.")
    typer.echo("It holds the key that signs this state's evidence: keep it where nobody else reads it.")
    return ExitCode.OK


def restore(file: Path, state: Place) -> int:
    """Make a state out of such a file."""
    from photosynth.operations.backup import DamagedBackupError
    from photosynth.operations.backup import restore as read

    if not file.is_file():
        raise CommandError(f"{file} is no file.", ExitCode.BAD_INPUT)
    try:
        done = read(file, state)
    except DamagedBackupError as error:
        raise CommandError(sentence(error), ExitCode.BAD_INPUT) from None
    except StateError as error:
        raise CommandError(sentence(error), ExitCode.UNAVAILABLE) from None
    _show(done, "in the backup", "restored")
    typer.echo(f"{state} holds what {file} held. What the system signed after that backup is not in it: never start both.")
    return ExitCode.OK


def _show(done: "Migrated", before_is: str, after_is: str) -> None:
    style = user_style()
    tables = Table("table", "rows", title="Copied", title_justify="left")
    for name, content in done.tables.items():
        tables.add_row(name, count(content.rows, style))
    balances = Table("account", "asset", before_is, after_is, title="Trial balance", title_justify="left")
    for before, after in zip(done.before, done.after, strict=True):
        balances.add_row(before.account, before.asset, count(before.closing, style), count(after.closing, style))
    for table in (tables, balances):
        for column in table.columns[1:]:
            column.justify = "right"
        output().print(table)
