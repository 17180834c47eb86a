"""The Ledger page: blocks, trial balance and postings of a period."""

from collections.abc import Sequence

from fastapi import Request
from nicegui import Client

from photosynth.console import links
from photosynth.console.feed import Feed
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, chip, empty, no_match, short, table, text
from photosynth.console.numbers import Numbers
from photosynth.console.page import Page, box, choice, html
from photosynth.console.snapshot import Snapshot
from photosynth.documents import AssetDocument, BalanceRow, BlockDocument, LedgerDocument, Line, PostingDocument
from photosynth.quantities.assets import Asset, known
from photosynth.quantities.instants import market_day_bounds_ms, market_day_of

PAGE_ROWS = 40
PERIODS = {"all": "Everything", "day": "This market day", "hour": "Last hour", "quarter": "Last quarter hour"}
_BLOCK_ROWS = 60


def balance_table(rows: list[BalanceRow], assets: list[AssetDocument], numbers: Numbers) -> str:
    """The trial balance, asset by asset with all its digits; every asset's sum of closings is zero or it is said."""
    if not rows:
        return empty(
            "No posting in this period", "Choose a longer one. The first block and the first quarter hour post by themselves."
        )
    out = []
    for asset in [Asset(**document.model_dump()) for document in assets]:
        mine = [r for r in rows if r.asset == asset.code]
        total = sum(int(r.closing) for r in mine)
        body = [
            (
                f"<code>{text(r.account)}</code>",
                text(r.name),
                *(numbers.amount(v, asset) for v in (r.opening, r.debit, r.credit, r.closing)),
            )
            for r in mine
        ]
        off = f"off by {numbers.amount(total, asset)} {asset.code}"
        verdict = chip("running", "balances") if total == 0 else chip("faulty", off)
        heads = ("Account", "Name", "Opening", "Debit", "Credit", "Closing")
        out.append(
            f'<h3 class="asset">{text(asset.code)} {verdict}</h3>'
            + table(f"Trial balance in {asset.code}", heads, body, numbers=frozenset({2, 3, 4, 5}))
        )
    return "".join(out)


def posting_item(posting: PostingDocument, numbers: Numbers, assets: Sequence[AssetDocument] = (), *, named: bool = False) -> str:
    """One posting that opens to its lines; assets are those that the program may not know by itself.

    ``named`` is whether it says whose it is.
    """
    more = {document.code: Asset(**document.model_dump()) for document in assets}

    def amount(line: Line) -> str:
        return numbers.amount(line.amount, more.get(line.asset) or known(line.asset))

    lines = [
        (
            f"<code>{text(x.account)}</code> {text(x.name)}",
            amount(x) if x.side == "debit" else "",
            amount(x) if x.side == "credit" else "",
            text(x.asset),
        )
        for x in posting.lines
    ]
    source = " · ".join(f"{text(k)}: {text(v)}" for k, v in posting.source.items())
    reverses = "" if posting.reverses is None else f" · reverses {posting.reverses}"
    when = f"{numbers.date(posting.time_ms)} {numbers.clock(posting.time_ms)}"
    opened = table(f"Lines of posting {posting.id}", ("Account", "Debit", "Credit", "Unit"), lines, numbers=frozenset({1, 2}))
    whose = f' <span class="sub">{text(posting.site or "the fleet")}</span>' if named else ""
    origin = f"{reverses} · {source}" if source else reverses
    return (
        f'<details class="posting" id="posting-{posting.id}"><summary><span class="when">{when}</span>'
        f'<code class="event">{text(posting.event)}</code>'
        f'<span class="what">{text(posting.text)}{whose}</span><span class="id">{posting.id}</span></summary>'
        f'{opened}<p class="age">key <code>{text(posting.key)}</code>{origin}</p></details>'
    )


def block_state(block: BlockDocument) -> str:
    """A block's state with how far it is: immature n/100, mature, orphaned."""
    if block.state == "mature":
        return chip("running", "mature")
    if block.state == "orphaned":
        return chip("unreachable", "orphaned")
    return chip("starting", f"immature {min(block.confirmations, 100)}/100")


def blocks_table(snapshot: Snapshot, numbers: Numbers) -> Values:
    """Blocks that our pools found, newest first; each leads to its trace."""
    if not snapshot.blocks:
        return {
            "blocks!": empty(
                "No block yet", "The first comes within seconds while machines hash; its satoshis can be traced from here."
            )
        }
    several = snapshot.several
    rows = [
        (
            (f'<a href="{text(links.trace(b, snapshot.site))}">{numbers.integer(b.height)}</a>', b.height),
            *(((text(b.site), b.site),) if several else ()),
            (block_state(b), b.state),
            short(b.hash, 12),
            (numbers.moment(b.site_ms), b.site_ms or 0),
            (numbers.integer(b.value_sat), b.value_sat),
            (numbers.eur(b.value_ueur), b.value_ueur or 0),
            (text(b.worker or "unknown"), b.worker or ""),
            f'<a href="{text(links.trace(b, snapshot.site))}" aria-label="Trace block {b.height} of {text(b.site)}">Trace</a>',
        )
        for b in snapshot.blocks[:_BLOCK_ROWS]
    ]
    found = ("State", "Hash", f"Found, {numbers.zone.key}", "Satoshi", "EUR", "Found by", "Trace")
    heads = ("Height", *(("Site",) if several else ()), *found)
    return {"blocks!": table("Blocks found", heads, rows, numbers=frozenset({0, 5, 6} if several else {0, 4, 5}), css="dense")}


def period_ms(period: str, now_ms: int) -> tuple[int | None, int | None]:
    """The bounds of a named period in site time."""
    if period == "day":
        return market_day_bounds_ms(market_day_of(now_ms))
    spans = {"hour": 3_600_000, "quarter": 900_000}
    return (None, None) if period not in spans else (now_ms - spans[period], None)


class _Books:
    """The part of the page that shows one period: fetched when it is chosen, and again when the journal grew."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.period = "all"
        self.event = "all"
        self.pages: list[int | None] = [None]
        self.document: LedgerDocument | None = None
        self.seen_postings = -1

    async def load(self) -> None:
        """Fetch the chosen period and page."""
        status = self.page.snapshot.status
        start, end = period_ms(self.period, self.page.snapshot.time_ms)
        self.seen_postings = -1 if status is None else status.ledger.postings
        self.document = await self.page.feed.view.ledger(
            start, end, PAGE_ROWS if self.event == "all" else 1000, self.pages[-1], self.page.site
        )

    def values(self, numbers: Numbers) -> Values:
        """What the page shows of it."""
        found = self.document
        if found is None:
            return {"balance!": "", "postings!": "", "total": "", "where": ""}
        chosen = [p for p in found.postings if self.event in ("all", p.event)][:PAGE_ROWS]
        items = "".join(posting_item(p, numbers, found.assets, named=self.page.snapshot.several) for p in chosen)
        where = f"postings {chosen[-1].id} to {chosen[0].id}" if chosen else ""
        return {
            "balance!": balance_table(found.trial_balance, found.assets, numbers),
            "postings!": items or no_match("No posting of this event in this period"),
            "total": numbers.integer(found.total_postings),
            "where": where,
        }


def _blocks(page: Page) -> None:
    asset = "" if page.snapshot.status is None else page.snapshot.status.ledger.asset
    with box("card full", "section", 'aria-label="Blocks"'):
        page.section(
            f"<div class=row><h2>Blocks</h2><span class=sub>in {text(asset)}; spendable 100 blocks after they "
            f"are found</span></div><div class=short>{{{{blocks!}}}}</div>",
            blocks_table,
        )


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, here="/ledger", title="Ledger", needs=frozenset({"blocks"}))
    books = _Books(page)
    await books.load()
    events = sorted({p.event for p in books.document.postings}) if books.document is not None else []

    async def redraw() -> None:
        await books.load()
        page.run("patch", {**books.values(page.numbers), "fresh@data-on": "false"})

    async def choose(key: str, value: str) -> None:
        setattr(books, key, value)
        books.pages = [None]
        await redraw()

    async def older() -> None:
        shown = (
            [] if books.document is None else [p for p in books.document.postings if books.event in ("all", p.event)][:PAGE_ROWS]
        )
        if len(shown) == PAGE_ROWS:
            books.pages.append(shown[-1].id)
            await redraw()

    async def newer() -> None:
        if len(books.pages) > 1:
            books.pages.pop()
        await redraw()

    def fresh(snapshot: Snapshot, numbers: Numbers) -> Values:
        grown = 0 if snapshot.status is None or books.seen_postings < 0 else snapshot.status.ledger.postings - books.seen_postings
        return {"fresh@data-on": "true" if grown > 0 else "false", "fresh-count": f"{numbers.integer(grown)} new"}

    fixed = books.values(page.numbers)
    with page.main, box("grid"):
        if page.snapshot.status is None or page.snapshot.parts:
            _blocks(page)
        with box("card full", "section", 'aria-label="Trial balance"'):
            with box("gridhead"):
                html("<h2>Trial balance</h2>")
                choice(PERIODS, "all", "Period", lambda value: choose("period", value))
            page.section("{{balance!}}", lambda s, n: {"balance!": fixed["balance!"]})
        with box("card full", "section", 'aria-label="Postings"'):
            with box("gridhead"):
                page.section(
                    '<h2>Postings <span class="count">{{total}}</span></h2><span class="sub">times of {{zone}}</span>'
                    '<span class="fresh" data-live="fresh" {{fresh@data-on}}>{{fresh-count}}</span>',
                    lambda s, n: {"total": fixed["total"], "zone": n.zone.key, **fresh(s, n)},
                )
                choice({"all": "All events", **{e: e for e in events}}, "all", "Event", lambda value: choose("event", value))
            page.section("{{postings!}}", lambda s, n: {"postings!": fixed["postings!"]})
            with box("more"):
                with box("quiet", "button", "type=button data-server").on("click", newer):
                    html("Newer", tag="span")
                page.section("<span class=age>{{where}}</span>", lambda s, n: {"where": fixed["where"]})
                with box("quiet", "button", "type=button data-server").on("click", older):
                    html("Older", tag="span")
