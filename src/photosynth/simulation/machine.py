"""The body of one simulated machine: power, hash rate and temperature over site time, without sockets.

Power runs along straight ramps between profiles, standby and nothing, so energy is integrated exactly (in microjoules);
hash rate follows power along the model's curve. A unit's own efficiency differs from its nameplate by up to 2 %.
"""

import math
import random
from typing import Any

from photosynth.miners.model import MachineModel
from photosynth.simulation.habits import Habit, gone, next_change_ms

SCATTER_MILLI = 20
"""Unit-to-unit scatter of power at the same hash rate: at most +-2 %."""
BOOT_SHARE = 5
"""A wake-up spends a fifth of its ramp time on starting the boards, before power rises."""
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
        self.steps = model.power_steps()
        self.factor_milli = 1000 + round(max(-1.0, min(1.0, rng.gauss(0, 0.5))) * SCATTER_MILLI)
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
        self._ramp: list[tuple[int, int]] = [(site_ms, power_mw)]
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
        return self._power_at(self.now_ms)

    @property
    def hash_rate_hs(self) -> int:
        """Hashes per second now."""
        return self._hash_at(self.power_mw)

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
                self._ramp = [(until, 0)]
                self._steer()

    def _integrate(self, until_ms: int) -> None:
        elapsed_s = (until_ms - self.now_ms) / 1000
        while self.now_ms < until_ms:
            ramp = self._ramp
            while len(ramp) > 1 and ramp[1][0] <= self.now_ms:
                del ramp[0]
            end = until_ms if len(ramp) == 1 else min(until_ms, ramp[1][0])
            before, after = self._power_at(self.now_ms), self._power_at(end)
            span = end - self.now_ms
            self.energy_uj_x2 += (before + after) * span
            if before == after:
                self.work_x2000 += 2 * self._hash_at(before) * span
            else:
                self.work_x2000 += (self._hash_at(before) + self._hash_at(after)) * span
            self.now_ms = end
        goal = AMBIENT_C + HOT_C * self.power_mw / 1000 / self.model.power_w
        self.temperature_c += (goal - self.temperature_c) * (1 - math.exp(-elapsed_s / THERMAL_S))

    def _power_at(self, site_ms: int) -> int:
        before: tuple[int, int] | None = None
        for point in self._ramp:
            if site_ms < point[0]:
                if before is None:
                    return point[1]
                return before[1] + (point[1] - before[1]) * (site_ms - before[0]) // (point[0] - before[0])
            before = point
        assert before is not None
        return before[1]

    def _hash_at(self, power_mw: int) -> int:
        nominal_w = power_mw // self.factor_milli
        least_w = self.steps[0][0]
        if nominal_w >= least_w:
            return self.model.hash_rate_at(nominal_w)
        above = max(0, nominal_w - self.model.standby_w)
        return self.steps[0][1] * above // (least_w - self.model.standby_w)

    def _target_mw(self) -> int:
        if not self.present:
            return 0
        if self.asleep:
            return self.model.standby_w * 1000
        return self.steps[self.profile][0] * self.factor_milli

    def _steer(self) -> None:
        """Lay the ramp from where power is to where the settings want it."""
        now, power, target = self.now_ms, self._power_at(self.now_ms), self._target_mw()
        full_mw = (self.model.power_w - self.model.standby_w) * 1000
        ramp = [(now, power)]
        if target > power:
            ramp_ms = self.model.ramp_up_s * 1000
            if power <= self.model.standby_w * 1500:  # the boards were off
                ramp_ms -= ramp_ms // BOOT_SHARE
                now += self.model.ramp_up_s * 1000 // BOOT_SHARE
                ramp.append((now, power))
            now += ramp_ms * min(target - power, full_mw) // full_mw
        else:
            now += self.model.ramp_down_s * 1000 * min(power - target, full_mw) // full_mw
        ramp.append((now, target))
        if not self.present:
            ramp = [(self.now_ms, 0)]
        self._ramp = [point for index, point in enumerate(ramp) if index == 0 or point[0] > ramp[index - 1][0]]
        if self._ramp[-1][1] != target:  # a ramp of no time
            self._ramp = [(self.now_ms, target)]
