"""The audit: every change to the world, planned before it is tried, or noted as it goes out; what came of it follows.

Entries gather while one commit is under way and go with the next, so that switching off a hundred machines is a few commits
and not two hundred. They are written in the order in which they were told.

Where the disk takes nothing, whoever plans is refused. What went out without waiting stays here and is tried again and again,
in bounded memory: beyond ``MOST_WAITING`` entries, further ones of the same kind to the same subject are counted in one.
"""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from typing import Any

import structlog

from photosynth.actions import Action, End, NotAuditedError, Result
from photosynth.quantities.instants import Clock, iso_utc
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.actions import ActionRow, finish_action, read_action, write_action

log = structlog.get_logger()

MAX_TEXT = 500
LONGEST_READ_BACK = 8_000
"""A stop's names every machine that stayed awake."""
MOST_WAITING = 5_000
BATCH = 500
RETRY_S = 2.0
ROW_PATIENCE_S = 5.0
"""How long an answer waits for its row: a slow disk must not make a stop look as if nobody answered."""


class ActionNotWrittenError(StorageError, NotAuditedError):
    """The audit cannot take an action down, so it is not tried; says what to do as the storage's error does."""

    def __init__(self, cause: StorageError) -> None:
        Exception.__init__(self, str(cause))
        self.kind, self.place, self.undecided = cause.kind, cause.place, cause.undecided


@dataclass(slots=True)
class _Counted:
    """Many of the same kind to the same subject, for which there was no room: the first, the last, and how many."""

    first: Action
    last: Action
    number: int

    def entry(self) -> Action:
        """One entry that stands for all of them; its end is the last one's."""
        first, last = self.first, self.last
        request = last.request
        if self.number > 1:
            request += f" ({self.number} times until {iso_utc(last.time_ms)}, too many to be kept singly)"
        texts = (last.actor, last.kind, last.subject, last.reason, request[:MAX_TEXT])
        return Action(*texts, first.time_ms, first.wall_ms, end=last.end, key=first.key)


class AuditLog:
    """Writes every action down; satisfies ``actions.ActionSink``."""

    def __init__(self, database: Database, run: Runner, clock: Clock) -> None:
        self._database, self._run, self._clock = database, run, clock
        self._new: dict[Action, None] = {}
        self._ended: dict[Action, None] = {}
        self._under_way: frozenset[Action] = frozenset()
        self._plans: dict[Action, asyncio.Future[None]] = {}
        self._counted: dict[tuple[str, str], _Counted] = {}
        self._stood_for: dict[Action, Action] = {}
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._flushes: set[asyncio.Task[bool]] = set()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._error: str | None = None
        self._start_key, self._number = os.urandom(8).hex(), 0

    @property
    def waiting(self) -> int:
        """How many entries are not written down yet."""
        return len(self._new) + len(self._ended) + sum(counted.number for counted in self._counted.values())

    @property
    def fault(self) -> str | None:
        """Why nothing can be written down now; None where everything can."""
        return self._error

    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        """Write down what is about to be tried, and return it once that is durable.

        Raises NotAuditedError where it cannot be written (an ActionNotWrittenError where the disk refuses): then it must
        not be tried.
        """
        action = self._action(actor, kind, subject, reason, request)
        written = self._plans[action] = asyncio.get_running_loop().create_future()
        self._new[action] = None
        self._start()
        try:
            await written
        except asyncio.CancelledError:
            if action in self._new and action not in self._under_way:
                del self._new[action]  # it was neither tried nor written
            else:
                self.finished(action, "failed", "cut off before it was tried", None, None)
            raise
        finally:
            del self._plans[action]
        return action

    def noted(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        """Take down what goes out now. It is written as soon as it can be; nobody waits for that."""
        action = self._action(actor, kind, subject, reason, request)
        if len(self._new) < MOST_WAITING and not self._counted:  # what is counted comes before it
            self._new[action] = None
        else:
            counted = self._counted.setdefault((kind, subject), _Counted(action, action, 0))
            counted.last, counted.number = action, counted.number + 1
        self._start()
        return action

    def finished(self, action: Action, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        """Write down what came of an action; it goes with the next commit. Raises ValueError where that was told before."""
        if action.end is not None:
            raise ValueError(f"'{action.kind}' of {action.subject} was finished before")
        texts = (_clean(answer, MAX_TEXT), _clean(read_back, LONGEST_READ_BACK))
        action.end = End(result, *texts, verified, self._clock.site_ms())
        entry = self._stood_for.pop(action, action)
        entry.end = action.end
        if entry.id is not None:
            self._ended[entry] = None
        self._start()

    async def flush(self) -> bool:
        """Try to write everything that waits now; whether nothing waits any more.

        Whoever ceases to wait for it does not end it: what a commit wrote must be known to be written.
        """
        task = asyncio.get_running_loop().create_task(self._flush())
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)
        return await asyncio.shield(task)

    async def row(self, action: Action) -> ActionRow:
        """An action as it is stored; as it waits to be, with the number 0, where it cannot be written down now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ROW_PATIENCE_S):
                await self.flush()
        number = action.id
        if number is None:
            return ActionRow(id=0, **_values(action, action.end))

        def read() -> ActionRow | None:
            with self._database.read() as tx:
                return read_action(tx, number)

        with contextlib.suppress(TimeoutError, StorageError):
            async with asyncio.timeout(ROW_PATIENCE_S):
                found = await self._run(read)
            assert found is not None, "an action is never deleted"
            return found
        return ActionRow(id=number, **_values(action, action.end))

    async def close(self) -> None:
        """Wait until everything is written, or cannot be; what cannot be is told to the log."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await asyncio.shield(self._writer)
        if not await self.flush():
            log.error("actions could not be written down", number=self.waiting, error=self._error)
        self._closing = False

    def _action(self, *texts: str) -> Action:
        actor, kind, subject, reason, request = (_clean(text, MAX_TEXT) or "" for text in texts)
        self._number += 1
        key = f"{self._start_key}:{self._number}"
        return Action(actor, kind, subject, reason, request, self._clock.site_ms(), self._clock.wall_ms(), key=key)

    def _make_room(self) -> None:
        """Once entries are written again, those that were only counted get theirs."""
        if not self._counted or len(self._new) > MOST_WAITING // 2:
            return
        for counted in self._counted.values():
            entry = counted.entry()
            self._new[entry] = None
            if counted.last.end is None:
                self._stood_for[counted.last] = entry
        self._counted.clear()

    def _start(self) -> None:
        self._wake.set()
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _flush(self) -> bool:
        async with self._turn:
            while self._new or self._ended:
                if not await self._commit(list(self._new)[:BATCH], list(self._ended)[:BATCH]):
                    return False
                self._make_room()
        return True

    async def _write(self) -> None:
        try:
            while not self._closing:
                if await self.flush():
                    if self._new or self._ended:
                        continue  # came after the last look, when there was a writer already
                    break
                if self._plans:
                    continue  # whoever plans learns at once whether he may
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RETRY_S):
                        await self._wake.wait()
        finally:
            self._writer = None

    async def _commit(self, new: list[Action], ended: list[Action]) -> bool:
        """Write some entries as one transaction; whether the disk took them."""
        ends = [action.end for action in new]
        rows = [_values(action, end) for action, end in zip(new, ends, strict=True)]
        updates = [(action.id, action.end) for action in ended]
        self._under_way = frozenset(new)
        try:
            numbers = await self._run(lambda: self._write_rows(rows, updates))
        except StorageError as error:
            self._refuse(str(error), ActionNotWrittenError(error), frozenset(new) if error.undecided else frozenset())
            return False
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one entry must not keep the others from being written
            return await self._singly(new, ended, error)
        finally:
            self._under_way = frozenset()
        if self._error is not None:
            log.info("actions are written down again")
        self._error = None
        for action, number, end in zip(new, numbers, ends, strict=True):
            action.id = number
            del self._new[action]
            if action.end is not end:
                self._ended[action] = None
            self._tell(action, None)
        for action in ended:
            del self._ended[action]
        return True

    async def _singly(self, new: list[Action], ended: list[Action], error: Exception) -> bool:
        """Write a batch that failed entry by entry, and give up the one that fails by itself."""
        if len(new) + len(ended) > 1:
            for action in new:
                if not await self._commit([action], []):
                    return False
            for action in ended:
                if not await self._commit([], [action]):
                    return False
            return True
        for action in (*new, *ended):
            log.error("an action cannot be written down", kind=action.kind, subject=action.subject, exc_info=error)
            self._new.pop(action, None)
            self._ended.pop(action, None)
            self._tell(action, NotAuditedError(f"'{action.kind}' of {action.subject} cannot be written down: {error}"))
        return True

    def _refuse(self, text: str, error: NotAuditedError, perhaps_written: frozenset[Action]) -> None:
        """Whoever waits for a plan, also since the commit began, gets the error and must not act; everything else waits on.

        A plan that may be written all the same is told to have come to nothing.
        """
        first, self._error = self._error is None, text
        for action in list(self._plans):
            if action in self._new:
                if action in perhaps_written:
                    action.end = End(
                        "failed", "not tried: it was not known whether it was written down", None, None, self._clock.site_ms()
                    )
                else:
                    del self._new[action]
                self._tell(action, error)
        if first:
            log.error("actions cannot be written down", error=text)

    def _tell(self, action: Action, error: NotAuditedError | None) -> None:
        plan = self._plans.get(action)
        if plan is None or plan.done():
            return
        if error is None:
            plan.set_result(None)
        else:
            plan.set_exception(error)

    def _write_rows(self, rows: list[dict[str, Any]], updates: list[tuple[int | None, End | None]]) -> list[int]:
        with self._database.begin() as tx:
            numbers = [write_action(tx, **row) for row in rows]
            for number, end in updates:
                assert number is not None
                assert end is not None
                finish_action(
                    tx,
                    number,
                    result=end.result,
                    answer=end.answer,
                    read_back=end.read_back,
                    verified=end.verified,
                    finished_ms=end.at_ms,
                )
        return numbers


def _values(action: Action, end: End | None) -> dict[str, Any]:
    return {
        "key": action.key,
        "time_ms": action.time_ms,
        "wall_ms": action.wall_ms,
        "actor": action.actor,
        "kind": action.kind,
        "subject": action.subject,
        "reason": action.reason,
        "request": action.request,
        "result": "planned" if end is None else end.result,
        "answer": None if end is None else end.answer,
        "read_back": None if end is None else end.read_back,
        "verified": None if end is None else end.verified,
        "finished_ms": None if end is None else end.at_ms,
    }


def _clean(text: str | None, longest: int) -> str | None:
    """Words of a machine or a person as a database takes them: bounded, without halves of characters and without NUL."""
    return None if text is None else text[:longest].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
