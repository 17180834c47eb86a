"""One machine's fault, its driver's, or ours about it: it is that machine's condition, and everything else goes on."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.unit.clock_and_audit import RememberingAudit, TurnedClock
from tests.unit.miners.fleet_in_memory import S21, BodyMachine, Hall

from photosynth.miners.control import MinerControl
from photosynth.miners.guard import CallLimits
from photosynth.miners.machine import Answer, MachineReading, UnreachableError

SHORT = CallLimits(read_s=0.02, command_s=0.02, close_s=0.02)
CALLS = ("read", "sleep", "wake", "set_power")


@pytest.fixture(autouse=True)
def logs() -> Iterator[Sequence[Mapping[str, Any]]]:
    """What is logged, instead of drawing it."""
    with capture_logs() as found:
        yield found


def hall(limits: CallLimits | None = None, poll_s: float = 2.0, machines: int = 2) -> Hall:
    clock = TurnedClock()
    return Hall(*(BodyMachine(f"m{number + 1}", clock) for number in range(machines)), limits=limits, poll_s=poll_s)


def raising(error: BaseException) -> Callable[[], Awaitable[Any]]:
    async def call() -> Any:
        raise error

    return call


async def for_ever() -> None:
    await asyncio.Event().wait()


def evidence(site: Hall, machine: str, kind: str) -> str:
    view = next(view for view in site.control.machines() if view.id == machine)
    return next(condition.evidence for condition in view.conditions if condition.id == kind)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "error", [OverflowError("int too large to convert to float"), SystemExit(1), asyncio.CancelledError()], ids=repr
)
async def test_an_exception_of_one_driver_is_that_machines_condition(name: str, error: BaseException) -> None:
    site = hall()
    site.machines["m1"].instead[name] = raising(error)
    await site.polls(4, {"m1": 0, "m2": 0})
    await site.polls(4, {"m1": 2510, "m2": 2510})
    assert site.conditions("m1") == {"driver_fault"}
    assert [view.id for view in site.control.ailing()] == ["m1"]
    assert type(error).__name__ in evidence(site, "m1", "driver_fault")
    assert site.audit.results("m2") == ["done", "done"]
    assert "planned" not in site.audit.results("m1")
    await site.control.stop_all("operator", "red button")
    assert site.machines["m2"].body.asleep
    await site.control.close()
    assert "planned" not in site.audit.results("m1")


async def test_a_fault_that_is_over_is_not_a_condition_any_more() -> None:
    site = hall()
    site.machines["m1"].instead["sleep"] = raising(TypeError("no"))
    await site.polls(5, {"m1": 0})
    assert site.conditions("m1") == {"driver_fault"}, "readings that go well do not hide that sleep does not"
    site.machines["m1"].instead.clear()
    await site.polls(8, {"m1": 0})
    assert site.conditions("m1") == set()
    assert site.machines["m1"].body.asleep


async def test_a_stop_gets_through_to_every_machine_whatever_one_of_them_raises() -> None:
    site = hall(machines=20)
    await site.polls(2)
    site.machines["m3"].instead["sleep"] = raising(TypeError("unsupported operand"))
    report = await site.control.stop_all("operator", "red button")
    assert len(report.asleep) == 19
    assert report.awake == {"m3": "it could not be told: m3: its driver's 'sleep' failed: TypeError: unsupported operand"}
    assert site.audit.results("m3") == ["failed"]
    assert report.text.startswith("19 of 20 machines are asleep; awake: m3 (it could not be told: ")


async def test_a_machine_that_cannot_be_read_is_told_to_sleep_all_the_same() -> None:
    site = hall()
    site.machines["m1"].instead["read"] = raising(TypeError("no"))
    await site.polls(4)
    report = await site.control.stop_all("operator", "red button")
    assert site.machines["m1"].told == ["sleep"]
    assert site.machines["m1"].body.asleep
    assert report.asleep == ("m2",), "but nothing proves that it sleeps"
    assert "m1" in report.awake


async def test_a_stop_believes_no_reading_from_before() -> None:
    site = hall()
    await site.polls(4, {"m1": 0})
    assert site.machines["m1"].body.asleep
    site.machines["m1"].broken = UnreachableError("m1", "no connection")
    site.clock.turn(1)
    report = await site.control.stop_all("operator", "red button")
    assert report.asleep == ("m2",)


async def test_one_that_hangs_holds_up_nobody() -> None:
    site = hall(poll_s=0.05, machines=20)
    for number in range(1, 18):  # more than are asked at once
        site.machines[f"m{number}"].instead["read"] = for_ever
    await site.polls(3, {"m19": 0, "m20": 0})
    assert site.audit.results("m20") == ["done"]
    assert {view.id: view.power_w is not None for view in site.control.machines()}["m20"]
    await site.control.close()


async def test_a_command_that_hangs_ends_and_a_stop_does_not_wait_for_it() -> None:
    site = hall(limits=SHORT)
    site.machines["m1"].instead["sleep"] = for_ever
    report = await site.control.stop_all("operator", "red button")
    assert report.asleep == ("m2",)
    assert "TimeoutError: no end within 0.02 s" in report.awake["m1"]
    assert site.audit.results("m1") == ["failed"]


async def test_a_mistake_of_ours_about_one_machine_is_its_condition_and_logged_once(logs: Sequence[Mapping[str, Any]]) -> None:
    def shares_of(machine: str) -> int:
        if machine == "m1":
            raise ZeroDivisionError("our mistake")
        return 5

    clock = TurnedClock()
    site = Hall(BodyMachine("m1", clock), BodyMachine("m2", clock), shares=shares_of)
    await site.polls(6, {"m1": 0, "m2": 0})
    assert site.conditions("m1") == {"driver_fault"}
    assert "ZeroDivisionError: our mistake" in evidence(site, "m1", "driver_fault")
    assert [type(entry["exc_info"]).__name__ for entry in logs] == ["ZeroDivisionError"]
    assert site.machines["m1"].body.asleep, "and it is told what it shall do all the same"
    assert site.audit.results("m2") == ["done"]


async def test_closing_closes_every_driver() -> None:
    site = hall(limits=SHORT, machines=3)
    closed: list[str] = []

    async def well() -> None:
        closed.append("m3")

    site.machines["m1"].instead["close"] = raising(TypeError("no"))
    site.machines["m2"].instead["close"] = for_ever
    site.machines["m3"].instead["close"] = well
    await site.control.close()
    assert closed == ["m3"]


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**1000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_no_memory_keeps_a_site_from_starting(data: st.DataObject) -> None:
    site = hall()
    whole: dict[str, Any] = site.control.memory()["m1"]
    field = data.draw(st.sampled_from([*whole, *(f"obedience.{name}" for name in whole["obedience"])]))
    part, _, name = field.partition(".")
    document: Any = {**whole, part: data.draw(GARBAGE)}
    if name:
        document = {**whole, "obedience": {**whole["obedience"], name: data.draw(GARBAGE)}}
    for memory in (document, data.draw(GARBAGE)):
        site.control.remember({"m1": memory, "m2": whole})
        assert [view.regulation for view in site.control.machines()][1] == "steps"
    site.control.remember(data.draw(GARBAGE))
    assert site.control.memory().keys() == {"m1", "m2"}


async def test_what_was_told_last_is_known_after_a_restart() -> None:
    site = hall()
    await site.polls(4, {"m1": 1850, "m2": 0})
    site.clock.speed = 1
    await site.polls(1, {"m2": 3500})
    second = MinerControl(
        list(site.machines.values()), dict.fromkeys(site.machines, S21), site.clock, RememberingAudit(), sleep=site.nap
    )
    second.remember(site.control.memory())
    told = {view.id: view.told for view in second.machines()}
    assert told["m1"] is not None
    assert told["m2"] is not None
    assert (told["m1"].watts, told["m1"].result) == (1850, "done")
    assert (told["m2"].watts, told["m2"].result) == (3500, "unverified"), "its proof was never seen"


ERRORS: list[BaseException] = [
    TypeError("t"),
    UnreachableError("m1", "gone"),
    asyncio.CancelledError(),
    SystemExit(),
    MemoryError(),
]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_the_control_survives_any_driver(seed: int) -> None:
    """A driver without any manners beside a good one: the good one obeys, every action of both ends once."""

    async def live() -> None:
        rng = random.Random(seed)
        site = hall(limits=SHORT, poll_s=0.1)
        values = (None, 7, "x", Answer(True, "OK"), MachineReading(0, 1, 1), MachineReading(site.clock.site, 10**400, 1))
        for _ in range(8):
            site.machines["m1"].instead = {}
            for name in (*CALLS, "close"):
                what = rng.random()
                if what < 0.3:
                    site.machines["m1"].instead[name] = raising(rng.choice(ERRORS))
                elif what < 0.6:
                    value = rng.choice(values)

                    async def give(value: object = value) -> object:
                        return value

                    site.machines["m1"].instead[name] = give
                elif what < 0.65:
                    site.machines["m1"].instead[name] = for_ever
            watts = rng.choice([0, 1850, 3500])
            await site.polls(4, {"m1": watts, "m2": watts})
            if rng.random() < 0.2:
                assert "m2" in (await site.control.stop_all("operator", "test")).asleep
                site.control.resume()
        await site.polls(4, {"m2": 0})
        assert site.machines["m2"].body.asleep
        await site.control.close()
        assert "planned" not in site.audit.results("m1") + site.audit.results("m2")

    asyncio.run(live())


async def test_a_machine_that_tells_neither_power_nor_hash_rate_counts_as_neither_off_nor_started_and_is_put_to_sleep() -> None:
    site = hall()
    machine = site.machines["m1"]
    await site.polls(10, {"m1": 3500, "m2": 3500})
    starts = [view.starts for view in site.control.machines()]

    async def nothing() -> MachineReading:
        return MachineReading(site.clock.site_ms(), None, None)

    machine.instead["read"] = nothing
    await site.control.poll_once()
    assert [view.state for view in site.control.machines()] == ["unknown", "running"]
    del machine.instead["read"]
    await site.control.poll_once()
    assert [view.starts for view in site.control.machines()] == starts
    machine.instead["read"] = nothing
    before = len(machine.told)
    report = await site.control.stop_all("operator", "red button")
    assert machine.told[before:] == ["sleep"]
    assert report.asleep == ("m2",)
    assert "reads no power reading and no hash rate" in report.awake["m1"]
    await site.polls(24 * 30, {"m1": 0})  # a day
    assert 24 <= machine.told.count("sleep") <= 34
    assert site.conditions("m1") == {"not_verified"}
    del machine.instead["read"]
    await site.polls(1)
    assert site.conditions("m1") == set()


async def test_dispatch_puts_a_machine_to_sleep_that_tells_nothing() -> None:
    site = hall()
    await site.polls(10, {"m1": 3500})

    async def nothing() -> MachineReading:
        return MachineReading(site.clock.site_ms(), None, None)

    site.machines["m1"].instead["read"] = nothing
    await site.control.poll_once()
    await site.polls(2, {"m1": 0})
    assert site.machines["m1"].body.asleep


async def test_a_clock_that_is_set_back_makes_no_old_reading_fresh() -> None:
    site = hall()
    await site.polls(3)
    site.clock.wall -= 3_600_000
    assert [view.fresh for view in site.control.machines()] == [False, False]
    await site.control.poll_once()
    assert [view.fresh for view in site.control.machines()] == [True, True]
