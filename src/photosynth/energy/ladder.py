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

    def targets(self, taken: Sequence[int], before: Sequence[int] | None = None) -> dict[str, int]:
        """What each machine that takes orders shall draw (watts, 0 is sleep), from how many take each rung.

        With ``before``, how many took them, groups in which nothing is another are left out.
        """
        targets: dict[str, int] = {}
        for group in self.groups:
            first, past = group.rungs[0].place, group.rungs[-1].place + 1
            counts = taken[first:past]
            if before is not None and counts == before[first:past]:
                continue
            members, above = group.members, 0
            for (power_w, _), count in zip(reversed(group.steps), reversed(counts), strict=True):
                if count > above:
                    targets.update(dict.fromkeys(members[above:count], power_w))
                    above = count
            targets.update(dict.fromkeys(members[above:], 0))
        if before is None:
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


def scaled(eur_per_hash: Fraction) -> int:
    """The value of a hash in the whole numbers that ladders are made with: EUR x 10^36, rounded down."""
    return eur_per_hash.numerator * _SCALE // eur_per_hash.denominator


def ladder_of(offers: Sequence[MachineOffer], scaled_value: int, horizon_s: int, now_ms: int, *, stopped: bool) -> Ladder:
    """Group the offers of an instant; ``scaled_value`` is from :func:`scaled`.

    The ladder of a later instant before ``until_ms`` is the same, as long as the offers are.
    """
    found: dict[tuple[int, int, bool, bool, int | None, int], list[str]] = {}
    curves: dict[Steps, int] = {}
    resting: list[tuple[str, int]] = []
    unavailable: list[tuple[str, int | None]] = []
    all_stopped: list[str] = []
    steps: Steps | None = None
    fixed_w, until_ms, curve = 0, None, 0
    for offer in offers:
        if not offer.available:
            unavailable.append((offer.id, offer.fixed_power_w))
            fixed_w += offer.fixed_power_w or 0
            continue
        fixed_w += offer.standby_w
        if stopped:
            all_stopped.append(offer.id)
            continue
        bound_ms = offer.changed_ms + (offer.min_on_s if offer.on else offer.min_off_s) * 1000
        bound = now_ms < bound_ms
        if bound and (until_ms is None or bound_ms < until_ms):
            until_ms = bound_ms
        if bound and not offer.on:
            resting.append((offer.id, bound_ms))
            continue
        if offer.steps is not steps:  # a curve is long to hash, and machines beside each other mostly share one
            steps = offer.steps
            curve = curves.setdefault(steps, len(curves))
        key = (curve, offer.standby_w, offer.on, bound, offer.fixed_power_w, offer.start_cost_ueur)
        members = found.get(key)
        if members is None:
            members = found[key] = []
        members.append(offer.id)
    groups: list[Group] = []
    rungs: list[Rung] = []
    all_steps = tuple(curves)
    for (curve, standby_w, on, held, fixed_power_w, start_cost_ueur), members in found.items():
        told = told_steps(all_steps[curve], standby_w, fixed_power_w)
        if not told:
            unavailable += [(machine, None) for machine in members]
            continue
        start_cost = (0 if on else start_cost_ueur, horizon_s)
        first, count = len(rungs), len(members)
        values = enumerate(_values(told, standby_w, scaled_value, start_cost))
        made = tuple([Rung(first + level, level, *value, count) for level, value in values])
        groups.append(Group(told, on, held, tuple(members), made))
        rungs += made
    return Ladder(
        offers=offers,
        groups=tuple(groups),
        rungs=tuple(rungs),
        merit=tuple(sorted(rungs, key=_VALUE, reverse=True)),
        held=tuple(sorted((group.rungs[0] for group in groups if group.held), key=_VALUE, reverse=True)),
        fixed_w=fixed_w,
        resting=tuple(resting),
        stopped=tuple(all_stopped),
        unavailable=tuple(unavailable),
        until_ms=until_ms,
    )


def told_steps(steps: Steps, standby_w: int, fixed_power_w: int | None) -> Steps:
    """The steps that a machine can be told: one where it cannot be regulated, else those on the hull."""
    if fixed_power_w is not None:
        return hull(((fixed_power_w, steps[-1][1] if steps else 0),), standby_w)
    return hull(steps, standby_w)


class LastLadder:
    """The ladder that was made last, kept for as long as nothing that it is made of is another."""

    def __init__(self) -> None:
        self._ladder: Ladder | None = None
        self._made_of: tuple[int, int, bool] | None = None

    def at(self, offers: tuple[MachineOffer, ...], scaled_value: int, horizon_s: int, now_ms: int, *, stopped: bool) -> Ladder:
        """:func:`ladder_of` these very offers, at an instant not earlier than the last."""
        kept, made_of = self._ladder, (scaled_value, horizon_s, stopped)
        if kept is not None and kept.is_of(offers, now_ms) and made_of == self._made_of:
            return kept
        self._made_of = made_of
        self._ladder = made = ladder_of(offers, scaled_value, horizon_s, now_ms, stopped=stopped)
        return made
