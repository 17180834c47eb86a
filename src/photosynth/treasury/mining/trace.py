"""One coinbase traced back: to the work that it claims, the quarter hours of that work, their meters and prices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.quantities.instants import INTERVAL_S
from photosynth.storage.tables import INTERVALS
from photosynth.treasury.chain import block_prefix
from photosynth.treasury.facts import MeterInfo
from photosynth.treasury.journal import StoredPosting, postings_by_key
from photosynth.treasury.mining.attribution import DAY_MS, Span, span_of
from photosynth.treasury.mining.blocks import AttributedShare, BlockRow, attribution_of, find_block


@dataclass(frozen=True, slots=True)
class TracedMeter:
    """One meter's registers over a quarter hour, in joules."""

    id: str
    role: str
    register_start_j: int | None
    register_end_j: int | None
    quality: str


@dataclass(frozen=True, slots=True)
class TracedInterval:
    """One quarter hour behind a block: its record, its satoshis, energies and prices; None where it is not closed yet.

    Of a day, and of all days before (from zero), it has the sums of energies and cost over the closed quarter hours.
    """

    interval_ms: int
    duration_s: int
    record: int | None
    value_sat: int
    own_mining_j: int | None
    grid_mining_j: int | None
    mining_j: int | None
    meters: tuple[TracedMeter, ...]
    spot_cent_per_mwh: int | None
    energy_cost_ueur: int | None
    prices: dict[str, int | None]
    price_source: str | None


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything behind one coinbase, with notes on what is not known."""

    block: BlockRow
    shares: tuple[AttributedShare, ...]
    intervals: tuple[TracedInterval, ...]
    postings: tuple[StoredPosting, ...]
    notes: tuple[str, ...]


def trace(tx: Connection, site: str | None, block_or_txid: str, meters: Callable[[str], tuple[MeterInfo, ...]]) -> Trace | None:
    """Trace a block by height, hash or coinbase txid; None where it is none of ours, or not of the site that is named.

    ``meters`` are those of a site, of the one whose pool found the block.
    """
    block = find_block(tx, site, block_or_txid)
    if block is None:
        return None
    of_site = block.site or ""  # nobody's block claims no quarter hour
    shares = tuple(attribution_of(tx, block.chain, block.hash))
    by_span: dict[tuple[int, int], int] = {}
    for share in shares:
        span = (share.work.interval_start_ms, duration_s(share, shares))
        by_span[span] = by_span.get(span, 0) + share.value_sat
    roles: dict[str, str] = {meter.id: meter.role for meter in meters(of_site)} if block.site else {}
    intervals = tuple(
        _interval(tx, of_site, start_ms, value, roles)
        if length_s == INTERVAL_S
        else _sums(tx, of_site, start_ms, length_s, value)
        for (start_ms, length_s), value in sorted(by_span.items())
    )
    return Trace(
        block,
        shares,
        intervals,
        tuple(postings_by_key(tx, block_prefix(block.chain, block.hash))),
        tuple(_notes(block, shares, intervals)),
    )


def duration_s(share: AttributedShare, shares: Sequence[AttributedShare]) -> int:
    """How long the time is that a row's work is of; "all days before" end with the first day that another row names."""
    span = span_of(share.work)
    if span is Span.QUARTER_HOUR:
        return INTERVAL_S
    if span is Span.DAY:
        return DAY_MS // 1000
    first_ms = min((s.work.interval_start_ms for s in shares if s.work.interval_start_ms), default=0)
    return (first_ms - first_ms % DAY_MS) // 1000


def _sums(tx: Connection, site: str, start_ms: int, length_s: int, value_sat: int) -> TracedInterval:
    c = INTERVALS.c
    inside = (c.site == site) & (c.start_ms >= start_ms) & (c.start_ms < start_ms + length_s * 1000 if length_s else sa.true())
    sums = (sa.func.sum(column) for column in (c.own_mining_j, c.grid_mining_j, c.mining_j, c.mining_cost_ueur))
    row = tx.execute(sa.select(*sums).where(inside)).one()
    return TracedInterval(start_ms, length_s, None, value_sat, row[0], row[1], row[2], (), None, row[3], {}, None)


def _interval(tx: Connection, site: str, start_ms: int, value_sat: int, roles: dict[str, str]) -> TracedInterval:
    row = tx.execute(sa.select(INTERVALS).where(INTERVALS.c.site == site, INTERVALS.c.start_ms == start_ms)).first()
    if row is None:
        return TracedInterval(start_ms, INTERVAL_S, None, value_sat, None, None, None, (), None, None, {}, None)
    metered = tuple(
        TracedMeter(m["id"], roles.get(m["id"], "unknown"), _int(m["register_start_j"]), _int(m["register_end_j"]), m["quality"])
        for m in row.meters
    )
    prices: dict[str, int | None] = {}
    if row.prices is not None:
        prices = {"spot": row.prices["spot"]}
        prices |= {f"import {name}": price for name, price in row.prices["import"]}
        prices |= {"export premium": row.prices["export_premium"], "export fee": row.prices["export_fee"]}
    return TracedInterval(
        start_ms,
        INTERVAL_S,
        row.seq,
        value_sat,
        row.own_mining_j,
        row.grid_mining_j,
        row.mining_j,
        metered,
        prices.get("spot"),
        row.mining_cost_ueur,
        prices,
        None if row.prices is None else row.prices["source"],
    )


def _notes(block: BlockRow, shares: tuple[AttributedShare, ...], intervals: tuple[TracedInterval, ...]) -> list[str]:
    notes = []
    if block.state == "orphaned":
        notes.append("This block is not in the chain: its satoshis do not exist, and its postings are reversed.")
    if not shares:
        notes.append("Whose work this block claims is not known: it was not mined by this pool, or claimed no work.")
    if any(interval.duration_s != INTERVAL_S for interval in intervals):
        notes.append("Work that waited long for a block is known by the day (UTC), and the oldest in one row a worker.")
    if any(interval.record is None and interval.duration_s == INTERVAL_S for interval in intervals):
        notes.append("A quarter hour of its work is not closed yet; its meters and prices follow with its evidence record.")
    if any(meter.quality not in ("good",) for interval in intervals for meter in interval.meters):
        notes.append("Some readings behind it are estimated, suspect or unknown.")
    return notes


def _int(value: int | str | None) -> int | None:
    return None if value is None else int(value)
