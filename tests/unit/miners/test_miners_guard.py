"""The guard before a driver: whatever one does, a sound value or a MachineError that names it comes out, in time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.unit.clock_and_audit import TurnedClock
from tests.unit.miners.fleet_in_memory import BodyMachine

from photosynth.miners.guard import MOST_CUT_OFF, CallLimits, DriverFaultError, GuardedMachine
from photosynth.miners.machine import Answer, MachineReading, MalformedError, UnreachableError

LIMITS = CallLimits(read_s=0.02, command_s=0.02, close_s=0.02)
CALLS = ("read", "sleep", "wake", "set_power")


class SpeechlessError(Exception):
    """One that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def guarded(limits: CallLimits | None = None) -> tuple[BodyMachine, GuardedMachine]:
    clock = TurnedClock()
    machine = BodyMachine("m1", clock)
    return machine, GuardedMachine(machine, clock.site_ms, CallLimits() if limits is None else limits)


def raising(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def call() -> Any:
        raise error

    return call


def giving(value: object) -> Callable[[], Awaitable[Any]]:
    async def call() -> Any:
        return value

    return call


async def call(door: GuardedMachine, name: str) -> object:
    if name == "read":
        return await door.read(False)
    if name == "sleep":
        return await door.sleep()
    return await door.wake() if name == "wake" else await door.set_power(1850)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "error",
    [
        TypeError("not today"),
        OverflowError("int too large to convert to float"),
        KeyError("Watts"),
        SystemExit(3),
        asyncio.CancelledError(),
        ExceptionGroup("several", [ValueError("one")]),
        BaseExceptionGroup("several", [asyncio.CancelledError()]),
        StopAsyncIteration(),
        SpeechlessError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_driver_raises_is_its_fault_by_name(name: str, error: BaseException) -> None:
    machine, door = guarded()
    machine.instead[name] = raising(error)
    with capture_logs(), pytest.raises(DriverFaultError, match=f"m1: its driver's '{name}' failed: .*{type(error).__name__}"):
        await call(door, name)


async def test_what_a_driver_may_raise_goes_through() -> None:
    machine, door = guarded()
    for error in (UnreachableError("m1", "gone"), MalformedError("m1", "noise")):
        machine.instead["read"] = raising(error)
        with pytest.raises(type(error)) as raised:
            await door.read(False)
        assert raised.value is error


@pytest.mark.parametrize(
    "reading",
    [
        None,
        {"power_w": 5},
        MachineReading(0, 3500, 0),  # of another time than it was read
        MachineReading(1_780_000_000_000, 10**400, 0),
        MachineReading(1_780_000_000_000, -1, 0),
        MachineReading(1_780_000_000_000, 3500.5, 0),  # type: ignore[arg-type]
        MachineReading(1_780_000_000_000, float("nan"), 0),  # type: ignore[arg-type]
        MachineReading(1_780_000_000_000, True, 0),
        MachineReading(1_780_000_000_000, 1, 10**21),
        MachineReading(1_780_000_000_000, 1, 1, temperature_c=10**6),
        MachineReading(1_780_000_000_000, 1, 1, accepted="5"),  # type: ignore[arg-type]
        MachineReading(1_780_000_000_000, 1, 1, pool_url=b"stratum"),  # type: ignore[arg-type]
        MachineReading(1_780_000_000_000, 1, 1, activity="dancing"),  # type: ignore[arg-type]
        MachineReading("now", 1, 1),  # type: ignore[arg-type]
    ],
    ids=str,
)
async def test_an_unsound_reading_is_not_taken(reading: object) -> None:
    machine, door = guarded()
    machine.instead["read"] = giving(reading)
    with pytest.raises(DriverFaultError, match=r"its driver's 'read' failed: (TypeError|ValueError)"):
        await door.read(False)


@pytest.mark.parametrize("answer", [None, True, Answer("yes", "OK"), Answer(True, None), (True, "OK")], ids=str)  # type: ignore[arg-type]
async def test_an_unsound_answer_is_not_taken(answer: object) -> None:
    machine, door = guarded()
    machine.instead["sleep"] = giving(answer)
    with pytest.raises(DriverFaultError, match="its driver's 'sleep' failed: TypeError"):
        await door.sleep()


async def test_a_machines_words_are_bounded() -> None:
    machine, door = guarded()
    machine.instead["sleep"] = giving(Answer(True, "x" * 100_000))
    assert len((await door.sleep()).text) == 300


async def test_a_call_that_hangs_ends_in_time_also_where_it_swallows_its_cancellation() -> None:
    machine, door = guarded(LIMITS)
    end = asyncio.Event()

    async def deaf() -> None:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    machine.instead["read"] = machine.instead["sleep"] = deaf
    for _ in range(3):  # the second time nothing is started beside what still hangs
        with pytest.raises(DriverFaultError, match=r"no end within 0\.02 s|still hangs"):
            await door.read(False)
    with pytest.raises(DriverFaultError, match=r"'sleep' failed: TimeoutError: no end within 0\.02 s"):
        await door.sleep()
    end.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del machine.instead["read"]
    assert (await door.read(False)).power_w is not None, "it is asked again once it has ended"


async def test_our_own_cancellation_goes_through_and_ends_the_call() -> None:
    machine, door = guarded()
    ended = asyncio.Event()
    began = asyncio.Event()

    async def long() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    machine.instead["wake"] = long
    waking = asyncio.ensure_future(door.wake())
    await began.wait()
    waking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waking
    async with asyncio.timeout(60):
        await ended.wait()


async def test_a_fault_is_logged_once_with_its_trace() -> None:
    machine, door = guarded()
    with capture_logs() as logs:
        for error in (TypeError("a"), TypeError("b"), KeyError("c")):
            machine.instead["read"] = raising(error)
            with pytest.raises(DriverFaultError):
                await door.read(False)
    assert [(entry["call"], type(entry["exc_info"]).__name__) for entry in logs] == [("read", "TypeError"), ("read", "KeyError")]


async def test_a_driver_that_fails_to_close_is_told_and_left() -> None:
    machine, door = guarded(LIMITS)
    machine.instead["close"] = raising(TypeError("no"))
    with capture_logs() as logs:
        await door.close()
    assert logs[-1]["event"] == "a driver did not close"


async def test_calls_that_outlive_whoever_asked_do_not_gather_and_do_not_keep_others_from_being_made() -> None:
    machine, door = guarded()
    release = asyncio.Event()
    begun = 0

    async def deaf_to_cancellation() -> Answer:
        nonlocal begun
        begun += 1
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()
        return Answer(True, "at last")

    machine.instead["set_power"] = deaf_to_cancellation
    with capture_logs():
        for _ in range(20):
            asking = asyncio.ensure_future(door.set_power(1850))
            for _ in range(3):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    assert begun == MOST_CUT_OFF
    assert (await door.sleep()).accepted
    release.set()
    await asyncio.sleep(0.01)
    assert (await door.set_power(1850)).accepted


@pytest.mark.parametrize("error", [KeyError("token"), UnreachableError("m-1", "no answer")])
async def test_an_error_that_a_driver_raises_again_and_again_keeps_nothing(error: Exception) -> None:
    machine, door = guarded()
    machine.instead["read"] = raising(error)
    ways = []
    for _ in range(3):
        with pytest.raises((DriverFaultError, UnreachableError)):
            await door.read(False)
        way, length = error.__traceback__, 0
        while way is not None:
            way, length = way.tb_next, length + 1
        ways.append(length)
    assert ways[0] == ways[-1]
