"""The Incidents page: what needs somebody, who has taken it on, what was seen and what to do, and what is over."""

import logging
import time
from collections.abc import Sequence

from fastapi import Request
from nicegui import Client, ui
from nicegui.events import GenericEventArguments

from photosynth.console.feed import Feed
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, chip, conditions, empty, no_match, text
from photosynth.console.numbers import Numbers
from photosynth.console.page import Page, box, choice, html, search_box, text_field
from photosynth.console.snapshot import Snapshot
from photosynth.documents import IncidentDocument
from photosynth.quantities.texts import objection

_log = logging.getLogger(__name__)

SHOWN = 100
STATES = {"current": "Not over", "open": "Open", "acknowledged": "Acknowledged", "resolved": "Over", "all": "All states"}
_CHIPS = {"open": ("faulty", "open"), "acknowledged": ("starting", "acknowledged"), "resolved": ("running", "over")}
LONGEST_NAME = 100


def matching(found: Sequence[IncidentDocument], site: str | None, state: str, words: str) -> list[IncidentDocument]:
    """The incidents of a site, and those of the whole fleet, in the wanted state, that contain every word somewhere."""
    wanted = words.lower().split()

    def good(one: IncidentDocument) -> bool:
        if site is not None and one.site not in (None, site):
            return False
        if state == "current" and one.state == "resolved":
            return False
        if state in _CHIPS and one.state != state:
            return False
        whole = " ".join((one.subject, one.kind, one.summary, one.evidence, one.cause or "", one.acknowledged_by or "")).lower()
        return all(word in whole for word in wanted)

    return [one for one in found if good(one)]


def incident_item(one: IncidentDocument, numbers: Numbers, now_ms: int) -> str:
    """One incident as markup: what, since when, whose it is, what was seen, what to do."""
    lasted_s = max(0, (now_ms if one.resolved_ms is None else one.resolved_ms) - one.opened_ms) // 1000
    times = f"lasted {numbers.span(lasted_s)}" if one.state == "resolved" else f"for {numbers.span(lasted_s)}"
    taken = "" if one.acknowledged_by is None else f", taken on by {text(one.acknowledged_by)}"
    flaps = f", comes and goes: {numbers.integer(one.openings)} times" if one.flaps else ""
    cause = "" if one.cause is None else f"<p>Because of {text(one.cause)}</p>"
    button = ""
    if one.state == "open":
        press = f"emitEvent('take-on', {{ id: {one.id} }})"
        button = (
            f'<button class="quiet" type="button" aria-haspopup="dialog" onclick="{press}">'
            f"Acknowledge<span class=unseen> incident {one.id}</span></button>"
        )
    state = f"{chip(*_CHIPS[one.state])}<span class=unseen>{one.severity}</span>"
    return (
        f"<p><b>{text(one.subject)}</b> {text(one.summary)} {state}</p>"
        f"<p class=sub>Incident {one.id}, {times}{taken}{flaps}. {text(one.evidence)}</p>{cause}"
        f"<p class=sub>What to do: <code class=wrap>{text(one.runbook)}</code></p>{button}"
    )


class _List:
    """The part of the page that is filtered, and the dialog that takes an incident on."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words, self.state, self.name = "", "current", ""
        self.asked: IncidentDocument | None = None

    def values(self, snapshot: Snapshot, numbers: Numbers) -> Values:
        """The list, or what it means that there is none."""
        of_site = matching(snapshot.incidents, snapshot.site, "all", "")
        found = matching(of_site, snapshot.site, self.state, self.words)
        now_ms = time.time_ns() // 1_000_000
        listed = conditions((one.severity, incident_item(one, numbers, now_ms)) for one in found[:SHOWN])
        if not listed:
            nothing = self.state == "current" and not self.words
            advice = "What is wrong for long enough to matter appears here, with what was seen and what to do."
            listed = empty("Nothing is wrong", advice) if nothing else no_match("No incident matches")
        more = f", the newest {SHOWN} are shown" if len(found) > SHOWN else ""
        return {"incidents!": listed, "incidents.count": numbers.integer(len(found)) + more}

    def redraw(self) -> None:
        """Show the filter's outcome now, not with the next snapshot."""
        self.page.run("patch", self.values(self.page.snapshot, self.page.numbers))

    def search(self, words: str) -> None:
        """Filter by words."""
        self.words = words
        self.redraw()

    def pick(self, state: str) -> None:
        """Filter by state."""
        self.state = state
        self.redraw()

    def dialog(self) -> None:
        """Build the dialog that asks who takes an incident on, and open it where that is asked for."""

        def typed(name: str) -> None:
            self.name = name

        async def act() -> None:
            name, asked = self.name.strip(), self.asked
            if not name or len(name) > LONGEST_NAME or objection(name) is not None:
                self.page.run("focus", "taker")
                self.page.run("patch", {"taker-missing": f"Say who: a name of at most {LONGEST_NAME} characters."})
                return
            dialog.close()
            if asked is None:
                return
            try:
                action = await self.page.feed.view.acknowledge(asked.id, name)
            except Exception as error:  # noqa: BLE001 - whatever failed, the person who pressed the button is told
                _log.warning("incident %s could not be acknowledged: %s", asked.id, error)
                self.page.run("toast", "Acknowledge failed", str(error), True)
                return
            said = action.read_back or action.answer or ""
            self.page.run("toast", f"Acknowledge: {action.result}", said, action.result != "done")

        with ui.dialog().props('aria-label="Acknowledge an incident"') as dialog, box("dialog"):
            html("<h2>Acknowledge</h2>")
            html('<p id="taken" data-live="taken"></p><p>It wakes nobody any more, and says once when it is over.</p>')
            html('<label for="taker">Name</label>')
            props = 'id=taker autofocus required aria-describedby="taker-missing"'
            text_field("who looks at it", typed, props=props).on("keydown.enter", act)
            html('<p class="missing" role="alert" id="taker-missing" data-live="taker-missing"></p>')
            with box("buttons"):
                with box("quiet", "button", "type=button").on("click", dialog.close):
                    html("Cancel", tag="span")
                with box("primary", "button", "type=button data-server").on("click", act):
                    html("Acknowledge", tag="span")

        def ask(event: GenericEventArguments) -> None:
            found = next((one for one in self.page.snapshot.incidents if one.id == event.args.get("id")), None)
            if found is None:
                return
            self.asked, self.name = found, ""
            dialog.open()
            self.page.run("patch", {"taken": f"{found.subject}: {found.summary}", "taker-missing": ""})

        ui.on("take-on", ask)


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, here="/incidents", title="Incidents", needs=frozenset({"incidents"}))
    listed = _List(page)
    with page.main, box("card", "section", 'aria-label="Every incident"'):
        with box("gridhead"):
            page.section(
                "<h2>Every incident <span class=count>{{incidents.count}}</span></h2>"
                "<p class=sub>Newest first. One that comes back within an hour is the same one.</p>",
                lambda s, n: {"incidents.count": listed.values(s, n)["incidents.count"]},
            )
            search_box("Filter: node, machine, what is wrong", listed.search)
            choice(STATES, "current", "State", listed.pick)
        page.section("{{incidents!}}", lambda s, n: {"incidents!": listed.values(s, n)["incidents!"]})
    listed.dialog()
