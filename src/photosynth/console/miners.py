"""The Miners page: every machine as a tile and as a row, kept current by what changed."""

from typing import Any

from fastapi import Request
from nicegui import Client, ui

from photosynth.console import links
from photosynth.console.feed import Feed
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, empty, no_match, no_site, text
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import Page, box, html, search_box
from photosynth.console.snapshot import Snapshot
from photosynth.documents import MachineDocument

STATES = ("running", "starting", "stopping", "sleeping", "faulty", "unreachable", "unknown")
Row = dict[str, Any]


def share_age_s(machine: MachineDocument, wall_ms: int) -> int | None:
    """Wall seconds since the machine's last accepted share."""
    return None if machine.last_share_wall_ms is None else max(0, (wall_ms - machine.last_share_wall_ms) // 1000)


def coarse(age_s: int | None) -> int | None:
    """An age in steps that a reader cares for, so that a row changes when its news does and not every second."""
    if age_s is None:
        return None
    for limit, step in ((20, 5), (120, 10), (3600, 60)):
        if age_s < limit:
            return age_s - age_s % step
    return age_s - age_s % 600


def key_of(machine: MachineDocument) -> str:
    """What names a machine in the whole fleet: its id is unique in its site only."""
    return f"{machine.site}/{machine.id}"


def row(machine: MachineDocument, wall_ms: int, numbers: Numbers, chosen: str | None) -> Row:
    """One machine as the table shows it: numbers to sort by, and texts to read."""
    rate = None if machine.hash_rate_hs is None else int(machine.hash_rate_hs)
    age_s = coarse(share_age_s(machine, wall_ms))
    return {
        "key": key_of(machine),
        "href": links.machine(machine.site, machine.id, chosen),
        "id": machine.id,
        "site": machine.site,
        "model": machine.model,
        "group": machine.group,
        "state": machine.state,
        "power": machine.power_w,
        "power_text": UNKNOWN if machine.power_w is None else f"{numbers.integer(machine.power_w)}{NBSP}W",
        "commanded": machine.commanded_w,
        "commanded_text": UNKNOWN
        if machine.commanded_w is None
        else "sleep"
        if machine.commanded_w == 0
        else f"{numbers.integer(machine.commanded_w)}{NBSP}W",
        "rate": None if rate is None else rate / 1e12,
        "rate_text": numbers.si(rate, "H/s"),
        "accepted": machine.accepted,
        "rejected": machine.rejected,
        "shares_text": f"{numbers.integer(machine.accepted)} / {numbers.integer(machine.rejected)}",
        "age": age_s,
        "age_text": "none yet" if age_s is None else f"{numbers.span(age_s)}",
        "reason": machine.reason,
        "conditions": ", ".join(c.summary for c in machine.conditions),
    }


def tile(machine: MachineDocument, largest_w: int, numbers: Numbers) -> list[str | int]:
    """One machine as a tile: state, fill in percent of the largest power, and what it says to whoever points at it."""
    percent = 0 if machine.power_w is None else min(100, 100 * machine.power_w // max(1, largest_w))
    power = UNKNOWN if machine.power_w is None else numbers.kilowatts(machine.power_w)
    return [machine.state, percent - percent % 5, f"{machine.id}: {machine.state}, {power}"]


def tiles_markup(snapshot: Snapshot, numbers: Numbers) -> str:
    """All tiles by site and group; each leads to its machine."""
    machines = snapshot.machines
    if snapshot.status is not None and not snapshot.parts:
        return no_site()
    if not machines:
        return empty(
            "No machines",
            "Add groups under machines.groups of a site in the fleet file; `photosynth fleet check` finds mistakes.",
        )
    largest = max((m.power_w or 0 for m in machines), default=1)
    groups: dict[tuple[str, str], list[MachineDocument]] = {}
    for machine in machines:
        groups.setdefault((machine.site, machine.group), []).append(machine)
    out = []
    first = 0  # the one that the Tab key stops at
    for (site, group), members in groups.items():
        cells, where = [], f"{text(site)}: " if snapshot.several else ""
        for machine in members:
            state, percent, label = tile(machine, largest, numbers)
            cells.append(
                f'<a class="tile s-{state}" style="--fill:{percent}%" id="tile-{text(key_of(machine))}" '
                f'href="{text(links.machine(site, machine.id, snapshot.site))}"'
                f' tabindex="{first}" aria-label="{text(label)}" title="{text(label)}"><i aria-hidden="true"></i></a>'
            )
            first = -1
        out.append(
            f'<div class="tilegroup"><h3>{where}{text(group)} <span>{text(members[0].model)}</span></h3><div '
            f'class="tiles">{"".join(cells)}</div></div>'
        )
    return "".join(out)


def counts(snapshot: Snapshot, numbers: Numbers) -> Values:
    """How many machines are in each state."""
    found = {state: sum(m.state == state for m in snapshot.machines) for state in STATES}
    return {f"count.{state}": numbers.integer(found[state]) for state in STATES}


def grid_options(rows: list[Row], *, sites: bool) -> dict[str, Any]:
    """The table's columns: sortable, filterable, reachable by keyboard; with the machines' sites where there are several."""

    def column(field: str, head: str, width: int, **more: Any) -> dict[str, Any]:
        return {"field": field, "headerName": head, "width": width, **more}

    def number(field: str, head: str, width: int, shown: str) -> dict[str, Any]:
        return column(field, head, width, filter="agNumberColumnFilter", type="rightAligned",
                      **{":valueFormatter": f"p => p.data ? p.data.{shown} : ''"})  # fmt: skip

    return {
        "columnDefs": [
            column("id", "Machine", 132, pinned="left", **{":cellRenderer": "p => photosynth.machineLink(p.data)"}),
            *([column("site", "Site", 124)] if sites else []),
            column("state", "State", 132, **{":cellRenderer": "p => photosynth.chip(p.value)"}),
            column("model", "Model", 150),
            number("power", "Power", 104, "power_text"),
            number("commanded", "Told", 104, "commanded_text"),
            number("rate", "Hash rate", 116, "rate_text"),
            number("accepted", "Shares: good / bad", 176, "shares_text"),
            number("age", "Last share", 124, "age_text"),
            column("conditions", "Conditions", 260, tooltipField="conditions"),
            column("reason", "Why", 420, flex=1, minWidth=420, tooltipField="reason"),
        ],
        "defaultColDef": {"sortable": True, "filter": "agTextColumnFilter", "resizable": True, "suppressHeaderMenuButton": False},
        "rowData": rows,
        ":getRowId": "p => p.data.key",
        "rowHeight": 36,
        "headerHeight": 38,
        "asyncTransactionWaitMillis": 100,
        "suppressCellFocus": False,
        "animateRows": False,
        "enableCellTextSelection": True,
        "tooltipShowDelay": 300,
        "rowBuffer": 5,
        "suppressNoRowsOverlay": True,
        ":onCellKeyDown": "e => e.event.key === 'Enter' && e.data && photosynth.machineLink(e.data).click()",
        ":onModelUpdated": "e => document.getElementById('no-machine').hidden = e.api.getDisplayedRowCount() > 0",
    }


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, here="/miners", title="Miners", needs=frozenset({"machines"}))
    numbers = page.numbers
    with page.main:
        with box("card", "section", 'aria-label="All machines by state"'):
            legend = "".join(
                f'<span class="chip s-{state}"><i aria-hidden="true"></i>{state} <b>{{{{count.{state}}}}}</b></span>'
                for state in STATES
            )
            page.section(f'<h2>All by state</h2><div class="legend">{legend}</div>', counts)
            page.section(
                '<p class="unseen" id="tiles-how">Arrow keys move from machine to machine, Enter opens one.</p>'
                '<div class="tilegroups" data-roving role="group" aria-label="Machines" aria-describedby="tiles-how">'
                f"{tiles_markup(page.snapshot, numbers)}</div>"
            )
        with box("card gridcard", "section", 'aria-label="Table of machines"'):
            _table(page)


def _table(page: Page) -> None:
    grid: ui.aggrid
    numbers = page.numbers
    now_ms, chosen = page.snapshot.wall_ms, page.site
    rows = {key_of(m): row(m, now_ms, numbers, chosen) for m in page.snapshot.machines}
    largest = max((m.power_w or 0 for m in page.snapshot.machines), default=1)
    tiles = {key_of(m): tile(m, largest, numbers) for m in page.snapshot.machines}
    with box("gridhead"):
        page.section("<h2>Machines</h2>")
        ui.on("columns-cleared", lambda: grid.run_grid_method("setFilterModel", None))
        search_box("Filter by any column", lambda words: grid.run_grid_method("setGridOption", "quickFilterText", words))
    html(f'<div id="no-machine" hidden>{no_match("No machine matches")}</div>')
    grid = ui.aggrid(
        grid_options(list(rows.values()), sites=page.snapshot.several), theme="quartz", auto_size_columns=False
    ).classes("machines")

    def refresh(snapshot: Snapshot) -> None:
        changed: list[Row] = []
        moved: dict[str, list[str | int]] = {}
        for machine in snapshot.machines:
            key, new = key_of(machine), row(machine, snapshot.wall_ms, numbers, chosen)
            if rows.get(key) != new:
                rows[key] = new
                changed.append(new)
            look = tile(machine, largest, numbers)
            if tiles.get(key) != look:
                tiles[key] = look
                moved[key] = look
        if changed:
            grid.run_grid_method("applyTransactionAsync", {"update": changed})
        if moved:
            page.run("tiles", moved)

    page.on_snapshot(refresh)
