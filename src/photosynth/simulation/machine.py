"""The body of one simulated machine: power, hash rate and temperature over site time, without sockets.

Power runs along straight ramps between profiles, standby and nothing, so energy is integrated exactly (in microjoules);
hash rate follows power along the model's curve. A unit's own efficiency differs from its nameplate by up to 2 %.
"""

import math
import random
from typing import Any

from photosynth.miners.model import MachineModel
from photosynth.simulation.habits import Habit, gone, next_change_ms
from photosynth.simulation.motion import Motion, Ramp, onward, power_at

SCATTER_MILLI = 20
"""Unit-to-unit scatter of power at the same hash rate: at most +-2 %."""
AMBIENT_C = 27.0
HOT_C = 41.0
"""How much warmer than the air the chips are at full power."""
THERMAL_S = 150.0


class SimulatedMachine:
    """One machine's physics. Call :meth:`advance` with a rising site time (ms); commands act at that time.

    ``state`` is what an earlier life's :meth:`state` gave. ``warm`` machines start at full power, others ramp up.
    """

    def __init__(
        self,
        model: MachineModel,
        rng: random.Random,
        site_ms: int,
        *,
        warm: bool = True,
        habit: Habit | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.habit = model, habit
        self.motion = Motion(model, 1000 + round(max(-1.0, min(1.0, rng.gauss(0, 0.5))) * SCATTER_MILLI))
        self.steps = self.motion.steps
        self.gauge_milli = 1000 + rng.randint(-8, 8)  # its own wattmeter is a little off, as they are
        self.asleep = False
        self.profile = len(self.steps) - 1
        self.shown_profile = self.profile
        self.since_ms = site_ms
        self.boot_ms = site_ms
        self.energy_uj_x2 = 0
        self.work_x2000 = 0
        self.now_ms = site_ms
        if state is not None:
            self.asleep, self.since_ms = bool(state["asleep"]), int(state["since_ms"])
            self.profile = min(max(int(state["profile"]), 0), len(self.steps) - 1)
            self.shown_profile = min(max(int(state["shown_profile"]), 0), len(self.steps) - 1)
            self.boot_ms = int(state["boot_ms"])
        self.present = not gone(habit, self.since_ms, site_ms)
        power_mw = self._target_mw() if warm and self.present else 0
        self.temperature_c = AMBIENT_C + (HOT_C * power_mw / 1000 / model.power_w)
        if state is not None:
            power_mw = int(state["power_mw"]) if self.present else 0
            self.temperature_c = float(state["temperature_c"])
        self.ramp: Ramp = ((site_ms, power_mw),)
        self._steer()

    def state(self) -> dict[str, Any]:
        """What survives the simulation's own restart: JSON of the settings and of where power and heat were."""
        return {
            "asleep": self.asleep,
            "profile": self.profile,
            "shown_profile": self.shown_profile,
            "since_ms": self.since_ms,
            "boot_ms": self.boot_ms,
            "power_mw": self.power_mw,
            "temperature_c": round(self.temperature_c, 3),
        }

    @property
    def power_mw(self) -> int:
        """Electrical power now, in milliwatts."""
        return power_at(self.ramp, self.now_ms)

    @property
    def hash_rate_hs(self) -> int:
        """Hashes per second now."""
        return self.motion.hash_rate_hs(self.power_mw)

    @property
    def work_hashes(self) -> int:
        """All hashes since the start of this life."""
        return self.work_x2000 // 2000

    def sleep(self) -> None:
        """`curtail sleep`: down to standby."""
        if self.habit is None or self.habit.kind != "says_ok_does_nothing":
            self.asleep = True
            self._steer()

    def wake(self) -> None:
        """`curtail wakeup`: boards on, then up to the profile."""
        if self.habit is None or self.habit.kind != "says_ok_does_nothing":
            self.asleep = False
            self._steer()

    def set_profile(self, index: int) -> None:
        """Run at another profile. A machine with a habit shows the profile as set and stays where it was."""
        self.shown_profile = index
        if self.habit is None or self.habit.kind == "drops_out":
            self.profile = index
            self._steer()

    def advance(self, site_ms: int) -> None:
        """Let site time pass until ``site_ms``; a time that is not later changes nothing."""
        while self.now_ms < site_ms:
            change = next_change_ms(self.habit, self.since_ms, self.now_ms)
            until = site_ms if change is None else min(site_ms, change)
            self._integrate(until)
            present = not gone(self.habit, self.since_ms, until)
            if present != self.present:
                self.present = present
                self.boot_ms = until if present else self.boot_ms
                self.ramp = ((until, 0),)
                self._steer()

    def _integrate(self, until_ms: int) -> None:
        elapsed_s = (until_ms - self.now_ms) / 1000
        energy, work = self.motion.flow(self.ramp, self.now_ms, until_ms)
        self.energy_uj_x2 += energy
        self.work_x2000 += work
        self.now_ms = until_ms
        self.ramp = onward(self.ramp, until_ms)
        goal = AMBIENT_C + HOT_C * self.power_mw / 1000 / self.model.power_w
        self.temperature_c += (goal - self.temperature_c) * (1 - math.exp(-elapsed_s / THERMAL_S))

    def _target_mw(self) -> int:
        if not self.present:
            return 0
        return self.motion.target_mw(None if self.asleep else self.profile)

    def _steer(self) -> None:
        """Lay the ramp from where power is to where the settings want it; one that is gone draws nothing at once."""
        self.ramp = self.motion.steer(self.ramp, self.now_ms, self._target_mw()) if self.present else ((self.now_ms, 0),)
