"""Documents as tables for people: sorted, with units and ages, in the habit of their country."""

import time
from collections import defaultdict
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from photosynth.cli.table import FittingTable
from photosynth.quantities import format as fmt
from photosynth.quantities.assets import Asset, known
from photosynth.quantities.format import Style
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S, local_time

if TYPE_CHECKING:
    from photosynth.documents import (
        ActionDocument,
        LedgerDocument,
        TraceDocument,
        TraceInterval,
        TraceShare,
        WorkersDocument,
    )


def _wall_age(instant_ms: int | None) -> str:
    return "never" if instant_ms is None else fmt.age(instant_ms, time.time_ns() // 1_000_000) + " ago"


def workers(document: "WorkersDocument", where: str, style: Style) -> RenderableType:
    """One line for each worker, by name; with its site where there are several."""
    several = len({worker.site for worker in document.workers}) > 1
    columns = ("worker", "connected", "accepted", "rejected", "hashed", "represents", "last share")
    table = FittingTable("Workers", *(("site",) if several else ()), *columns, left=2 if several else 1)
    for worker in sorted(document.workers, key=lambda w: (w.site, w.name)):
        rejected = ", ".join(f"{fmt.count(n, style)} {cause}" for cause, n in sorted(worker.rejected_by_cause.items()) if n)
        table.add_row(
            *((worker.site,) if several else ()),
            worker.name,
            "yes" if worker.connected else "no",
            fmt.count(worker.shares_accepted, style),
            rejected or "0",
            fmt.hashes(int(worker.work_hashes), style),
            fmt.hashes(int(worker.represented_hashes), style),
            _wall_age(worker.last_share_wall_ms),
        )
    return Group(Text(where + "\n"), table)


def ledger(document: "LedgerDocument", where: str, style: Style, zone: tzinfo) -> RenderableType:
    """The trial balance by account and asset, then the newest postings, to the last digit; times on the clock of a zone."""
    assets = {asset.code: Asset(**asset.model_dump()) for asset in document.assets}

    def amount(value: str, code: str) -> str:
        return fmt.amount(int(value), assets.get(code) or known(code), style)

    period = f"{local_time(document.from_ms, zone) if document.from_ms is not None else 'the beginning'} to "
    period += local_time(document.to_ms, zone) if document.to_ms is not None else "now"
    balance = FittingTable(f"Trial balance, {period}", "account", "name", "opening", "debit", "credit", "closing", left=2)
    for row in sorted(document.trial_balance, key=lambda r: (r.account, r.asset)):
        values = (amount(v, row.asset) for v in (row.opening, row.debit, row.credit, row.closing))
        balance.add_row(row.account, row.name, *values)
    shown = len(document.postings)
    total = fmt.count(document.total_postings, style)
    title = f"\nPostings, the newest {fmt.count(shown, style)} of {total}; times of {zone}"
    several = len({posting.site for posting in document.postings}) > 1
    columns = ("id", "site time", *(("site",) if several else ()), "event", "account", "debit", "credit")
    postings = FittingTable(title, *columns, left=len(columns) - 2, whole=("site time", "event"))
    for posting in document.postings:
        for number, line in enumerate(posting.lines):
            whose = (posting.site or "fleet",) if several else ()
            head = (str(posting.id), local_time(posting.time_ms, zone, named=False), *whose, posting.event)
            value = amount(line.amount, line.asset)
            sides = (value, "") if line.side == "debit" else ("", value)
            postings.add_row(*(head if number == 0 else [""] * len(head)), f"{line.account} {line.name}", *sides)
    return Group(Text(where + "\n"), balance, postings)


def trace(document: "TraceDocument", where: str, style: Style, zone: tzinfo) -> RenderableType:
    """A block's satoshis: for each quarter hour its energy and price, who hashed in it, and what the meters showed."""
    block = document.block
    head = Text(f"{where}\n\nBlock {block.height} of {block.site}  {block.hash}\n", overflow="fold")
    head.append(f"coinbase {block.txid}\n{fmt.sat(block.value_sat, style)}, {fmt.eur(block.value_ueur, style)}, {block.state}")
    confirmations = f"{fmt.count(block.confirmations, style)} confirmation{'' if block.confirmations == 1 else 's'}"
    head.append(f", {confirmations}, found by {block.worker or fmt.UNKNOWN}\n")
    hashed: dict[int, list[TraceShare]] = defaultdict(list)
    for share in document.shares:
        hashed[share.interval_ms].append(share)
    parts: list[RenderableType] = [head]
    for interval in sorted(document.intervals, key=lambda i: i.interval_ms):
        parts += _of_interval(interval, hashed[interval.interval_ms], style, zone)
    return Group(*parts, *(Text(f"Note: {note}") for note in document.notes))


def _span(interval: "TraceInterval", zone: tzinfo) -> str:
    """The quarter hour on the site's clock; the day (UTC) of older work, and the day before which the oldest was done."""
    if interval.duration_s == INTERVAL_S:
        day, start, name = local_time(interval.interval_ms, zone).split()
        end = local_time(interval.interval_ms + INTERVAL_MS, zone).split()[1]
        record = "still open" if interval.record is None else f"record {interval.record}"
        return f"{day} {start} to {end} {name}, {record}"
    day = datetime.fromtimestamp(interval.interval_ms // 1000 or interval.duration_s, UTC).strftime("%Y-%m-%d")
    if interval.interval_ms:
        return f"{day} (UTC), the whole day"
    return f"Before {day} (UTC)" if interval.duration_s else "Earlier"


def _of_interval(interval: "TraceInterval", hashed: "list[TraceShare]", style: Style, zone: tzinfo) -> list[RenderableType]:
    """What a block owes to one quarter hour or day. A worker's rounds in it are one row: they were paid alike."""
    energy = f"{fmt.sat(interval.value_sat, style)} earned; its meters and prices follow with its record"
    if interval.record is not None or interval.duration_s != INTERVAL_S:
        energy = (
            f"{fmt.sat(interval.value_sat, style)} earned with {fmt.energy(interval.mining_j, style)}, of which "
            f"{fmt.energy(interval.own_mining_j, style)} own and {fmt.energy(interval.grid_mining_j, style)} bought; energy cost "
            f"{fmt.eur(interval.energy_cost_ueur, style)}"
        )
    if interval.record is not None:
        energy += f", spot price {fmt.energy_price(interval.spot_cent_per_mwh, style)}"
    workers = FittingTable("", "who hashed", "shares", "hashed", "represents", "earned")
    for worker in sorted({share.worker for share in hashed}):
        rounds = [share for share in hashed if share.worker == worker]
        workers.add_row(
            worker,
            fmt.count(sum(share.shares for share in rounds), style),
            fmt.hashes(sum(int(share.work_hashes) for share in rounds), style),
            fmt.hashes(sum(int(share.represented_hashes) for share in rounds), style),
            fmt.sat(sum(share.value_sat for share in rounds), style),
        )
    meters = FittingTable("", "meter", "role", "register at start", "at end", "quality", left=2)
    for meter in interval.meters:
        registers = (fmt.energy(value, style) for value in (meter.register_start_j, meter.register_end_j))
        meters.add_row(meter.id, meter.role, *registers, meter.quality)
    return [Text(_span(interval, zone), style="bold"), Text(energy), workers, *([meters] if interval.meters else []), Text()]


def action(document: "ActionDocument") -> RenderableType:
    """One audited action and what reading back said."""
    verified = {True: ", verified by reading back", False: ", reading back contradicts it", None: ""}
    text = f"{document.kind} {document.subject}: {document.result}{verified[document.verified]}."
    details = [part for part in (document.answer, document.read_back) if part]
    return Text("\n".join([text, *details]))
