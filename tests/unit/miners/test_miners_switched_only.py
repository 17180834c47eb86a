"""A machine whose driver has no way to tell it a power is switched only, and nobody holds the power that it takes against it."""

from tests.unit.clock_and_audit import RememberingAudit, TurnedClock
from tests.unit.miners.fleet_in_memory import S21, BodyMachine

from photosynth.miners.control import MinerControl
from photosynth.miners.guard import CallLimits, GuardedMachine
from photosynth.miners.machine import Answer, Identifies, MachineReading, TakesPower
from photosynth.simulation.habits import Habit


class Switch:
    """What a driver has whose machines know on and off alone."""

    def __init__(self, body: BodyMachine) -> None:
        self.id, self.body = body.id, body

    async def read(self, full: bool = False) -> MachineReading:
        return await self.body.read(full)

    async def sleep(self) -> Answer:
        return await self.body.sleep()

    async def wake(self) -> Answer:
        return await self.body.wake()

    async def close(self) -> None:
        await self.body.close()


class Yard:
    """A control over machines that are switched only, beside one that takes a power."""

    def __init__(self, habit: Habit | None = None) -> None:
        self.clock, self.audit = TurnedClock(), RememberingAudit()
        self.clock.speed = 60
        self.switch = Switch(BodyMachine("switch", self.clock, habit))
        self.full = BodyMachine("full", self.clock)
        self.control = MinerControl([self.switch, self.full], {"switch": S21, "full": S21}, self.clock, self.audit)

    async def polls(self, times: int, watts: int) -> None:
        for _ in range(times):
            self.clock.turn(2)
            self.control.apply(dict.fromkeys(("switch", "full"), watts), {})
            await self.control.settle()
            await self.control.poll_once()
            await self.control.settle()


async def test_what_a_driver_cannot_do_it_has_no_method_for() -> None:
    yard = Yard()
    assert not isinstance(yard.switch, TakesPower | Identifies)
    assert isinstance(yard.full, TakesPower)
    door = GuardedMachine(yard.switch, yard.clock.site_ms, CallLimits())
    assert not door.takes_power
    assert not (await door.set_power(2_000)).accepted
    await door.close()


async def test_it_is_switched_and_never_told_a_power() -> None:
    yard = Yard()
    await yard.polls(10, 2_510)
    await yard.polls(10, 0)
    switch, full = yard.control.machines()
    assert (switch.state, full.state) == ("sleeping", "sleeping")
    await yard.polls(20, 2_510)
    switch, full = yard.control.machines()
    assert (switch.state, full.state) == ("running", "running")
    assert switch.regulation == "on_off"
    assert switch.steps == ((S21.power_w, S21.hash_rate_at(S21.power_w)),)
    assert (switch.power_w or 0) > 3_300 > (full.power_w or 0)
    assert yard.switch.body.told == ["sleep", "wake"]
    assert [condition for view in (switch, full) for condition in view.conditions] == []
    assert all(result == "done" for result in yard.audit.results("switch"))


async def test_one_that_ignores_off_is_a_fixed_load_and_comes_back() -> None:
    yard = Yard()
    yard.switch.body.sleepless = True
    await yard.polls(120, 0)
    (view, _) = yard.control.machines()
    assert view.regulation == "none"
    assert {condition.id for condition in view.conditions} == {"stays_awake"}
    assert not [told for told in yard.switch.body.told if "power" in told]
    yard.switch.body.sleepless = False
    await yard.polls(400, 0)
    (view, _) = yard.control.machines()
    assert (view.state, view.regulation, view.conditions) == ("sleeping", "on_off", ())


async def test_what_another_driver_learnt_of_it_does_not_bind_this_one() -> None:
    yard = Yard(Habit("ignores_power_limit"))
    await yard.polls(60, 2_510)
    learnt = yard.control.memory()
    other = MinerControl([BodyMachine("switch", yard.clock)], {"switch": S21}, yard.clock, RememberingAudit())
    other.remember(learnt)
    (view,) = other.machines()
    assert view.regulation == "steps", "with a driver that can, it is told a power again"
    ignoring = BodyMachine("switch", yard.clock, Habit("ignores_power_limit"))
    full = MinerControl([ignoring], {"switch": S21}, yard.clock, RememberingAudit())
    for _ in range(60):
        yard.clock.turn(2)
        full.apply({"switch": 2_510}, {})
        await full.settle()
        await full.poll_once()
        await full.settle()
    assert full.machines()[0].regulation == "on_off"
    yard.control.remember(full.memory())
    view = yard.control.machines()[0]
    assert (view.regulation, view.conditions) == ("on_off", ()), "it is not held against it that it takes no power"
