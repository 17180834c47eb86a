"""Which markets drive a site: the fleet file's own, or those of a recorded day."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from photosynth.energy.coin_market import CoinMarket, CoinQuote
from photosynth.energy.market import Market
from photosynth.energy.prices import Prices
from photosynth.energy.recorded_market import RecordedEnergy, RecordedMarket
from photosynth.fleet import MiningSite
from photosynth.quantities.instants import market_day_bounds_ms, market_day_of
from photosynth.simulation.recorded_site import nominal_of, recorded_coin_market
from photosynth.simulation.replay import generation_of
from photosynth.simulation.series import Series, write_series
from photosynth.sites.configuration import declared_coin_market, tariff_of
from photosynth.sites.drivers import market_of


@dataclass(frozen=True, slots=True)
class Markets:
    """Energy and coin prices of a run, and the time that they are for; ``generation`` is a recorded day's."""

    energy: Market
    coin: CoinMarket
    start_ms: int
    end_ms: int | None
    generation: Series | None

    def series_in(self, folder: Path) -> Path | None:
        """The file in a folder with the recorded generation, written for the world process; None where it is computed."""
        if self.generation is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"generation-{market_day_of(self.start_ms)}.json"
        write_series(path, self.generation)
        return path


@dataclass(frozen=True, slots=True)
class _UntilEnd:
    """A market whose last instant holds on when the clock stands at the day's end."""

    energy: Market
    coin: CoinMarket
    end_ms: int

    def prices(self, instant_ms: int) -> Prices | None:
        """The prices of the quarter hour."""
        return self.energy.prices(min(instant_ms, self.end_ms - 1))

    def at(self, instant_ms: int) -> CoinQuote | None:
        """The quote of the day."""
        return self.coin.at(min(instant_ms, self.end_ms - 1))


def declared_markets(mining: MiningSite) -> Markets:
    """The fleet file's own: the market that it names and the declared mainnet figures, which every site that is loaded has."""
    site, demonstration = mining.site, mining.node.demonstration
    assert demonstration is not None, "a site on another chain than regtest is refused when it is loaded"
    coin = declared_coin_market(demonstration)
    return Markets(market_of(site), coin, site.start_ms(), None, None)


def recorded_markets(mining: MiningSite, day: date, data: Path) -> Markets:
    """Those of a recorded Berlin day. Raises RecordedDataError naming file and date where something is missing."""
    energy = RecordedEnergy(data)
    market = RecordedMarket(tariff_of(mining.site), energy)
    market.check(day)
    coin = recorded_coin_market(mining, data)
    start_ms, end_ms = market_day_bounds_ms(day)
    coin.at(start_ms)
    until = _UntilEnd(market, coin, end_ms)
    return Markets(until, until, start_ms, end_ms, generation_of(energy, day, nominal_of(mining.site)))
