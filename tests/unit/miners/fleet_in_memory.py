"""Machines without sockets: the simulated bodies behind the driver protocol, and a control over them."""

import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

from tests.unit.clock_and_audit import RememberingAudit, TurnedClock

from photosynth.miners.control import MinerControl
from photosynth.miners.guard import CallLimits
from photosynth.miners.machine import Answer, Identity, MachineReading, UnreachableError
from photosynth.miners.model import MachineModel
from photosynth.simulation.habits import Habit
from photosynth.simulation.machine import SimulatedMachine

S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25, 50_000)


class BodyMachine:
    """A driver straight onto a simulated body; what is ``instead`` of a method of its is awaited in its place."""

    def __init__(self, name: str, clock: TurnedClock, habit: Habit | None = None, warm: bool = True) -> None:
        self.id = name
        self.clock = clock
        self.body = SimulatedMachine(S21, random.Random(name), clock.site_ms(), warm=warm, habit=habit)
        self.hashes = True
        self.refuses = False
        self.deep_sleeper = False
        self.sleepless = False
        self.broken: Exception | None = None
        self.told: list[str] = []
        self.instead: dict[str, Callable[[], Awaitable[Any]]] = {}

    def _here(self) -> None:
        self.body.advance(self.clock.site_ms())
        if self.broken is not None:
            raise self.broken
        if not self.body.present:
            raise UnreachableError(self.id, "no connection: is it on, and in the network?")

    async def identify(self) -> Identity:
        return Identity(S21.name, "in memory")

    async def read(self, full: bool = False) -> MachineReading:
        if "read" in self.instead:
            return cast(MachineReading, await self.instead["read"]())
        self._here()
        hash_rate = self.body.hash_rate_hs if self.hashes else 0
        return MachineReading(self.clock.site_ms(), self.body.power_mw // 1000, hash_rate)

    async def sleep(self) -> Answer:
        if "sleep" in self.instead:
            return cast(Answer, await self.instead["sleep"]())
        return self._command("sleep", self.body.sleep if not self.sleepless else lambda: None)

    async def wake(self) -> Answer:
        if "wake" in self.instead:
            return cast(Answer, await self.instead["wake"]())
        return self._command("wake", self.body.wake)

    async def set_power(self, watts: int) -> Answer:
        if "set_power" in self.instead:
            return cast(Answer, await self.instead["set_power"]())
        if self.deep_sleeper and self.body.asleep:
            return Answer(False, "not while asleep")
        index = max(i for i, (power, _) in enumerate(self.body.steps) if power <= watts)
        return self._command(f"set_power {watts}", lambda: self.body.set_profile(index))

    async def close(self) -> None:
        if "close" in self.instead:
            await self.instead["close"]()

    def _command(self, text: str, act: object) -> Answer:
        self._here()
        self.told.append(text)
        if self.refuses:
            return Answer(False, "another session is active")
        assert callable(act)
        act()
        return Answer(True, "Curtailment command sent")


class Hall:
    """A control over some machines, with time that passes in polls of two wall seconds."""

    def __init__(
        self,
        *machines: BodyMachine,
        shares: Callable[[str], int | None] | None = None,
        speed: int = 60,
        limits: CallLimits | None = None,
        poll_s: float = 2.0,
    ) -> None:
        self.clock = machines[0].clock
        self.clock.speed = speed
        self.audit = RememberingAudit()
        self.machines = {machine.id: machine for machine in machines}
        self.control = MinerControl(
            machines,
            {machine.id: S21 for machine in machines},
            self.clock,
            self.audit,
            shares_of=shares,
            sleep=self.nap,
            limits=limits,
            poll_s=poll_s,
        )

    async def nap(self, seconds: float) -> None:
        self.clock.turn(seconds)

    async def polls(self, times: int, targets: dict[str, int] | None = None) -> None:
        for _ in range(times):
            self.clock.turn(2)
            if targets is not None:
                self.control.apply(targets, dict.fromkeys(targets, "the sun says so"))
            await self.control.settle()
            await self.control.poll_once()
            await self.control.settle()

    def conditions(self, machine: str) -> set[str]:
        view = {view.id: view for view in self.control.machines()}[machine]
        return {condition.id for condition in view.conditions}
