"""The audit: durable before anything is tried, many at once in one commit, and nobody waits for ever on a full disk."""

import asyncio
import errno
import os
import re
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from structlog.testing import capture_logs
from tests.unit.clock_and_audit import TurnedClock

from photosynth.actions import Action, NotAuditedError
from photosynth.operations import audit as module
from photosynth.operations import audit_spool as spool_module
from photosynth.operations.audit import AuditLog, SiteAudit
from photosynth.operations.audit_entries import LONGEST_READ_BACK, MAX_TEXT
from photosynth.operations.audit_spool import AuditSpool, SpooledAction, finish_cut_off
from photosynth.operations.state import StateError
from photosynth.storage import Database, StorageError
from photosynth.storage.actions import ActionRow, read_actions, write_action

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
def database(db: Database) -> Database:
    return db


@pytest.fixture
def spool(tmp_path: Path) -> AuditSpool:
    return AuditSpool(tmp_path / "audit-spool.jsonl", STATE)


STATE = "ab" * 16


def rows(database: Database) -> list[ActionRow]:
    with database.read() as tx:
        return read_actions(tx, None)


async def plan(audit: AuditLog | SiteAudit, subject: str, reason: str = "surplus") -> Action:
    return await audit.planned("dispatch", "sleep", subject, reason, "sleep")


async def test_actions_are_those_of_their_site_or_the_fleets(database: Database, spool: AuditSpool) -> None:
    clock = TurnedClock()
    fleets = AuditLog(database, Disk(), clock, spool)
    first, second = await plan(fleets.at("backnang"), "hall-a-01"), await plan(fleets, "btc-1")
    with database.read() as tx:
        assert [row.id for row in read_actions(tx, "backnang")] == [first.id]
        assert [(row.id, row.site) for row in read_actions(tx, None)] == [(second.id, None), (first.id, "backnang")]
    assert (await fleets.row(first)).site == "backnang"


async def test_a_plan_is_durable_before_it_returns_and_its_end_follows(database: Database, spool: AuditSpool) -> None:
    clock = TurnedClock()
    audit = AuditLog(database, Disk(), clock, spool)
    action = await plan(audit, "hall-a-01", "x" * 2 * MAX_TEXT)
    assert [(row.id, row.result, len(row.reason)) for row in rows(database)] == [(action.id, "planned", MAX_TEXT)]
    clock.turn(1)
    audit.finished(action, "done", "OK", "reads 25 W", True)
    await audit.close()
    (row,) = rows(database)
    assert (row.result, row.read_back, row.verified, row.finished_ms) == ("done", "reads 25 W", True, clock.site)


async def test_a_hundred_at_once_are_few_commits(database: Database, spool: AuditSpool) -> None:
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    actions = await asyncio.gather(*(plan(audit, f"m{index}") for index in range(100)))
    assert len(set(actions)) == 100
    assert disk.commits <= 2


async def test_on_a_full_disk_nobody_may_act_and_nobody_waits_for_ever(database: Database, spool: AuditSpool) -> None:
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    known = await plan(audit, "before")
    disk.full = True
    audit.finished(known, "done", None, None, True)
    first = asyncio.ensure_future(plan(audit, "first"))
    await asyncio.sleep(0)
    late = asyncio.ensure_future(plan(audit, "late"))  # comes while the commit is under way
    async with asyncio.timeout(60):
        ended = await asyncio.gather(first, late, return_exceptions=True)
    assert all(isinstance(error, NotAuditedError) for error in ended)
    disk.full = False
    await plan(audit, "after")
    await audit.close()
    assert {row.subject: row.result for row in rows(database)} == {"before": "done", "after": "planned"}


async def test_closing_tries_once_more_to_write_what_waits(database: Database, spool: AuditSpool) -> None:
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    action = await plan(audit, "m")
    disk.full = True
    audit.finished(action, "done", None, None, True)
    await audit.close()
    assert [row.result for row in rows(database)] == ["planned"]
    disk.full = False
    await audit.close()
    assert [row.result for row in rows(database)] == ["done"]


async def test_an_action_that_ends_twice_is_our_mistake_and_the_first_end_stands(database: Database, spool: AuditSpool) -> None:
    audit = AuditLog(database, Disk(), TurnedClock(), spool)
    action = await plan(audit, "m")
    audit.finished(action, "done", None, None, True)
    with pytest.raises(ValueError, match="was finished before"):
        audit.finished(action, "failed", None, None, True)
    await audit.close()
    assert [row.result for row in rows(database)] == ["done"]


def note(audit: AuditLog, subject: str, kind: str = "sleep") -> Action:
    return audit.noted("operator", kind, subject, "red button", kind)


@pytest.mark.parametrize("turns", range(5))
async def test_what_comes_as_the_writer_ends_is_written_without_anybody_asking(
    turns: int, database: Database, spool: AuditSpool
) -> None:
    audit = AuditLog(database, Disk(), TurnedClock(), spool)
    action = await plan(audit, "m1")
    for _ in range(turns):
        await asyncio.sleep(0)
    audit.finished(action, "failed", "not sent: by then it should draw less", None, None)
    for _ in range(20):
        await asyncio.sleep(0)
    assert [row.result for row in rows(database)] == ["failed"]


async def test_what_went_out_while_the_disk_was_full_is_written_later_in_order_with_its_time_and_end(
    database: Database, spool: AuditSpool
) -> None:
    disk, clock = Disk(), TurnedClock()
    audit = AuditLog(database, disk, clock, spool)
    before = await plan(audit, "before")
    disk.full = True
    first, first_ms = note(audit, "m1"), clock.site
    assert not await audit.flush()
    clock.turn(10)
    audit.finished(first, "done", "OK", "reads 25 W", True)
    audit.finished(before, "failed", "cut off", None, None)
    second, second_ms = note(audit, "m2"), clock.site
    assert not await audit.flush()
    assert (await audit.row(first)).id == 0, "it has no number yet"
    assert (await audit.row(first)).result == "done"
    assert "no space is left" in str(audit.fault)
    assert audit.waiting == 3
    clock.turn(3600)
    disk.full = False
    assert await audit.flush()
    assert audit.fault is None
    audit.finished(second, "unverified", "OK", "reads 3068 W", False)
    await audit.close()
    found = [(row.subject, row.time_ms, row.result) for row in reversed(rows(database))]
    assert found == [("before", before.time_ms, "failed"), ("m1", first_ms, "done"), ("m2", second_ms, "unverified")]
    assert (await audit.row(second)).read_back == "reads 3068 W"


async def test_the_disk_is_tried_again_without_anybody_asking(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    note(audit, "m1")
    assert not await audit.flush()
    disk.full = False
    async with asyncio.timeout(60):
        while audit.waiting:
            await asyncio.sleep(0.01)
    assert [row.subject for row in rows(database)] == ["m1"]


async def test_a_week_on_a_full_disk_takes_bounded_memory_and_forgets_nothing(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 50)
    disk, clock = Disk(), TurnedClock()
    audit = AuditLog(database, disk, clock, spool)
    disk.full = True
    told = 0
    for turn in range(500):
        clock.turn(1)
        for machine in ("m1", "m2", "m3"):
            action = note(audit, machine)
            told += 1
            if turn < 499:
                audit.finished(action, "unverified", "OK", f"turn {turn}", False)
        if turn % 100 == 0:
            assert not await audit.flush()
    assert len(audit._new) == 50
    assert len(audit._counted) == 3, "the rest is counted, by kind and subject"
    assert len(audit._stood_for) == 0
    assert audit.waiting == told
    disk.full = False
    assert await audit.flush()
    last = action  # m3's last, which ends only now
    audit.finished(last, "done", "OK", "asleep", True)
    await audit.close()
    found = list(reversed(rows(database)))
    assert len(found) == 53
    assert [row.time_ms for row in found] == sorted(row.time_ms for row in found)
    counted = {row.subject: row for row in found[50:]}
    numbers = [int(re.findall(r"\((\d+) times until", row.request)[0]) for row in counted.values()]
    assert sum(numbers) + 50 == told
    assert (counted["m3"].result, counted["m3"].read_back) == ("done", "asleep")
    assert counted["m1"].result == "planned", "the last of those has not ended"


@pytest.mark.parametrize("turns", range(8))
async def test_one_that_ceases_to_wait_for_its_plan_leaves_no_open_action(
    turns: int, database: Database, spool: AuditSpool
) -> None:
    audit = AuditLog(database, Disk(), TurnedClock(), spool)
    waiting = asyncio.ensure_future(plan(audit, "m"))
    for _ in range(turns):  # before, while and after it is written
        await asyncio.sleep(0)
    if waiting.done():
        return
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await audit.close()
    assert [(row.result, row.answer) for row in rows(database)] in ([], [("failed", "cut off before it was tried")])


async def test_one_entry_that_cannot_be_written_keeps_no_other_from_it(database: Database, spool: AuditSpool) -> None:
    audit = AuditLog(database, Disk(), TurnedClock(), spool)
    actions = [note(audit, f"m{number}") for number in range(5)]
    actions[2].time_ms = 1 << 70
    broken = asyncio.ensure_future(plan(audit, "poison"))
    await asyncio.sleep(0)
    next(action for action in audit._plans).wall_ms = 1 << 70
    with capture_logs() as logs:
        assert await audit.flush()
    with pytest.raises(NotAuditedError, match="'sleep' of poison cannot be written down"):
        await broken
    assert {row.subject for row in rows(database)} == {"m0", "m1", "m3", "m4"}
    assert [entry["subject"] for entry in logs] == ["m2", "poison"]


async def test_whoever_ceases_to_wait_for_a_commit_does_not_write_twice(database: Database, spool: AuditSpool) -> None:
    audit = AuditLog(database, Disk(), TurnedClock(), spool)
    action = note(audit, "m1")
    flushing = asyncio.ensure_future(audit.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    audit.finished(action, "done", None, None, True)
    await audit.close()
    assert [row.result for row in rows(database)] == ["done"]


async def test_words_that_no_database_takes_are_written_as_far_as_they_go(database: Database, spool: AuditSpool) -> None:
    audit = AuditLog(database, Disk(), TurnedClock(), spool)
    action = audit.noted("operator", "sleep", "m\ud800", "x", "y")
    audit.finished(action, "done", "half \udfff", "z" * 100_000, True)
    await audit.close()
    (row,) = rows(database)
    assert (row.subject, row.answer) == ("m?", "half ?")
    assert len(row.read_back or "") == LONGEST_READ_BACK


async def test_what_goes_out_as_the_disk_recovers_comes_after_what_was_only_counted(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 4)
    monkeypatch.setattr(module, "BATCH", 1)
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    for number in range(6):
        note(audit, f"m{number}")
    assert not await audit.flush()
    disk.full = False
    flushing = asyncio.ensure_future(audit.flush())
    while len(audit._new) == 4:
        await asyncio.sleep(0)
    note(audit, "m6")
    assert await flushing
    assert [row.subject for row in reversed(rows(database))] == [f"m{number}" for number in range(7)]


class LossyDisk(Disk):
    """Writes, and then says that nobody knows whether it did."""

    lossy = False

    async def _run(self, call: Callable[[], T]) -> T:
        done = await super()._run(call)
        if self.lossy:
            raise StorageError("unavailable", Path("photosynth.sqlite3"), "broke while it committed", undecided=True)
        return done


async def test_what_may_have_been_written_is_written_once_and_a_plan_that_nobody_heard_of_comes_to_nothing(
    database: Database,
    spool: AuditSpool,
) -> None:
    disk = LossyDisk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    known = await plan(audit, "known")
    disk.lossy = True
    audit.finished(known, "done", "OK", "reads 25 W", True)
    went_out = note(audit, "went out")
    with pytest.raises(NotAuditedError):
        await plan(audit, "not tried")
    audit.finished(went_out, "done", None, "reads 0 W", True)
    assert not await audit.flush()
    disk.lossy = False
    assert await audit.flush()
    await audit.close()
    found = {row.subject: (row.id, row.result) for row in rows(database)}
    assert len(rows(database)) == len(found) == 3
    assert found["known"] == (known.id, "done")
    assert found["went out"] == (went_out.id, "done")
    assert found["not tried"][1] == "failed"


async def test_words_that_no_database_takes_are_written_without_what_it_does_not_take(
    database: Database, spool: AuditSpool
) -> None:
    audit = AuditLog(database, Disk(), TurnedClock(), spool)
    action = await plan(audit, "m1", "NUL \x00 and half \ud800 a character")
    audit.finished(action, "failed", "\x00", None, None)
    await audit.close()
    assert [(row.reason, row.answer) for row in rows(database)] == [("NUL \ufffd and half ? a character", "\ufffd")]


class HungDisk(Disk):
    """Answers nothing while it hangs, and then does what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.answers.set()

    async def _run(self, call: Callable[[], T]) -> T:
        await self.answers.wait()
        return await super()._run(call)


def book(database: Database, spool: AuditSpool) -> list[tuple[str, str]]:
    """What a start does: subject and result of every action by then, oldest first."""
    with database.begin() as tx:
        spool.book(tx)
        finish_cut_off(tx)
    spool.clear()
    return [(row.subject, row.result) for row in reversed(rows(database))]


async def test_what_went_out_while_the_database_hung_outlives_a_kill_and_is_booked_once_in_order(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SPOOL_AFTER_S", 0.01)
    disk = HungDisk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    known = await plan(audit, "known")
    disk.answers.clear()
    audit.finished(known, "done", "OK", "reads 3068 W", True)
    first, second, _ = note(audit, "m1"), note(audit, "m2"), note(audit, "m3")
    audit.finished(second, "done", "OK", "asleep", True)
    planning = asyncio.ensure_future(plan(audit, "not tried"))
    async with asyncio.timeout(60):
        while audit.left.lost > 1:  # the plan
            await asyncio.sleep(0.01)
    audit.finished(first, "done", "OK", "asleep", True)
    async with asyncio.timeout(60):
        while audit.left.lost > 1:
            await asyncio.sleep(0.01)
    planning.cancel()
    wanted = [("known", "done"), ("m1", "done"), ("m2", "done"), ("m3", "unverified")]
    kept = spool.path.read_bytes()
    assert book(database, AuditSpool(spool.path, STATE)) == wanted
    spool.path.write_bytes(kept)  # killed after the commit and before the file was removed
    assert book(database, AuditSpool(spool.path, STATE)) == wanted
    assert not spool.path.exists()


async def test_the_spool_is_gone_once_the_database_took_everything(database: Database, spool: AuditSpool) -> None:
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    action = note(audit, "m1")
    assert (await audit.row(action)).id == 0
    assert [(line.subject, line.result) for line in spool.read()] == [("m1", "planned")]
    assert audit.left == (1, 0)
    disk.full = False
    audit.finished(action, "done", "OK", "asleep", True)
    await audit.close()
    assert not spool.path.exists()
    assert audit.left == (0, 0)
    assert book(database, spool) == [("m1", "done")]


async def test_at_the_end_everything_that_waits_is_in_the_spool_also_what_was_only_counted(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    monkeypatch.setattr(module, "CLOSE_PATIENCE_S", 0.1)
    disk = HungDisk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.answers.clear()
    for number in range(10):
        note(audit, f"m{min(number, 3)}")
    await audit.close()
    assert audit.left == (4, 0)
    disk.answers.set()  # what was under way may be committed all the same
    found = book(database, AuditSpool(spool.path, STATE))
    assert [subject for subject, _ in found] == ["m0", "m1", "m2", "m3"]
    assert "7 times until" in rows(database)[0].request


async def test_where_the_spools_disk_takes_nothing_either_it_is_told_and_tried_again(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MOST_BYTES", 10)
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    note(audit, "m1")
    with capture_logs() as logs:
        await audit.close()
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"][-1] == "actions could not be written down"
    assert audit.left == (0, 1)
    monkeypatch.undo()
    await audit.close()
    assert audit.left == (1, 0)


def line_of(number: int) -> SpooledAction:
    return SpooledAction(
        key=f"k:{number}", site=None, time_ms=1, wall_ms=2, actor="dispatch", kind="sleep", subject=f"m{number}", reason="",
        request="sleep", result="planned", answer=None, read_back=None, verified=None, finished_ms=None,
    )  # fmt: skip


def test_a_torn_last_line_is_no_fault_and_another_damaged_one_is_named(spool: AuditSpool) -> None:
    spool.append([line_of(1), line_of(2)])
    whole = spool.path.read_bytes()
    spool.append([line_of(3)])
    longer = spool.path.read_bytes()
    for end in range(len(whole), len(longer)):
        spool.path.write_bytes(longer[:end])
        assert AuditSpool(spool.path, STATE).read() == [line_of(1), line_of(2)]
    spool.path.write_bytes(whole + b"\0" * 20 + b"\n")
    assert AuditSpool(spool.path, STATE).read() == [line_of(1), line_of(2)]
    for good, damaged in (
        (b'"m2"', b"m2"),
        (b'"m2"', b'"m\\u0000"'),
        (b'"m2"', b'"m\xff"'),
        (b'"k:2"', b'"k\\u0000:2"'),
        (b'"k:2"', b'"k"'),
    ):
        spool.path.write_bytes(longer.replace(good, damaged))
        with pytest.raises(StateError, match="line 3 is damaged"):
            spool.read()
    for torn in range(longer.index(b"\n") + 1):
        spool.path.write_bytes(longer[:torn])
        assert AuditSpool(spool.path, STATE).read() == []


@pytest.mark.parametrize(
    "foreign", [b'{"state":"%s"}\n' % (b"cd" * 16), b"{}\n[]\n", b"1\n1\n", b"[" * 100_000 + b"\n1\n", b"hello\nworld\n"]
)
def test_what_is_of_another_state_or_no_spool_is_refused_and_left_alone(
    spool: AuditSpool, database: Database, foreign: bytes
) -> None:
    spool.append([line_of(1)])
    lines = spool.path.read_bytes().split(b"\n", 1)[1]
    spool.path.write_bytes(foreign + lines)
    with pytest.raises(StateError, match=r"of another state|line 1 is damaged"), database.begin() as tx:
        spool.book(tx)
    assert spool.path.read_bytes() == foreign + lines
    assert rows(database) == []


def test_a_server_that_took_entries_and_whose_answer_was_lost_has_them_once(database: Database, spool: AuditSpool) -> None:
    """Before the kill it took one without its end, and at the next start all of them, but nobody heard of that."""
    ended = line_of(2).model_copy(update={"result": "done", "read_back": "asleep", "verified": True, "finished_ms": 9})
    spool.append([line_of(1), line_of(2), line_of(3)])
    spool.append([ended])
    with database.begin() as tx:
        write_action(tx, None, **line_of(1).model_dump(exclude={"site"}))
        write_action(tx, None, **line_of(2).model_dump(exclude={"site"}))
    for _ in range(2):
        with database.begin() as tx:
            assert AuditSpool(spool.path, STATE).book(tx) == 3
            finish_cut_off(tx)
    found = [(row.key, row.result, row.read_back) for row in reversed(rows(database))]
    assert found == [("k:1", "unverified", None), ("k:2", "done", "asleep"), ("k:3", "unverified", None)]


def test_they_are_booked_in_the_order_in_which_they_were_told(database: Database, spool: AuditSpool) -> None:
    """A plan that came to nothing gets its line then, and not when it was made."""
    spool.append([line_of(9), line_of(11)])
    spool.append([line_of(10)])
    assert [subject for subject, _ in book(database, spool)] == ["m9", "m10", "m11"]


def test_a_start_that_ends_while_it_books_has_booked_nothing(database: Database, spool: AuditSpool) -> None:
    spool.append([line_of(1), line_of(2)])

    def cut_off() -> None:
        with database.begin() as tx:
            assert spool.book(tx) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert rows(database) == []
    assert spool.read() == [line_of(1), line_of(2)]


async def test_what_is_only_counted_is_in_the_spool_too_and_a_kill_takes_its_number_alone(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    monkeypatch.setattr(module, "CLOSE_PATIENCE_S", 0.1)
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    for number in range(9):
        note(audit, f"m{min(number, 3)}")
    stop = note(audit, "site", "stop_mining")
    assert (await audit.row(stop)).id == 0
    killed = spool.path.read_bytes()
    await audit.close()
    assert audit.left == (5, 0)
    closed = spool.path.read_bytes()
    for kept, said in ((killed, "sleep"), (closed, "6 times until")):
        spool.path.write_bytes(kept)
        kinds = [(line.kind, line.subject) for line in {line.key: line for line in AuditSpool(spool.path, STATE).read()}.values()]
        assert kinds == [("sleep", f"m{number}") for number in range(4)] + [("stop_mining", "site")]
        (last,) = [line for line in {line.key: line for line in spool.read()}.values() if line.subject == "m3"]
        assert said in last.request


async def test_once_what_was_counted_is_written_the_spool_is_gone(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    for number in range(9):
        last = note(audit, f"m{min(number, 3)}")
    await audit.row(last)
    assert spool.path.exists()
    disk.full = False
    assert await audit.flush()
    assert not spool.path.exists()
    assert [row.subject for row in reversed(rows(database))] == ["m0", "m1", "m2", "m3"]
    await audit.close()


async def test_whoever_waits_no_longer_for_the_spool_has_nothing_written_twice(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROW_PATIENCE_S", 0.05)
    disk, appended, go_on = Disk(), spool.append, threading.Event()

    def slow(actions: Sequence[SpooledAction]) -> None:
        assert go_on.wait(60)
        appended(actions)

    monkeypatch.setattr(spool, "append", slow)
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    action = note(audit, "m1")
    assert not await audit.flush()
    for _ in range(3):
        assert (await audit.row(action)).id == 0
    go_on.set()
    await audit.close()
    assert [line.subject for line in spool.read()] == ["m1"]


async def test_where_nothing_keeps_what_waits_the_fault_says_so(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MOST_BYTES", 10)
    disk = Disk()
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    assert (await audit.row(note(audit, "m1"))).id == 0
    assert "A kill would lose them" in str(audit.fault)
    assert "takes no more" in str(audit.fault)
    disk.full = False
    await audit.close()
    assert audit.fault is None


def test_what_a_failed_write_left_is_overwritten_by_the_next(spool: AuditSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append([line_of(1)])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space is left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            spool.append([line_of(2), line_of(3)])
    spool.append([line_of(4)])
    assert spool.read() == [line_of(1), line_of(4)]
    assert spool.path.stat().st_mode & 0o077 == 0


def test_a_spool_that_somebody_empties_or_removes_begins_anew(spool: AuditSpool) -> None:
    """As on a full disk: what is left of it must not keep the next start from beginning."""
    for by_hand in (lambda: spool.path.write_bytes(b""), spool.path.unlink):
        spool.append([line_of(1)])
        by_hand()
        spool.append([line_of(2)])
        assert spool.read() == [line_of(2)]


def test_what_a_failed_write_left_is_overwritten_also_after_it_could_not_be_removed(
    spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append([line_of(1)])
    torn = spool.path.read_bytes() + b'{"key": "k:2"'
    spool.path.write_bytes(torn)  # as a full disk leaves it

    def refuse(path: Path, *, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "read-only")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(OSError, match="read-only"):
            spool.clear()
    spool.append([line_of(3)])
    assert spool.read() == [line_of(1), line_of(3)]


async def test_what_the_database_took_while_the_spools_disk_was_slow_is_not_left_in_the_spool(
    database: Database, spool: AuditSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROW_PATIENCE_S", 0.05)
    monkeypatch.setattr(module, "SPOOL_AFTER_S", 0.01)
    disk, appended, began, go_on = Disk(), spool.append, threading.Event(), threading.Event()

    def slow(actions: Sequence[SpooledAction]) -> None:
        began.set()
        assert go_on.wait(60)
        appended(actions)

    monkeypatch.setattr(spool, "append", slow)
    audit = AuditLog(database, disk, TurnedClock(), spool)
    disk.full = True
    note(audit, "m1")
    await asyncio.to_thread(began.wait, 60)
    disk.full = False
    assert await audit.flush()
    go_on.set()
    async with asyncio.timeout(60):
        while audit._guard is not None:
            await asyncio.sleep(0.01)
    assert not spool.path.exists()
    await audit.close()


@pytest.mark.parametrize("before", [0, 1])
def test_wherever_the_disk_is_full_in_a_write_the_spool_can_be_read_and_goes_on(
    before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, added, later = [line_of(1)][:before], [line_of(2), line_of(3)], [line_of(4)]
    written = os.pwrite
    room = 0
    while True:
        spool = AuditSpool(tmp_path / f"spool-{room}", STATE)
        if earlier:
            spool.append(earlier)
        left = [room]

        def as_far_as_there_is_room(descriptor: int, content: bytes, at: int, left: list[int] = left) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, "no space is left")
            done = written(descriptor, content[: left[0]], at)
            left[0] -= done
            return done

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", as_far_as_there_is_room)
            try:
                spool.append(added)
            except OSError:
                # A kill now: what of it is there went out, and is kept as far as it is whole.
                assert AuditSpool(spool.path, STATE).read() in (earlier, [*earlier, added[0]], [*earlier, *added])
            else:
                break
        spool.append(later)
        assert AuditSpool(spool.path, STATE).read() == earlier + later
        room += 1
    assert room > 2 * len(line_of(2).model_dump_json())
