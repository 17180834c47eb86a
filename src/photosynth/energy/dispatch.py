"""The dispatch: how many watts, in which machine, now. A merit order by marginal value, recomputed at every control step.

A watt is worth what its hashes earn; it costs what its energy would fetch otherwise. Own surplus beyond what the connection
can take is free; the rest costs the forgone net export price, or nothing where that is negative and the source can be
limited; bought energy costs the import price with every component, and is used only where the site allows it. Steps
of machines are taken from the most valuable hash per joule down, while they are worth more than the energy they take.

There is always a plan: where nothing fits, everything sleeps. Of the constraints, in this order, the later yields: the
connection's limit, no import for mining, minimum on times. So a machine within its minimum on time is put to sleep only
where staying on would buy energy that may not be bought, or overload the connection; its reason says so. A machine within
its minimum off time is never woken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from photosynth.energy.ladder import MachineOffer, Rung, rungs_of
from photosynth.energy.prices import Prices
from photosynth.energy.reasons import Reasons

__all__ = ["DispatchPolicy", "MachineOffer", "Plan", "SiteState", "dispatch"]


TRUST_IN_AVAILABLE_PERMILLE = 985
"""How much of an inverter's estimate is counted on: it errs by some percent, and what was counted on in vain would be bought."""
BREACH_CENT_PER_MWH = -100_000_000
"""Stands for the cost of feeding in beyond the connection where the source cannot be limited: anything is better."""


@dataclass(frozen=True, slots=True)
class SiteState:
    """The site's power now, in watts, as meters and inverters said it.

    ``load_w`` is the factory without mining. ``available_w`` is what the sources could make unlimited, None where it is
    not known; it only counts, and not to the full, while they are ``throttled`` by a limit. ``import_peak_w`` is the
    highest quarter-hour mean of import so far, which the demand charge has to be paid for anyway.
    """

    generation_w: int
    load_w: int
    available_w: int | None = None
    throttled: bool = False
    import_peak_w: int = 0

    @property
    def potential_w(self) -> int:
        """What the sources make, or would make without the limit that they are under."""
        if self.throttled and self.available_w is not None:
            return max(self.generation_w, self.available_w * TRUST_IN_AVAILABLE_PERMILLE // 1000)
        return self.generation_w


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """What a site allows and what its limits are (watts).

    ``guard_w`` is the margin against the lag of control and machines that draw a little more than told: so much export is
    kept where energy may not be bought for mining, and so much of the connection where it may.
    ``restart_horizon_s`` is the time over which the cost of a start has to be earned back before a machine is woken; three
    hours did best over June and September days of 2024, from half an hour to twelve hours.
    """

    connection_w: int
    guard_w: int = 0
    import_for_mining: bool = False
    curtail_to_import: bool = False
    curtailable: bool = True
    demand_charge: bool = False
    restart_horizon_s: int = 10_800
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall be, until the next control step. Powers in watts.

    ``targets`` has every machine that takes orders (0 is sleep), ``reasons`` every machine. ``set_point_w`` is what all
    mining shall draw, standby and machines that take no orders included. ``surplus_w`` is what the sources could give
    beyond the factory. Both limits go to the sources as they are, None lifting one: ``source_limit_w`` caps what they make
    (only set to make room for buying), ``export_limit_w`` what leaves the site. ``curtailed_w`` estimates what that costs.
    """

    set_point_w: int
    targets: dict[str, int]
    reasons: dict[str, str]
    surplus_w: int
    source_limit_w: int | None
    export_limit_w: int | None
    curtailed_w: int


@dataclass(frozen=True, slots=True)
class _Energy:
    """A block of power that can be had at one price."""

    watts: int
    cent_per_mwh: int


def _blocks(site: SiteState, prices: Prices, policy: DispatchPolicy) -> list[_Energy]:
    """Blocks of energy for mining in the order in which they flow: own energy first, then bought.

    Where bought energy would be cheaper than own, taking it means using the own first, so it counts as no cheaper.
    """
    surplus_w = site.potential_w - site.load_w
    own_w = max(0, surplus_w)
    spare_w = max(0, own_w - policy.connection_w)
    own_cent = max(0, prices.export_cent_per_mwh) if policy.curtailable else prices.export_cent_per_mwh
    blocks = [
        _Energy(spare_w, 0 if policy.curtailable else BREACH_CENT_PER_MWH),
        _Energy(own_w - spare_w, own_cent),
    ]
    if not policy.import_for_mining:
        return _less(blocks, policy.guard_w)
    room_w = _most_import_w(site, policy) - policy.guard_w
    import_cent = prices.import_cent_per_mwh if own_w == 0 else max(prices.import_cent_per_mwh, own_cent)
    blocks.append(_Energy(max(0, room_w - max(0, -surplus_w)), import_cent))
    return blocks


def _most_import_w(site: SiteState, policy: DispatchPolicy) -> int:
    """What may be bought: as much as the connection takes, and where a peak is charged, no more than was paid for."""
    return min(policy.connection_w, site.import_peak_w) if policy.demand_charge else policy.connection_w


def _less(blocks: list[_Energy], guard_w: int) -> list[_Energy]:
    """The blocks without the guard, taken from the last."""
    kept = []
    for block in reversed(blocks):
        taken = min(block.watts, guard_w)
        guard_w -= taken
        kept.append(_Energy(block.watts - taken, block.cent_per_mwh))
    return kept[::-1]


class _Supply:
    """Takes watts out of the blocks of energy in their order, which is of rising price."""

    def __init__(self, blocks: list[_Energy], already_w: int) -> None:
        self.blocks = [block for block in blocks if block.watts > 0]
        self.left = [block.watts for block in self.blocks]
        self.take(already_w)

    def affordable(self, value_cent: int | None, each_w: int, count: int) -> int:
        """How many steps of so many watts there is energy for at a price that they earn; None: whatever it costs."""
        watts = 0
        for block, left in zip(self.blocks, self.left, strict=True):
            if value_cent is None or block.cent_per_mwh <= value_cent:
                watts += left
        return min(count, watts // each_w)

    def take(self, watts: int) -> None:
        """Take watts from the first block on, as far as there are any."""
        for index, left in enumerate(self.left):
            taken = min(left, watts)
            if taken > 0:
                self.left[index] -= taken
                watts -= taken


def dispatch(
    site: SiteState,
    offers: Sequence[MachineOffer],
    prices: Prices,
    policy: DispatchPolicy,
    *,
    eur_per_hash: Fraction,
    now_ms: int,
) -> Plan:
    """Decide what every machine and the sources shall do now; pure, never without a plan, and quick (0.15 ms for 100 machines).

    ``eur_per_hash`` is the expected value of one (represented) hash, from ``CoinQuote.eur_per_hash``.
    """
    own, own_worth = _plan(site, offers, prices, policy, eur_per_hash=eur_per_hash, now_ms=now_ms, buying=False)
    if policy.stopped or not (policy.curtail_to_import and policy.curtailable and policy.import_for_mining):
        return own
    if prices.import_cent_per_mwh >= 0 or site.potential_w == 0:
        return own
    bought, bought_worth = _plan(site, offers, prices, policy, eur_per_hash=eur_per_hash, now_ms=now_ms, buying=True)
    fits = site.load_w + bought.set_point_w <= _most_import_w(site, policy)
    return bought if fits and bought_worth > own_worth else own


def _plan(
    site: SiteState,
    offers: Sequence[MachineOffer],
    prices: Prices,
    policy: DispatchPolicy,
    *,
    eur_per_hash: Fraction,
    now_ms: int,
    buying: bool,
) -> tuple[Plan, int]:
    """The best plan with the own sources, or with bought energy in their place, and what it is worth (W x cent/MWh)."""
    reasons = Reasons(prices, policy.import_for_mining)
    seen = SiteState(0, site.load_w, import_peak_w=site.import_peak_w) if buying else site
    groups, fixed_w = rungs_of(offers, eur_per_hash, policy.restart_horizon_s, now_ms, policy.stopped)
    supply = _Supply(_blocks(seen, prices, policy), fixed_w)

    _hold_minimum_times(groups.rungs, supply)
    for rung in sorted(groups.rungs, key=lambda item: -item.value_cent):
        count = min(rung.count, rung.below.taken if rung.below is not None else rung.count) - rung.taken
        if count > 0:
            taken = supply.affordable(rung.value_cent, rung.watts, count)
            supply.take(taken * rung.watts)
            rung.taken += taken

    targets, texts = groups.assign(reasons)
    set_point_w = fixed_w + groups.extra_w()
    limits = _limits(site, prices, policy, set_point_w, buying)
    plan = Plan(
        set_point_w=set_point_w,
        targets=targets,
        reasons=texts,
        surplus_w=site.potential_w - site.load_w,
        source_limit_w=limits.source_w,
        export_limit_w=limits.export_w,
        curtailed_w=limits.curtailed_w,
    )
    mined = sum(rung.taken * rung.watts * rung.value_cent for rung in groups.rungs)
    out_w = seen.potential_w - site.load_w - set_point_w
    paid_cent = prices.import_cent_per_mwh if out_w < 0 else max(0, prices.export_cent_per_mwh)
    return plan, mined + out_w * paid_cent


def _hold_minimum_times(rungs: list[Rung], supply: _Supply) -> None:
    """Keep machines within their minimum on time at their lowest step, as far as the energy may be used at all."""
    for rung in sorted((item for item in rungs if item.held), key=lambda item: -item.value_cent):
        rung.taken = supply.affordable(None, rung.watts, rung.count)
        supply.take(rung.taken * rung.watts)


@dataclass(frozen=True, slots=True)
class _Limits:
    source_w: int | None
    export_w: int | None
    curtailed_w: int


def _limits(site: SiteState, prices: Prices, policy: DispatchPolicy, set_point_w: int, buying: bool) -> _Limits:
    """What the sources are told: nothing is fed in at a loss, nor beyond the connection."""
    if not policy.curtailable:
        return _Limits(None, None, 0)
    if buying:
        return _Limits(0, 0, site.potential_w)
    allowed_w = 0 if prices.export_cent_per_mwh < 0 else policy.connection_w
    export_w = max(0, site.potential_w - site.load_w - set_point_w)
    curtailed_w = max(0, export_w - allowed_w)
    return _Limits(None, allowed_w, curtailed_w)
