"""Kinds of market by name: the house's own, and those that other packages announce in the group ``photosynth.markets``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from photosynth.drivers import Driver, driver_registry
from photosynth.energy.market import Market
from photosynth.energy.prices import Tariff


@dataclass(frozen=True, slots=True)
class MarketAccess:
    """What a market is opened with: what its site pays beside the spot price, and the seed of what is made up there."""

    tariff: Tariff
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketKind(Driver):
    """A kind of market. ``open`` makes one for a site, with its settings; its prices never wait for anything."""

    open: Callable[[MarketAccess, Any], Market]


MARKETS = driver_registry("photosynth.markets", MarketKind, {"synthetic": "photosynth.energy.synthetic_market:KIND"})
