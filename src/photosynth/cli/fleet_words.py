"""What the status says of a fleet in words that the live display and `photosynth status` share: clock, nodes, sites, faults."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from photosynth.cli.table import FittingTable
from photosynth.quantities import format as fmt
from photosynth.quantities.format import Style
from photosynth.quantities.instants import MARKET_ZONE, local_time

if TYPE_CHECKING:
    from photosynth.documents import Condition, SitePart, Status

NODE_WORDS = (("healthy", "healthy"), ("degraded", "degraded"), ("down", "down"), ("unknown", "never answered"))
WIDEST = ("surplus", "set-point", "mining", "grid", "machines", "hash rate", "blocks", "to look at")


def clock(status: "Status", *, seconds: bool = False) -> str:
    """The fleet's time where the clock of its first site hangs, or of the market where it has none."""
    if status.sites:
        first = status.sites[0].site
        return local_time(first.time_ms, ZoneInfo(first.zone), seconds=seconds)
    at_ms = int(datetime.fromisoformat(status.time).timestamp() * 1000)
    return local_time(at_ms, MARKET_ZONE, seconds=seconds)


def measured(part: "SitePart") -> str:
    """How old a site's readings are, and how good."""
    site = part.site
    age = "not measured" if site.observed_ms is None else f"measured {fmt.age(site.observed_ms, site.time_ms)} of site time ago"
    return f"{age}, {site.quality}"


def qualities(sites: "Sequence[SitePart]") -> str:
    """How many sites have readings of which quality: 2 good, 1 stale."""
    counted = Counter(part.site.quality for part in sites)
    return ", ".join(f"{number} {quality}" for quality, number in counted.most_common())


def nodes(status: "Status", style: Style = fmt.ENGLISH) -> str:
    """How many nodes are in which state; those that there are none of are left out. While nothing runs nobody looks at them."""
    counted = [(word, getattr(status.nodes, name)) for name, word in NODE_WORDS]
    if not status.running:
        return f"{fmt.count(sum(number for _, number in counted), style)}, not looked at while nothing runs"
    return ", ".join(f"{fmt.count(number, style)} {word}" for word, number in counted if number) or "none"


def conditions(status: "Status") -> "list[tuple[str, Condition]]":
    """Everything that is wrong: the fleet's own, then each site's; where there are several, with the site's name before it."""
    several = len(status.sites) > 1
    found = [("", condition) for condition in status.conditions]
    return found + [(f"{part.name}: " if several else "", found) for part in status.sites for found in part.conditions]


def sites_table(sites: "Sequence[SitePart]", style: Style, columns: Sequence[str] = WIDEST, title: str = "") -> FittingTable:
    """One line for each site."""
    table = FittingTable(title, "site", *columns)
    for part in sites:
        table.add_row(part.name, *(_COLUMNS[name](part, style) for name in columns))
    return table


def _machines(part: "SitePart", style: Style) -> str:
    if part.site.stopped:
        return "stopped"
    if part.machines.running is None:
        return fmt.UNKNOWN
    return f"{fmt.count(part.machines.running, style)} of {fmt.count(part.machines.total, style)}"


def _to_look_at(part: "SitePart", style: Style) -> str:
    """How much is wrong; nobody knows where nobody looks."""
    if not part.conditions and part.machines.running is None:
        return fmt.UNKNOWN
    return fmt.count(len(part.conditions), style)


_COLUMNS: "dict[str, Callable[[SitePart, Style], str]]" = {
    "surplus": lambda part, style: fmt.power(part.site.surplus_w, style),
    "set-point": lambda part, style: fmt.power(part.site.set_point_w, style),
    "mining": lambda part, style: fmt.power(part.site.mining_power_w, style),
    "grid": lambda part, style: fmt.power(part.site.grid_w, style),
    "machines": _machines,
    "hash rate": lambda part, style: fmt.hash_rate(
        None if part.pool.hash_rate_hs is None else int(part.pool.hash_rate_hs), style
    ),
    "blocks": lambda part, style: fmt.count(part.pool.blocks_found, style),
    "to look at": _to_look_at,
}
