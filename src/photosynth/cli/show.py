"""Documents as tables for people: sorted, with units and ages, in the habit of their country."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from photosynth.quantities import format as fmt
from photosynth.quantities.format import Style
from photosynth.quantities.instants import MARKET_ZONE

if TYPE_CHECKING:
    from photosynth.operations.documents import (
        ActionDocument,
        LedgerDocument,
        Status,
        TraceDocument,
        WorkersDocument,
    )


def _table(title: str, *columns: str, left: int = 1) -> Table:
    """A table whose first columns are texts and whose others are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", overflow="fold")
    return table


def _time(instant_ms: int | None) -> str:
    """An instant on the market's clock: 2026-06-14 11:15."""
    if instant_ms is None:
        return fmt.UNKNOWN
    return datetime.fromtimestamp(instant_ms / 1000, UTC).astimezone(MARKET_ZONE).strftime("%Y-%m-%d %H:%M")


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
    error = "" if pool.hash_rate_error_percent is None else f" (error {pool.hash_rate_error_percent:.0f} %)"
    rows = (
        ("Energy", f"{measured}, {site.quality}"),
        ("  generation", fmt.power(site.generation_w, style)),
        ("  load", fmt.power(site.load_w, style)),
        ("  surplus", fmt.power(site.surplus_w, style)),
        ("  set-point", fmt.power(site.set_point_w, style)),
        ("  mining", fmt.power(site.mining_power_w, style)),
        ("  grid", f"{fmt.power(site.grid_w, style)} (import positive, limit {fmt.power(site.connection_w, style)})"),
        ("  spot price", fmt.energy_price(site.spot_cent_per_mwh, style)),
        ("Machines", f"{document.machines.running} of {document.machines.total} run" + (", all stopped" if site.stopped else "")),
        ("  sleeping", fmt.count(document.machines.sleeping, style)),
        ("  unreachable or faulty", fmt.count(document.machines.unreachable + document.machines.faulty, style)),
        ("Pool", f"{fmt.count(pool.connections, style)} connections at {pool.listen}"),
        ("  hash rate represented", fmt.hash_rate(_big(pool.hash_rate_hs), style) + error),
        ("  shares", f"{fmt.count(pool.shares_accepted, style)} accepted, {fmt.count(pool.shares_rejected, style)} rejected"),
        ("  work really hashed", fmt.hashes(int(pool.work_hashes), style)),
        ("  work represented", fmt.hashes(int(pool.represented_hashes), style)),
        ("Chain", f"{chain.network}, {chain.software}" + ("" if chain.synchronised else ", NOT synchronised")),
        ("  height", f"{fmt.count(chain.height, style)}, tip {fmt.duration(chain.last_block_age_s)} old"),
        ("  blocks found here", fmt.count(pool.blocks_found, style)),
        ("Books", f"{fmt.count(books.postings, style)} postings, {books.asset}"),
        ("  immature", fmt.sat(books.immature_sat, style)),
        ("  available", fmt.sat(books.mature_sat, style)),
        ("  carried at", fmt.eur(books.carrying_ueur, style)),
        ("  energy cost", fmt.eur(books.energy_cost_ueur, style)),
        ("Proof", f"{fmt.count(document.evidence.records, style)} records, head {(document.evidence.head or 'none')[:16]}"),
    )
    grid = Table.grid(padding=(0, 2))
    for label, value in rows:
        heading = not label.startswith(" ")
        grid.add_row(Text(label, style="bold" if heading else "dim"), Text(value))
    speed = f"{document.speed:g}"
    head = Text(f"{where}\n{site.title}: {kind}{replay}, {document.time}, speed {speed}\n", overflow="fold")
    return Group(head, grid, *(_condition(c.severity, c.subject, c.summary, c.advice) for c in document.conditions))


def _condition(severity: str, subject: str, summary: str, advice: str) -> Text:
    style = {"critical": "bold red", "warning": "yellow"}.get(severity, "dim")
    stop = "" if summary.endswith((".", "!", "?")) else "."
    return Text(f"{severity}: {subject}: {summary}{stop} {advice}", style=style)


def workers(document: "WorkersDocument", where: str, style: Style) -> RenderableType:
    """One line for each worker, by name."""
    table = _table("Workers", "worker", "connected", "accepted", "rejected", "hashed", "represents", "last share", left=2)
    for worker in sorted(document.workers, key=lambda w: w.name):
        rejected = ", ".join(f"{fmt.count(n, style)} {cause}" for cause, n in sorted(worker.rejected_by_cause.items()) if n)
        table.add_row(
            Text(worker.name),
            "yes" if worker.connected else "no",
            fmt.count(worker.shares_accepted, style),
            Text(rejected or "0"),
            fmt.hashes(int(worker.work_hashes), style),
            fmt.hashes(int(worker.represented_hashes), style),
            _wall_age(worker.last_share_wall_ms),
        )
    return Group(Text(where + "\n"), table)


def amount(value: int, asset: str, style: Style) -> str:
    """An amount of the books in its asset's unit."""
    formats = {"SAT": fmt.sat, "UEUR": fmt.eur, "J": fmt.energy}
    return formats[asset](value, style)


def ledger(document: "LedgerDocument", where: str, style: Style) -> RenderableType:
    """The trial balance by account and asset, then the newest postings."""
    period = f"{_time(document.from_ms) if document.from_ms is not None else 'the beginning'} to "
    period += _time(document.to_ms) if document.to_ms is not None else "now"
    balance = _table(f"Trial balance, {period}", "account", "name", "opening", "debit", "credit", "closing", left=2)
    for row in sorted(document.trial_balance, key=lambda r: (r.account, r.asset)):
        values = (amount(v, row.asset, style) for v in (row.opening, row.debit, row.credit, row.closing))
        balance.add_row(row.account, Text(row.name), *values)
    shown = len(document.postings)
    title = f"\nPostings, the newest {fmt.count(shown, style)} of {fmt.count(document.total_postings, style)}"
    postings = _table(title, "id", "site time", "event", "account", "debit", "credit", left=4)
    for posting in document.postings:
        for number, line in enumerate(posting.lines):
            head = (str(posting.id), _time(posting.time_ms), Text(posting.event)) if number == 0 else ("", "", Text(""))
            value = amount(line.amount, line.asset, style)
            sides = (value, "") if line.side == "debit" else ("", value)
            postings.add_row(*head, Text(f"{line.account} {line.name}"), *sides)
    return Group(Text(where + "\n"), balance, postings)


def trace(document: "TraceDocument", where: str, style: Style) -> RenderableType:
    """A block's satoshis: by worker and quarter hour, then what the quarter hours' meters and prices say."""
    block = document.block
    head = Text(f"{where}\n\nBlock {block.height}  {block.hash}\n", overflow="fold")
    head.append(f"coinbase {block.txid}\n{fmt.sat(block.value_sat, style)}, {fmt.eur(block.value_ueur, style)}, {block.state}")
    head.append(f", {fmt.count(block.confirmations, style)} confirmations, found by {block.worker or fmt.UNKNOWN}\n")
    shares = _table("Who hashed for it", "quarter hour", "worker", "shares", "hashed", "represents", "earned", left=2)
    for share in sorted(document.shares, key=lambda s: (s.interval_ms, s.round, s.worker)):
        shares.add_row(
            _time(share.interval_ms),
            Text(share.worker),
            fmt.count(share.shares, style),
            fmt.hashes(int(share.work_hashes), style),
            fmt.hashes(int(share.represented_hashes), style),
            fmt.sat(share.value_sat, style),
        )
    columns = ("quarter hour", "record", "mining", "own energy", "grid energy", "spot", "energy cost", "earned")
    intervals = _table("\nWhat the energy came from", *columns)
    for interval in sorted(document.intervals, key=lambda i: i.interval_ms):
        intervals.add_row(
            _time(interval.interval_ms),
            "open" if interval.record is None else str(interval.record),
            fmt.energy(interval.mining_j, style),
            fmt.energy(interval.own_mining_j, style),
            fmt.energy(interval.grid_mining_j, style),
            fmt.energy_price(interval.spot_cent_per_mwh, style),
            fmt.eur(interval.energy_cost_ueur, style),
            fmt.sat(interval.value_sat, style),
        )
    meters = _table("\nMeters", "quarter hour", "meter", "role", "register at start", "at end", "quality", left=3)
    for interval in sorted(document.intervals, key=lambda i: i.interval_ms):
        for meter in interval.meters:
            registers = (fmt.energy(value, style) for value in (meter.register_start_j, meter.register_end_j))
            meters.add_row(_time(interval.interval_ms), Text(meter.id), Text(meter.role), *registers, Text(meter.quality))
    notes = [Text(f"Note: {note}") for note in document.notes]
    return Group(head, shares, intervals, meters, *notes)


def action(document: "ActionDocument") -> RenderableType:
    """One audited action and what reading back said."""
    verified = {True: "verified by reading back", False: "reading back contradicts it", None: "not read back yet"}
    text = f"{document.kind} {document.subject}: {document.result}, {verified[document.verified]}."
    details = [part for part in (document.answer, document.read_back) if part]
    return Text("\n".join([text, *details]))
