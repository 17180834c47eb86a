"""The audit: durable before anything is tried, many at once in one commit, and nobody waits for ever on a full disk."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.unit.operations.operations_fakes import FakeClock

from photosynth.miners.control import NotAuditedError
from photosynth.operations.audit import MAX_TEXT, AuditLog
from photosynth.storage import Database, StorageError
from photosynth.storage.actions import ActionRow, read_actions

T = TypeVar("T")


class Disk:
    """Runs the database's calls on the loop, one pause each; ``full`` refuses them."""

    def __init__(self) -> None:
        self.full = False
        self.commits = 0

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        return self._run(call)

    async def _run(self, call: Callable[[], T]) -> T:
        await asyncio.sleep(0)
        if self.full:
            raise StorageError("full", Path("photosynth.sqlite3"), "no space is left")
        self.commits += 1
        return call()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "photosynth.sqlite3")
    yield opened
    opened.close()


def rows(database: Database) -> list[ActionRow]:
    with database.read() as tx:
        return read_actions(tx)


async def plan(audit: AuditLog, subject: str, reason: str = "surplus") -> int:
    return await audit.planned("dispatch", "sleep", subject, reason, "sleep")


async def test_a_plan_is_durable_before_it_returns_and_its_end_follows(database: Database) -> None:
    clock = FakeClock()
    audit = AuditLog(database, Disk(), clock)
    action = await plan(audit, "hall-a-01", "x" * 2 * MAX_TEXT)
    assert [(row.id, row.result, len(row.reason)) for row in rows(database)] == [(action, "planned", MAX_TEXT)]
    clock.turn(1)
    audit.finished(action, "done", "OK", "reads 25 W", True)
    await audit.close()
    (row,) = rows(database)
    assert (row.result, row.read_back, row.verified, row.finished_ms) == ("done", "reads 25 W", True, clock.site)


async def test_a_hundred_at_once_are_few_commits(database: Database) -> None:
    disk = Disk()
    audit = AuditLog(database, disk, FakeClock())
    actions = await asyncio.gather(*(plan(audit, f"m{index}") for index in range(100)))
    assert len(set(actions)) == 100
    assert disk.commits <= 2


async def test_on_a_full_disk_nobody_may_act_and_nobody_waits_for_ever(database: Database) -> None:
    disk = Disk()
    audit = AuditLog(database, disk, FakeClock())
    known = await plan(audit, "before")
    disk.full = True
    audit.finished(known, "done", None, None, True)
    first = asyncio.ensure_future(plan(audit, "first"))
    await asyncio.sleep(0)
    late = asyncio.ensure_future(plan(audit, "late"))  # comes while the commit is under way
    async with asyncio.timeout(5):
        ended = await asyncio.gather(first, late, return_exceptions=True)
    assert all(isinstance(error, NotAuditedError) for error in ended)
    disk.full = False
    await plan(audit, "after")
    await audit.close()
    assert {row.subject: row.result for row in rows(database)} == {"before": "done", "after": "planned"}


async def test_closing_tries_once_more_to_write_what_waits(database: Database) -> None:
    disk = Disk()
    audit = AuditLog(database, disk, FakeClock())
    action = await plan(audit, "m")
    disk.full = True
    audit.finished(action, "done", None, None, True)
    await audit.close()
    assert [row.result for row in rows(database)] == ["planned"]
    disk.full = False
    await audit.close()
    assert [row.result for row in rows(database)] == ["done"]


async def test_an_action_that_ends_twice_is_our_mistake_and_blocks_nobody_else(database: Database) -> None:
    audit = AuditLog(database, Disk(), FakeClock())
    action = await plan(audit, "m")
    audit.finished(action, "done", None, None, True)
    await audit.close()
    audit.finished(action, "done", None, None, True)
    waiting = asyncio.ensure_future(plan(audit, "other"))
    with pytest.raises(ValueError, match="was finished before"):
        await audit.close()
    with pytest.raises(ValueError, match="was finished before"):
        await waiting
    assert await plan(audit, "later") > action
