"""The machines of a backtest: they move as the simulated ASICs' bodies do, and only those that move are followed.

A machine that has come to rest draws and hashes steadily, so its energy and work follow from two sums. One that moves does
what a unit like it did before from the same power to the same other one: what a ramp brings is remembered, not modelled twice.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from photosynth.energy.dispatch import MachineOffer
from photosynth.miners.model import MachineModel
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.motion import Motion, Ramp, onward

_UJ_X2_PER_J = 2_000_000
_LONG_AGO_MS = 10**9
_KEPT_RAMPS = 4096
"""Ramps that are remembered of each kind of unit; a kind of ten profiles has some hundred."""


@dataclass(frozen=True, slots=True)
class BacktestMachine:
    """One machine to be simulated: its id, model, and the party that owns it."""

    id: str
    model: MachineModel
    party: str


class _Kind:
    """All units of one model that scatter alike. Their ramps begin now: at 0 ms."""

    def __init__(self, motion: Motion) -> None:
        self.motion = motion
        self.profiles = {power_w: index for index, (power_w, _) in enumerate(motion.steps)}
        self.told = lru_cache(_KEPT_RAMPS)(self._told)
        self.flow = lru_cache(_KEPT_RAMPS)(self._flow)
        self.hash_rate_hs = lru_cache(_KEPT_RAMPS)(motion.hash_rate_hs)

    def _told(self, ramp: Ramp, asleep: bool, target_w: int) -> Ramp:
        """The ramp after an order: the profile is set first, then sleeping machines are woken, as a driver does it."""
        if target_w == 0:
            return self.motion.steer(ramp, 0, self.motion.target_mw(None))
        profile = self.profiles[target_w]
        ramp = self.motion.steer(ramp, 0, self.motion.target_mw(None if asleep else profile))
        return self.motion.steer(ramp, 0, self.motion.target_mw(profile))

    def _flow(self, ramp: Ramp, span_ms: int) -> tuple[int, int, Ramp]:
        """Energy (half microjoules), work (half milli-hashes), and the ramp as it goes on after the span."""
        energy, work = self.motion.flow(ramp, 0, span_ms)
        rest = onward(ramp, span_ms)
        shifted = ((0, rest[0][1]),) if len(rest) == 1 else tuple((at_ms - span_ms, power) for at_ms, power in rest)
        return energy, work, shifted


class _Unit:
    """A machine with its place among all, what it was told, and the ramp that its power is on."""

    __slots__ = ("kind", "machine", "place", "ramp", "target_w")

    def __init__(self, place: int, machine: BacktestMachine, kind: _Kind, ramp: Ramp) -> None:
        self.place, self.machine, self.kind, self.ramp = place, machine, kind, ramp
        self.target_w = 0

    def offer(self, on: bool, changed_ms: int) -> MachineOffer:
        """What it offers since it last began or ceased to run."""
        model = self.machine.model
        return MachineOffer(
            id=self.machine.id,
            model=model.id,
            party=self.machine.party,
            steps=self.kind.motion.steps,
            standby_w=model.standby_w,
            on=on,
            changed_ms=changed_ms,
            min_on_s=model.min_on_s,
            min_off_s=model.min_off_s,
            start_cost_ueur=model.start_cost_ueur,
        )


class BacktestFleet:
    """All machines, asleep at first. Energy comes out in whole joules and work in whole hashes; remainders carry over."""

    def __init__(self, machines: Sequence[BacktestMachine], seed: int, now_ms: int) -> None:
        self.now_ms = now_ms
        kinds: dict[tuple[MachineModel, int], _Kind] = {}
        self._units: dict[str, _Unit] = {}
        for place, machine in enumerate(machines):
            body = SimulatedMachine(machine.model, random.Random(f"{seed}/{machine.id}"), 0, warm=False)
            body.sleep()
            key = (machine.model, body.motion.factor_milli)
            kind = kinds.setdefault(key, _Kind(body.motion))
            self._units[machine.id] = _Unit(place, machine, kind, body.ramp)
        self._moving = dict(self._units)
        self._rest_mw, self._rest_hs = 0, 0
        self._energy_uj_x2, self._work_x2000 = 0, 0
        self.offers = tuple(unit.offer(False, now_ms - _LONG_AGO_MS) for unit in self._units.values())
        """What each machine offers now; another tuple whenever one of them is another."""
        self.starts = 0
        self.start_cost_ueur = 0

    def apply(self, targets: Mapping[str, int]) -> None:
        """Order each machine to a power of its profiles (W), 0 being sleep; what it already has is not ordered again."""
        offers: list[MachineOffer] | None = None
        for name, target_w in targets.items():
            unit = self._units[name]
            before_w = unit.target_w
            if before_w == target_w:
                continue
            if name not in self._moving:
                self._rest(unit, -1)
                self._moving[name] = unit
            unit.ramp = unit.kind.told(unit.ramp, before_w == 0, target_w)
            unit.target_w = target_w
            if before_w == 0:
                self.starts += 1
                self.start_cost_ueur += unit.machine.model.start_cost_ueur
            if before_w == 0 or target_w == 0:
                offers = list(self.offers) if offers is None else offers
                offers[unit.place] = unit.offer(target_w > 0, self.now_ms)
        if offers is not None:
            self.offers = tuple(offers)

    def advance(self, site_ms: int) -> tuple[int, int]:
        """Let time pass; energy taken (J) and hashes done since the last call."""
        span_ms = site_ms - self.now_ms
        energy = self._energy_uj_x2 + 2 * self._rest_mw * span_ms
        work = self._work_x2000 + 2 * self._rest_hs * span_ms
        self.now_ms = site_ms
        if self._moving:
            for name, unit in list(self._moving.items()):
                more_energy, more_work, unit.ramp = unit.kind.flow(unit.ramp, span_ms)
                energy += more_energy
                work += more_work
                if len(unit.ramp) == 1:
                    del self._moving[name]
                    self._rest(unit, 1)
        energy_j, self._energy_uj_x2 = divmod(energy, _UJ_X2_PER_J)
        hashes, self._work_x2000 = divmod(work, 2000)
        return energy_j, hashes

    def _rest(self, unit: _Unit, sign: int) -> None:
        """Count what a unit at rest draws and does into the sums (1), or out of them (-1)."""
        power_mw = unit.ramp[0][1]
        self._rest_mw += sign * power_mw
        self._rest_hs += sign * unit.kind.hash_rate_hs(power_mw)
