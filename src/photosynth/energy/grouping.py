"""Which machines are alike, kept from instant to instant: only those that offer something else are sorted in anew.

From minute to minute few machines begin, cease, or come to the end of a minimum time; all others stay where they are.
"""

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import attrgetter, is_not

from photosynth.energy.ladder import Group, Ladder, MachineOffer, Rung, Steps, rungs_of, told_steps

_VALUE = attrgetter("value_cent")
_Key = tuple[int, int, bool, bool, int | None, int]


class _Alike:
    """Machines that are alike: their places in the offers, rising, and their names as long as they are the same."""

    __slots__ = ("key", "members", "places")

    def __init__(self, key: _Key | None) -> None:
        self.key = key
        self.places: list[int] = []
        self.members: tuple[str, ...] | None = None

    def put(self, place: int) -> None:
        """One more."""
        self.members = None
        self.places.append(place)
        if len(self.places) > 1 and self.places[-2] > place:
            self.places.sort()

    def names(self, offers: Sequence[MachineOffer]) -> tuple[str, ...]:
        """Their names, the very same tuple until one comes or goes."""
        if self.members is None:
            self.members = tuple([offers[place].id for place in self.places])
        return self.members


class Grouping:
    """The offers of an instant by what makes them alike; :meth:`take` moves on to those of another."""

    def __init__(self) -> None:
        self._offers: Sequence[MachineOffer] = ()
        self._now_ms = 0
        self._clear()

    def _clear(self) -> None:
        self._groups: dict[_Key, _Alike] = {}
        self._curves: dict[Steps, int] = {}
        self._resting, self._unavailable = _Alike(None), _Alike(None)
        self._where: dict[int, _Alike] = {}
        self._bound: dict[int, int] = {}
        self._fixed_w = 0

    def take(self, offers: Sequence[MachineOffer], now_ms: int) -> None:
        """Sort in the offers of an instant that are others than those of the last, and those whose minimum time ended."""
        if len(offers) != len(self._offers) or now_ms < self._now_ms:
            self._clear()
            others: Iterable[int] = range(len(offers))
        else:
            others = {*compress(range(len(offers)), map(is_not, offers, self._offers))}
            others.update([place for place, until_ms in self._bound.items() if until_ms <= now_ms])
            self._take_out(others)
        self._offers, self._now_ms = offers, now_ms
        self._sort_in(others)

    def ladder(self, scaled_value: int, horizon_s: int) -> Ladder:
        """The ladder of what they offer, until the next minimum time ends."""
        offers = self._offers
        unavailable = [(offers[place].id, offers[place].fixed_power_w) for place in self._unavailable.places]
        all_steps = tuple(self._curves)
        groups: list[Group] = []
        rungs: list[Rung] = []
        for alike in sorted(self._groups.values(), key=_first):
            assert alike.key is not None
            curve, standby_w, on, held, fixed_power_w, start_cost_ueur = alike.key
            members = alike.names(offers)
            told = told_steps(all_steps[curve], standby_w, fixed_power_w)
            if not told:
                unavailable += [(machine, None) for machine in members]
                continue
            start_cost = (0 if on else start_cost_ueur, horizon_s)
            made = rungs_of((told, standby_w), scaled_value, start_cost, len(rungs), len(members))
            groups.append(Group(told, on, held, members, made))
            rungs += made
        return Ladder(
            offers=offers,
            groups=tuple(groups),
            rungs=tuple(rungs),
            merit=tuple(sorted(rungs, key=_VALUE, reverse=True)),
            held=tuple(sorted((group.rungs[0] for group in groups if group.held), key=_VALUE, reverse=True)),
            fixed_w=self._fixed_w,
            resting=tuple([(offers[place].id, self._bound[place]) for place in self._resting.places]),
            stopped=(),
            unavailable=tuple(unavailable),
            until_ms=min(self._bound.values(), default=None),
        )

    def _take_out(self, places: Iterable[int]) -> None:
        for place in places:
            self._fixed_w -= _fixed_w(self._offers[place])
            self._bound.pop(place, None)
            alike = self._where[place]
            alike.places.remove(place)
            alike.members = None
            if not alike.places and alike.key is not None:
                del self._groups[alike.key]

    def _sort_in(self, places: Iterable[int]) -> None:
        steps: Steps | None = None
        curve = 0
        for place in places:
            offer = self._offers[place]
            self._fixed_w += _fixed_w(offer)
            if not offer.available:
                alike = self._unavailable
            else:
                bound_ms = offer.changed_ms + (offer.min_on_s if offer.on else offer.min_off_s) * 1000
                bound = self._now_ms < bound_ms
                if bound:
                    self._bound[place] = bound_ms
                if bound and not offer.on:
                    alike = self._resting
                else:
                    if offer.steps is not steps:  # a curve is long to hash, and machines beside each other mostly share one
                        steps = offer.steps
                        curve = self._curves.setdefault(steps, len(self._curves))
                    key = (curve, offer.standby_w, offer.on, bound, offer.fixed_power_w, offer.start_cost_ueur)
                    known = self._groups.get(key)
                    alike = _Alike(key) if known is None else known
                    self._groups[key] = alike
            alike.put(place)
            self._where[place] = alike


def _first(alike: _Alike) -> int:
    return alike.places[0]


def _fixed_w(offer: MachineOffer) -> int:
    """What it draws whatever is decided."""
    return offer.standby_w if offer.available else offer.fixed_power_w or 0


def ladder_of(offers: Sequence[MachineOffer], scaled_value: int, horizon_s: int, now_ms: int, *, stopped: bool) -> Ladder:
    """Group the offers of an instant; ``scaled_value`` is from :func:`photosynth.energy.ladder.scaled`.

    The ladder of a later instant before ``until_ms`` is the same, as long as the offers are.
    """
    if stopped:
        return _stopped(offers)
    grouping = Grouping()
    grouping.take(offers, now_ms)
    return grouping.ladder(scaled_value, horizon_s)


def _stopped(offers: Sequence[MachineOffer]) -> Ladder:
    """Nobody may mine, so nobody climbs."""
    return Ladder(
        offers=offers,
        groups=(),
        rungs=(),
        merit=(),
        held=(),
        fixed_w=sum(map(_fixed_w, offers)),
        resting=(),
        stopped=tuple([offer.id for offer in offers if offer.available]),
        unavailable=tuple([(offer.id, offer.fixed_power_w) for offer in offers if not offer.available]),
        until_ms=None,
    )


class LastLadder:
    """The ladder that was made last, kept for as long as nothing that it is made of is another; with what it was made from."""

    def __init__(self) -> None:
        self._grouping = Grouping()
        self._ladder: Ladder | None = None
        self._made_of: tuple[int, int, bool] | None = None

    def at(self, offers: tuple[MachineOffer, ...], scaled_value: int, horizon_s: int, now_ms: int, *, stopped: bool) -> Ladder:
        """:func:`ladder_of` these very offers, at an instant not earlier than the last."""
        kept, made_of = self._ladder, (scaled_value, horizon_s, stopped)
        if kept is not None and kept.is_of(offers, now_ms) and made_of == self._made_of:
            return kept
        self._made_of = made_of
        if stopped:
            made = _stopped(offers)
        else:
            self._grouping.take(offers, now_ms)
            made = self._grouping.ladder(scaled_value, horizon_s)
        self._ladder = made
        return made
