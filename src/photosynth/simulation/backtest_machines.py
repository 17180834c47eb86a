"""The machines of a backtest: the same bodies as the simulated ASICs have, advanced only while they change.

A body that has come to rest draws and hashes steadily, so its energy and work follow from two sums; that makes a day of a
hundred machines a matter of a second without another model of a machine.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from photosynth.energy.dispatch import MachineOffer
from photosynth.miners.model import MachineModel
from photosynth.simulation.machine import SimulatedMachine

_UJ_X2_PER_J = 2_000_000
_LONG_AGO_MS = 10**9


@dataclass(frozen=True, slots=True)
class BacktestMachine:
    """One machine to be simulated: its id, model, and the party that owns it."""

    id: str
    model: MachineModel
    party: str


class _Unit:
    """A body with what it was told and what of it has been counted."""

    def __init__(self, machine: BacktestMachine, seed: int, now_ms: int) -> None:
        self.machine = machine
        self.body = SimulatedMachine(machine.model, random.Random(f"{seed}/{machine.id}"), now_ms, warm=False)
        self.body.sleep()
        self.profiles = {power_w: index for index, (power_w, _) in enumerate(self.body.steps)}
        self.target_w = 0
        self.settles_ms = now_ms + self._longest_ramp_ms()
        self.counted = (0, 0)
        model = machine.model
        self.offer = MachineOffer(
            id=machine.id,
            model=model.id,
            party=machine.party,
            steps=self.body.steps,
            standby_w=model.standby_w,
            on=False,
            changed_ms=now_ms - _LONG_AGO_MS,
            min_on_s=model.min_on_s,
            min_off_s=model.min_off_s,
            start_cost_ueur=model.start_cost_ueur,
        )

    def _longest_ramp_ms(self) -> int:
        return (self.machine.model.ramp_up_s + self.machine.model.ramp_down_s) * 1000

    def order(self, target_w: int, now_ms: int) -> bool:
        """Give an order; whether it is a start."""
        self.body.advance(now_ms)
        started = self.target_w == 0
        if target_w == 0:
            self.body.sleep()
        else:
            self.body.set_profile(self.profiles[target_w])
            self.body.wake()
        if (target_w == 0) != (self.target_w == 0):
            self.offer = replace(self.offer, on=target_w > 0, changed_ms=now_ms)
        self.target_w = target_w
        self.settles_ms = now_ms + self._longest_ramp_ms()
        return started and target_w > 0

    def count(self) -> tuple[int, int]:
        """Energy (half microjoules) and work (half milli-hashes) since the last count."""
        now = (self.body.energy_uj_x2, self.body.work_x2000)
        energy, work = now[0] - self.counted[0], now[1] - self.counted[1]
        self.counted = now
        return energy, work


class BacktestFleet:
    """All machines, asleep at first. Energy comes out in whole joules and work in whole hashes; remainders carry over."""

    def __init__(self, machines: Sequence[BacktestMachine], seed: int, now_ms: int) -> None:
        self.now_ms = now_ms
        self._units = {machine.id: _Unit(machine, seed, now_ms) for machine in machines}
        self._moving = dict.fromkeys(self._units)
        self._rest_mw, self._rest_hs = 0, 0
        self._energy_uj_x2, self._work_x2000 = 0, 0
        self.offers = [unit.offer for unit in self._units.values()]
        self.starts = 0
        self.start_cost_ueur = 0
        self._places = {name: place for place, name in enumerate(self._units)}

    def apply(self, targets: Mapping[str, int]) -> None:
        """Order each machine to a power of its profiles (W), 0 being sleep; what it already has is not ordered again."""
        for name, target_w in targets.items():
            unit = self._units[name]
            if unit.target_w == target_w:
                continue
            if name not in self._moving:
                self._leave_rest(unit)
                self._moving[name] = None
            if unit.order(target_w, self.now_ms):
                self.starts += 1
                self.start_cost_ueur += unit.machine.model.start_cost_ueur
            self.offers[self._places[name]] = unit.offer

    def advance(self, site_ms: int) -> tuple[int, int]:
        """Let time pass; energy taken (J) and hashes done since the last call."""
        span_ms = site_ms - self.now_ms
        energy = self._energy_uj_x2 + 2 * self._rest_mw * span_ms
        work = self._work_x2000 + 2 * self._rest_hs * span_ms
        self.now_ms = site_ms
        for name in list(self._moving):
            unit = self._units[name]
            unit.body.advance(site_ms)
            more_energy, more_work = unit.count()
            energy += more_energy
            work += more_work
            if unit.settles_ms <= site_ms:
                del self._moving[name]
                self._rest_mw += unit.body.power_mw
                self._rest_hs += unit.body.hash_rate_hs
        energy_j, self._energy_uj_x2 = divmod(energy, _UJ_X2_PER_J)
        hashes, self._work_x2000 = divmod(work, 2000)
        return energy_j, hashes

    def _leave_rest(self, unit: _Unit) -> None:
        """A body that rested was counted by the sums until now; bring it to now and take it out of them."""
        unit.body.advance(self.now_ms)
        unit.count()
        self._rest_mw -= unit.body.power_mw
        self._rest_hs -= unit.body.hash_rate_hs
