"""The status as one screen for people: of one site everything, of several a line each, of a fleet without any its nodes."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from photosynth.cli import fleet_words
from photosynth.quantities import format as fmt
from photosynth.quantities.assets import Asset
from photosynth.quantities.format import Style

if TYPE_CHECKING:
    from photosynth.documents import ChainStatus, LedgerStatus, SitePart, Status

Row = tuple[str, str]


def status(document: "Status", where: str, style: Style) -> RenderableType:
    """Everything in one screen: energy, machines, pool, chain, nodes, books, proof, and what is wrong."""
    time = f"{fleet_words.clock(document)}, speed {document.speed:g}"
    parts: list[RenderableType]
    if len(document.sites) == 1:
        (part,) = document.sites
        kind = "simulated site" if part.site.simulated else "site"
        replay = f", replaying {part.site.replay}" if part.site.replay else ""
        parts = [_grid([*_of_site(part, style), *_of_fleet(document, style)])]
        head = f"{part.site.title}: {kind}{replay}, {time}"
    elif document.sites:
        parts = [fleet_words.sites_table(document.sites, style), Text(), _grid(_of_fleet(document, style))]
        head = f"{len(document.sites)} sites, {time}"
    else:
        parts = [_grid(_of_fleet(document, style))]
        head = f"No mining site, {time}"
    faults = [_condition(at, c.severity, c.subject, c.summary, c.advice) for at, c in fleet_words.conditions(document)]
    return Group(Text(f"{where}\n{head}\n", overflow="fold"), *parts, *faults)


def _grid(rows: list[Row]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for label, value in rows:
        heading = not label.startswith(" ")
        grid.add_row(Text(label, style="bold" if heading else "dim"), Text(value))
    return grid


def _of_site(part: "SitePart", style: Style) -> list[Row]:
    site, pool, chain, machines = part.site, part.pool, part.chain, part.machines
    running = "unknown how many" if machines.running is None else fmt.count(machines.running, style)
    trouble = None if machines.unreachable is None or machines.faulty is None else machines.unreachable + machines.faulty
    tip_age = "" if chain.last_block_age_s is None else f", tip {fmt.duration(chain.last_block_age_s)} old"
    error = "" if pool.hash_rate_error_percent is None else f" (error {pool.hash_rate_error_percent:.0f} %)"
    rate = None if pool.hash_rate_hs is None else int(pool.hash_rate_hs)
    return [
        ("Energy", fleet_words.measured(part)),
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
        ("  hash rate represented", fmt.hash_rate(rate, style) + error),
        ("  shares", f"{fmt.count(pool.shares_accepted, style)} accepted, {fmt.count(pool.shares_rejected, style)} rejected"),
        ("  work really hashed", fmt.hashes(int(pool.work_hashes), style)),
        ("  work represented", fmt.hashes(int(pool.represented_hashes), style)),
        ("Chain", f"{chain.network}, {chain.software or fmt.UNKNOWN}" + _not_synchronised(chain)),
        ("  height", fmt.count(chain.height, style) + tip_age),
        ("  blocks found here", fmt.count(pool.blocks_found, style)),
    ]


def _of_fleet(document: "Status", style: Style) -> list[Row]:
    books = document.ledger
    mined = _mined(books, style) if document.sites else []
    said = {"BTC"} if document.sites else set()
    held = [
        (
            f"  {holding.code} held",
            fmt.amount(
                int(holding.held),
                Asset(holding.code, holding.code, holding.network, holding.base_unit, holding.decimals),
                style,
            ),
        )
        for holding in books.assets
        if holding.code not in said
    ]
    return [
        ("Nodes", fleet_words.nodes(document, style)),
        ("Books", f"{fmt.count(books.postings, style)} postings" + (f", {books.asset}" if document.sites else "")),
        *mined,
        *held,
        ("Proof", f"{fmt.count(document.evidence.records, style)} records, head {(document.evidence.head or 'none')[:16]}"),
    ]


def _mined(books: "LedgerStatus", style: Style) -> list[Row]:
    return [
        ("  immature", fmt.sat(books.immature_sat, style)),
        ("  available", fmt.sat(books.mature_sat, style)),
        ("  carried at", fmt.eur(books.carrying_ueur, style)),
        ("  mining's energy", f"{fmt.energy(books.mining_energy_j, style)} for {fmt.eur(books.mining_energy_cost_ueur, style)}"),
        ("  of it bought for", fmt.eur(books.mining_energy_bought_ueur, style)),
        ("  factory's energy", f"bought for {fmt.eur(books.factory_energy_bought_ueur, style)}"),
        ("  energy fed in for", fmt.eur(books.export_revenue_ueur, style)),
    ]


def _condition(at: str, severity: str, subject: str, summary: str, advice: str) -> Text:
    style = {"critical": "bold red", "warning": "yellow"}.get(severity, "dim")
    stop = "" if summary.endswith((".", "!", "?")) else "."
    return Text(f"{severity}: {at}{subject}: {summary}{stop} {advice}", style=style)


def _not_synchronised(chain: "ChainStatus") -> str:
    """That a chain is not to be trusted now, with how old it is where its node is silent."""
    if chain.synchronised:
        return ""
    silent = chain.observed_ms is not None and chain.warnings
    return ", NOT synchronised" + (f": {chain.warnings[0]}" if silent else "")
