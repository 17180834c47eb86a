"""The Miners page: every machine as a tile and as a row, kept current by what changed."""

from datetime import datetime
from typing import Any

from fastapi import Request
from nicegui import Client, ui

from photosynth.console.feed import Feed, Snapshot
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, empty, no_match, text
from photosynth.console.numbers import NBSP, UNKNOWN, Numbers
from photosynth.console.page import Page, box, html, search_box
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


def row(machine: MachineDocument, wall_ms: int, numbers: Numbers) -> Row:
    """One machine as the table shows it: numbers to sort by, and texts to read."""
    rate = None if machine.hash_rate_hs is None else int(machine.hash_rate_hs)
    age_s = coarse(share_age_s(machine, wall_ms))
    return {
        "id": machine.id,
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


def tiles_markup(machines: tuple[MachineDocument, ...], numbers: Numbers) -> str:
    """All tiles by group; each leads to its machine."""
    if not machines:
        return empty(
            "No machines",
            "Add groups under machines.groups in the fleet file and start again; `photosynth fleet check` finds mistakes.",
        )
    largest = max((m.power_w or 0 for m in machines), default=1)
    groups: dict[str, list[MachineDocument]] = {}
    for machine in machines:
        groups.setdefault(machine.group, []).append(machine)
    out = []
    first = 0  # the one that the Tab key stops at
    for group, members in groups.items():
        cells = []
        for machine in members:
            state, percent, label = tile(machine, largest, numbers)
            cells.append(
                f'<a class="tile s-{state}" style="--fill:{percent}%" id="tile-{text(machine.id)}" '
                f'href="/miners/{text(machine.id)}"'
                f' tabindex="{first}" aria-label="{text(label)}" title="{text(label)}"><i aria-hidden="true"></i></a>'
            )
            first = -1
        out.append(
            f'<div class="tilegroup"><h3>{text(group)} <span>{text(members[0].model)}</span></h3><div '
            f'class="tiles">{"".join(cells)}</div></div>'
        )
    return "".join(out)


def counts(snapshot: Snapshot, numbers: Numbers) -> Values:
    """How many machines are in each state."""
    found = {state: sum(m.state == state for m in snapshot.machines) for state in STATES}
    return {f"count.{state}": numbers.integer(found[state]) for state in STATES}


def grid_options(rows: list[Row]) -> dict[str, Any]:
    """The table's columns: sortable, filterable, reachable by keyboard."""

    def column(field: str, head: str, width: int, **more: Any) -> dict[str, Any]:
        return {"field": field, "headerName": head, "width": width, **more}

    def number(field: str, head: str, width: int, shown: str) -> dict[str, Any]:
        return column(field, head, width, filter="agNumberColumnFilter", type="rightAligned",
                      **{":valueFormatter": f"p => p.data ? p.data.{shown} : ''"})  # fmt: skip

    return {
        "columnDefs": [
            column("id", "Machine", 132, pinned="left", **{":cellRenderer": "p => photosynth.machineLink(p.value)"}),
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
        ":getRowId": "p => p.data.id",
        "rowHeight": 36,
        "headerHeight": 38,
        "asyncTransactionWaitMillis": 100,
        "suppressCellFocus": False,
        "animateRows": False,
        "enableCellTextSelection": True,
        "tooltipShowDelay": 300,
        "rowBuffer": 5,
        "suppressNoRowsOverlay": True,
        ":onCellKeyDown": "e => e.event.key === 'Enter' && e.data && photosynth.machineLink(e.data.id).click()",
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
                f"{tiles_markup(page.snapshot.machines, numbers)}</div>"
            )
        with box("card gridcard", "section", 'aria-label="Table of machines"'):
            _table(page)


def _table(page: Page) -> None:
    grid: ui.aggrid
    numbers = page.numbers
    now_ms = wall_ms_of(page.snapshot)
    rows = {m.id: row(m, now_ms, numbers) for m in page.snapshot.machines}
    largest = max((m.power_w or 0 for m in page.snapshot.machines), default=1)
    tiles = {m.id: tile(m, largest, numbers) for m in page.snapshot.machines}
    with box("gridhead"):
        page.section("<h2>Machines</h2>")
        ui.on("columns-cleared", lambda: grid.run_grid_method("setFilterModel", None))
        search_box("Filter by any column", lambda words: grid.run_grid_method("setGridOption", "quickFilterText", words))
    html(f'<div id="no-machine" hidden>{no_match("No machine matches")}</div>')
    grid = ui.aggrid(grid_options(list(rows.values())), theme="quartz", auto_size_columns=False).classes("machines")

    def refresh(snapshot: Snapshot) -> None:
        wall_ms = wall_ms_of(snapshot)
        changed: list[Row] = []
        moved: dict[str, list[str | int]] = {}
        for machine in snapshot.machines:
            new = row(machine, wall_ms, numbers)
            if rows.get(machine.id) != new:
                rows[machine.id] = new
                changed.append(new)
            look = tile(machine, largest, numbers)
            if tiles.get(machine.id) != look:
                tiles[machine.id] = look
                moved[machine.id] = look
        if changed:
            grid.run_grid_method("applyTransactionAsync", {"update": changed})
        if moved:
            page.run("tiles", moved)

    page.on_snapshot(refresh)


def wall_ms_of(snapshot: Snapshot) -> int:
    """The wall time that a snapshot was taken at, as the site tells it."""
    if snapshot.status is None:
        return 0
    return int(datetime.fromisoformat(snapshot.status.wall_time).timestamp() * 1000)
