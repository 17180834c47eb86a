"""The lines of a coinbase's two events, shared by the books that post them and the verifier that checks them."""

from collections.abc import Iterable
from dataclasses import replace

from photosynth.treasury import accounts as a
from photosynth.treasury.facts import Recognition
from photosynth.treasury.journal import PostingLine, transfer


def accrual_lines(value_sat: int, value_ueur: int, recognition: Recognition) -> tuple[PostingLine, ...]:
    """A coinbase enters the books, immature: at its fair value, as deferred reward or as revenue at once."""
    credit = a.DEFERRED_REWARD if recognition == "at_maturity" else a.MINING_REVENUE
    return transfer(a.COINS_IMMATURE, a.COIN_CONTRA, "BTC", value_sat) + transfer(a.COINS_IMMATURE, credit, "EUR", value_ueur)


def available_lines(accrued: Iterable[PostingLine]) -> tuple[PostingLine, ...]:
    """The same coinbase becomes available at the amounts that it was accrued with; what was deferred becomes revenue.

    Wallet and party stay what they were.
    """
    lines: tuple[PostingLine, ...] = ()
    for line in accrued:
        if line.account == a.COINS_IMMATURE:
            moved = transfer(a.COINS_AVAILABLE, a.COINS_IMMATURE, line.asset, line.amount)
        elif line.account == a.DEFERRED_REWARD:
            moved = transfer(a.DEFERRED_REWARD, a.MINING_REVENUE, line.asset, line.amount)
        else:
            continue
        lines += tuple(replace(x, wallet=line.wallet, party=line.party) for x in moved)
    return lines
