"""The live status in the terminal while a site runs."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from photosynth.operations.documents import Condition, Status
from photosynth.quantities import format as fmt

_UNKNOWN = Text("unknown", style="dim italic")


def live_panel(status: Status, console_url: str) -> RenderableType:
    """One screenful: surplus, set-point, power, hash rate, shares, blocks, satoshis, EUR, and what is wrong."""
    grid = Table.grid(padding=(0, 3))
    for _ in range(4):
        grid.add_column(justify="right", style="dim")
        grid.add_column(justify="left")
    for row in _rows(status):
        cells: list[RenderableType] = []
        for label, value in row:
            cells += [label, value]
        grid.add_row(*cells)
    title = f"{status.site.title}  [dim]{status.time}  x{status.speed:g}[/dim]"
    subtitle = f"[dim]{console_url}   Ctrl-C stops[/dim]"
    parts: list[RenderableType] = [grid]
    parts += [_condition_line(condition) for condition in status.conditions[:5]]
    return Panel(Group(*parts), title=title, subtitle=subtitle, border_style="cyan")


def plain_line(status: Status) -> str:
    """The same in one line, for a log or a pipe."""
    site, pool, ledger = status.site, status.pool, status.ledger
    return (
        f"{status.time} surplus {fmt.power(site.surplus_w)} set-point {fmt.power(site.set_point_w)} "
        f"mining {fmt.power(site.mining_power_w)} grid {fmt.power(site.grid_w)} "
        f"hash rate {fmt.hash_rate(_number(pool.hash_rate_hs))} shares {pool.shares_accepted} "
        f"blocks {pool.blocks_found} height {status.chain.height} "
        f"{ledger.immature_sat + ledger.mature_sat} sat {fmt.eur(ledger.carrying_ueur)}"
    )


def _rows(status: Status) -> list[list[tuple[str, RenderableType]]]:
    site, pool, ledger, machines = status.site, status.pool, status.ledger, status.machines
    return [
        [
            ("surplus", _power(site.surplus_w)),
            ("set-point", _power(site.set_point_w)),
            ("mining", _power(site.mining_power_w)),
            ("grid", _power(site.grid_w)),
        ],
        [
            ("sun", _power(site.generation_w)),
            ("factory", _power(site.load_w)),
            ("spot", _price(site.spot_cent_per_mwh)),
            ("machines", Text(f"{machines.running} of {machines.total} run")),
        ],
        [
            ("hash rate", _hash_rate(pool.hash_rate_hs, pool.hash_rate_error_percent)),
            ("shares", Text(f"{fmt.count(pool.shares_accepted)} ({fmt.count(pool.shares_rejected)} refused)")),
            ("blocks", Text(f"{fmt.count(pool.blocks_found)} at height {fmt.count(status.chain.height)}")),
            ("records", Text(fmt.count(status.evidence.records))),
        ],
        [
            ("immature", Text(f"{fmt.count(ledger.immature_sat)} sat")),
            ("available", Text(f"{fmt.count(ledger.mature_sat)} sat")),
            ("value", Text(fmt.eur(ledger.carrying_ueur))),
            ("asset", Text(ledger.asset, style="yellow")),
        ],
    ]


def _power(watts: int | None) -> RenderableType:
    return _UNKNOWN if watts is None else Text(fmt.power(watts))


def _price(cents: int | None) -> RenderableType:
    if cents is None:
        return _UNKNOWN
    return Text(fmt.energy_price(cents), style="bold" if cents < 0 else "")


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _hash_rate(text: str | None, error_percent: float | None) -> RenderableType:
    if text is None:
        return _UNKNOWN
    error = "" if error_percent is None else f" ±{error_percent:.0f} %"
    return Text(f"{fmt.hash_rate(int(text))}{error}")


def _condition_line(condition: Condition) -> Text:
    mark = {"info": "i", "warning": "!", "critical": "!!"}[condition.severity]
    style = {"info": "dim", "warning": "yellow", "critical": "bold red"}[condition.severity]
    return Text(f"{mark} {condition.subject}: {condition.summary}", style=style, overflow="ellipsis", no_wrap=True)
