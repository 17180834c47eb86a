"""The live status in the terminal while a fleet runs: it fits any width, and lines in a log or a pipe instead.

Of one site it shows every figure, of several a line each, of a fleet without any its nodes; then the books of all.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from photosynth.cli import fleet_words
from photosynth.cli.table import FittingTable
from photosynth.documents import Condition, SitePart, Status
from photosynth.quantities import format as fmt

LAYOUTS = ((4, 3), (4, 2), (2, 3), (2, 1))
"""Figures in a row, and the space between them, from the widest to the narrowest terminal; then one below the other."""
SITE_COLUMNS = (
    fleet_words.WIDEST,
    ("surplus", "set-point", "mining", "machines", "hash rate", "blocks"),
    ("set-point", "mining", "machines", "hash rate"),
    ("mining", "machines"),
)
"""Columns of the sites' table, from the widest to the narrowest terminal."""
FRAME = 4
"""Columns that the panel's border and padding take."""
PLAIN_EVERY_S = 10.0
SHOWN_CONDITIONS = 5

Show = Callable[[Status], None]


class LivePanel:
    """One screenful: power, hash rate, shares, blocks, nodes, satoshis, EUR, and what is wrong.

    As many figures stand in a row as the terminal has room for, and as many conditions under them as it has lines: no
    label and no digit is cut. Where lines are short the banner, which was said at the start, goes first.
    """

    def __init__(self, status: Status, console_url: str, banner: str = "") -> None:
        self.status, self._url, self._banner = status, console_url, banner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The widest layout that fits, and the most that fits under it."""
        inside = options.update(width=max(1, options.max_width - FRAME))
        grids = (self._grid(*layout) for layout in LAYOUTS)
        grid = next((grid for grid in grids if _width(grid, console) <= inside.max_width), None) or self._grid(1, 2)
        sites = self._sites(inside.max_width) if len(self.status.sites) > 1 else None
        body = grid if sites is None else Group(sites, Text(), grid)
        most = min(SHOWN_CONDITIONS, len(fleet_words.conditions(self.status)))
        drawn = [self._panel(body, most, self._banner), *(self._panel(body, shown, "") for shown in range(most, -1, -1))]
        height = options.height or console.height
        yield next((panel for panel in drawn if len(console.render_lines(panel, options)) <= height), drawn[-1])

    def _panel(self, body: RenderableType, shown: int, banner: str) -> Panel:
        status = self.status
        parts: list[RenderableType] = [Text(banner, style="dim"), Text()] if banner else []
        parts += [Text(_clock_line(status), style="dim"), body]
        found = fleet_words.conditions(status)
        parts += [_condition_line(at, condition) for at, condition in found[:shown]]
        if more := len(found) - shown:
            parts.append(Text(f"{more} more to look at: photosynth status", style="yellow"))
        subtitle = Text(f"{self._url}   Ctrl-C stops", style="dim")
        return Panel(Group(*parts), title=Text(_title(status)), subtitle=subtitle, border_style="cyan")

    def _sites(self, width: int) -> FittingTable:
        """The widest table of the sites that fits; the last one fits any width."""
        tables = [fleet_words.sites_table(self.status.sites, fmt.ENGLISH, columns) for columns in SITE_COLUMNS]
        return next((table for table in tables if table.width <= width), tables[-1])

    def _grid(self, pairs: int, space: int) -> Table:
        grid = Table.grid(padding=(0, space))
        for _ in range(pairs):
            grid.add_column(justify="right", style="dim", no_wrap=pairs > 1)
            grid.add_column(justify="left", no_wrap=pairs > 1)
        figures = _figures(self.status)
        for first in range(0, len(figures), pairs):
            cells: list[RenderableType] = []
            for label, value in figures[first : first + pairs]:
                cells += [label, value]
            grid.add_row(*cells)
        return grid


def plain_line(status: Status) -> str:
    """The same in one line, for a log or a pipe."""
    ledger, several = status.ledger, len(status.sites) > 1
    said = [fleet_words.clock(status, seconds=True), *(_plain_site(part, named=several) for part in status.sites)]
    if len(status.sites) != 1:
        said.append(f"nodes {fleet_words.nodes(status)}")
    if status.sites:
        said.append(f"{ledger.immature_sat + ledger.mature_sat} sat {fmt.eur(ledger.carrying_ueur)}")
    return ("; " if several else " ").join(said)


def _plain_site(part: SitePart, *, named: bool) -> str:
    site, pool = part.site, part.pool
    return (
        f"{part.name + ' ' if named else ''}surplus {fmt.power(site.surplus_w)} set-point {fmt.power(site.set_point_w)} "
        f"mining {fmt.power(site.mining_power_w)} grid {fmt.power(site.grid_w)} "
        f"hash rate {fmt.hash_rate(_number(pool.hash_rate_hs))} shares {pool.shares_accepted} "
        f"blocks {pool.blocks_found} height {fmt.UNKNOWN if part.chain.height is None else part.chain.height}"
    )


@contextmanager
def display(
    console: Console, console_url: str, banner: str, *, quiet: bool, redraw_on_resize: Callable[[Callable[[], None]], None]
) -> Iterator[Show]:
    """Where each new status is shown: a whole screen in a terminal, a line now and then elsewhere, nothing if ``quiet``.

    ``redraw_on_resize`` is told what to call when the terminal gets another size. The screen is the alternate one, which
    a resize cannot leave debris on; what it showed last stays in the terminal at the end.
    """
    if quiet:
        yield lambda _status: None
    elif console.is_terminal and not console.is_dumb_terminal:
        last: list[LivePanel] = []
        try:
            with Live(console=console, screen=True, auto_refresh=False) as live:

                def show(status: Status) -> None:
                    last[:] = [LivePanel(status, console_url, banner)]
                    live.update(last[0], refresh=True)

                redraw_on_resize(live.refresh)
                yield show
        finally:
            for panel in last:
                console.print(LivePanel(panel.status, console_url))
    else:
        last_s = -PLAIN_EVERY_S

        def tell(status: Status) -> None:
            nonlocal last_s
            if time.monotonic() - last_s >= PLAIN_EVERY_S:
                last_s = time.monotonic()
                print(plain_line(status), flush=True)

        yield tell


def _width(grid: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(width=10_000), grid).maximum


def _title(status: Status) -> str:
    if len(status.sites) == 1:
        return status.sites[0].site.title
    return f"{len(status.sites)} sites" if status.sites else "Nodes"


def _clock_line(status: Status) -> str:
    of_sites = "no mining site"
    if len(status.sites) == 1:
        of_sites = fleet_words.measured(status.sites[0])
    elif status.sites:
        of_sites = f"readings: {fleet_words.qualities(status.sites)}"
    return f"{fleet_words.clock(status, seconds=True)}, ×{status.speed:g}; {of_sites}"


def _figures(status: Status) -> list[tuple[str, RenderableType]]:
    ledger = status.ledger
    if len(status.sites) == 1:
        figures = _site_figures(status.sites[0])
    else:
        figures = [(word, Text(fmt.count(getattr(status.nodes, name)))) for name, word in fleet_words.NODE_WORDS]
    figures.append(("records", Text(fmt.count(status.evidence.records))))
    if not status.sites:
        return [*figures, ("postings", Text(fmt.count(ledger.postings)))]
    return [
        *figures,
        ("immature", Text(f"{fmt.count(ledger.immature_sat)} sat")),
        ("available", Text(f"{fmt.count(ledger.mature_sat)} sat")),
        ("value", Text(fmt.eur(ledger.carrying_ueur))),
        ("asset", Text(ledger.asset, style="yellow")),
    ]


def _site_figures(part: SitePart) -> list[tuple[str, RenderableType]]:
    site, pool, machines = part.site, part.pool, part.machines
    return [
        ("surplus", _power(site.surplus_w)),
        ("set-point", _power(site.set_point_w)),
        ("mining", _power(site.mining_power_w)),
        ("grid", _power(site.grid_w)),
        (fmt.source_words(site.sources).lower(), _power(site.generation_w)),
        ("factory", _power(site.load_w)),
        ("spot", _price(site.spot_cent_per_mwh)),
        ("machines", _machines(machines.running, machines.total)),
        ("hash rate", _hash_rate(pool.hash_rate_hs, pool.hash_rate_error_percent)),
        ("shares", Text(f"{fmt.count(pool.shares_accepted)} ({fmt.count(pool.shares_rejected)} refused)")),
        ("blocks", Text(f"{fmt.count(pool.blocks_found)} at height {fmt.count(part.chain.height)}")),
    ]


def _power(watts: int | None) -> RenderableType:
    return _unknown() if watts is None else Text(fmt.power(watts))


def _machines(running: int | None, total: int) -> RenderableType:
    return _unknown() if running is None else Text(f"{fmt.count(running)} of {fmt.count(total)} run")


def _price(cents: int | None) -> RenderableType:
    if cents is None:
        return _unknown()
    return Text(fmt.energy_price(cents), style="bold" if cents < 0 else "")


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _hash_rate(text: str | None, error_percent: float | None) -> RenderableType:
    if text is None:
        return _unknown()
    error = "" if error_percent is None else f" ±{error_percent:.0f} %"
    return Text(f"{fmt.hash_rate(int(text))}{error}")


def _unknown() -> Text:
    return Text(fmt.UNKNOWN, style="dim italic")


def _condition_line(at: str, condition: Condition) -> Text:
    mark = {"info": "i", "warning": "!", "critical": "!!"}[condition.severity]
    style = {"info": "dim", "warning": "yellow", "critical": "bold red"}[condition.severity]
    return Text(f"{mark} {at}{condition.subject}: {condition.summary}", style=style)
