"""Ways of running the machines that a backtest compares: all go through the same dispatch, with other rules in force."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from photosynth.energy.coin_market import CoinQuote
from photosynth.energy.dispatch import DispatchPolicy
from photosynth.energy.prices import Prices
from photosynth.miners.model import MachineModel

PRICELESS = Fraction(1)
"""EUR of a hash beyond all energy prices: whoever believes in it mines whatever power costs."""

Rule = Callable[[DispatchPolicy, Prices, Fraction, int], tuple[DispatchPolicy, Fraction]]
"""From the site's policy, the prices, EUR per hash and the fixed strike price (cent/MWh): policy and EUR per hash to go by."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A name and its rule."""

    name: str
    rule: Rule


def _dispatch(policy: DispatchPolicy, prices: Prices, value: Fraction, strike_cent: int) -> tuple[DispatchPolicy, Fraction]:
    return policy, value


def _always_on(policy: DispatchPolicy, prices: Prices, value: Fraction, strike_cent: int) -> tuple[DispatchPolicy, Fraction]:
    return _buying(policy), PRICELESS


def _never(policy: DispatchPolicy, prices: Prices, value: Fraction, strike_cent: int) -> tuple[DispatchPolicy, Fraction]:
    return _where_stopped(policy, True), value


def _fixed_strike(policy: DispatchPolicy, prices: Prices, value: Fraction, strike_cent: int) -> tuple[DispatchPolicy, Fraction]:
    return _where_stopped(policy, prices.spot_cent_per_mwh >= strike_cent), PRICELESS


@lru_cache(maxsize=16)
def _buying(policy: DispatchPolicy) -> DispatchPolicy:
    """Whoever buys whatever energy costs."""
    return replace(policy, import_for_mining=True, curtail_to_import=False, demand_charge=False)


@lru_cache(maxsize=16)
def _where_stopped(policy: DispatchPolicy, stopped: bool) -> DispatchPolicy:
    """The policy where mining is stopped, or is not."""
    return replace(policy, stopped=stopped)


STRATEGIES = (
    Strategy("dispatch", _dispatch),
    Strategy("always_on", _always_on),
    Strategy("never", _never),
    Strategy("fixed_strike", _fixed_strike),
)


def site_strike_cent_per_mwh(models: Sequence[MachineModel], quote: CoinQuote) -> int:
    """One strike price for the whole site: what a megawatt-hour earns with everything at full power; 0 without machines."""
    power_w = sum(model.power_w for model in models)
    return quote.strike_cent_per_mwh(sum(model.hash_rate_hs for model in models), power_w) if power_w else 0
