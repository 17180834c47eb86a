"""What a backtest is given and what it hands out: plain facts that its callers and its engine share."""

from dataclasses import dataclass
from datetime import date

from photosynth.energy.coin_market import CoinMarket, CoinQuote
from photosynth.energy.dispatch import DispatchPolicy
from photosynth.energy.prices import Prices, Tariff
from photosynth.energy.recorded_market import RecordedEnergy
from photosynth.quantities.balance import Allocation, Energies
from photosynth.simulation.backtest_machines import BacktestMachine
from photosynth.simulation.factory import FactoryLoad
from photosynth.simulation.replay import Nominal


@dataclass(frozen=True)
class BacktestConfig:
    """A site and its markets. ``nominal`` is what the recorded sun's and wind's yearly maxima are scaled to."""

    site: str
    seed: int
    nominal: Nominal
    loads: tuple[FactoryLoad, ...]
    machines: tuple[BacktestMachine, ...]
    policy: DispatchPolicy
    tariff: Tariff
    energy: RecordedEnergy
    coins: CoinMarket
    first_day: date
    last_day: date
    fixed_strike_cent_per_mwh: int | None = None


@dataclass(frozen=True, slots=True)
class BacktestInterval:
    """One closed quarter hour of the dispatch's run, for the books. Registers (J, by meter role) count from zero.

    What was curtailed was never generated: its estimate stands beside the balance.
    """

    start_ms: int
    energy: Energies
    allocation: Allocation
    curtailed_estimate_j: int
    prices: Prices
    quote: CoinQuote
    represented_hashes: int
    registers_j: dict[str, tuple[int, int]]
