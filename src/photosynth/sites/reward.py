"""What a coinbase of ours claims and commits to."""

from collections.abc import Callable

from photosynth.bitcoin.node import Template
from photosynth.energy.coin_market import CoinQuote
from photosynth.pool.config import CoinbasePlan


class Reward:
    """The pool's coinbase policy: demonstration money on regtest, the template's whole value elsewhere.

    On a demonstration chain a block earns what the represented work behind it would have earned on mainnet at the
    quote in force, floor(work x reward / work per block), and never more than consensus allows: under-claiming is valid.
    ``quote`` None means that the coins are real. ``head`` is the root over the heads of all streams of evidence, empty before
    the first.
    """

    def __init__(self, script: bytes, quote: Callable[[], CoinQuote] | None, head: Callable[[], bytes]) -> None:
        self._script = script
        self._quote = quote
        self._head = head

    def plan(self, template: Template, unclaimed_represented: int) -> CoinbasePlan:
        """The plan for one job."""
        value_sat = template.coinbase_value_sat
        if self._quote is not None:
            value_sat = min(value_sat, self._quote().expected_sat(unclaimed_represented))
        return CoinbasePlan(value_sat, self._script, self._head())
