"""The audit: every change to the world, planned before it is tried, or noted as it goes out; what came of it follows.

Entries gather while one commit is under way and go with the next, so that switching off a hundred machines is a few commits
and not two hundred. They are written in the order in which they were told.

Where the database takes nothing, whoever plans is refused: a plan raises power or changes what runs, and that is not urgent; a
record that nobody can look at yet, in a spool with an end, is no leave for it. What went out without waiting stays here and is
tried again and again, in bounded memory: beyond ``MOST_WAITING`` entries, further ones of the same kind to the same subject are
counted in one. What has waited for ``SPOOL_AFTER_S`` is also in the spool, so that it outlives this process however that ends; of
those that are counted the first is, so that a kill may take their number and never that they went out.
"""

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

import structlog
from pydantic import ValidationError

from photosynth.actions import Action, End, NotAuditedError, Result
from photosynth.operations.audit_entries import LONGEST_READ_BACK, MAX_TEXT, Counted, clean, values_of
from photosynth.operations.audit_spool import AuditSpool, SpooledAction
from photosynth.quantities.instants import Clock
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.actions import ActionRow, finish_action, write_action

log = structlog.get_logger()
T = TypeVar("T")

MOST_WAITING = 5_000
BATCH = 500
RETRY_S = 2.0
SPOOL_AFTER_S = 1.0
"""So long a commit may take before what waits is written to the spool; later it is written there at once."""
ROW_PATIENCE_S = 2.0
"""How long an answer waits for its number: a slow database must not make a stop look as if nobody answered."""
CLOSE_PATIENCE_S = 10.0
"""How long the end waits for the database, which was told to hurry, and for the disk of the spool."""


class ActionNotWrittenError(StorageError, NotAuditedError):
    """The audit cannot take an action down, so it is not tried; says what to do as the storage's error does."""

    def __init__(self, cause: StorageError) -> None:
        Exception.__init__(self, str(cause))
        self.kind, self.place, self.undecided = cause.kind, cause.place, cause.undecided


class Waiting(NamedTuple):
    """How many entries the database does not have: those that the spool keeps, and those that nothing keeps."""

    spooled: int
    lost: int


class AuditLog:
    """Writes every action down; satisfies ``actions.ActionSink``. The spool holds nothing when it begins."""

    def __init__(self, database: Database, run: Runner, clock: Clock, spool: AuditSpool) -> None:
        self._database, self._run, self._clock, self._spool = database, run, clock, spool
        self._spooled: dict[Action, End | None] = {}
        """What the spool has of those that wait: each with the end that it had by then."""
        self._spooling = asyncio.Lock()
        self._guard: asyncio.Task[None] | None = None
        self._committing_since_s: float | None = None
        self._told = asyncio.Event()
        self._spool_error: str | None = None
        self._in_spool = False
        self._new: dict[Action, None] = {}
        self._ended: dict[Action, None] = {}
        self._under_way: frozenset[Action] = frozenset()
        self._plans: dict[Action, asyncio.Future[None]] = {}
        self._counted: dict[tuple[str | None, str, str], Counted] = {}
        self._stood_for: dict[Action, Action] = {}
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._under_hand: set[asyncio.Task[Any]] = set()
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
        if self._error is None or self._spool_error is None:
            return self._error
        return f"{self._error} A kill would lose them, for neither can they be kept beside it: {self._spool_error}"

    @property
    def left(self) -> Waiting:
        """What waits by now, and whether it outlives this process."""
        waiting = (*self._new, *self._ended)
        spooled = sum(action in self._spooled and self._spooled[action] is action.end for action in waiting)
        return Waiting(spooled, self.waiting - spooled)

    def at(self, site: str) -> "SiteAudit":
        """The same for what is done at one site."""
        return SiteAudit(self, site)

    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str, *, site: str | None = None) -> Action:
        """Write down what is about to be tried, and return it once that is durable.

        Raises NotAuditedError where it cannot be written (an ActionNotWrittenError where the disk refuses): then it must
        not be tried.
        """
        action = self._action(site, actor, kind, subject, reason, request)
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

    def noted(self, actor: str, kind: str, subject: str, reason: str, request: str, *, site: str | None = None) -> Action:
        """Take down what goes out now. It is written as soon as it can be; nobody waits for that."""
        action = self._action(site, actor, kind, subject, reason, request)
        if len(self._new) < MOST_WAITING and not self._counted:  # what is counted comes before it
            self._new[action] = None
        else:
            counted = self._counted.setdefault((action.site, kind, subject), Counted(action, action, 0))
            counted.last, counted.number = action, counted.number + 1
        self._start()
        return action

    def finished(self, action: Action, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        """Write down what came of an action; it goes with the next commit. Raises ValueError where that was told before."""
        if action.end is not None:
            raise ValueError(f"'{action.kind}' of {action.subject} was finished before")
        texts = (clean(answer, MAX_TEXT), clean(read_back, LONGEST_READ_BACK))
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
        return await self._brought_to_its_end(self._flush())

    async def _brought_to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Of some work, which goes on where whoever asked for it waits no longer."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_hand.add(task)
        task.add_done_callback(self._under_hand.discard)
        return await asyncio.shield(task)

    async def row(self, action: Action) -> ActionRow:
        """An action as it is stored; as it waits to be, with the number 0, where the database is away.

        By then it is on a disk, if any takes it.
        """
        if not self._is_away():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROW_PATIENCE_S):
                    await self.flush()
        if action.id is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROW_PATIENCE_S):
                    await self._brought_to_its_end(self._keep())
        return ActionRow(id=action.id or 0, site=action.site, **values_of(action, action.end))

    async def close(self) -> None:
        """Wait until everything is written, or cannot be in time; that goes to the spool. See ``left``."""
        self._closing = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_PATIENCE_S):
                if self._writer is not None:
                    await asyncio.shield(self._writer)
                await self.flush()
        if self.waiting:
            self._make_room()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_PATIENCE_S):
                    await self._brought_to_its_end(self._keep())
            log.error("actions could not be written down", **self.left._asdict(), error=self._error)
        if self._guard is not None:
            self._guard.cancel()
        self._closing = False

    def _action(self, site: str | None, *texts: str) -> Action:
        actor, kind, subject, reason, request = (clean(text, MAX_TEXT) or "" for text in texts)
        self._number += 1
        key = f"{self._start_key}:{self._number}"
        return Action(actor, kind, subject, reason, request, self._clock.site_ms(), self._clock.wall_ms(), key=key, site=site)

    def _make_room(self) -> None:
        """Those that were only counted get an entry each."""
        for counted in self._counted.values():
            entry = counted.entry()
            self._new[entry] = None
            self._spooled.pop(counted.first, None)
            if counted.last.end is None:
                self._stood_for[counted.last] = entry
        self._counted.clear()

    def _start(self) -> None:
        self._wake.set()
        self._told.set()
        loop = asyncio.get_running_loop()
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        if self._guard is None:
            self._guard = loop.create_task(self._keep_what_waits())

    async def _flush(self) -> bool:
        async with self._turn:
            while self._new or self._ended:
                if not await self._commit(list(self._new)[:BATCH], list(self._ended)[:BATCH]):
                    return False
                if len(self._new) <= MOST_WAITING // 2:
                    self._make_room()
            await self._forget_spool()
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

    # The spool.

    def _is_away(self) -> bool:
        """Whether the database refuses entries, or has had some for so long that it may hang."""
        since_s = self._committing_since_s
        return self._error is not None or (since_s is not None and asyncio.get_running_loop().time() - since_s >= SPOOL_AFTER_S)

    def _unspooled(self) -> dict[Action, End | None]:
        """What waits and the spool does not have as it is now; a plan is not tried before the database has it."""
        waiting = {action: action.end for action in (*self._new, *self._ended) if action not in self._plans}
        # Of those that are counted the first, without its end: it is written again with the number, under the same key.
        waiting |= {counted.first: None for counted in self._counted.values()}
        return {action: end for action, end in waiting.items() if action not in self._spooled or self._spooled[action] is not end}

    async def _keep_what_waits(self) -> None:
        """Write to the spool what waits while the database takes nothing, until nothing waits."""
        try:
            while self._new or self._ended or self._in_spool:
                if self._is_away():
                    await self._keep()
                elif not self.waiting:
                    await self._forget_spool()  # the database took everything before the spool's disk had
                self._told.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SPOOL_AFTER_S):
                        await self._told.wait()
        finally:
            self._guard = None

    async def _keep(self) -> None:
        """Write to the spool what it does not have. What its disk does not take is tried again, as long as it waits."""
        async with self._spooling:
            entries, lines = self._unspooled(), list[SpooledAction]()
            for action, end in [*entries.items()]:
                try:
                    lines.append(SpooledAction(site=action.site, **values_of(action, end)))
                except ValidationError as error:  # a mistake of ours in one entry must not keep the others from it
                    log.error("an action cannot be kept", kind=action.kind, subject=action.subject, exc_info=error)
            if not lines:
                return
            try:
                await asyncio.to_thread(self._spool.append, lines)
            except OSError as error:
                if self._spool_error is None:
                    log.error("actions cannot be kept in the spool either", error=str(error))
                self._spool_error = str(error)
                return
            self._spool_error = None
            counted = {item.first for item in self._counted.values()}
            for action, end in entries.items():
                if action in self._new or action in self._ended or action in counted:
                    self._spooled[action] = end
            self._in_spool = True

    async def _forget_spool(self) -> None:
        """The database has everything: what the spool has of it is needed no more."""
        if not self._in_spool:
            return
        async with self._spooling:
            if self._spooled:
                return
            try:
                await asyncio.to_thread(self._spool.clear)
            except OSError as error:
                if self._spool_error is None:
                    log.warning("the spool of the audit cannot be removed", error=str(error))
                self._spool_error = str(error)
            else:
                self._in_spool, self._spool_error = False, None

    async def _commit(self, new: list[Action], ended: list[Action]) -> bool:
        """Write some entries as one transaction; whether the disk took them."""
        ends = [action.end for action in new]
        rows = [(action.site, values_of(action, end)) for action, end in zip(new, ends, strict=True)]
        updates = [(action.id, action.end) for action in ended]
        self._under_way = frozenset(new)
        self._committing_since_s = asyncio.get_running_loop().time()
        try:
            numbers = await self._run(lambda: self._write_rows(rows, updates))
        except StorageError as error:
            self._refuse(str(error), ActionNotWrittenError(error), frozenset(new) if error.undecided else frozenset())
            return False
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one entry must not keep the others from being written
            return await self._singly(new, ended, error)
        finally:
            self._under_way, self._committing_since_s = frozenset(), None
        if self._error is not None:
            log.info("actions are written down again")
        self._error = None
        for action, number, end in zip(new, numbers, ends, strict=True):
            action.id = number
            del self._new[action]
            self._spooled.pop(action, None)
            if action.end is not end:
                self._ended[action] = None
            self._tell(action, None)
        for action in ended:
            del self._ended[action]
            self._spooled.pop(action, None)
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
            self._spooled.pop(action, None)
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

    def _write_rows(
        self, rows: list[tuple[str | None, dict[str, Any]]], updates: list[tuple[int | None, End | None]]
    ) -> list[int]:
        with self._database.begin() as tx:
            numbers = [write_action(tx, site, **row) for site, row in rows]
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


class SiteAudit:
    """The audit of what is done at one site; satisfies ``actions.ActionSink``."""

    def __init__(self, audit: AuditLog, site: str) -> None:
        self._audit, self._site = audit, site

    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        """Write down what is about to be tried. Raises NotAuditedError."""
        return await self._audit.planned(actor, kind, subject, reason, request, site=self._site)

    def noted(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        """Take down what goes out now."""
        return self._audit.noted(actor, kind, subject, reason, request, site=self._site)

    def finished(self, action: Action, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        """Write down what came of an action."""
        self._audit.finished(action, result, answer, read_back, verified)
