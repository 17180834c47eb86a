"""The Overview of a fleet of several sites, a card for each, and of one without any."""

from functools import partial

from photosynth.console import links
from photosynth.console.glance import BANNER, attention_section, banner, figures, money_section
from photosynth.console.markup import Values, chip, no_site, text
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import Page, box, html
from photosynth.console.snapshot import Snapshot
from photosynth.documents import SitePart
from photosynth.quantities.assets import Asset

_QUALITY = {"good": ("running", "fresh"), "estimated": ("starting", "estimated"), "stale": ("faulty", "stale")}
_NODES = (("healthy", "Healthy"), ("degraded", "Degraded"), ("down", "Down"), ("unknown", "Never answered"))
_FIGURES = (("power", "Mining power"), ("setpoint", "Set-point"), ("machines", "Machines"), ("price", "Price"))
_CARD = """
<div class=row><h2><a href="{href}">{title}</a></h2>{{{{{key}.state!}}}}<span class="age">{{{{{key}.measured}}}}</span></div>
<div class="four small">{figures}</div>
{{{{{key}.bar!}}}}
<p class="sub">{{{{{key}.earns}}}}</p>
<div class="row">{{{{{key}.trouble!}}}}<a class="lead" href="{href}">Open {title}</a></div>
"""


def show(page: Page) -> None:
    """Build what stands below the frame."""
    if not page.snapshot.parts:
        with box("grid"):
            with box("card full", "section", 'aria-label="No mining site"'):
                html(no_site())
            nodes_section(page)
            attention_section(page)
            _holdings_section(page)
        return
    page.section(BANNER, banner)
    with box("grid"):
        for part in page.snapshot.parts:
            site_card(page, part)
        money_section(page)
        nodes_section(page)
        attention_section(page)


def site_card(page: Page, part: SitePart) -> None:
    """One site in a card that leads into it."""
    key = f"site{[other.name for other in page.snapshot.parts].index(part.name)}"
    shown = figures(*((f"{key}.{name}", label, "") for name, label in _FIGURES))
    href = text(f"/{links.kept(part.name)}")
    template = _CARD.format(key=key, title=text(part.site.title), href=href, figures=shown)
    with box("card half", "section", f'aria-label="{text(part.site.title)}"'):
        page.section(template, partial(card_values, key, part.name))


def card_values(key: str, name: str, snapshot: Snapshot, numbers: Numbers) -> Values:
    """What a site's card says; everything is unknown where the site is not there any more."""
    part = next((part for part in snapshot.parts if part.name == name), None)
    return {f"{key}.{slot}": value for slot, value in _card(part, snapshot, numbers).items()}


def _card(part: SitePart | None, snapshot: Snapshot, numbers: Numbers) -> Values:
    if part is None:
        values = dict.fromkeys(("state!", "measured", "bar!", "earns", "trouble!"), "")
        for name, _ in _FIGURES:
            values |= {f"{name}.value": UNKNOWN, f"{name}.unit": "", f"{name}.note": "", f"{name}@data-quality": "unknown"}
        return values
    site, machines = part.site, part.machines
    quality = "stale" if snapshot.error else site.quality
    running = numbers.integer(machines.running)
    wrong = None if machines.unreachable is None or machines.faulty is None else machines.unreachable + machines.faulty
    price = UNKNOWN if site.spot_cent_per_mwh is None else numbers.decimal(site.spot_cent_per_mwh / 100, 2)
    grid = site.grid_w
    taken = "unknown" if grid is None else f"{numbers.kilowatts(abs(grid))} {'bought' if grid > 0 else 'fed in'}"
    told = "stopped by an operator" if site.stopped else "what the miners shall draw"
    measured = "never observed" if site.observed_ms is None else f"measured {numbers.age(site.time_ms, site.observed_ms)}"
    return {
        "state!": chip("sleeping", "stopped") if site.stopped else chip(*_QUALITY.get(quality, ("unknown", "unknown"))),
        "measured": measured,
        **_watts("power", site.mining_power_w, f"grid: {taken}", quality, numbers),
        **_watts("setpoint", site.set_point_w, told, quality, numbers),
        "machines.value": running,
        "machines.unit": f"of {numbers.integer(machines.total)}",
        "machines.note": "" if wrong is None else f"{numbers.integer(wrong)} unreachable or faulty",
        "machines@data-quality": "unknown" if machines.running is None else quality,
        "price.value": price,
        "price.unit": "" if site.spot_cent_per_mwh is None else "EUR/MWh",
        "price.note": "spot",
        "price@data-quality": "unknown"
        if site.spot_cent_per_mwh is None
        else "negative"
        if site.spot_cent_per_mwh < 0
        else "good",
        "bar!": _bar(part, numbers),
        "earns": _earns(part, numbers),
        "trouble!": _trouble(part),
    }


def _watts(key: str, value_w: int | None, note: str, quality: str, numbers: Numbers) -> Values:
    number, unit = (UNKNOWN, "") if value_w is None else numbers.kilowatts(value_w).split(NBSP)
    known = "unknown" if value_w is None else quality
    return {f"{key}.value": number, f"{key}.unit": unit, f"{key}.note": note, f"{key}@data-quality": known}


def _bar(part: SitePart, numbers: Numbers) -> str:
    """Where the power goes: factory, mining and export as shares of a bar, with their figures below."""
    site = part.site
    if site.load_w is None or site.mining_power_w is None or site.grid_w is None:
        return '<p class="age">Unknown: no fresh reading of every meter.</p>'
    flows = (
        ("factory", "Factory", max(0, site.load_w)),
        ("mining", "Mining", max(0, site.mining_power_w)),
        ("export", "Export", max(0, -site.grid_w)),
    )
    total = max(1, sum(watts for *_, watts in flows))
    pieces = "".join(f'<i class="{css}" style="width:{100 * watts / total:.1f}%"></i>' for css, _, watts in flows)
    words = "".join(
        f'<li class="{css}"><i aria-hidden="true"></i>{label} <b>{numbers.kilowatts(watts)}</b></li>'
        for css, label, watts in flows
    )
    return f'<div class="goes" aria-hidden="true">{pieces}</div><ul class="pins goes-to">{words}</ul>'


def _earns(part: SitePart, numbers: Numbers) -> str:
    """Blocks that the pool found, and what the hash rate would earn on mainnet."""
    outlook, found = part.mainnet, numbers.integer(part.pool.blocks_found)
    on_mainnet = "unknown" if outlook.ueur_per_day is None else f"{numbers.eur(outlook.ueur_per_day)} EUR a day"
    blocks = "block" if part.pool.blocks_found == 1 else "blocks"
    return f"{found} {blocks} found · {numbers.si(part.pool.hash_rate_hs, 'H/s')} would earn {on_mainnet} on mainnet"


def _trouble(part: SitePart) -> str:
    if not part.conditions:
        return chip("running", "nothing needs attention")
    worst = "faulty" if any(found.severity == "critical" for found in part.conditions) else "starting"
    number = len(part.conditions)
    return chip(worst, f"{number} need attention" if number > 1 else "1 needs attention")


def nodes_section(page: Page) -> None:
    """How many of the fleet's nodes are in which state."""
    with box("card", "section", 'aria-label="Nodes"'):
        facts = "".join(f"<dt>{label}</dt><dd>{{{{nodes.{name}}}}}</dd>" for name, label in _NODES)
        page.section(f'<h2><a href="/nodes{links.kept(page.site)}">Nodes</a></h2><dl>{facts}</dl>', _nodes)


def _nodes(snapshot: Snapshot, numbers: Numbers) -> Values:
    status = snapshot.status
    return {f"nodes.{name}": UNKNOWN if status is None else numbers.integer(getattr(status.nodes, name)) for name, _ in _NODES}


def _holdings_section(page: Page) -> None:
    """What the books hold of each asset."""
    with box("card full", "section", 'aria-label="Books"'):
        page.section("<h2>Books</h2>{{books!}}", _holdings)


def _holdings(snapshot: Snapshot, numbers: Numbers) -> Values:
    if snapshot.status is None:
        return {"books!": ""}
    ledger = snapshot.status.ledger
    held = [
        (holding.code, numbers.amount(holding.held, Asset(holding.code, holding.code, None, holding.base_unit, holding.decimals)))
        for holding in ledger.assets
    ]
    facts = (("Postings", numbers.integer(ledger.postings)), *held)
    return {"books!": "<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{value}</dd>" for name, value in facts) + "</dl>"}
