"""What every kind of market has to do: prices of whole quarter hours that stay what they were, with their source."""

from datetime import date

import pytest
from tests.unit.sites.sites_fakes import TARIFF

from photosynth.energy.market_kind import MARKETS, MarketAccess, MarketKind
from photosynth.quantities.instants import INTERVAL_MS, market_day_bounds_ms
from photosynth.settings.part import Part

KINDS = [kind for kind in MARKETS.usable() if kind.name in MARKETS.ours]
DAYS = (date(2026, 3, 29), date(2026, 6, 14), date(2026, 10, 25))
"""Of 23, 24 and 25 hours."""


@pytest.mark.parametrize("day", DAYS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_prices_quarter_hours(kind: MarketKind, day: date) -> None:
    market, again = (kind.open(MarketAccess(TARIFF, 7), Part()) for _ in range(2))
    start_ms, end_ms = market_day_bounds_ms(day)
    known = 0
    for at_ms in range(start_ms, end_ms, INTERVAL_MS):
        prices = market.prices(at_ms)
        assert market.prices(at_ms + INTERVAL_MS - 1) == prices == again.prices(at_ms)
        if prices is None:
            continue
        known += 1
        assert prices.interval_start_ms == at_ms
        assert next(iter(prices.import_components)) == "spot"
        assert prices.import_cent_per_mwh == prices.spot_cent_per_mwh + sum(
            component.cent_per_mwh for component in TARIFF.import_components
        )
        assert prices.source
    assert known in (0, (end_ms - start_ms) // INTERVAL_MS), "a day is known whole or not at all"


def test_the_synthetic_market_knows_every_instant() -> None:
    synthetic = MARKETS.get("synthetic")
    assert synthetic is not None
    assert synthetic.open(MarketAccess(TARIFF, 1), Part()).prices(market_day_bounds_ms(DAYS[1])[0]) is not None
