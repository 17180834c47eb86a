"""One machine's page: why it runs or sleeps, what its energy would be worth elsewhere, and what was done to it."""

from fastapi import Request
from nicegui import Client

from photosynth.console import links
from photosynth.console.actions_table import actions_table
from photosynth.console.feed import Feed
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, chip, conditions, empty, text
from photosynth.console.miners import coarse, share_age_s
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import box, html
from photosynth.console.snapshot import Snapshot
from photosynth.documents import ActionDocument, MachineDocument

_CAME_OF_IT = {
    "planned": "its proof is awaited",
    "done": "proven by reading back",
    "refused": "it refused",
    "failed": "it did not get through",
    "unverified": "reading back did not show it",
}
_FACTS = ("site", "model", "group", "party", "driver", "address", "worker", "starts")


def find(snapshot: Snapshot, site: str, machine_id: str) -> MachineDocument | None:
    """The machine of this name at a site in a snapshot."""
    return next((m for m in snapshot.machines if (m.site, m.id) == (site, machine_id)), None)


def price_scale(machine: MachineDocument, snapshot: Snapshot, numbers: Numbers) -> str:
    """What a megawatt-hour is worth in this machine, at the grid, and from the grid, on one line."""
    site = next((part.site for part in snapshot.parts if part.name == machine.site), None)
    if site is None:
        return ""
    marks = [
        ("mine", "in this machine", machine.strike_cent_per_mwh),
        ("export", "fed in", site.export_cent_per_mwh),
        ("import", "bought", site.import_cent_per_mwh),
    ]
    known = [value for *_, value in marks if value is not None]
    low, high = min(0, *known), max(0, *known)
    reach = max(1, high - low)

    def place(value: int) -> str:
        return f"{4 + 92 * (value - low) / reach:.1f}%"

    pins = "".join(
        (f'<div class="pin {css}" style="left:{place(value)}"><i></i></div>') for css, _label, value in marks if value is not None
    )
    words = "".join(
        (f'<li class="{css}"><i aria-hidden="true"></i>{label} <b>{numbers.price(value)}</b></li>') for css, label, value in marks
    )
    return (
        '<div class="scale" role="img" aria-label="Values of a megawatt-hour compared"><div class="zero" '
        f'style="left:{place(0)}">0</div>{pins}</div><ul class="pins">{words}</ul>'
    )


def values_of(site: str, machine_id: str, snapshot: Snapshot, numbers: Numbers) -> Values:
    """Everything on the page that moves."""
    machine = find(snapshot, site, machine_id)
    if machine is None or snapshot.status is None:
        keys = (
            "power.value",
            "power.unit",
            "power.note",
            "told.value",
            "told.unit",
            "told.note",
            "rate.value",
            "rate.unit",
            "rate.note",
            "shares.value",
            "shares.unit",
            "shares.note",
        )
        return {
            **dict.fromkeys(keys, ""),
            "state!": chip("unknown", "unknown"),
            "why": "Nothing was seen of it.",
            "since": "",
            "conditions!": "",
            "scale!": "",
        }
    now_ms = snapshot.time_ms
    rate, unit = numbers.parts(machine.hash_rate_hs, "H/s")
    told = (
        UNKNOWN if machine.commanded_w is None else "sleep" if machine.commanded_w == 0 else numbers.integer(machine.commanded_w)
    )
    since_s = None if machine.state_since_ms is None else (now_ms - machine.state_since_ms) / 1000
    seen = numbers.age(now_ms, machine.observed_ms)
    wrong = [
        (
            c.severity,
            f"<p><b>{text(c.summary)}</b> <span class=unseen>{text(c.severity)}</span></p><p>{text(c.evidence)}</p>"
            f"<p class=advice>{text(c.advice)}</p>",
        )
        for c in machine.conditions
    ]
    return {
        "state!": chip(machine.state, machine.state),
        "why": machine.reason,
        "since": "" if since_s is None else f"in this state for {numbers.span(since_s)}",
        "power.value": UNKNOWN if machine.power_w is None else numbers.integer(machine.power_w),
        "power.unit": "" if machine.power_w is None else "W",
        "power.note": f"read {seen}",
        "told.value": told,
        "told.unit": "W" if machine.commanded_w else "",
        "told.note": "no command yet"
        if machine.commanded_result is None
        else f"{numbers.age(now_ms, machine.commanded_ms)} · {_CAME_OF_IT[machine.commanded_result]}",
        "rate.value": rate,
        "rate.unit": unit,
        "rate.note": "its own word" + ("" if machine.temperature_c is None else f" · {machine.temperature_c}{NBSP}°C"),
        "shares.value": numbers.integer(machine.accepted),
        "shares.unit": "shares",
        "shares.note": (f"{numbers.integer(machine.rejected)} rejected · last "
                       f"{numbers.span(coarse(share_age_s(machine, snapshot.wall_ms)))} ago")
        if machine.last_share_wall_ms is not None else "none yet",
        "conditions!": conditions(wrong),
        "scale!": price_scale(machine, snapshot, numbers),
    }  # fmt: skip


async def show(request: Request, client: Client, feed: Feed, site: str, machine_id: str) -> None:
    """Build the page; 404 where no machine of the site has the name."""
    needs = frozenset({"machines", "actions"})
    page = await open_page(request, client, feed, here="/miners", title=machine_id[:60], needs=needs, of_site=site)
    machine = find(page.snapshot, site, machine_id)
    if machine is None:
        client.status_code = 404
        with page.main:
            html(
                empty(f"There is no machine {machine_id[:60]} at {site[:60]}", "All machines are on the Miners page."), css="card"
            )
        return
    older = await feed.view.actions(50, None, machine_id, site)

    def actions(snapshot: Snapshot, n: Numbers) -> Values:
        merged: dict[int, ActionDocument] = {a.id: a for a in older}
        merged |= {a.id: a for a in snapshot.actions if (a.site, a.subject) == (site, machine_id)}
        rows = sorted(merged.values(), key=lambda a: -a.id)[:50]
        return {
            "actions!": actions_table(rows, n, subjects=False)
            if rows
            else empty("No action yet", "Commands to this machine appear here.")
        }

    with page.main:
        html(f'<a class="back" href="/miners{links.kept(page.site)}">All machines</a>')
        with box("grid"):
            with box("card why", "section", 'aria-label="Why"'):
                page.section(
                    "<h2>Why</h2><div class=row>{{state!}}<span class=age>{{since}}</span></div><p class=strong>"
                    "{{why}}</p>{{conditions!}}"
                    "<h3>A megawatt-hour is worth</h3>{{scale!}}",
                    lambda s, n: {
                        k: v
                        for k, v in values_of(site, machine_id, s, n).items()
                        if k.rstrip("!") in ("state", "since", "why", "conditions", "scale")
                    },
                )
            with box("card", "section", 'aria-label="What it is"'):
                facts = "".join(f"<dt>{name}</dt><dd>{text(getattr(machine, name))}</dd>" for name in _FACTS)
                html(f"<h2>What it is</h2><dl>{facts}</dl>")
            with box("cards", "section", 'aria-label="Readings"'):
                figures = "".join(
                    (
                        f'<div class="figure"><h3>{label}</h3><p class="big">{{{{{key}.value}}}}<small>'
                        f'{{{{{key}.unit}}}}</small></p><p class="age">{{{{{key}.note}}}}</p></div>'
                    )
                    for key, label in (("power", "Power"), ("told", "Told"), ("rate", "Hash rate"), ("shares", "Accepted"))
                )
                page.section(
                    figures, lambda s, n: {k: v for k, v in values_of(site, machine_id, s, n).items() if "." in k}, css="four"
                )
            with box("card full", "section", 'aria-label="Its actions"'):
                page.section("<h2>Its actions</h2>{{actions!}}", actions)
