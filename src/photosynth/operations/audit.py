"""The audit: a plan is durable before anything is tried, and what came of it follows. Many at once are one commit."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from photosynth.miners.control import NotAuditedError
from photosynth.quantities.instants import Clock
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.actions import Result, finish_action, plan_action

MAX_TEXT = 500


class ActionNotWrittenError(StorageError, NotAuditedError):
    """The audit cannot take an action down, so it is not tried; says what to do as the storage's error does."""

    def __init__(self, cause: StorageError) -> None:
        Exception.__init__(self, str(cause))
        self.kind, self.path = cause.kind, cause.path


@dataclass(slots=True)
class _Planned:
    values: dict[str, str | int]
    written: asyncio.Future[int]


@dataclass(slots=True)
class _Finished:
    action_id: int
    result: Result
    answer: str | None
    read_back: str | None
    verified: bool | None
    finished_ms: int


class AuditLog:
    """Writes every action down; satisfies ``miners.control.ActionSink``.

    Entries gather while one commit is under way and go with the next, so that switching off a hundred machines is a few
    commits and not two hundred.
    """

    def __init__(self, database: Database, run: Runner, clock: Clock) -> None:
        self._database = database
        self._run = run
        self._clock = clock
        self._waiting: list[_Planned | _Finished] = []
        self._writer: asyncio.Task[None] | None = None

    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str) -> int:
        """Write down what is about to be tried, and return its id once that is durable.

        Raises ActionNotWrittenError where it cannot be written: then it must not be tried.
        """
        values: dict[str, str | int] = {
            "time_ms": self._clock.site_ms(),
            "wall_ms": self._clock.wall_ms(),
            "actor": actor,
            "kind": kind,
            "subject": subject,
            "reason": reason[:MAX_TEXT],
            "request": request[:MAX_TEXT],
        }
        entry = _Planned(values, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._start()
        return await entry.written

    def finished(self, action: int, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        """Write down what came of an action; it goes with the next commit."""
        shown = None if answer is None else answer[:MAX_TEXT]
        self._waiting.append(_Finished(action, result, shown, read_back, verified, self._clock.site_ms()))
        self._start()

    async def close(self) -> None:
        """Wait until everything is written, or cannot be."""
        if self._waiting:
            self._start()
        if self._writer is not None:
            await asyncio.shield(self._writer)

    def _start(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                if not await self._commit(batch):
                    break
        finally:
            self._writer = None

    async def _commit(self, batch: list[_Planned | _Finished]) -> bool:
        try:
            ids = await self._run(self._writing(batch))
        except StorageError as error:
            self._refuse(batch, ActionNotWrittenError(error))
            return False
        except Exception as error:  # a mistake of ours: nobody shall wait for ever, nor the same results fail again
            self._refuse([entry for entry in batch if isinstance(entry, _Planned)], error)
            raise
        for entry, action_id in zip(batch, ids, strict=True):
            if isinstance(entry, _Planned) and action_id is not None and not entry.written.done():
                entry.written.set_result(action_id)
        return True

    def _refuse(self, batch: Sequence[_Planned | _Finished], error: Exception) -> None:
        """Whoever waits for a plan, also since the commit began, gets the error and must not act; results wait on."""
        untold = [*batch, *self._waiting]
        self._waiting = [entry for entry in untold if isinstance(entry, _Finished)]
        for entry in untold:
            if isinstance(entry, _Planned) and not entry.written.done():
                entry.written.set_exception(error)

    def _writing(self, batch: list[_Planned | _Finished]) -> Callable[[], list[int | None]]:
        def write() -> list[int | None]:
            ids: list[int | None] = []
            with self._database.begin() as tx:
                for entry in batch:
                    if isinstance(entry, _Planned):
                        ids.append(plan_action(tx, **entry.values))  # type: ignore[arg-type]
                    else:
                        ids.append(None)
                        finish_action(
                            tx,
                            entry.action_id,
                            result=entry.result,
                            answer=entry.answer,
                            read_back=entry.read_back,
                            verified=entry.verified,
                            finished_ms=entry.finished_ms,
                        )
            return ids

        return write
