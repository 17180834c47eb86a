"""What lowers power waits for nobody: not for the disk, not for another command. What raises it waits for its plan."""

import asyncio

from tests.unit.clock_and_audit import TurnedClock
from tests.unit.miners.fleet_in_memory import BodyMachine, Hall


def hall(machines: int = 2) -> Hall:
    clock = TurnedClock()
    return Hall(*(BodyMachine(f"m{number + 1}", clock) for number in range(machines)))


async def test_on_a_full_disk_power_is_lowered_and_never_raised() -> None:
    site = hall(3)
    await site.polls(4, {"m3": 0})
    site.audit.full = True
    await site.polls(6, {"m1": 0, "m2": 1850, "m3": 3500})
    assert site.machines["m1"].told == ["sleep"]
    assert site.machines["m2"].told == ["set_power 1850"]
    assert site.machines["m3"].told == ["sleep"], "it may not be woken"
    assert site.audit.results("m1") == site.audit.results("m2") == ["done"]
    await site.polls(3, {"m2": 3500})
    assert site.machines["m2"].told == ["set_power 1850"], "nor may that be raised"
    site.audit.full = False
    await site.polls(4, {"m2": 3500, "m3": 3500})
    assert site.machines["m2"].told[-1] == "set_power 3500"
    assert not site.machines["m3"].body.asleep


async def test_on_a_full_disk_a_stop_stops_everything() -> None:
    site = hall(20)
    await site.polls(2)
    site.audit.full = True
    report = await site.control.stop_all("operator", "red button")
    assert len(report.asleep) == 20
    assert all(site.audit.results(name) == ["done"] for name in site.machines)


async def test_a_slow_disk_does_not_hold_a_stop() -> None:
    site = hall()
    await site.polls(4, {"m1": 0})
    site.audit.slow = asyncio.Event()
    site.control.apply({"m1": 3500}, {})  # waits for its plan
    site.control.apply({"m2": 0}, {})
    for _ in range(5):
        await asyncio.sleep(0)
    assert site.machines["m2"].told == ["sleep"]
    site.machines["m1"].body.wake()  # by itself, so that there is something to stop
    site.clock.turn(10)
    await site.control.poll_once()
    report = await site.control.stop_all("operator", "red button")
    assert report.awake == {}
    site.audit.slow.set()
    await site.control.settle()
    assert site.machines["m1"].told == ["sleep", "sleep"], "the wake that waited was never sent"


async def test_a_plan_that_came_late_is_not_carried_out_where_less_is_wanted_by_then() -> None:
    site = hall()
    await site.polls(6, {"m1": 1850})
    site.audit.slow = asyncio.Event()
    site.control.apply({"m1": 3500}, {})
    for _ in range(5):
        await asyncio.sleep(0)
    site.control.apply({"m1": 2510}, {})
    site.audit.slow.set()
    await site.control.settle()
    assert site.machines["m1"].told == ["set_power 1850"]
    assert site.audit.of("m1")[1][5:7] == ["failed", "not sent: by then it should draw less"]
    await site.polls(6, {"m1": 2510})
    assert site.machines["m1"].told == ["set_power 1850", "set_power 2510"]


async def test_sleep_ends_what_is_on_its_way_to_the_same_machine() -> None:
    site = hall()
    await site.polls(4, {"m1": 0})

    async def for_ever() -> None:
        await asyncio.Event().wait()

    site.machines["m1"].instead["wake"] = for_ever
    site.control.apply({"m1": 3500}, {"m1": "surplus"})
    for _ in range(5):
        await asyncio.sleep(0)
    site.machines["m1"].body.wake()  # it may have come through
    site.control.apply({"m1": 0}, {"m1": "no surplus"})
    await site.control.settle()
    assert site.machines["m1"].body.asleep
    assert site.audit.results("m1") == ["done", "failed", "planned"]
    assert site.audit.of("m1")[1][6] == "cut off before it was answered"
    await site.polls(4, {"m1": 0})
    assert site.audit.results("m1") == ["done", "failed", "done"]


async def test_what_lowers_goes_before_what_raises() -> None:
    site = hall(4)
    await site.polls(4, {"m1": 0, "m2": 0})
    order: list[str] = []
    for name, machine in site.machines.items():
        machine.told = _Told(name, order)
    site.control.apply({"m1": 3500, "m2": 3500, "m3": 0, "m4": 1850}, {})
    await site.control.settle()
    assert order[:2] == ["m3", "m4"]
    assert set(order[2:]) == {"m1", "m2"}


class _Told(list[str]):
    def __init__(self, name: str, order: list[str]) -> None:
        super().__init__()
        self.name, self.order = name, order

    def append(self, text: str) -> None:
        super().append(text)
        self.order.append(self.name)
