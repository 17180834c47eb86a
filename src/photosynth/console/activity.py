"""The Activity page: every change to the world, with what reading back said."""

from fastapi import Request
from nicegui import Client

from photosynth.console.actions_table import actions_table
from photosynth.console.feed import Feed, Snapshot
from photosynth.console.frame import open_page
from photosynth.console.markup import Values, empty
from photosynth.console.numbers import Numbers
from photosynth.console.page import Page, box, choice, html, search_box
from photosynth.operations.documents import ActionDocument

PAGE_ROWS = 50
RESULTS = {"all": "All results", "verified": "Verified", "open": "Not verified", "refused": "Refused or failed"}


def matching(actions: tuple[ActionDocument, ...], words: str, result: str) -> tuple[ActionDocument, ...]:
    """The actions that contain every word somewhere and have the wanted result."""
    wanted = words.lower().split()

    def good(action: ActionDocument) -> bool:
        if result == "verified" and action.verified is not True:
            return False
        if result == "open" and action.verified is True:
            return False
        if result == "refused" and action.result not in ("refused", "failed"):
            return False
        fields = (action.actor, action.kind, action.subject, action.reason, action.request, action.result, action.answer)
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
        self.older: list[ActionDocument] = []

    def matches(self, snapshot: Snapshot) -> tuple[ActionDocument, ...]:
        """What the filter leaves, newest first."""
        recent = snapshot.actions
        last = recent[-1].id if recent else 0
        return matching((*recent, *(a for a in self.older if a.id < last)), self.words, self.result)

    def values(self, snapshot: Snapshot, numbers: Numbers) -> Values:
        """The table, or what to do where it is empty."""
        if not snapshot.actions:
            advice = "Every command to a machine, every stop and resume appears here, with who, why, and what reading back said."
            return {"actions!": empty("Nothing was changed yet", advice), "matches": "0"}
        found = self.matches(snapshot)
        nothing = empty("Nothing matches", "Take a word out of the filter.")
        listed = actions_table(found[: self.rows], numbers) if found else nothing
        return {"actions!": listed, "matches": numbers.integer(len(found))}

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

    async def more(self) -> None:
        """Show more rows, and fetch older ones where those that are here do not suffice."""
        self.rows += PAGE_ROWS
        known = (*self.page.snapshot.actions, *self.older)
        if known and len(self.matches(self.page.snapshot)) < self.rows:
            self.older.extend(await self.page.feed.view.actions(200, min(a.id for a in known)))
        self.redraw()


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, here="/activity", title="Activity", needs=frozenset({"actions"}))
    audit = _Audit(page)
    with page.main, box("card", "section", 'aria-label="Every action"'):
        with box("gridhead"):
            page.section(
                "<h2>Every action <span class=count>{{matches}}</span></h2>",
                lambda s, n: {"matches": audit.values(s, n)["matches"]},
            )
            search_box("Filter: machine, actor, reason", audit.search)
            choice(RESULTS, "all", "Result", audit.pick)
        page.section("{{actions!}}", lambda s, n: {"actions!": audit.values(s, n)["actions!"]})
        with box("more"), box("quiet", "button", "type=button").on("click", audit.more):
            html("Show older", tag="span")
