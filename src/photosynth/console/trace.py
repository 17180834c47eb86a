"""A block's trace: its satoshis back to quarter hours, workers, meters and prices."""

from fastapi import Request
from nicegui import Client, ui

from photosynth.console import charts, links
from photosynth.console.feed import Feed
from photosynth.console.frame import open_page
from photosynth.console.ledger import block_state, posting_item
from photosynth.console.markup import empty, short, table, text
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import box, html
from photosynth.documents import MeterInterval, TraceDocument, TraceInterval, TraceShare
from photosynth.operations.view import NotKnownError
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S

_SHARE_ROWS = 400


def interval_markup(interval: TraceInterval, numbers: Numbers) -> str:
    """One quarter hour: its share of the block, its meters' registers, its prices."""
    whole = interval.duration_s == INTERVAL_S
    end = numbers.clock(interval.interval_ms + INTERVAL_MS)
    began = numbers.worked(interval.interval_ms, interval.duration_s)
    if whole:
        began = f"{numbers.date(interval.interval_ms)} {began}"
    head = f"<h3>{began} to {end} {numbers.zone_name(interval.interval_ms)}</h3>" if whole else f"<h3>{began}</h3>"
    if interval.record is None and whole:
        return head + empty(
            "Not closed yet", "Meters and prices of this quarter hour follow when it ends and its evidence record is signed."
        )

    def energy(value_j: int | None) -> str:
        return UNKNOWN if value_j is None else f"{numbers.kwh(value_j, 3)}{NBSP}kWh"

    facts = (
        ("Share of this block", f"{numbers.integer(interval.value_sat)} sat"),
        ("Mined with own energy", energy(interval.own_mining_j)),
        ("Mined with grid energy", energy(interval.grid_mining_j)),
        (
            "Energy's cost",
            UNKNOWN if interval.energy_cost_ueur is None else f"{numbers.eur(interval.energy_cost_ueur, 6)}{NBSP}EUR",
        ),
        ("Evidence record", "several" if interval.record is None else numbers.integer(interval.record)),
    )
    meters = [
        (
            f"<code>{text(m.id)}</code>",
            text(m.role.replace("_", " ")),
            numbers.kwh(m.register_start_j, 3),
            numbers.kwh(m.register_end_j, 3),
            numbers.kwh(_difference(m), 3),
            text(m.quality),
        )
        for m in interval.meters
    ]
    prices = [
        (text(name.replace("_", " ")), "unknown" if value is None else numbers.decimal(value / 100, 2))
        for name, value in interval.prices.items()
    ]
    source = f"<p class=age>Prices: {text(interval.price_source)}</p>" if interval.price_source else ""
    listed = "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in facts) + "</dl>"
    if not whole:
        return head + listed
    heads = ("Meter", "Role", "Start, kWh", "End, kWh", "Difference, kWh", "Quality")
    registers = table(f"Meters from {began}", heads, meters, numbers=frozenset({2, 3, 4}), css="dense")
    priced = table(f"Prices from {began}", ("Price", "EUR/MWh"), prices, numbers=frozenset({1}), css="dense")
    return f"{head}<div class=split><div>{listed}</div><div>{registers}</div><div>{priced}{source}</div></div>"


def _difference(meter: MeterInterval) -> int | None:
    if meter.register_start_j is None or meter.register_end_j is None:
        return None
    return meter.register_end_j - meter.register_start_j


def block_facts(trace: TraceDocument, numbers: Numbers) -> str:
    """The block itself."""
    block = trace.block
    facts = (
        ("Site", text(block.site or "found elsewhere")),
        ("State", block_state(block)),
        ("Value", f"<b>{numbers.integer(block.value_sat)}</b> sat"),
        ("When mined", f"{numbers.eur(block.value_ueur)} EUR" if block.value_ueur is not None else UNKNOWN),
        ("Found", f"{numbers.instant(block.site_ms)} by {text(block.worker or UNKNOWN)}"),
        ("Hash", short(block.hash, 20)),
        ("Coinbase", short(block.txid, 20)),
        ("Evidence head in it", short(block.commitment, 20)),
    )
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in facts) + "</dl>"


def _worker(share: TraceShare, trace: TraceDocument, chosen: str | None) -> str:
    """A worker's name, which leads to the machine where it is a declared one."""
    name, site = text(share.worker), trace.block.site
    return f'<a href="{text(links.machine(site, share.worker, chosen))}">{name}</a>' if site is not None and share.party else name


async def show(request: Request, client: Client, feed: Feed, site: str, block: str) -> None:
    """Build the page; 404 where no block of the site has the height, hash or txid."""
    whose = None if site == links.NOBODYS else site
    page = await open_page(request, client, feed, here="/ledger", title="Trace of a block", of_site=whose)
    numbers = page.numbers
    with page.main:
        html(f'<a class="back" href="/ledger{links.kept(page.site)}">Ledger</a>')
        try:
            trace = await feed.view.trace(block[:80], whose)
        except NotKnownError as error:
            client.status_code = 404
            html(empty("No such block", str(error)), css="card")
            return
        api = f"/api/v1/trace/{trace.block.height}{links.kept(trace.block.site)}"
        with box("grid"):
            with box("card half", "section", 'aria-label="Block"'):
                html(f"<h2>Block {numbers.integer(trace.block.height)}</h2>{block_facts(trace, numbers)}")
            with box("card half", "section", 'aria-label="How to read this"'):
                notes = "".join(f"<li>{text(note)}</li>" for note in trace.notes)
                html(
                    "<h2>How to read this</h2><p>The block's satoshis belong to the work since the block before: "
                    "each share's worker and quarter hour, "
                    f"and each quarter hour's meters and prices.</p><ul class=notes>{notes}</ul>"
                    f'<p class="age">The same as JSON: <a href="{text(api)}">GET {text(api)}</a></p>'
                )
            with box("card full", "section", 'aria-label="From block to workers"'):
                html("<h2>From the block to quarter hours to workers</h2>")
                ui.echart(charts.trace_flow(trace, numbers), renderer="svg").classes("tracechart").props(
                    'role="img" aria-label="Flow of satoshis from the block to quarter hours and workers; the table '
                    'below has every figure"'
                )
            with box("card full", "section", 'aria-label="Quarter hours"'):
                html("<h2>Quarter hours</h2>" + "".join(interval_markup(i, numbers) for i in trace.intervals))
            with box("card full", "section", 'aria-label="Workers"'):
                rows = [
                    (
                        (_worker(s, trace, page.site), s.worker),
                        text(s.party or "guest"),
                        (f"{numbers.date(s.interval_ms)} {numbers.clock(s.interval_ms)}", s.interval_ms)
                        if s.duration_s == INTERVAL_S
                        else (numbers.worked(s.interval_ms, s.duration_s), s.interval_ms),
                        numbers.integer(s.round) if s.round else "several",
                        (numbers.integer(s.shares), s.shares),
                        (numbers.power_of_ten(s.work_hashes), s.work_hashes),
                        (numbers.power_of_ten(s.represented_hashes), s.represented_hashes),
                        (numbers.integer(s.value_sat), s.value_sat),
                    )
                    for s in sorted(trace.shares, key=lambda s: (-s.value_sat, s.worker))[:_SHARE_ROWS]
                ]
                heads = (
                    "Worker",
                    "Party",
                    f"Quarter hour, {numbers.zone.key}",
                    "Round",
                    "Shares",
                    "Hashed",
                    "Stands for",
                    "Satoshi",
                )
                html(
                    "<h2>Workers</h2><div class=short>"
                    + table("Work behind the block", heads, rows, numbers=frozenset({3, 4, 5, 6, 7}), css="dense")
                    + "</div>"
                )
            with box("card full", "section", 'aria-label="Postings"'):
                html(
                    "<h2>Postings</h2>"
                    + (
                        "".join(posting_item(p, numbers) for p in trace.postings)
                        or empty("Not posted yet", "The journal follows the chain within seconds.")
                    )
                )
