"""The Activity page: every change to the world, with what reading back said."""

from collections.abc import Sequence

from fastapi import Request
from nicegui import Client, ui
from nicegui.events import GenericEventArguments

from photosynth.console.actions_table import Decision, decision_item, decisions, inside_of, key_of
from photosynth.console.feed import ACTIONS, Feed
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, empty, no_match, text
from photosynth.console.numbers import Numbers
from photosynth.console.page import Page, box, choice, html, search_box
from photosynth.console.snapshot import Snapshot
from photosynth.documents import ActionDocument

PAGE_ROWS = 50
KEPT = 5000
"""Most actions that one open page holds; a page may stay open for months."""
FETCHED = ACTIONS
"""Actions that the feed keeps, and that are fetched at a time."""
RESULTS = {"all": "All results", "verified": "Verified", "open": "Not verified", "refused": "Refused or failed"}


def matching(actions: Sequence[ActionDocument], words: str, result: str) -> tuple[ActionDocument, ...]:
    """The actions that contain every word somewhere and have the wanted result."""
    wanted = words.lower().split()

    def good(action: ActionDocument) -> bool:
        if result == "verified" and action.verified is not True:
            return False
        if result == "open" and action.verified is True:
            return False
        if result == "refused" and action.result not in ("refused", "failed"):
            return False
        fields = (
            action.actor,
            action.site,
            action.kind,
            action.subject,
            action.reason,
            action.request,
            action.result,
            action.answer,
        )
        whole = " ".join(str(field) for field in (*fields, action.read_back)).lower()
        return all(word in whole for word in wanted)

    return tuple(filter(good, actions))


class _Audit:
    """The part of the page that is filtered: the recent actions of the feed and older ones that were asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.words = ""
        self.result = "all"
        self.rows = PAGE_ROWS
        self.known: dict[int, ActionDocument] = {}
        self.opened: set[int] = set()
        self.exhausted = len(page.snapshot.actions) < FETCHED

    def matches(self, snapshot: Snapshot) -> list[Decision]:
        """What the filter leaves, newest first; the oldest in hand is held back while more of it may be fetched."""
        self.known.update((a.id, a) for a in snapshot.actions)
        if len(self.known) > KEPT:
            self.known = dict(sorted(self.known.items())[-KEPT:])
            self.exhausted = False
        known = [self.known[key] for key in sorted(self.known, reverse=True)]
        whole = decisions(known)
        if len(whole) > 1 and not self.exhausted:
            known = known[: -len(whole[-1])]
        return decisions(matching(known, self.words, self.result))

    def values(self, snapshot: Snapshot, numbers: Numbers) -> Values:
        """The list, or what to do where it is empty."""
        if not snapshot.actions:
            advice = "Every command to a machine, every stop and resume appears here, with who, why, and what reading back said."
            return {"actions!": empty("Nothing was changed yet", advice), "matches": "0"}
        found = self.matches(snapshot)
        items = "".join(
            decision_item(d, numbers, opened=key_of(d) in self.opened, named=snapshot.several, chosen=snapshot.site)
            for d in found[: self.rows]
        )
        more = "" if self.exhausted else " and older ones"
        count = f"{numbers.integer(sum(map(len, found)))} in {numbers.integer(len(found))} decisions{more}"
        return {"actions!": items or no_match("No action matches"), "matches": count}

    def redraw(self) -> None:
        """Show the filter's outcome now, not with the next snapshot."""
        self.page.run("patch", self.values(self.page.snapshot, self.page.numbers))

    def search(self, words: str) -> None:
        """Filter by words."""
        self.words, self.rows = words, PAGE_ROWS
        self.redraw()

    def pick(self, result: str) -> None:
        """Filter by result."""
        self.result, self.rows = result, PAGE_ROWS
        self.redraw()

    def toggled(self, event: GenericEventArguments) -> None:
        """Send the inside of a decision that somebody opened, and keep it current; forget one that was closed."""
        key, opened = event.args.get("key"), event.args.get("open") is True
        found = next((d for d in self.matches(self.page.snapshot)[: self.rows] if str(key_of(d)) == key), None)
        if found is None:
            return
        (self.opened.add if opened else self.opened.discard)(key_of(found))
        if opened:
            self.page.run("patch", {f"inside-{key}!": inside_of(found, self.page.numbers, self.page.site)})

    async def more(self) -> None:
        """Show more decisions, and fetch older actions where those that are here do not suffice."""
        self.rows += PAGE_ROWS
        if len(self.matches(self.page.snapshot)) < self.rows and not self.exhausted:
            fetched = await self.page.feed.view.actions(FETCHED, min(self.known), site=self.page.site)
            self.exhausted = len(fetched) < FETCHED
            self.known.update((a.id, a) for a in fetched)
        self.redraw()


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, here="/activity", title="Activity", needs=frozenset({"actions"}))
    audit = _Audit(page)
    ui.on("decision", audit.toggled)
    with page.main, box("card", "section", 'aria-label="Every action"'):
        with box("gridhead"):
            page.section(
                f"<h2>Every action <span class=count>{{{{matches}}}}</span></h2><p class=sub>Times of "
                f"{text(page.numbers.zone.key)}. A line is what one decision told; it opens to each machine's answer.</p>",
                lambda s, n: {"matches": audit.values(s, n)["matches"]},
            )
            search_box("Filter: machine, actor, reason", audit.search)
            choice(RESULTS, "all", "Result", audit.pick)
        page.section("{{actions!}}", lambda s, n: {"actions!": audit.values(s, n)["actions!"]})
        with box("more"), box("quiet", "button", "type=button data-server").on("click", audit.more):
            html("Show older", tag="span")
