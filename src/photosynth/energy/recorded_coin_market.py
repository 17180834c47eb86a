"""The coin market of a recorded day: price, exchange rate, difficulty and fees from daily files.

Files, as public sources publish them: ``btc_price_volume.csv`` (USD a coin), ``ecb_eurusd.csv`` (USD a euro),
``btc_difficulty.csv``, ``btc_coinmetrics.csv`` (fees of a day in BTC). One quote holds for a whole market day.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

from photosynth.energy.coin_market import CoinQuote, subsidy_sat, target_of_exact_difficulty
from photosynth.energy.recorded_files import RecordedDataError, daily_series
from photosynth.quantities.instants import market_day_bounds_ms, market_day_of
from photosynth.quantities.value import SAT_PER_BTC

PRICE_FILE = "btc_price_volume.csv"
EXCHANGE_FILE = "ecb_eurusd.csv"
DIFFICULTY_FILE = "btc_difficulty.csv"
FEES_FILE = "btc_coinmetrics.csv"
BLOCKS_PER_DAY = 144
"""The network aims at a block every 600 s (Bitcoin Core ``nPowTargetSpacing``); a day's fees are spread over so many."""
OLDEST_RATE = timedelta(days=10)
"""An exchange rate older than the longest run of European bank holidays is a gap in the file, not a holiday."""
OLDEST_DIFFICULTY = timedelta(days=14)
"""The difficulty changes every 2016 blocks, about two weeks."""

Series = dict[date, tuple[Fraction, str]]


def has_coin_files(folder: Path) -> bool:
    """Whether a folder holds any of the files a recorded coin market needs; where none is, a declared quote stands in."""
    return any((folder / name).exists() for name in (PRICE_FILE, EXCHANGE_FILE, DIFFICULTY_FILE))


@dataclass
class RecordedCoinMarket:
    """Quotes of recorded days. ``declared_fees_sat`` (a block, as of ``declared_date``) stands in on days without fees."""

    folder: Path
    declared_fees_sat: int
    declared_date: str
    _price: Series = field(init=False, repr=False)
    _exchange: Series = field(init=False, repr=False)
    _difficulty: Series = field(init=False, repr=False)
    _fees: Series = field(init=False, repr=False)
    _quotes: dict[date, CoinQuote] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._price = daily_series(self.folder / PRICE_FILE, "price")
        self._exchange = daily_series(self.folder / EXCHANGE_FILE, "usd_per_eur")
        self._difficulty = daily_series(self.folder / DIFFICULTY_FILE, "difficulty")
        fees_path = self.folder / FEES_FILE
        self._fees = daily_series(fees_path, "fees_btc") if fees_path.exists() else {}

    def at(self, instant_ms: int) -> CoinQuote:
        """The quote of the market day that an instant lies in. Raises RecordedDataError where the files have none."""
        return self.on(market_day_of(instant_ms))

    def on(self, day: date) -> CoinQuote:
        """The quote of a day: the day's own price, the last exchange rate and difficulty up to it.

        Raises RecordedDataError naming the file and the date where a value is missing.
        """
        known = self._quotes.get(day)
        if known is not None:
            return known
        price = self._price.get(day)
        if price is None or price[0] <= 0:
            raise RecordedDataError(f"{self.folder / PRICE_FILE}: no price of a coin on {day}; choose days that it covers")
        rate, rate_day = self._last(self._exchange, day, OLDEST_RATE, EXCHANGE_FILE, "exchange rate")
        difficulty, difficulty_day = self._last(self._difficulty, day, OLDEST_DIFFICULTY, DIFFICULTY_FILE, "difficulty")
        fees = self._fees.get(day)
        if fees is None:
            fees_sat, fees_source = self.declared_fees_sat, f"fees constant as of {self.declared_date}"
        else:
            fees_sat, fees_source = round(fees[0] * SAT_PER_BTC / BLOCKS_PER_DAY), f"{FEES_FILE} / {BLOCKS_PER_DAY} blocks"
        quote = CoinQuote(
            price_cent_per_btc=round(price[0] * 100 / rate[0]),
            difficulty=difficulty[1],
            target=target_of_exact_difficulty(difficulty[0]),
            subsidy_sat=subsidy_sat(day),
            fees_sat=fees_sat,
            source=f"{PRICE_FILE} {day}, {EXCHANGE_FILE} {rate_day}, {DIFFICULTY_FILE} {difficulty_day}, {fees_source}",
            as_of_ms=market_day_bounds_ms(day)[0],
        )
        self._quotes[day] = quote
        return quote

    def _last(self, series: Series, day: date, oldest: timedelta, name: str, what: str) -> tuple[tuple[Fraction, str], date]:
        for age in range(oldest.days + 1):
            value = series.get(day - timedelta(days=age))
            if value is not None and value[0] > 0:
                return value, day - timedelta(days=age)
        raise RecordedDataError(f"{self.folder / name}: no {what} on {day} nor in the {oldest.days} days before it")
