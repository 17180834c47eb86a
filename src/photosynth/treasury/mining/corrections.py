"""Registers that came late: a closed quarter hour gets the energies that it lacked, and the postings that follow from them.

What was closed stays as it is: a correction is a line of its own, and what an earlier one posted is reversed.
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.quantities.balance import Energies, allocate
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S
from photosynth.storage.tables import INTERVALS
from photosynth.treasury.evidence import lines
from photosynth.treasury.evidence.body import correction_data, meter_member
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.facts import CorrectionFacts, MeterFact, PriceFact, SiteFacts
from photosynth.treasury.journal import Posting, StoredPosting, TreasuryError, mirrored, open_postings, post, postings_by_id
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.energy import Occasion
from photosynth.treasury.parties import of_energy

MOST_CORRECTIONS = 16
"""A quarter hour is corrected once as a rule, and again where a reading is replaced by a better one."""
REPLACED = "A later reading replaces this"
"""The text of a posting that a correction reverses."""


def interval_occasion(site: str, start_ms: int, wall_ms: int) -> Occasion:
    """The closing of a quarter hour."""
    return Occasion(site, energy.interval_key(site, start_ms), start_ms, wall_ms)


def correct(tx: Connection, site: SiteFacts, identity: Identity, facts: CorrectionFacts) -> EvidenceRecord | None:
    """Write a correction down and post what follows from it; None where there is nothing to correct, or not all is known."""
    closed = lines.quarter_hour_line(tx, site.site, facts.start_ms)
    row = tx.execute(sa.select(INTERVALS).where(*_this(site.site, facts.start_ms))).first()
    if closed is None or row is None:
        raise TreasuryError(f"the quarter hour {facts.start_ms} ms is not closed: there is nothing to correct")
    known = [_fact(member) for member in row.meters]
    late = {fact.id: fact for fact in facts.meters}
    before = lines.corrections_of(tx, site.site, facts.start_ms)
    lacking = {member["id"] for member in closed.data["meters"] if _lacks(member)}
    if not late.keys() <= lacking:
        others = ", ".join(sorted(late.keys() - lacking))
        raise TreasuryError(f"the quarter hour {facts.start_ms} ms lacks no register of {others}")
    meters = [late.get(fact.id, fact) for fact in known]
    if meters == known:
        return None
    by_role = energy.role_energies(site.meters, meters)
    energies = Energies.of(by_role)
    if energies is None:
        return None
    _check_around(tx, site, facts, {member["id"]: member for member in closed.data["meters"]})
    bound = energy.residual_bound_j(site.meters, meters)
    if bound is not None and abs(energies.residual_j) > bound:
        facts = replace(facts, meters=tuple(_suspect(fact) for fact in facts.meters))
        late = {fact.id: fact for fact in facts.meters}
        meters = [late.get(fact.id, fact) for fact in known]
    number = len(before) + 1
    if number > MOST_CORRECTIONS:
        raise TreasuryError(f"the quarter hour {facts.start_ms} ms was corrected {MOST_CORRECTIONS} times already")
    record = lines.append(
        tx, site.site, identity, "correction", facts.start_ms, correction_data(facts, closed.seq, number, energies)
    )
    at = Occasion(site.site, energy.correction_key(site.site, facts.start_ms, number), facts.start_ms, facts.wall_ms)
    prefix = energy.correction_key(site.site, facts.start_ms, number - 1)
    standing = postings_by_id(tx, [posting_id for posting_id, _ in open_postings(tx, prefix)])
    prices = _prices(row.prices)
    made = energy.interval_postings(at, energies, prices, export_limit_w=site.export_limit_w, duration_s=INTERVAL_S)
    owned = [replace(posting, lines=of_energy(posting.lines, site.meters)) for posting in made]
    for posting in [*(reversal(stored, at) for stored in standing), *owned]:
        if post(tx, posting) is None:
            raise TreasuryError(f"{posting.key} is posted, but its correction is not written down")
    _store(tx, site.site, facts.start_ms, meters, energies=energies, cost=energy.mining_cost_ueur(made) if prices else None)
    return record


def reversal(stored: StoredPosting, at: Occasion) -> Posting:
    """The mirror of what an earlier correction posted."""
    original = stored.posting
    return Posting(
        key=f"{at.key}reversed.{original.key.split(':', 4)[4]}",
        time_ms=at.start_ms,
        wall_ms=at.wall_ms,
        event=f"{original.event}_reversed",
        text=REPLACED,
        lines=mirrored(original.lines),
        source=original.source,
        reverses=stored.id,
        site=original.site,
    )


def _this(site: str, start_ms: int) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """The condition that a row is this quarter hour of a site."""
    return INTERVALS.c.site == site, INTERVALS.c.start_ms == start_ms


def _lacks(member: dict[str, Any]) -> bool:
    return member["register_start_j"] is None or member["register_end_j"] is None


def _check_around(tx: Connection, site: SiteFacts, facts: CorrectionFacts, closed: dict[str, dict[str, Any]]) -> None:
    """The quarter hour itself, and those before and after, know some of the same registers."""
    sides = (("register_start_j", "register_end_j", -INTERVAL_MS), ("register_end_j", "register_start_j", INTERVAL_MS))
    for here, there, step_ms in sides:
        row = tx.execute(sa.select(INTERVALS.c.meters).where(*_this(site.site, facts.start_ms + step_ms))).first()
        beside = {} if row is None else {member["id"]: member[there] for member in row.meters}
        for fact in facts.meters:
            for value in (closed[fact.id][here], beside.get(fact.id)):
                if value is not None and int(value) != getattr(fact, here):
                    raise TreasuryError(
                        f"a late register of meter {fact.id} of {site.site} is {getattr(fact, here)} J, but evidence knows "
                        f"{value} J there"
                    )


def _store(tx: Connection, site: str, start_ms: int, meters: list[MeterFact], *, energies: Energies, cost: int | None) -> None:
    allocation = allocate(energies)
    values: dict[str, Any] = {
        "meters": [meter_member(meter) for meter in meters],
        "residual_j": energies.residual_j,
        "mining_cost_ueur": cost,
    }
    for name in ("own_j", "import_j", "export_j", "factory_j", "mining_j"):
        values[name] = getattr(energies, name)
    for name in ("own_factory_j", "own_mining_j", "grid_mining_j", "grid_factory_j"):
        values[name] = getattr(allocation, name)
    tx.execute(INTERVALS.update().where(*_this(site, start_ms)).values(**values))


def _suspect(meter: MeterFact) -> MeterFact:
    return replace(meter, quality="suspect") if meter.quality == "good" else meter


def _fact(member: dict[str, Any]) -> MeterFact:
    start, end = member["register_start_j"], member["register_end_j"]
    start, end = None if start is None else int(start), None if end is None else int(end)
    return MeterFact(member["id"], start, end, member["quality"], member["signature"])


def _prices(member: dict[str, Any] | None) -> PriceFact | None:
    if member is None:
        return None
    components = {name: int(price) for name, price in member["import"]}
    return PriceFact(
        member["spot"],
        components,
        member["export_premium"],
        member["export_fee"],
        member["source"],
        member["published_ms"],
        member["own_energy_tariff"],
    )
