"""The live status in the terminal while a site runs: it fits any width, and lines in a log or a pipe instead."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from photosynth.documents import Condition, Status
from photosynth.quantities import format as fmt
from photosynth.quantities.instants import local_time

LAYOUTS = ((4, 3), (4, 2), (2, 3), (2, 1))
"""Figures in a row, and the space between them, from the widest to the narrowest terminal; then one below the other."""
FRAME = 4
"""Columns that the panel's border and padding take."""
PLAIN_EVERY_S = 10.0
SHOWN_CONDITIONS = 5

Show = Callable[[Status], None]


class LivePanel:
    """One screenful: surplus, set-point, power, hash rate, shares, blocks, satoshis, EUR, and what is wrong.

    As many figures stand in a row as the terminal has room for, and as many conditions under them as it has lines: no
    label and no digit is cut. Where lines are short the banner, which was said at the start, goes first.
    """

    def __init__(self, status: Status, console_url: str, banner: str = "") -> None:
        self.status, self._url, self._banner = status, console_url, banner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The widest layout that fits, and the most that fits under it."""
        inside = options.update(width=max(1, options.max_width - FRAME))
        grids = (self._grid(*layout) for layout in LAYOUTS)
        body = next((grid for grid in grids if _width(grid, console) <= inside.max_width), None) or self._grid(1, 2)
        most = min(SHOWN_CONDITIONS, len(self.status.conditions))
        drawn = [self._panel(body, most, self._banner), *(self._panel(body, shown, "") for shown in range(most, -1, -1))]
        height = options.height or console.height
        yield next((panel for panel in drawn if len(console.render_lines(panel, options)) <= height), drawn[-1])

    def _panel(self, grid: Table, shown: int, banner: str) -> Panel:
        status = self.status
        parts: list[RenderableType] = [Text(banner, style="dim"), Text()] if banner else []
        parts += [Text(_clock_line(status), style="dim"), grid]
        parts += [_condition_line(condition) for condition in status.conditions[:shown]]
        if more := len(status.conditions) - shown:
            parts.append(Text(f"{more} more to look at: photosynth status", style="yellow"))
        subtitle = Text(f"{self._url}   Ctrl-C stops", style="dim")
        return Panel(Group(*parts), title=Text(status.site.title), subtitle=subtitle, border_style="cyan")

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
    site, pool, ledger = status.site, status.pool, status.ledger
    return (
        f"{_clock(status)} surplus {fmt.power(site.surplus_w)} set-point {fmt.power(site.set_point_w)} "
        f"mining {fmt.power(site.mining_power_w)} grid {fmt.power(site.grid_w)} "
        f"hash rate {fmt.hash_rate(_number(pool.hash_rate_hs))} shares {pool.shares_accepted} "
        f"blocks {pool.blocks_found} height {fmt.UNKNOWN if status.chain.height is None else status.chain.height} "
        f"{ledger.immature_sat + ledger.mature_sat} sat {fmt.eur(ledger.carrying_ueur)}"
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


def _clock(status: Status) -> str:
    return local_time(status.site.time_ms, ZoneInfo(status.site.zone), seconds=True)


def _clock_line(status: Status) -> str:
    site = status.site
    age = "not measured" if site.observed_ms is None else f"measured {fmt.age(site.observed_ms, site.time_ms)} of site time ago"
    return f"{_clock(status)}, ×{status.speed:g}; {age}, {site.quality}"


def _figures(status: Status) -> list[tuple[str, RenderableType]]:
    site, pool, ledger, machines = status.site, status.pool, status.ledger, status.machines
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
        ("blocks", Text(f"{fmt.count(pool.blocks_found)} at height {fmt.count(status.chain.height)}")),
        ("records", Text(fmt.count(status.evidence.records))),
        ("immature", Text(f"{fmt.count(ledger.immature_sat)} sat")),
        ("available", Text(f"{fmt.count(ledger.mature_sat)} sat")),
        ("value", Text(fmt.eur(ledger.carrying_ueur))),
        ("asset", Text(ledger.asset, style="yellow")),
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


def _condition_line(condition: Condition) -> Text:
    mark = {"info": "i", "warning": "!", "critical": "!!"}[condition.severity]
    style = {"info": "dim", "warning": "yellow", "critical": "bold red"}[condition.severity]
    return Text(f"{mark} {condition.subject}: {condition.summary}", style=style)
