"""Documents as tables for people: sorted, with units and ages, in the habit of their country."""

import time
from collections import defaultdict
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Table
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
        Status,
        TraceDocument,
        TraceInterval,
        TraceShare,
        WorkersDocument,
    )


def _wall_age(instant_ms: int | None) -> str:
    return "never" if instant_ms is None else fmt.age(instant_ms, time.time_ns() // 1_000_000) + " ago"


def _big(text: str | None) -> int | None:
    return None if text is None else int(text)


def status(document: "Status", where: str, style: Style) -> RenderableType:
    """Everything in one screen: energy, machines, pool, chain, books, proof, and what is wrong."""
    site, pool, books, chain = document.site, document.pool, document.ledger, document.chain
    kind = "simulated site" if site.simulated else "site"
    replay = f", replaying {site.replay}" if site.replay else ""
    measured = (
        "not measured" if site.observed_ms is None else f"measured {fmt.age(site.observed_ms, site.time_ms)} of site time ago"
    )
    machines = document.machines
    running = "unknown how many" if machines.running is None else fmt.count(machines.running, style)
    trouble = None if machines.unreachable is None or machines.faulty is None else machines.unreachable + machines.faulty
    tip_age = "" if chain.last_block_age_s is None else f", tip {fmt.duration(chain.last_block_age_s)} old"
    error = "" if pool.hash_rate_error_percent is None else f" (error {pool.hash_rate_error_percent:.0f} %)"
    rows = (
        ("Energy", f"{measured}, {site.quality}"),
        ("  generation", fmt.power(site.generation_w, style)),
        ("  load", fmt.power(site.load_w, style)),
        ("  surplus", fmt.power(site.surplus_w, style)),
        ("  set-point", fmt.power(site.set_point_w, style)),
        ("  mining", fmt.power(site.mining_power_w, style)),
        ("  grid", f"{fmt.power(site.grid_w, style)} (import positive, limit {fmt.power(site.connection_w, style)})"),
        *([("  why it imports", site.import_reason)] if site.import_reason else []),
        ("  spot price", fmt.energy_price(site.spot_cent_per_mwh, style)),
        ("Machines", f"{running} of {fmt.count(machines.total, style)} run" + (", all stopped" if site.stopped else "")),
        ("  sleeping", fmt.count(machines.sleeping, style)),
        ("  unreachable or faulty", fmt.count(trouble, style)),
        ("Pool", f"{fmt.count(pool.connections, style)} connections at {pool.listen}"),
        ("  hash rate represented", fmt.hash_rate(_big(pool.hash_rate_hs), style) + error),
        ("  shares", f"{fmt.count(pool.shares_accepted, style)} accepted, {fmt.count(pool.shares_rejected, style)} rejected"),
        ("  work really hashed", fmt.hashes(int(pool.work_hashes), style)),
        ("  work represented", fmt.hashes(int(pool.represented_hashes), style)),
        ("Chain", f"{chain.network}, {chain.software or fmt.UNKNOWN}" + ("" if chain.synchronised else ", NOT synchronised")),
        ("  height", fmt.count(chain.height, style) + tip_age),
        ("  blocks found here", fmt.count(pool.blocks_found, style)),
        ("Books", f"{fmt.count(books.postings, style)} postings, {books.asset}"),
        ("  immature", fmt.sat(books.immature_sat, style)),
        ("  available", fmt.sat(books.mature_sat, style)),
        ("  carried at", fmt.eur(books.carrying_ueur, style)),
        ("  mining's energy", f"{fmt.energy(books.mining_energy_j, style)} for {fmt.eur(books.mining_energy_cost_ueur, style)}"),
        ("  of it bought for", fmt.eur(books.mining_energy_bought_ueur, style)),
        ("  factory's energy", f"bought for {fmt.eur(books.factory_energy_bought_ueur, style)}"),
        ("  energy fed in for", fmt.eur(books.export_revenue_ueur, style)),
        ("Proof", f"{fmt.count(document.evidence.records, style)} records, head {(document.evidence.head or 'none')[:16]}"),
    )
    grid = Table.grid(padding=(0, 2))
    for label, value in rows:
        heading = not label.startswith(" ")
        grid.add_row(Text(label, style="bold" if heading else "dim"), Text(value))
    speed = f"{document.speed:g}"
    clock = local_time(site.time_ms, ZoneInfo(site.zone))
    head = Text(f"{where}\n{site.title}: {kind}{replay}, {clock}, speed {speed}\n", overflow="fold")
    return Group(head, grid, *(_condition(c.severity, c.subject, c.summary, c.advice) for c in document.conditions))


def _condition(severity: str, subject: str, summary: str, advice: str) -> Text:
    style = {"critical": "bold red", "warning": "yellow"}.get(severity, "dim")
    stop = "" if summary.endswith((".", "!", "?")) else "."
    return Text(f"{severity}: {subject}: {summary}{stop} {advice}", style=style)


def workers(document: "WorkersDocument", where: str, style: Style) -> RenderableType:
    """One line for each worker, by name."""
    table = FittingTable("Workers", "worker", "connected", "accepted", "rejected", "hashed", "represents", "last share")
    for worker in sorted(document.workers, key=lambda w: w.name):
        rejected = ", ".join(f"{fmt.count(n, style)} {cause}" for cause, n in sorted(worker.rejected_by_cause.items()) if n)
        table.add_row(
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
    postings = FittingTable(title, "id", "site time", "event", "account", "debit", "credit", left=4, whole=("site time", "event"))
    for posting in document.postings:
        for number, line in enumerate(posting.lines):
            head = (
                (str(posting.id), local_time(posting.time_ms, zone, named=False), posting.event) if number == 0 else ("", "", "")
            )
            value = amount(line.amount, line.asset)
            sides = (value, "") if line.side == "debit" else ("", value)
            postings.add_row(*head, f"{line.account} {line.name}", *sides)
    return Group(Text(where + "\n"), balance, postings)


def trace(document: "TraceDocument", where: str, style: Style, zone: tzinfo) -> RenderableType:
    """A block's satoshis: for each quarter hour its energy and price, who hashed in it, and what the meters showed."""
    block = document.block
    head = Text(f"{where}\n\nBlock {block.height}  {block.hash}\n", overflow="fold")
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
