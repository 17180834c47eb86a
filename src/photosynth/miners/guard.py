"""The guard before every driver: whatever one does, what comes out is a sound reading or answer in time, or a MachineError.

A driver promises to raise MachineError alone, and to end in time. One that breaks its word (any other exception, a
cancellation of its own, a value of another kind or beyond reason, a call that hangs) is that machine's fault and nobody
else's: it becomes a DriverFaultError that names the exception, and its trace is logged once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from photosynth.miners.machine import (
    HOTTEST_C,
    LONGEST_TEXT,
    MOST_HS,
    MOST_SHARES,
    MOST_W,
    Answer,
    Machine,
    MachineError,
    MachineReading,
    TakesPower,
)

log = structlog.get_logger()
T = TypeVar("T")

LOGGED_KINDS = 16
"""Kinds of fault whose trace is logged for one machine, each once."""

MOST_CUT_OFF = 4
"""Calls of one name that may still be under way after whoever asked went away: code that swallows its cancellation."""


class DriverFaultError(MachineError):
    """The driver broke its word. A mistake of the program, not of the operator."""


class BrokenCallError(Exception):
    """Code that is not ours did what it promised never to do; the message names the call and the exception."""


class Guard:
    """Calls code that is not ours and promised to raise ``declared`` alone; ``who`` is its name in the log."""

    def __init__(self, who: str, declared: type[Exception]) -> None:
        self._who, self._declared = who, declared
        self._running: dict[asyncio.Task[object], str] = {}
        self._hanging: dict[str, asyncio.Task[object]] = {}
        self._logged: set[tuple[str, str]] = set()

    async def call(self, name: str, call: Callable[[], Awaitable[object]], checked: Callable[[object], T], limit_s: float) -> T:
        """What a call gives, once ``checked``, within so many wall seconds.

        ``checked`` raises TypeError or ValueError where it is unsound. Raises what was declared, and BrokenCallError.
        """
        before = self._hanging.get(name)
        if before is not None and not before.done():
            raise BrokenCallError(f"'{name}' still hangs since an earlier time")
        if list(self._running.values()).count(name) >= MOST_CUT_OFF:
            raise BrokenCallError(f"'{name}' still hangs, cut off {MOST_CUT_OFF} times")
        # In a task of its own: code that swallows its cancellation must not hold whoever asks.
        task = asyncio.get_running_loop().create_task(_kept(call, self._declared))
        self._running[task] = name
        task.add_done_callback(self._ended)
        try:
            done, _ = await asyncio.wait({task}, timeout=limit_s)
        finally:
            if not task.done():
                task.cancel()
        if not done:
            self._hanging[name] = task
            raise self.broken(name, TimeoutError(f"no end within {limit_s:g} s"))
        if task.cancelled():
            raise self.broken(name, asyncio.CancelledError("it cancelled itself"))
        found = task.result()
        if isinstance(found, _Raised):
            broken = None if isinstance(found.error, self._declared) else self.broken(name, found.error)
            # One that is raised again and again would keep every way that it came, and all that was there.
            forgotten = BaseException.with_traceback(found.error, None)
            raise forgotten if broken is None else broken
        try:
            return checked(found)
        except (TypeError, ValueError) as error:
            raise self.broken(name, error) from error

    def broken(self, name: str, error: BaseException) -> BrokenCallError:
        """The error for a broken promise; its trace is logged the first time."""
        kind = (name, type(error).__name__)
        if kind not in self._logged and len(self._logged) < LOGGED_KINDS:
            self._logged.add(kind)
            log.error("a driver failed in a way that it must not", driver=self._who, call=name, exc_info=error)
        return BrokenCallError(f"'{name}' failed: {named(error)}")

    def close(self) -> None:
        """End what still runs."""
        for task in self._running:
            task.cancel()

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._running.pop(task, None)
        if not task.cancelled():
            task.exception()


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


async def _kept(call: Callable[[], Awaitable[object]], declared: type[Exception]) -> object:
    """What a call returns or raises, as a value. Only our own cancellation and Ctrl-C go through."""
    task = asyncio.current_task()
    try:
        return await call()
    except declared as error:
        return _Raised(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # The seam to code that is not ours, SystemExit and a cancellation that nobody asked for included.
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        return _Raised(error)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Wall seconds that a driver's call may take, far above what a sound one needs.

    A poll is one exchange of three seconds at most; a command may take a session in three tries, twice.
    """

    read_s: float = 10.0
    command_s: float = 45.0
    close_s: float = 5.0


class GuardedMachine:
    """One machine's driver behind its guard; ``site_ms`` tells the site time that readings must carry."""

    def __init__(self, machine: Machine, site_ms: Callable[[], int], limits: CallLimits) -> None:
        self.id = machine.id
        self._machine, self._site_ms, self._limits = machine, site_ms, limits
        self._power = machine if isinstance(machine, TakesPower) else None
        self._guard = Guard(self.id, MachineError)

    @property
    def takes_power(self) -> bool:
        """Whether it can be told how much to draw."""
        return self._power is not None

    async def read(self, full: bool) -> MachineReading:
        """What it does now. Raises MachineError."""
        began_ms = self._site_ms()

        def checked(reading: object) -> MachineReading:
            return sound_reading(reading, began_ms, self._site_ms())

        return await self._call("read", lambda: self._machine.read(full), checked, self._limits.read_s)

    async def sleep(self) -> Answer:
        """Tell it to sleep. Raises MachineError."""
        return await self._call("sleep", lambda: self._machine.sleep(), sound_answer, self._limits.command_s)  # noqa: PLW0108 - it may lack that

    async def wake(self) -> Answer:
        """Tell it to hash. Raises MachineError."""
        return await self._call("wake", lambda: self._machine.wake(), sound_answer, self._limits.command_s)  # noqa: PLW0108 - it may lack that

    async def set_power(self, watts: int) -> Answer:
        """Tell it how many watts to draw. Raises MachineError."""
        machine = self._power
        if machine is None:
            return Answer(False, "its driver has no way to tell it a power")
        return await self._call("set_power", lambda: machine.set_power(watts), sound_answer, self._limits.command_s)

    async def close(self) -> None:
        """Let the driver go; nothing that it does keeps others from being closed."""
        try:
            await self._call("close", lambda: self._machine.close(), lambda _: None, self._limits.close_s)  # noqa: PLW0108 - it may lack that
        except MachineError as error:
            log.warning("a driver did not close", machine=self.id, error=text_of(error))
        self._guard.close()

    async def _call(self, name: str, call: Callable[[], Awaitable[object]], checked: Callable[[object], T], limit_s: float) -> T:
        try:
            return await self._guard.call(name, call, checked, limit_s)
        except BrokenCallError as error:
            raise DriverFaultError(self.id, f"its driver's {error}") from error


def sound_reading(reading: object, began_ms: int, ended_ms: int) -> MachineReading:
    """A reading whose every field is of its kind and within reason. Raises TypeError and ValueError."""
    if type(reading) is not MachineReading:
        raise TypeError(f"a {type(reading).__name__} instead of a reading")
    if type(reading.at_ms) is not int or not began_ms <= reading.at_ms <= ended_ms:
        raise ValueError("its reading's time is not the time at which it was read")
    for field, least, most in (
        ("power_w", 0, MOST_W),
        ("hash_rate_hs", 0, MOST_HS),
        ("temperature_c", -HOTTEST_C, HOTTEST_C),
        ("accepted", 0, MOST_SHARES),
        ("rejected", 0, MOST_SHARES),
    ):
        value = getattr(reading, field)
        if value is not None and (type(value) is not int or not least <= value <= most):
            raise ValueError(f"its reading's {field} is no whole number from {least} to {most}")
    if reading.activity not in ("mining", "sleeping", "unknown"):
        raise ValueError("its reading's activity is none that is known")
    if reading.pool_url is None:
        return reading
    return replace(reading, pool_url=_text(reading.pool_url, "its reading's pool_url"))


def sound_answer(answer: object) -> Answer:
    """An answer whose fields are of their kind, its text bounded. Raises TypeError."""
    if type(answer) is not Answer:
        raise TypeError(f"a {type(answer).__name__} instead of an answer")
    if type(answer.accepted) is not bool:
        raise TypeError("its answer is neither yes nor no")
    return Answer(answer.accepted, _text(answer.text, "its answer's text"))


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is a {type(value).__name__}")
    return value[:LONGEST_TEXT]


def text_of(error: BaseException) -> str:
    """An exception's words, bounded; its name where it has none, or where even saying them fails."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of code that is not ours, whose own __str__ may be broken
        text = ""
    return text[:LONGEST_TEXT] or type(error).__name__


def named(error: BaseException) -> str:
    """An exception's name and words."""
    name, text = type(error).__name__, text_of(error)
    return name if text == name else f"{name}: {text}"
