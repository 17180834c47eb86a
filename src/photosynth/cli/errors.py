"""How a command ends: exit codes that scripts may rely on, and errors in one clear sentence on standard error."""

import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import ParamSpec

import typer

P = ParamSpec("P")


class ExitCode(IntEnum):
    """What a command's exit code means."""

    OK = 0
    """It was done, or the answer is yes."""
    NO = 1
    """The answer is no: not found, does not hold, was refused or could not be verified."""
    BAD_INPUT = 2
    """The command line or a file given to it cannot be used; nothing was changed."""
    UNAVAILABLE = 3
    """What is needed is not there: no system runs, the state or a port is in use, no answer, the disk is full."""
    BUG = 4
    """A mistake in Photosynth itself; it says nothing about what was asked."""


class CommandError(Exception):
    """A command cannot do what it was asked; the message is one or more whole sentences."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """Run a command's body: what it returns is the exit code, and an expected failure is a sentence and no traceback."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs) or ExitCode.OK
        except CommandError as error:
            typer.echo(str(error), err=True)
            code = error.code
        except BrokenPipeError:
            # Whoever read our output has seen enough. Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = ExitCode.OK
        except OSError as error:
            typer.echo(os_sentence(error), err=True)
            code = ExitCode.UNAVAILABLE
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:  # noqa: BLE001 - the edge of the program: a bug shall not look like the answer no
            code = _unexpected(error)
        if code:
            raise typer.Exit(int(code))

    # The wrapper keeps the parameters, from which typer makes the command line, but returns nothing.
    run.__annotations__ = {**function.__annotations__, "return": None}
    return run


def _unexpected(error: Exception) -> ExitCode:
    """Say what a state that cannot serve says; of anything else, where it happened."""
    if isinstance(error, state_errors()):
        typer.echo(sentence(error), err=True)
        return ExitCode.UNAVAILABLE
    traceback.print_exception(error)
    typer.echo("This is a mistake in Photosynth; please report it with the lines above.", err=True)
    return ExitCode.BUG


def state_errors() -> tuple[type[Exception], ...]:
    """What a state that cannot serve is told by: a full disk, a damaged file, a node that does not open."""
    from photosynth.bitcoin.node import NodeUnavailableError
    from photosynth.operations.state import StateError
    from photosynth.pool.segments import ShareLogError
    from photosynth.storage import StorageError
    from photosynth.treasury.evidence.seal import SealError
    from photosynth.treasury.journal import TreasuryError

    return NodeUnavailableError, StateError, ShareLogError, StorageError, SealError, TreasuryError


def sentence(error: Exception) -> str:
    """An error's message as a sentence: a capital first, unless it begins with a path, and a stop at the end."""
    text = str(error) or type(error).__name__
    first = text[:1].upper() if text.partition(" ")[0].isalpha() else text[:1]
    return first + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def os_sentence(error: OSError) -> str:
    """What the operating system refused, with the file and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    advice = {
        errno.ENOSPC: " Free some space and try again; nothing that was already kept is lost.",
        errno.EACCES: " Give this user the right to it, or choose another place.",
        errno.EROFS: " Choose a place that can be written.",
        errno.ENOENT: " Choose a place that is there.",
        errno.EMFILE: " Raise the number of files that a process may open (ulimit -n), and start again.",
        **dict.fromkeys((errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG), " Choose another place."),
    }
    return f"{where}{error.strerror or error}.{advice.get(error.errno or 0, ' Mend that, and try again.')}"
