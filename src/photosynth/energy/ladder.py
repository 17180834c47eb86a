"""Machines as rungs of a ladder: like machines are counted together, and each step up of theirs is one rung.

A rung's value is what its additional hashes earn per additional joule, in cent/MWh. Steps that no mix of others would leave
standing (below the concave hull of the curve from watts to hashes) are left out, so values fall along a machine's ladder.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from photosynth.energy.reasons import Reasons
from photosynth.quantities.value import JOULES_PER_MWH

Steps = tuple[tuple[int, int], ...]
_SCALE = 10**36


@dataclass(frozen=True, slots=True)
class MachineOffer:
    """What one machine can do now.

    ``steps`` are (watts, hashes per second), rising. ``on`` says that it runs or starts; ``changed_ms`` when it last began or
    ceased to. A machine that is not ``available`` takes no orders. ``fixed_power_w`` is what a machine draws that cannot
    be regulated: an available one is either on at that power or asleep, one that is not available draws it whatever we say.
    """

    id: str
    model: str
    party: str
    steps: Steps
    standby_w: int
    on: bool
    changed_ms: int
    min_on_s: int
    min_off_s: int
    start_cost_ueur: int
    available: bool = True
    fixed_power_w: int | None = None


@dataclass(slots=True)
class Rung:
    """One step up of a group of like machines: ``count`` of them may take it, ``taken`` do. ``held``: within minimum on time."""

    group: "Group"
    level: int
    watts: int
    value_cent: int
    strike_cent: int
    below: "Rung | None"
    held: bool
    count: int
    taken: int = 0


@dataclass(slots=True)
class Group:
    """Machines that are alike in everything that decides."""

    steps: Steps
    standby_w: int
    on: bool
    rungs: list[Rung] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    held: bool = False


@dataclass(slots=True)
class Groups:
    """Every group, its rungs, and the machines that are out of the dispatch's hands."""

    groups: list[Group]
    rungs: list[Rung]
    resting: list[tuple[str, int]]
    stopped: list[str]
    unavailable: list[tuple[str, int | None]]

    def extra_w(self) -> int:
        """Watts of all rungs that are taken, beyond standby."""
        return sum(rung.taken * rung.watts for rung in self.rungs)

    def assign(self, reasons: Reasons) -> tuple[dict[str, int], dict[str, str]]:
        """Targets (watts, 0 is sleep) and reasons by machine; within a group the first by order get the most."""
        targets: dict[str, int] = {}
        texts: dict[str, str] = {}
        for group in self.groups:
            taken = [rung.taken for rung in group.rungs]
            bounds = [*taken, 0]
            asleep = reasons.asleep(group.rungs[0].strike_cent, group.rungs[0].value_cent, group.on, group.held)
            for machine in group.members[bounds[0] :]:
                targets[machine], texts[machine] = 0, asleep
            for level in range(len(taken)):
                power_w = group.steps[level][0]
                if bounds[level] > bounds[level + 1]:
                    text = reasons.awake(power_w, group.rungs[level].strike_cent, group.held, level + 1 < len(taken))
                    for index in range(bounds[level + 1], bounds[level]):
                        targets[group.members[index]], texts[group.members[index]] = power_w, text
        for machine, until_ms in self.resting:
            targets[machine], texts[machine] = 0, reasons.resting(until_ms)
        for machine in self.stopped:
            targets[machine], texts[machine] = 0, reasons.stopped
        for machine, draws_w in self.unavailable:
            texts[machine] = reasons.unavailable(draws_w)
        return targets, texts


@lru_cache(maxsize=256)
def hull(steps: Steps, standby_w: int) -> Steps:
    """The steps on the concave hull from (standby, 0) on; the others are never worth more than a mix of these."""
    kept: list[tuple[int, int]] = [(standby_w, 0)]
    for power_w, hash_rate_hs in steps:
        if power_w <= kept[-1][0] or hash_rate_hs <= kept[-1][1]:
            continue
        while len(kept) > 1:
            (p0, h0), (p1, h1) = kept[-2], kept[-1]
            if (h1 - h0) * (power_w - p1) > (hash_rate_hs - h1) * (p1 - p0):
                break
            kept.pop()
        kept.append((power_w, hash_rate_hs))
    return tuple(kept[1:])


@lru_cache(maxsize=1024)
def _ladder(steps: Steps, standby_w: int, scaled_value: int, start_cost: tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
    """(watts more, value of the step, strike price at this power) of each step, in cent/MWh.

    ``scaled_value`` is EUR per hash x 10^36, rounded down; ``start_cost`` micro-EUR and the seconds that earn them back,
    which lessen the value of a machine's first step; no later step counts for more, so that steps are taken in order.
    """
    start_cost_ueur, horizon_s = start_cost
    made: list[tuple[int, int, int]] = []
    last_w, last_hs = standby_w, 0
    for power_w, hash_rate_hs in steps:
        value = scaled_value * 100 * (hash_rate_hs - last_hs) * JOULES_PER_MWH // (_SCALE * (power_w - last_w))
        if last_hs == 0 and start_cost_ueur and horizon_s:
            value -= start_cost_ueur * JOULES_PER_MWH // (10_000 * (power_w - last_w) * horizon_s)
        if made:
            value = min(value, made[-1][1])
        strike = scaled_value * 100 * hash_rate_hs * JOULES_PER_MWH // (_SCALE * power_w)
        made.append((power_w - last_w, value, strike))
        last_w, last_hs = power_w, hash_rate_hs
    return tuple(made)


def rungs_of(
    offers: Sequence[MachineOffer], eur_per_hash: Fraction, horizon_s: int, now_ms: int, stopped: bool
) -> tuple[Groups, int]:
    """Group the offers; also the watts that are drawn whatever is decided (standby and machines out of control)."""
    scaled_value = eur_per_hash.numerator * _SCALE // eur_per_hash.denominator
    found: dict[tuple[object, ...], Group] = {}
    result = Groups([], [], [], [], [])
    fixed_w = 0
    for offer in offers:
        if not offer.available:
            result.unavailable.append((offer.id, offer.fixed_power_w))
            fixed_w += offer.fixed_power_w or 0
            continue
        fixed_w += offer.standby_w
        if stopped:
            result.stopped.append(offer.id)
            continue
        age_ms = now_ms - offer.changed_ms
        if not offer.on and age_ms < offer.min_off_s * 1000:
            result.resting.append((offer.id, offer.changed_ms + offer.min_off_s * 1000))
            continue
        held = offer.on and age_ms < offer.min_on_s * 1000
        key = (offer.steps, offer.standby_w, offer.on, held, offer.fixed_power_w, offer.start_cost_ueur)
        group = found.get(key)
        if group is None:
            steps = _steps_of(offer)
            if not steps:
                result.unavailable.append((offer.id, None))
                continue
            group = found[key] = Group(steps, offer.standby_w, offer.on, held=held)
            start_cost = (0 if offer.on else offer.start_cost_ueur, horizon_s)
            below = None
            for level, (watts, value, strike) in enumerate(_ladder(steps, offer.standby_w, scaled_value, start_cost)):
                below = Rung(group, level, watts, value, strike, below, held and level == 0, 0)
                group.rungs.append(below)
            result.groups.append(group)
            result.rungs.extend(group.rungs)
        group.members.append(offer.id)
    for rung in result.rungs:
        rung.count = len(rung.group.members)
    return result, fixed_w


def _steps_of(offer: MachineOffer) -> Steps:
    """The steps that a machine can be told: one where it cannot be regulated, else those on the hull."""
    if offer.fixed_power_w is not None:
        return hull(((offer.fixed_power_w, offer.steps[-1][1] if offer.steps else 0),), offer.standby_w)
    return hull(offer.steps, offer.standby_w)
