"""A child process of a test: keeps an audit while its database loses every answer, or begins with what such a one left.

It says what is durable by then, a line each: the subject of an action that went out with its result, or how far the start is.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

from photosynth.operations.audit import AuditLog
from photosynth.operations.audit_spool import AuditSpool, finish_cut_off
from photosynth.storage import Database, StorageError
from photosynth.storage.address import Place, is_address, parse_address

T = TypeVar("T")


class StillClock:
    """A clock that stands."""

    def site_ms(self) -> int:
        """The time."""
        return 1_790_000_000_000

    wall_ms = site_ms


class LosesAnswers:
    """Runs every other call, and never hears of one."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        return self._run(call)

    async def _run(self, call: Callable[[], T]) -> T:
        self._asked += 1
        if self._asked % 2:
            await asyncio.to_thread(call)
        raise StorageError("unavailable", Path("nowhere"), "it does not answer", undecided=True)


def say(text: str) -> None:
    """A line for the test."""
    print(text, flush=True)


async def go_out(place: Place, spool: AuditSpool, life: str) -> None:
    """Machines are told to sleep for ever, and it is said of each when that is durable, and when its end is."""
    with Database(place) as database:
        audit = AuditLog(database, LosesAnswers(), StillClock(), spool)
        for number in range(1_000_000):
            action = audit.noted("operator", "sleep", f"{life}-{number}", "storm", "sleep")
            await audit.row(action)
            say(f"{action.subject} planned")
            audit.finished(action, "done", "OK", "reads 25 W", verified=True)
            await audit.row(action)
            say(f"{action.subject} done")


def begin(place: Place, spool: AuditSpool) -> None:
    """What every start does."""
    with Database(place) as database:
        with database.begin() as tx:
            spool.book(tx)
            finish_cut_off(tx)
        say("booked")
        spool.clear()
        say("cleared")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # standard output is the test's
    _, what, where, path, name = sys.argv
    books = parse_address(where) if is_address(where) else Path(where)
    kept = AuditSpool(Path(path), "a-state")
    if what == "go-out":
        asyncio.run(go_out(books, kept, name))
    else:
        begin(books, kept)
