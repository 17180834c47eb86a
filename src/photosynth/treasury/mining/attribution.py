"""Whose satoshis they are: an amount split by represented hashes, to the last satoshi."""

from collections.abc import Sequence
from enum import Enum

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.treasury.facts import AttributionFact

DAY_MS = 96 * INTERVAL_MS


class Span(Enum):
    """What time a row of an attribution is of: the older work is when a block claims it, the coarser."""

    QUARTER_HOUR = "quarter hour"
    DAY = "day"
    ALL_BEFORE = "all days before"


def span_of(fact: AttributionFact) -> Span:
    """A row of several rounds is folded: of the UTC day that it starts with, or of all days before where it starts at zero.

    Raises ValueError where it starts with neither.
    """
    if fact.round:
        return Span.QUARTER_HOUR
    if fact.interval_start_ms % DAY_MS:
        raise ValueError("a row of several rounds is of a whole day (UTC), or of all days before")
    return Span.DAY if fact.interval_start_ms else Span.ALL_BEFORE


def share_out(amount: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights: floor for each, leftovers one each to the largest remainders, ties to the first.

    The parts add up to the amount exactly. No weight at all gives zeros where the amount is zero; else ValueError.
    """
    if amount < 0 or any(weight < 0 for weight in weights):
        raise ValueError("neither an amount nor a weight is negative")
    total = sum(weights)
    if total == 0:
        if amount:
            raise ValueError(f"{amount} cannot be split over no weight")
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    remainders = [amount * weight % total for weight in weights]
    order = sorted(range(len(weights)), key=lambda at: (-remainders[at], at))
    for at in order[: amount - sum(parts)]:
        parts[at] += 1
    return parts


def attribution_key(fact: AttributionFact) -> tuple[int, int, str, int]:
    """The order in which leftovers are given: by quarter hour, round, worker, scale."""
    return (fact.interval_start_ms, fact.round, fact.worker, fact.scale)


def attribute(value_sat: int, facts: Sequence[AttributionFact]) -> list[tuple[AttributionFact, int]]:
    """Split a block's satoshis over the work that it claims; rows in the order of :func:`attribution_key`.

    A block that claims no work has no rows. Raises ValueError where two rows have one key, or rows have no weight at all.
    """
    ordered = sorted(facts, key=attribution_key)
    keys = [attribution_key(fact) for fact in ordered]
    if len(set(keys)) != len(keys):
        raise ValueError("two rows of one attribution have the same quarter hour, round, worker and scale")
    if not ordered:
        return []
    return list(zip(ordered, share_out(value_sat, [fact.represented for fact in ordered]), strict=True))


def claim_sat(represented: int, reward_sat: int, mainnet_work: int) -> int:
    """What represented hashes would have earned on mainnet: floor(represented x reward / work per block), satoshis."""
    return represented * reward_sat // mainnet_work
