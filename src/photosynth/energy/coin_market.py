"""What a hash is worth: difficulty, reward and price of a day, and what a site would expect of them on mainnet."""

import math
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Protocol

from photosynth.quantities.value import JOULES_PER_MWH, SAT_PER_BTC, coins_value_ueur
from photosynth.quantities.work import DIFFICULTY_1_TARGET, TWO_256, work_of_target

DAY_S = 86_400
DAYS_PER_YEAR = 365.25
SUBSIDY_SAT_SINCE: tuple[tuple[date, int], ...] = (
    (date(2009, 1, 3), 50 * SAT_PER_BTC),
    (date(2012, 11, 28), 25 * SAT_PER_BTC),
    (date(2016, 7, 9), 1_250_000_000),
    (date(2020, 5, 11), 625_000_000),
    (date(2024, 4, 20), 312_500_000),
)
"""Subsidy of a block from the day of each halving on (Bitcoin Core ``GetBlockSubsidy``; days of blocks 210,000 x n)."""


def subsidy_sat(day: date) -> int:
    """The subsidy of a block found on a day, until the halving expected in 2028. Raises ValueError before 2009-01-03."""
    for since, amount_sat in reversed(SUBSIDY_SAT_SINCE):
        if day >= since:
            return amount_sat
    raise ValueError(f"there was no Bitcoin block before 2009-01-03, and {day} is earlier")


def target_of_exact_difficulty(difficulty: Fraction) -> int:
    """The target of a difficulty, exactly: floor(difficulty-1 target / difficulty). Raises ValueError unless positive."""
    if difficulty <= 0:
        raise ValueError(f"a difficulty is a positive number, not {difficulty}")
    return min(int(DIFFICULTY_1_TARGET / difficulty), TWO_256 - 1)


@dataclass(frozen=True, slots=True)
class CoinQuote:
    """What mining is paid with at an instant: the network's target, a block's reward, and the price of a coin.

    ``reward_sat`` is subsidy and mean fees of a block; ``difficulty`` is decimal text as its source gives it.
    """

    price_cent_per_btc: int
    difficulty: str
    target: int
    subsidy_sat: int
    fees_sat: int
    source: str
    as_of_ms: int

    @property
    def reward_sat(self) -> int:
        """What a block pays its miner: subsidy and fees, in satoshis."""
        return self.subsidy_sat + self.fees_sat

    @property
    def work_per_block(self) -> int:
        """Hashes expected for one block."""
        return work_of_target(self.target)

    @property
    def sat_per_hash(self) -> Fraction:
        """Expected satoshis of one hash, exact."""
        return Fraction(self.reward_sat, self.work_per_block)

    @property
    def eur_per_hash(self) -> Fraction:
        """Expected EUR of one hash, exact: the hash value that the dispatch compares with energy."""
        return self.sat_per_hash * self.price_cent_per_btc / (100 * SAT_PER_BTC)

    def expected_sat(self, hashes: int) -> int:
        """Satoshis that so many hashes earn on average, rounded down."""
        return hashes * self.reward_sat // self.work_per_block

    def strike_cent_per_mwh(self, hash_rate_hs: int, power_w: int) -> int:
        """What a megawatt-hour earns at this efficiency (cent/MWh, rounded down): dearer energy is not worth mining with."""
        return strike_cent_per_mwh(self.eur_per_hash, hash_rate_hs, power_w)


class CoinMarket(Protocol):
    """Where quotes come from; None where the instant has none."""

    def at(self, instant_ms: int) -> CoinQuote | None:
        """The quote in force at an instant of site time."""
        ...


@dataclass(frozen=True, slots=True)
class DeclaredCoinMarket:
    """One quote for all times, as a fleet file declares it with its date."""

    quote: CoinQuote

    def at(self, instant_ms: int) -> CoinQuote:
        """The declared quote, whatever the instant."""
        return self.quote


def declared_quote(
    *, price_cent_per_btc: int, difficulty: str, subsidy_sat: int, fees_sat: int, source: str, as_of_ms: int
) -> CoinQuote:
    """A quote from declared figures; ``difficulty`` as decimal text. Raises ValueError where it is none."""
    target = target_of_exact_difficulty(Fraction(difficulty))
    return CoinQuote(price_cent_per_btc, difficulty, target, subsidy_sat, fees_sat, source, as_of_ms)


def strike_cent_per_mwh(eur_per_hash: Fraction, hash_rate_hs: int, power_w: int) -> int:
    """What a megawatt-hour earns (cent/MWh, rounded down) with so many hashes per second from so many watts."""
    if power_w < 1:
        raise ValueError("a strike price needs a power of at least 1 W")
    value = eur_per_hash * (100 * hash_rate_hs * JOULES_PER_MWH)
    return value.numerator // (value.denominator * power_w)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a hash rate expects on mainnet, alone and with a pool. None where nothing hashes."""

    sat_per_day: int | None
    ueur_per_day: int | None
    days_per_block: float | None
    chance_of_no_block_in_a_year: float | None
    hash_price_ueur_per_th_day: int


def outlook(quote: CoinQuote, hash_rate_hs: int) -> Outlook:
    """Satoshis and EUR a day, mean days until a block of one's own, and the chance of none in a year.

    Blocks found alone are a Poisson process: the chance of none is exp(-365.25 / days per block). The hash price is the
    value of 10^12 hashes per second over a day (energy facts: 1e12 x 86400 x reward x price / work).
    """
    hash_price_ueur = round(quote.eur_per_hash * 10**12 * DAY_S * 1_000_000)
    if hash_rate_hs <= 0:
        return Outlook(None, None, None, None, hash_price_ueur)
    sat = quote.expected_sat(hash_rate_hs * DAY_S)
    days = quote.work_per_block / (hash_rate_hs * DAY_S)
    return Outlook(
        sat_per_day=sat,
        ueur_per_day=coins_value_ueur(sat, quote.price_cent_per_btc),
        days_per_block=days,
        chance_of_no_block_in_a_year=math.exp(-DAYS_PER_YEAR / days),
        hash_price_ueur_per_th_day=hash_price_ueur,
    )
