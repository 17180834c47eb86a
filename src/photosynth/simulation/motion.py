"""How a machine's power moves: straight ramps between profiles, standby and nothing, and what flows meanwhile, exactly.

Everything depends on spans of time alone, never on the date: a ramp may be shifted, and gives the same energy and work.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from photosynth.miners.model import MachineModel

Ramp = tuple[tuple[int, int], ...]
"""Corners as (ms, milliwatts); power runs straight between them, and holds before the first and after the last."""

BOOT_SHARE = 5
"""A wake-up spends a fifth of its ramp time on starting the boards, before power rises."""


def power_at(ramp: Ramp, at_ms: int) -> int:
    """Power (mW) at an instant, rounded down between corners."""
    before: tuple[int, int] | None = None
    for corner in ramp:
        if at_ms < corner[0]:
            if before is None:
                return corner[1]
            return before[1] + (corner[1] - before[1]) * (at_ms - before[0]) // (corner[0] - before[0])
        before = corner
    assert before is not None
    return before[1]


def onward(ramp: Ramp, now_ms: int) -> Ramp:
    """The ramp without corners that no later instant needs."""
    past = 0
    while past + 1 < len(ramp) and ramp[past + 1][0] <= now_ms:
        past += 1
    return ramp[past:] if past else ramp


@lru_cache(64)
def _steps_of(model: MachineModel) -> tuple[tuple[int, int], ...]:
    """The model's steps, one object for all its units."""
    return model.power_steps()


@dataclass(frozen=True)
class Motion:
    """A unit of a model: ``factor_milli`` is what its power is, in thousandths of the nameplate's, at the same hash rate."""

    model: MachineModel
    factor_milli: int
    steps: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _steps_of(self.model))

    def target_mw(self, profile: int | None) -> int:
        """The power (mW) that a profile comes to rest at; None is sleep."""
        return self.model.standby_w * 1000 if profile is None else self.steps[profile][0] * self.factor_milli

    def hash_rate_hs(self, power_mw: int) -> int:
        """Hashes per second at a power; below the lowest profile they rise from none at standby."""
        nominal_w = power_mw // self.factor_milli
        least_w = self.steps[0][0]
        if nominal_w >= least_w:
            return self.model.hash_rate_at(nominal_w)
        above = max(0, nominal_w - self.model.standby_w)
        return self.steps[0][1] * above // (least_w - self.model.standby_w)

    def steer(self, ramp: Ramp, now_ms: int, target_mw: int) -> Ramp:
        """The ramp from where power is now to another power."""
        power, at_ms = power_at(ramp, now_ms), now_ms
        full_mw = (self.model.power_w - self.model.standby_w) * 1000
        corners = [(at_ms, power)]
        if target_mw > power:
            ramp_ms = self.model.ramp_up_s * 1000
            if power <= self.model.standby_w * 1500:  # the boards were off
                ramp_ms -= ramp_ms // BOOT_SHARE
                at_ms += self.model.ramp_up_s * 1000 // BOOT_SHARE
                corners.append((at_ms, power))
            at_ms += ramp_ms * min(target_mw - power, full_mw) // full_mw
        else:
            at_ms += self.model.ramp_down_s * 1000 * min(power - target_mw, full_mw) // full_mw
        corners.append((at_ms, target_mw))
        kept = tuple(corner for index, corner in enumerate(corners) if index == 0 or corner[0] > corners[index - 1][0])
        return kept if kept[-1][1] == target_mw else ((now_ms, target_mw),)  # a ramp of no time

    def flow(self, ramp: Ramp, from_ms: int, until_ms: int) -> tuple[int, int]:
        """Energy (half microjoules) and work (half milli-hashes) between two instants."""
        energy = work = 0
        while from_ms < until_ms:
            ramp = onward(ramp, from_ms)
            end_ms = until_ms if len(ramp) == 1 else min(until_ms, ramp[1][0])
            before, after = power_at(ramp, from_ms), power_at(ramp, end_ms)
            span_ms = end_ms - from_ms
            energy += (before + after) * span_ms
            rate = self.hash_rate_hs(before)
            work += (rate + (rate if before == after else self.hash_rate_hs(after))) * span_ms
            from_ms = end_ms
        return energy, work
