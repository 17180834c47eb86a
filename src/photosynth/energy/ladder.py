"""Machines as rungs of a ladder: like machines are counted together, and each step up of theirs is one rung.

A rung's value is what its additional hashes earn per additional joule, in cent/MWh. Steps that no mix of others would leave
standing (below the concave hull of the curve from watts to hashes) are left out, so values fall along a machine's ladder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from photosynth.energy.reasons import Reasons
from photosynth.quantities.value import JOULES_PER_MWH

Steps = tuple[tuple[int, int], ...]
_SCALE = 10**36
_VALUE = attrgetter("value_cent")


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


class Rung(NamedTuple):
    """One step up of a group of like machines: ``watts`` more for each that takes it, and what they earn, in cent/MWh.

    ``place`` is where it stands in :attr:`Ladder.rungs`; the step below it, where ``level`` is not 0, is the one before.
    """

    place: int
    level: int
    watts: int
    value_cent: int
    strike_cent: int
    machines: int


@dataclass(frozen=True, slots=True)
class Group:
    """Machines that are alike in everything that decides; ``held``: within their minimum on time."""

    steps: Steps
    on: bool
    held: bool
    members: tuple[str, ...]
    rungs: tuple[Rung, ...]

    def counts(self, taken: Sequence[int]) -> Sequence[int]:
        """How many of them take each of their rungs."""
        return taken[self.rungs[0].place : self.rungs[-1].place + 1]


@dataclass(frozen=True, slots=True)
class Ladder:
    """All that machines offer until ``until_ms``, when the next minimum time ends; the site's watts are not in it.

    ``rungs`` go group by group; ``merit`` has them from the most valuable down, and ``held`` the lowest ones of machines
    within their minimum on time. ``fixed_w`` is drawn whatever is decided: standby, and machines out of control.
    """

    offers: Sequence[MachineOffer]
    groups: tuple[Group, ...]
    rungs: tuple[Rung, ...]
    merit: tuple[Rung, ...]
    held: tuple[Rung, ...]
    fixed_w: int
    resting: tuple[tuple[str, int], ...]
    stopped: tuple[str, ...]
    unavailable: tuple[tuple[str, int | None], ...]
    until_ms: int | None

    def is_of(self, offers: Sequence[MachineOffer], now_ms: int) -> bool:
        """Whether it is made of these very offers, and still of an instant not earlier than its own."""
        return self.offers is offers and (self.until_ms is None or now_ms < self.until_ms)

    def targets(self, taken: Sequence[int], before: "tuple[Ladder, Sequence[int]] | None" = None) -> dict[str, int]:
        """What each machine that takes orders shall draw (watts, 0 is sleep), from how many take each rung.

        With ``before``, an earlier ladder and how many took its rungs, those machines alone that may be told something else:
        all of a group that was not the very same, and of the others those between the counts before and now.
        """
        targets: dict[str, int] = {}
        known = {} if before is None else {group.members[0]: group for group in before[0].groups}
        for group in self.groups:
            members, counts, first, past = group.members, group.counts(taken), 0, len(group.members)
            other = known.get(members[0])
            if before is not None and other is not None and other.members is members and other.steps == group.steps:
                had = other.counts(before[1])
                if counts == had:
                    continue
                moved = [count for pair in zip(counts, had, strict=True) if pair[0] != pair[1] for count in pair]
                first, past = min(moved), max(moved)
            for (power_w, _), count in zip(reversed(group.steps), reversed(counts), strict=True):
                if count > first:
                    last, first = first, min(count, past)
                    targets.update(dict.fromkeys(members[last:first], power_w))
            if first < past:
                targets.update(dict.fromkeys(members[first:past], 0))
        if before is None or before[0] is not self:
            targets.update((machine, 0) for machine, _ in self.resting)
            targets.update(dict.fromkeys(self.stopped, 0))
        return targets

    def texts(self, taken: Sequence[int], reasons: Reasons) -> dict[str, str]:
        """Why each machine runs or sleeps; within a group the first by order get the most."""
        texts: dict[str, str] = {}
        for group in self.groups:
            bounds = [*(taken[rung.place] for rung in group.rungs), 0]
            lowest = group.rungs[0]
            asleep = reasons.asleep(lowest.strike_cent, lowest.value_cent, group.on, group.held)
            for machine in group.members[bounds[0] :]:
                texts[machine] = asleep
            for rung in group.rungs:
                first, last = bounds[rung.level + 1], bounds[rung.level]
                if first < last:
                    more = rung.level + 1 < len(group.rungs)
                    text = reasons.awake(group.steps[rung.level][0], rung.strike_cent, group.held, more)
                    for machine in group.members[first:last]:
                        texts[machine] = text
        for machine, until_ms in self.resting:
            texts[machine] = reasons.resting(until_ms)
        for machine in self.stopped:
            texts[machine] = reasons.stopped
        for machine, draws_w in self.unavailable:
            texts[machine] = reasons.unavailable(draws_w)
        return texts


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
def _values(steps: Steps, standby_w: int, scaled_value: int, start_cost: tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
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


@lru_cache(maxsize=8192)
def rungs_of(
    curve: tuple[Steps, int], scaled_value: int, start_cost: tuple[int, int], first: int, machines: int
) -> tuple[Rung, ...]:
    """The rungs of so many like machines (``curve``: steps that they can be told, and standby), the lowest at ``first``.

    The rest is as in :func:`_values`.
    """
    values = enumerate(_values(*curve, scaled_value, start_cost))
    return tuple([Rung(first + level, level, *value, machines) for level, value in values])


def scaled(eur_per_hash: Fraction) -> int:
    """The value of a hash in the whole numbers that ladders are made with: EUR x 10^36, rounded down."""
    return eur_per_hash.numerator * _SCALE // eur_per_hash.denominator


def told_steps(steps: Steps, standby_w: int, fixed_power_w: int | None) -> Steps:
    """The steps that a machine can be told: one where it cannot be regulated, else those on the hull."""
    if fixed_power_w is not None:
        return hull(((fixed_power_w, steps[-1][1] if steps else 0),), standby_w)
    return hull(steps, standby_w)
