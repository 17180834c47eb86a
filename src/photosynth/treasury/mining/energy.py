"""A quarter hour's energy: from registers to an allocation, and from prices to postings.

Pure functions: the books post what they return, and a verifier computes the same again. Energies in joules, prices in
cent/MWh, values in micro-EUR. Rule identifiers name the formulas in the evidence's header.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import lcm

from photosynth.quantities.balance import (
    Allocation,
    Energies,
    MeterRole,
    allocate,
    forgone_export_j,
    mining_part,
    sums_by_role,
)
from photosynth.quantities.value import energy_value_ueur
from photosynth.treasury import accounts as a
from photosynth.treasury.facts import MeterFact, MeterInfo, PriceFact
from photosynth.treasury.journal import Posting, PostingLine, Source, transfer

RULES: dict[str, str] = {
    "allocation": "factory-first-1",
    "energy_value": "joule-price-half-even-1",
    "grid_energy": "components-floor-1",
    "own_energy": "forgone-export-or-tariff-1",
    "residual": "class-and-step-1",
}

MID_CLASS_PERCENT = {"A": Fraction(2), "B": Fraction(1), "C": Fraction(1, 2)}
"""Limits of error at reference conditions (EN 50470-3)."""


def role_energies(meters: Iterable[MeterInfo], facts: Iterable[MeterFact]) -> dict[MeterRole, int | None]:
    """What each role metered; unknown where a register of one of its meters is unknown or runs backwards."""
    return sums_by_role(meters, {fact.id: _counted_j(fact) for fact in facts})


def energies(meters: Iterable[MeterInfo], facts: Iterable[MeterFact]) -> Energies | None:
    """The five energies of a quarter hour, None where one is unknown: an unknown is never a zero."""
    return Energies.of(role_energies(meters, facts))


def _counted_j(fact: MeterFact) -> int | None:
    start_j, end_j = fact.register_start_j, fact.register_end_j
    return None if start_j is None or end_j is None or end_j < start_j else end_j - start_j


def class_percent(meter_class: str) -> Fraction | None:
    """The limit of error of a meter class in percent: a number, or a MID class A, B, C. None where it is neither."""
    if meter_class in MID_CLASS_PERCENT:
        return MID_CLASS_PERCENT[meter_class]
    digits = meter_class.replace(".", "", 1)
    return Fraction(meter_class) if len(meter_class) <= 8 and digits.isascii() and digits.isdigit() else None


def residual_bound_j(meters: Iterable[MeterInfo], facts: Iterable[MeterFact]) -> int | None:
    """The largest residual that the meters' classes explain: each one's class of its energy and one register step.

    None where a class or a register is unknown. Rule class-and-step-1.
    """
    by_id = {fact.id: fact for fact in facts}
    meters = tuple(meters)
    weights = class_weights(tuple(meter.meter_class for meter in meters))
    if weights is None:
        return None
    over, parts = weights
    bound = 0
    for meter, weight in zip(meters, parts, strict=True):
        fact = by_id.get(meter.id)
        if fact is None or fact.register_start_j is None or fact.register_end_j is None:
            return None
        bound += weight * (fact.register_end_j - fact.register_start_j) + over * meter.register_step_j
    return bound // over if bound >= 0 else -(-bound // over)


@lru_cache(maxsize=64)
def class_weights(classes: tuple[str, ...]) -> tuple[int, tuple[int, ...]] | None:
    """Meters' classes as integer parts of one whole: the whole, and each one's; None where a class is unknown."""
    percents = [class_percent(meter_class) for meter_class in classes]
    known = [percent / 100 for percent in percents if percent is not None]
    if len(known) != len(percents):
        return None
    over = lcm(1, *(part.denominator for part in known))
    return over, tuple(part.numerator * (over // part.denominator) for part in known)


def asked_by(key: str) -> str | None:
    """What all keys of a quarter hour's postings begin with, or of its correction's; None where a key is of neither."""
    parts = key.split(":", 4)
    size = {"interval": 3, "correction": 4}.get(parts[0], len(parts))
    return ":".join(parts[:size]) + ":" if size < len(parts) else None


def interval_key(site: str, start_ms: int) -> str:
    """What the keys of a quarter hour's postings begin with."""
    return f"interval:{site}:{start_ms}:"


def correction_key(site: str, start_ms: int, number: int) -> str:
    """The same of its correction with a number, counted from 1."""
    return f"correction:{site}:{start_ms}:{number}:"


@dataclass(frozen=True, slots=True)
class Occasion:
    """For which quarter hour of a site and when (by the machine's clock) something is posted; what its keys begin with."""

    site: str
    key: str
    start_ms: int
    wall_ms: int


def energy_posting(at: Occasion, energy: Energies) -> Posting | None:
    """The joules of a quarter hour: sources on the credit side, uses on the debit side, the residual on its sign's."""
    uses = [(a.E_FACTORY, energy.factory_j), (a.E_MINING, energy.mining_j), (a.E_EXPORT, energy.export_j)]
    sources = [(a.E_OWN, energy.own_j), (a.E_IMPORT, energy.import_j)]
    (uses if energy.residual_j > 0 else sources).append((a.E_RESIDUAL, abs(energy.residual_j)))
    lines = [PostingLine(account, "debit", "J", amount) for account, amount in uses if amount]
    lines += [PostingLine(account, "credit", "J", amount) for account, amount in sources if amount]
    return _posting("energy", "Energy of the quarter hour", at, tuple(lines), source={})


def import_postings(at: Occasion, energy: Energies, allocation: Allocation, prices: PriceFact) -> list[Posting]:
    """Bought energy, one posting for each component of its price, split by :func:`mining_part`; a negative price swaps sides."""
    made = []
    for name, price in {"spot": prices.spot_cent_per_mwh, **prices.import_components}.items():
        if not energy.import_j:
            break
        value = energy_value_ueur(energy.import_j, price)
        mining = mining_part(value, energy, allocation)
        lines = transfer(a.GRID_ENERGY_MINING, a.ENERGY_SUPPLIER, "EUR", mining)
        lines += transfer(a.GRID_ENERGY_FACTORY, a.ENERGY_SUPPLIER, "EUR", value - mining)
        source = {**_source(prices), "component": name, "price_cent_per_mwh": price, "energy_j": energy.import_j}
        made.append(_posting(f"grid_energy.{name}", f"Bought energy: {name}", at, lines, source=source))
    return [posting for posting in made if posting is not None]


def export_posting(at: Occasion, energy: Energies, prices: PriceFact) -> Posting | None:
    """Sold energy: spot, premium, and the marketer's fee."""
    spot, premium, fee = (
        energy_value_ueur(energy.export_j, price)
        for price in (prices.spot_cent_per_mwh, prices.export_premium_cent_per_mwh, prices.export_fee_cent_per_mwh)
    )
    lines = transfer(a.EXPORT_RECEIVABLE, a.EXPORT_REVENUE, "EUR", spot)
    lines += transfer(a.PREMIUM_RECEIVABLE, a.PREMIUM_REVENUE, "EUR", premium)
    lines += transfer(a.MARKETING_FEE, a.EXPORT_RECEIVABLE, "EUR", fee)
    source = {
        **_source(prices),
        "spot_cent_per_mwh": prices.spot_cent_per_mwh,
        "premium_cent_per_mwh": prices.export_premium_cent_per_mwh,
        "fee_cent_per_mwh": prices.export_fee_cent_per_mwh,
        "energy_j": energy.export_j,
    }
    return _posting("export", "Sold energy", at, lines, source=source)


def own_energy_posting(
    at: Occasion,
    energy: Energies,
    allocation: Allocation,
    prices: PriceFact,
    *,
    export_limit_w: int | None,
    duration_s: int,
) -> Posting | None:
    """Own energy used for mining, at the export that was forgone; another party's by its tariff, as an invoice.

    o = value(min(own_mining, room to export), max(0, net export price)); the room is what the connection still took.
    """
    tariff = prices.own_energy_tariff_cent_per_mwh
    if tariff is not None:
        value = energy_value_ueur(allocation.own_mining_j, tariff)
        lines = transfer(a.GRID_ENERGY_MINING, a.ENERGY_SUPPLIER, "EUR", value)
        source = {**_source(prices), "tariff_cent_per_mwh": tariff, "energy_j": allocation.own_mining_j}
        return _posting("delivered_energy", "Another party's energy used for mining", at, lines, source=source)
    forgone_j = forgone_export_j(allocation.own_mining_j, energy.export_j, export_limit_w, duration_s)
    net = prices.spot_cent_per_mwh + prices.export_premium_cent_per_mwh - prices.export_fee_cent_per_mwh
    value = energy_value_ueur(forgone_j, max(0, net))
    lines = transfer(a.OWN_ENERGY_CHARGED, a.OWN_ENERGY_CREDITED, "EUR", value)
    source = {**_source(prices), "net_export_cent_per_mwh": net, "energy_j": forgone_j}
    return _posting("own_energy", "Own energy used for mining", at, lines, source=source)


def interval_postings(
    at: Occasion,
    energy: Energies | None,
    prices: PriceFact | None,
    *,
    export_limit_w: int | None,
    duration_s: int,
) -> list[Posting]:
    """Every posting of a site's quarter hour in the order of the journal; without prices the joules, unknown gives none."""
    if energy is None:
        return []
    made = [energy_posting(at, energy)]
    if prices is not None:
        allocation = allocate(energy)
        own = own_energy_posting(at, energy, allocation, prices, export_limit_w=export_limit_w, duration_s=duration_s)
        made.append(own)
        made += import_postings(at, energy, allocation, prices)
        made.append(export_posting(at, energy, prices))
    return [posting for posting in made if posting is not None]


def mining_cost_ueur(postings: Iterable[Posting]) -> int:
    """What mining's energy cost in these postings: bought, delivered by others, and own at the forgone export."""
    total = 0
    for posting in postings:
        for line in posting.lines:
            if line.account in (a.GRID_ENERGY_MINING, a.OWN_ENERGY_CHARGED):
                total += line.amount if line.side == "debit" else -line.amount
    return total


def _source(prices: PriceFact) -> dict[str, str | int | None]:
    return {"price_source": prices.source, "published_ms": prices.published_ms}


def _posting(event: str, text: str, at: Occasion, lines: tuple[PostingLine, ...], *, source: Source) -> Posting | None:
    if not lines:
        return None
    key, name = f"{at.key}{event}", event.split(".", maxsplit=1)[0]
    return Posting(key, at.start_ms, at.wall_ms, name, text, lines, source, site=at.site)
