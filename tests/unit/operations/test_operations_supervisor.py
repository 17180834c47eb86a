"""The supervisor: order, back-off, one trouble for one fault, nobody ended by another, and an end that comes in time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from photosynth.operations.supervisor import LONGEST_PAUSE_S, WELL_AFTER_S, NotRunningError, Supervisor, Unit


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now_s + seconds, woken))
        await woken

    async def turn(self, seconds: float) -> None:
        self.now_s += seconds
        for until_s, woken in self._sleepers:
            if until_s <= self.now_s and not woken.done():
                woken.set_result(None)
        await settled()


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


class Story:
    """What happened, in order, and services that tell of it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.time = Time()
        self.faults: dict[str, BaseException] = {}
        self.services: dict[str, Part] = {}
        self.at_start: dict[str, Callable[[], Awaitable[None]]] = {}
        self.at_close: dict[str, Callable[[], Awaitable[None]]] = {}

    def unit(self, name: str, **more: Any) -> "Unit[Part]":
        async def start() -> Part:
            self.events.append(f"start {name}")
            if name in self.at_start:
                await self.at_start[name]()
            if name in self.faults:
                raise self.faults[name]
            part = self.services[name] = Part(self, name)
            return part

        return Unit("fleet", name, start, **more)

    def supervisor(self, *units: "Unit[Any]", fatal: tuple[type[Exception], ...] = ()) -> Supervisor:
        return Supervisor(
            units, fatal=fatal, monotonic=self.time, wall_ms=lambda: int(self.time.now_s * 1000), sleep=self.time.sleep
        )


class Part:
    """A service that works until it is told to fail."""

    def __init__(self, story: Story, name: str) -> None:
        self.story, self.name = story, name
        self.fail: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        await self.fail

    async def close(self) -> None:
        self.story.events.append(f"close {self.name}")
        if self.name in self.story.at_close:
            await self.story.at_close[self.name]()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_units_begin_in_the_order_of_their_needs_and_close_in_reverse() -> None:
    story = Story()
    node = story.unit("node")
    pool = story.unit("pool", after=[node])
    field = story.unit("field")
    machines = story.unit("machines", needs=[field], after=[pool])
    supervisor = story.supervisor(machines, pool, field, node)
    await supervisor.start(5)
    assert [unit.state for unit in (node, pool, field, machines)] == ["running"] * 4
    assert supervisor.troubles() == []
    assert pool.running is story.services["pool"]
    assert await supervisor.close() == []
    order = {event: number for number, event in enumerate(story.events)}
    assert order["start node"] < order["start pool"] < order["start machines"] > order["start field"]
    assert order["close machines"] < order["close pool"] < order["close node"]
    assert order["close machines"] < order["close field"]
    with pytest.raises(NotRunningError, match="fleet pool does not run"):
        _ = pool.running


async def test_a_fault_is_one_trouble_and_two_words_in_the_log_and_ends_nobody_else() -> None:
    story = Story()
    story.faults["pool"] = OSError("no port")
    pool, other = story.unit("pool"), story.unit("other")
    supervisor = story.supervisor(pool, other)
    with capture_logs() as logs:
        await supervisor.start(5)
        for _ in range(4):
            await story.time.turn(60)
        assert [(trouble.name, trouble.kind, trouble.why) for trouble in supervisor.troubles()] == [
            ("pool", "down", "OSError: no port")
        ]
        assert supervisor.troubles()[0].since_wall_ms == 0
        del story.faults["pool"]
        await story.time.turn(60)
        assert (pool.state, supervisor.troubles()) == ("running", [])
        await story.time.turn(WELL_AFTER_S)
    assert [entry["event"] for entry in logs] == ["a part of the system is down", "a part of the system runs again"]
    assert story.events.count("start other") == 1
    await supervisor.close()


async def test_one_that_fails_every_minute_is_told_once_and_again_when_it_fails_otherwise() -> None:
    story = Story()
    pool = story.unit("pool")
    supervisor = story.supervisor(pool)
    await supervisor.start(5)

    async def fails(times: int, error: type[Exception]) -> None:
        for _ in range(times):
            story.services["pool"].fail.set_exception(error("no port"))
            await settled()
            assert [trouble.kind for trouble in supervisor.troubles()] == ["down"]
            await story.time.turn(60)
            assert (pool.state, supervisor.troubles()) == ("running", []), "what runs is no trouble"
            await story.time.turn(30)

    with capture_logs() as logs:
        await fails(20, OSError)
        await fails(20, KeyError)
        await story.time.turn(WELL_AFTER_S - 30)
        assert [(entry["event"], entry["log_level"]) for entry in logs[2:]] == [("a part of the system runs again", "info")]
        await fails(1, KeyError)
    assert [entry.get("error") for entry in logs] == ["OSError: no port", "KeyError: 'no port'", None, "KeyError: 'no port'"]
    await supervisor.close()


async def test_the_pause_doubles_up_to_a_minute_and_is_short_again_after_it_ran_well() -> None:
    story = Story()
    story.faults["pool"] = KeyError("watts")
    pool = story.unit("pool")
    supervisor = story.supervisor(pool)
    await supervisor.start(5)
    for _ in range(8):
        await story.time.turn(story.time.pauses[-1])
    assert story.time.pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    story.faults.clear()
    await story.time.turn(60)
    await story.time.turn(WELL_AFTER_S)
    story.services["pool"].fail.set_exception(RuntimeError("now"))
    await settled()
    assert story.time.pauses[-1] == 1
    await story.time.turn(1)
    story.services["pool"].fail.set_exception(RuntimeError("again, at once"))
    await settled()
    assert story.time.pauses[-1] == 2
    await supervisor.close()


async def test_what_runs_on_a_unit_goes_with_it_and_says_what_it_waits_for() -> None:
    story = Story()
    field = story.unit("field")
    machines = story.unit("machines", needs=[field])
    energy = story.unit("energy", needs=[machines])
    books = story.unit("books", after=[field])
    supervisor = story.supervisor(field, machines, energy, books)
    await supervisor.start(5)
    story.events.clear()
    story.services["field"].fail.set_exception(OSError("the world ended"))
    await settled()
    assert story.events == ["close energy", "close machines", "close field"]
    assert {(trouble.name, trouble.kind, trouble.why) for trouble in supervisor.troubles()} == {
        ("field", "down", "OSError: the world ended"),
        ("machines", "waits", "waits for fleet field (OSError: the world ended)"),
    }
    assert books.state == "running", "whoever only begins after it goes on"
    await story.time.turn(1)
    assert {unit.state for unit in (field, machines, energy, books)} == {"running"}
    await supervisor.close()


async def test_one_of_several_is_enough_to_begin() -> None:
    story = Story()
    story.faults["a"] = story.faults["b"] = OSError("silent")
    a, b = story.unit("a"), story.unit("b")
    pool = story.unit("pool", after_one_of=[a, b])
    supervisor = story.supervisor(pool, a, b)
    await supervisor.start(5)
    waits = next(trouble for trouble in supervisor.troubles() if trouble.kind == "waits")
    assert waits.why == "waits for fleet a (OSError: silent) or fleet b (OSError: silent)"
    del story.faults["b"]
    await story.time.turn(1)
    assert (a.state, b.state, pool.state) == ("down", "running", "running")
    await supervisor.close()


async def test_who_waits_for_a_start_that_is_slow_says_so() -> None:
    story = Story()
    story.at_start["node"] = for_ever
    node = story.unit("node")
    pool = story.unit("pool", after=[node])
    supervisor = story.supervisor(node, pool)
    await supervisor.start(0.01)
    assert supervisor.troubles() == []
    await story.time.turn(11)
    assert [(trouble.name, trouble.kind, trouble.why) for trouble in supervisor.troubles()] == [
        ("node", "starts", "its start has not come to an end for 11 s"),
        ("pool", "waits", "waits for fleet node"),
    ]
    assert await supervisor.close() == []
    assert story.events == ["start node"], "what was being started is given up, what waited never began"


async def test_a_start_that_hangs_is_a_trouble_although_nobody_waits_for_it_and_counts_from_when_it_began() -> None:
    story = Story()
    answers = asyncio.Event()

    async def slow() -> None:
        await answers.wait()

    story.at_start["node"], story.at_start["pool"] = slow, for_ever
    node = story.unit("node")
    pool = story.unit("pool", after=[node])
    supervisor = story.supervisor(node, pool)
    await supervisor.start(0.01)
    await story.time.turn(100)
    answers.set()
    await settled()
    assert (pool.state, supervisor.troubles()) == ("starting", [])
    await story.time.turn(11)
    assert [(trouble.name, trouble.kind, trouble.since_wall_ms) for trouble in supervisor.troubles()] == [
        ("pool", "starts", 100_000)
    ]
    await supervisor.close()


class WrongStateError(Exception):
    """What only an operator can mend."""


async def test_what_is_wrong_with_the_state_ends_the_start_and_no_later_life() -> None:
    story = Story()
    good, bad = story.unit("good"), story.unit("bad")
    story.faults["bad"] = WrongStateError("of another chain")
    with pytest.raises(WrongStateError, match="another chain"):
        await story.supervisor(good, bad, fatal=(WrongStateError,)).start(5)
    assert story.events[-1] == "close good"

    story = Story()
    good, bad = story.unit("good"), story.unit("bad")
    supervisor = story.supervisor(good, bad, fatal=(WrongStateError,))
    await supervisor.start(5)
    story.services["bad"].fail.set_exception(WrongStateError("of another chain"))
    await settled()
    assert (good.state, bad.state) == ("running", "down")
    await supervisor.close()


async def test_a_close_that_hangs_is_bounded_and_named() -> None:
    story = Story()
    story.at_close["pool"] = for_ever
    pool, node = story.unit("pool", close_s=0.05), story.unit("node")
    pool.after = (node,)
    supervisor = story.supervisor(pool, node)
    await supervisor.start(5)
    with capture_logs() as logs:
        assert await supervisor.close() == ["fleet pool"]
    assert [entry["unit"] for entry in logs] == ["fleet pool"]
    assert story.events[-1] == "close node"


async def test_a_start_that_ignores_its_end_is_left_behind_and_named() -> None:
    story = Story()
    gone = asyncio.Event()

    async def stubborn() -> None:
        while not gone.is_set():
            try:
                await gone.wait()
            except asyncio.CancelledError:
                continue

    story.at_start["pool"] = stubborn
    supervisor = story.supervisor(story.unit("pool", close_s=-0.95))
    await supervisor.start(0.01)
    assert await supervisor.close() == ["fleet pool"]
    gone.set()
    await settled()


async def test_a_close_that_fails_keeps_nobody_from_closing() -> None:
    story = Story()

    async def failing() -> None:
        raise KeyError("watts")

    story.at_close["pool"] = failing
    pool, node = story.unit("pool"), story.unit("node")
    pool.after = (node,)
    supervisor = story.supervisor(pool, node)
    await supervisor.start(5)
    with capture_logs() as logs:
        assert await supervisor.close() == []
    assert [entry["event"] for entry in logs] == ["a part of the system did not close as it should"]
    assert story.events[-1] == "close node"


async def test_work_that_ends_or_is_cancelled_by_itself_is_a_fault() -> None:
    story = Story()
    ended, cancelled = story.unit("ended"), story.unit("cancelled")
    supervisor = story.supervisor(ended, cancelled)
    await supervisor.start(5)
    story.services["ended"].fail.set_result(None)
    story.services["cancelled"].fail.cancel()
    await settled()
    assert [unit.fault for unit in (ended, cancelled)] == [
        "RuntimeError: its work ended by itself",
        "RuntimeError: its work was cancelled by something within",
    ]
    await supervisor.close()


async def test_a_cancellation_from_within_a_start_is_a_fault_and_one_from_outside_passes() -> None:
    story = Story()
    story.faults["odd"] = asyncio.CancelledError()
    odd = story.unit("odd")
    supervisor = story.supervisor(odd)
    starting = asyncio.ensure_future(supervisor.start(5))
    await settled()
    assert (odd.state, odd.fault) == ("down", "CancelledError")
    await starting
    await supervisor.close()

    story = Story()
    story.at_start["slow"] = for_ever
    supervisor = story.supervisor(story.unit("slow"), story.unit("good"))
    starting = asyncio.ensure_future(supervisor.start(60))
    await settled()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert story.events[-1] == "close good", "whoever gives a start up leaves nothing running"


@pytest.mark.parametrize("passing", [KeyboardInterrupt, SystemExit])
def test_whoever_asks_the_program_to_end_is_obeyed(passing: type[BaseException]) -> None:
    async def run() -> None:
        story = Story()
        story.faults["part"] = passing()
        await story.supervisor(story.unit("part")).start(5)
        await asyncio.Event().wait()

    with pytest.raises(passing):
        asyncio.run(run())
