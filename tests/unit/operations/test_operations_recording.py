"""When the postings of a fleet come into evidence: every four hours, at the end of a run, before an export, after a kill."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.operations.test_operations_migration import lived_in

from photosynth.operations.evidence_door import UnrecordedError, evidence_lines
from photosynth.operations.key_rotation import rotate_stopped_key
from photosynth.operations.manifest import load_manifest
from photosynth.operations.recording import PAST_MS, PERIOD_MS, RecordedPostings, next_ms, record_stopped
from photosynth.operations.resting import open_stopped_evidence
from photosynth.operations.running import RunningView
from photosynth.operations.state import StateFolder
from photosynth.sites.clock import RunningClock
from photosynth.sites.heads import EvidenceHeads
from photosynth.storage import Database, StorageError
from photosynth.treasury import verify
from photosynth.treasury.fleet_books import unrecorded


class Books:
    """Counts the lines that it is asked for; has so many to give, and fails so often."""

    def __init__(self, lines: int = 0, faults: int = 0) -> None:
        self.lines, self.faults, self.asked = lines, faults, 0

    def record_some(self, tx: object) -> object:
        del tx
        self.asked += 1
        if self.faults:
            self.faults -= 1
            raise StorageError("full", Path("db"), "the disk is full")
        if not self.lines:
            return None
        self.lines -= 1
        return SimpleNamespace(id=self.asked, root=bytes([self.asked]))


class Clock:
    """Fleet time stands; whoever waits for a time is told how long, and moves it there."""

    def __init__(self) -> None:
        self.now_ms = 10 * PERIOD_MS + 7

    def site_ms(self) -> int:
        return self.now_ms

    def wall_seconds_until(self, site_ms: int) -> float:
        return (site_ms - self.now_ms) / 1000


class Transactions:
    """A database that is not needed."""

    def begin(self) -> Any:
        class Transaction:
            def __enter__(self) -> None: ...
            def __exit__(self, *_: object) -> None: ...

        return Transaction()


async def at_once(call: Callable[[], Any]) -> Any:
    return call()


def recorded_by(books: Books, clock: Clock, heads: EvidenceHeads | None = None) -> RecordedPostings:
    known = heads or EvidenceHeads()
    return RecordedPostings(cast(Any, books), cast(Any, Transactions()), at_once, cast(RunningClock, clock), known)


def test_the_next_time_is_a_little_past_the_full_hour() -> None:
    full = 10 * PERIOD_MS
    assert next_ms(full) == full + PAST_MS
    assert next_ms(full + PAST_MS - 1) == full + PAST_MS
    assert next_ms(full + PAST_MS) == full + PERIOD_MS + PAST_MS


async def test_all_is_written_down_at_once_and_then_every_four_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    books, clock, waits = Books(lines=3), Clock(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.now_ms += round(seconds * 1000)
        if len(waits) == 3:
            raise asyncio.CancelledError
        books.lines = 2

    monkeypatch.setattr("photosynth.operations.recording.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await recorded_by(books, clock).run()
    assert books.asked == 4 + 3 + 3
    assert waits == [(PAST_MS - 7) / 1000, PERIOD_MS / 1000, PERIOD_MS / 1000]


async def test_a_disk_that_is_full_is_tried_again_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    books, waits = Books(lines=1, faults=2), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr("photosynth.operations.recording.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await recorded_by(books, Clock()).run()
    assert (books.lines, waits[:2]) == (0, [1.0, 1.0])
    await recorded_by(Books(faults=1), Clock()).finish()


async def test_the_next_jobs_commit_to_what_was_written_down_also_where_the_disk_fails_then() -> None:
    heads, books = EvidenceHeads(), Books(lines=3)
    told = list[bytes]()
    heads.listen(lambda: told.append(heads.root))
    await recorded_by(books, Clock(), heads).record()
    assert told == [b"\x03"], "once, with the newest of them"
    await recorded_by(books, Clock(), heads).record()
    assert told == [b"\x03"]
    real, books.lines = books.record_some, 2

    def fails_then(tx: object) -> object:
        books.faults = books.lines == 1
        return real(tx)

    books.record_some = fails_then  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        await recorded_by(books, Clock(), heads).record()
    assert told == [b"\x03", b"\x06"]


def left_by_a_kill(folder: StateFolder) -> bool:
    with Database(folder.database, at_rest=True) as database, database.read() as tx:
        return unrecorded(tx)


async def exported(folder: StateFolder, path: Path, site: str | None = None) -> bytes:
    async with open_stopped_evidence(folder.root, site) as evidence:
        lines = [line + b"\n" async for line in evidence.lines()]
    path.write_bytes(b"".join(lines))
    report = verify(path)
    assert report.reason is None
    return path.read_bytes()


async def test_an_export_after_a_kill_has_what_was_posted_and_the_next_one_is_the_same(tmp_path: Path) -> None:
    folder = await lived_in(tmp_path / "state")
    assert left_by_a_kill(folder), "income came after the last line"
    before = load_manifest(folder)
    first = await exported(folder, tmp_path / "first.jsonl")
    assert b"fee-1" in first
    assert not left_by_a_kill(folder)
    assert load_manifest(folder) == before, "the manifest of a site that has closed nothing says nothing of lines"
    modified = {path: path.stat().st_mtime_ns for path in folder.root.rglob("*") if path.is_file() and path.name != "lock"}
    assert await exported(folder, tmp_path / "second.jsonl") == first
    record_stopped(folder.root)
    again = {path: path.stat().st_mtime_ns for path in folder.root.rglob("*") if path.is_file() and path.name != "lock"}
    assert again == modified, "an export that lacks nothing is only read"


async def test_a_new_key_of_the_books_comes_after_what_the_old_one_has_to_sign(tmp_path: Path) -> None:
    folder = await lived_in(tmp_path / "state")
    rotate_stopped_key(folder.root, "books")
    assert not left_by_a_kill(folder)
    await exported(folder, tmp_path / "evidence.jsonl")


async def test_an_export_of_a_running_fleet_waits_for_what_is_posted_meanwhile(tmp_path: Path) -> None:
    folder = await lived_in(tmp_path / "state")
    with pytest.raises(UnrecordedError):
        next(evidence_lines(folder))
    assert next(evidence_lines(folder, "backnang")), "a site's stream needs no posting"
    asked = 0

    class Recorded:
        async def record(self) -> None:
            nonlocal asked
            asked += 1
            if asked == 2:
                record_stopped(folder.root)

    fleet = SimpleNamespace(recorded=Recorded(), settings=SimpleNamespace(state=folder))
    view = RunningView.__new__(RunningView)
    vars(view).update(_fleet=fleet)
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(b"".join([line + b"\n" async for line in view.lines()]))
    assert (asked, verify(path).reason) == (2, None)
