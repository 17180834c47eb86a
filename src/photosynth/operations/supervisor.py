"""Keeps the parts of a running fleet running: each in a task of its own, begun in the order of their needs, closed in reverse.

One that fails is closed, is a trouble that names it, and is begun again after a pause that doubles. It ends no other; what
runs on it is closed first and waits, and is a trouble that names what it waits for.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import structlog

from photosynth.registry import words_of

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
WELL_AFTER_S = 120.0
"""Whoever ran for so long has recovered, as the log then says; where it fails later it is begun again after the first pause."""
SLOW_S = 10.0
"""A start that takes longer is a trouble, and named to those who wait for it."""
CLOSE_S = 20.0
"""A close that takes longer is given up."""
LAST_WORD_S = 1.0

State = Literal["waiting", "starting", "running", "closing", "down"]


class Service(Protocol):
    """What a unit starts: whole when its start returns it."""

    async def run(self) -> None:
        """Do its work until cancelled."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


S = TypeVar("S", bound=Service)


class NotRunningError(Exception):
    """A unit was asked for its service while it has none; the message names it."""


class Unit(Generic[S]):
    """One part of the fleet: ``scope`` is what it belongs to (``fleet``, ``site:NAME``, ``node:ID``).

    ``needs`` are units that it runs on: it is begun after them and closed before them. ``after`` must only run when it is
    begun, of ``after_one_of`` any. ``start`` opens the service, or closes what it had opened and raises.
    """

    def __init__(
        self,
        scope: str,
        name: str,
        start: Callable[[], Awaitable[S]],
        *,
        needs: "Sequence[Unit[Any]]" = (),
        after: "Sequence[Unit[Any]]" = (),
        after_one_of: "Sequence[Unit[Any]]" = (),
        close_s: float = CLOSE_S,
    ) -> None:
        self.scope, self.name, self.start, self.close_s = scope, name, start, close_s
        self.needs, self.after, self.after_one_of = tuple(needs), tuple(after), tuple(after_one_of)
        self.state: State = "waiting"
        self.service: S | None = None
        """What runs; None while nothing does."""
        self.fault: str | None = None
        """Why its last life ended, until the next one has begun."""
        self.fault_wall_ms = 0
        self.told: str | None = None
        """What the log says of it: why it failed, until it has run well for a while again."""
        self.since_s, self.since_wall_ms = 0.0, 0

    @property
    def id(self) -> str:
        """Scope and name."""
        return f"{self.scope} {self.name}"

    @property
    def running(self) -> S:
        """What runs. Raises NotRunningError where nothing does."""
        if self.service is None:
            raise NotRunningError(f"{self.id} does not run" + (f": {self.fault}" if self.fault else " yet"))
        return self.service

    def missing(self) -> "list[Unit[Any]]":
        """What it waits for before it can be begun."""
        found = [unit for unit in (*self.needs, *self.after) if unit.state != "running"]
        if self.after_one_of and all(unit.state != "running" for unit in self.after_one_of):
            found += self.after_one_of
        return found


@dataclass(frozen=True, slots=True)
class Trouble:
    """A unit that is down, that waits for others, or whose start takes long; ``since_wall_ms`` is when that began."""

    scope: str
    name: str
    kind: Literal["down", "waits", "starts"]
    why: str
    since_wall_ms: int


class Supervisor:
    """Runs units from :meth:`start` to :meth:`close`. An error of a ``fatal`` type ends the start, and no later life of it."""

    def __init__(
        self,
        units: Iterable[Unit[Any]],
        *,
        fatal: tuple[type[Exception], ...] = (),
        monotonic: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._units = tuple(units)
        self._fatal, self._monotonic, self._wall_ms, self._sleep = fatal, monotonic, wall_ms, sleep
        self._tasks: dict[Unit[Any], asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._starting = True
        self._ended_by: BaseException | None = None
        self._hung: list[str] = []
        self._closed: asyncio.Task[None] | None = None

    async def start(self, patience_s: float) -> None:
        """Begin everything; returns when nothing is being started any more, or after so long: then it goes on by itself.

        Raises the first error of a fatal type; nothing runs any more then.
        """
        loop = asyncio.get_running_loop()
        for unit in self._units:
            self._enter(unit, "waiting")
            self._tasks[unit] = loop.create_task(self._keep(unit), name=unit.id)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    while self._ended_by is None and any(map(self._is_starting, self._units)):
                        await self._next_change()
        except BaseException:
            await self.close()
            raise
        self._starting = False
        if self._ended_by is not None:
            await self.close()
            raise self._ended_by

    async def close(self) -> list[str]:
        """Close everything, what stands on others before them, also while something is being started; safe to call twice.

        Returns the units that would not close in their time.
        """
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closed)
        return list(self._hung)

    def troubles(self) -> list[Trouble]:
        """What does not run and why, in the order of the units; what is being started as it should be is none."""
        now_s, found = self._monotonic(), []
        for unit in self._units:
            if unit.fault is not None:
                found.append(Trouble(unit.scope, unit.name, "down", unit.fault, unit.fault_wall_ms))
            elif unit.state == "waiting":
                missing = unit.missing()
                if any(other.fault is not None for other in missing) or (missing and now_s - unit.since_s > SLOW_S):
                    why = "waits for " + " or ".join(_named(other) for other in missing)
                    found.append(Trouble(unit.scope, unit.name, "waits", why, unit.since_wall_ms))
            elif unit.state == "starting" and now_s - unit.since_s > SLOW_S:
                why = f"its start has not come to an end for {now_s - unit.since_s:.0f} s"
                found.append(Trouble(unit.scope, unit.name, "starts", why, unit.since_wall_ms))
        return found

    # One unit.

    async def _keep(self, unit: Unit[Any]) -> None:
        """Life after life, for ever."""
        pause_s = FIRST_PAUSE_S
        while True:
            while unit.missing():
                await self._next_change()
            began_s = self._monotonic()
            fault = await self._live(unit)
            if fault is None:  # it was closed because what it runs on went down
                self._enter(unit, "waiting")
                continue
            if self._monotonic() - began_s >= WELL_AFTER_S:
                pause_s = FIRST_PAUSE_S
            self._enter(unit, "down")
            await self._sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self._enter(unit, "waiting")

    async def _live(self, unit: Unit[Any]) -> BaseException | None:
        """One life; why it ended by itself, None where what it runs on went down."""
        self._enter(unit, "starting")
        try:
            service = await unit.start()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            if _asked_to_end(error):
                raise
            self._failed(unit, error)
            return error
        unit.service = service
        self._enter(unit, "running")
        settling = asyncio.get_running_loop().create_task(self._settle(unit), name=f"{unit.id} settles")
        working = asyncio.get_running_loop().create_task(service.run(), name=f"{unit.id} runs")
        losing = asyncio.get_running_loop().create_task(self._lost(unit), name=f"{unit.id} watches")
        fault: BaseException | None = None
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                fault = _end_of(working)
                self._failed(unit, fault)
        finally:
            await self._end_life(unit, service, working, losing, settling)
        return fault

    async def _end_life(self, unit: Unit[Any], service: Service, *tasks: "asyncio.Task[None]") -> None:
        """Those that run on it first, then its work, then itself; also where this is cancelled, and whatever hangs."""
        self._enter(unit, "closing")
        ending = asyncio.get_running_loop().create_task(self._end_service(unit, service, tasks), name=f"{unit.id} closes")
        cancelled = False
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError:
                cancelled = True  # it is closed all the same
        self._enter(unit, "down")
        if cancelled:
            raise asyncio.CancelledError

    async def _end_service(self, unit: Unit[Any], service: Service, tasks: "Sequence[asyncio.Task[None]]") -> None:
        while any(unit in other.needs and other.service is not None for other in self._units):
            await self._next_change()  # each of them is bounded in time itself

        async def end() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            unit.service = None
            await service.close()

        ending = asyncio.get_running_loop().create_task(end(), name=f"{unit.id} ends")
        await asyncio.wait({ending}, timeout=unit.close_s)
        unit.service = None
        if not ending.done():
            ending.cancel()
            self._left_behind(unit)
        elif not ending.cancelled() and (error := ending.exception()) is not None:
            log.error("a part of the system did not close as it should", unit=unit.id, exc_info=error)

    async def _lost(self, unit: Unit[Any]) -> None:
        """Wait until something that it runs on goes down."""
        while all(other.state == "running" for other in unit.needs):
            await self._next_change()

    async def _settle(self, unit: Unit[Any]) -> None:
        """Say that what failed runs again, once it has done so for a while: what fails every minute has not recovered between."""
        if unit.told is not None:
            await self._sleep(WELL_AFTER_S)
            unit.told = None
            log.info("a part of the system runs again", unit=unit.id)

    def _failed(self, unit: Unit[Any], error: BaseException) -> None:
        if self._starting and isinstance(error, self._fatal) and self._ended_by is None:
            self._ended_by = error
        if unit.fault is None:
            unit.fault_wall_ms = self._wall_ms()
        unit.fault = words_of(error)
        if unit.told != unit.fault:
            unit.told = unit.fault
            known = isinstance(error, OSError) or type(error).__module__.startswith("photosynth.")
            log.warning("a part of the system is down", unit=unit.id, error=unit.fault, exc_info=None if known else error)

    def _enter(self, unit: Unit[Any], state: State) -> None:
        if state == "running":
            unit.fault = None
        if state in ("waiting", "starting"):
            unit.since_s, unit.since_wall_ms = self._monotonic(), self._wall_ms()
        unit.state = state
        self._changed.set()
        self._changed = asyncio.Event()

    def _is_starting(self, unit: Unit[Any]) -> bool:
        """Whether it is being started, or waits for one that is and for none that failed."""
        if unit.state == "waiting" and unit.fault is None:
            missing = unit.missing()
            return not missing or any(map(self._is_starting, missing))
        return unit.state == "starting" and unit.fault is None

    async def _next_change(self) -> None:
        await self._changed.wait()

    # The end of all.

    async def _close(self) -> None:
        ends = {unit: asyncio.Event() for unit in self._units}

        async def end(unit: Unit[Any]) -> None:
            for other in self._units:
                if unit in (*other.needs, *other.after, *other.after_one_of):
                    await ends[other].wait()
            await self._end_task(unit)
            ends[unit].set()

        await asyncio.gather(*(end(unit) for unit in self._units))

    async def _end_task(self, unit: Unit[Any]) -> None:
        task = self._tasks.get(unit)
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task}, timeout=unit.close_s + LAST_WORD_S)
        if not task.done():  # its start ignores that it is cancelled
            self._left_behind(unit)

    def _left_behind(self, unit: Unit[Any]) -> None:
        log.error("a part of the system does not close; it is left behind", unit=unit.id, after_s=unit.close_s)
        if unit.id not in self._hung:
            self._hung.append(unit.id)


def _named(unit: Unit[Any]) -> str:
    return unit.id if unit.fault is None else f"{unit.id} ({unit.fault})"


def _asked_to_end(error: BaseException) -> bool:
    """Whether a cancellation is ours; one that something threw by itself is a fault like others."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _end_of(working: "asyncio.Task[None]") -> BaseException:
    if working.cancelled():
        return RuntimeError("its work was cancelled by something within")
    error = working.exception()
    if isinstance(error, KeyboardInterrupt | SystemExit):
        raise error
    return error or RuntimeError("its work ended by itself")
