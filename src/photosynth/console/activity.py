"""The Activity page: every change to the world, with what reading back said."""

from fastapi import Request
from nicegui import Client, ui

from photosynth.console.actions_table import actions_table
from photosynth.console.feed import Feed, Snapshot
from photosynth.console.frame import open_page
from photosynth.console.markup import empty
from photosynth.console.numbers import Numbers
from photosynth.console.page import box, html
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
        whole = f"{action.actor} {action.kind} {action.subject} {action.reason} {action.request} {action.result} {action.answer} {action.read_back}".lower()
        return all(word in whole for word in wanted)

    return tuple(filter(good, actions))


async def show(request: Request, client: Client, feed: Feed) -> None:
    """Build the page."""
    page = await open_page(request, client, feed, "/activity", "Activity", frozenset({"actions"}))
    older: list[ActionDocument] = []
    chosen = {"words": request.query_params.get("q", "")[:100], "result": "all", "rows": PAGE_ROWS}

    def shown() -> tuple[ActionDocument, ...]:
        recent = page.snapshot.actions
        last = recent[-1].id if recent else 0
        return matching((*recent, *(a for a in older if a.id < last)), str(chosen["words"]), str(chosen["result"]))

    def render(snapshot: Snapshot, numbers: Numbers) -> dict[str, str]:
        if not snapshot.actions:
            return {
                "actions!": empty(
                    "Nothing was changed yet",
                    "Every command to a machine, and every stop and resume, appears here with who, why, and what reading back said.",
                ),
                "matches": "0",
            }
        found = shown()
        listed = (
            actions_table(found[: int(chosen["rows"])], numbers)
            if found
            else empty("Nothing matches", "Take a word out of the filter.")
        )
        return {"actions!": listed, "matches": numbers.integer(len(found))}

    def redraw() -> None:
        page.run("patch", render(page.snapshot, page.numbers))

    def choose(key: str, value: object) -> None:
        chosen[key] = str(value or "")
        chosen["rows"] = PAGE_ROWS
        redraw()

    async def more() -> None:
        chosen["rows"] = int(chosen["rows"]) + PAGE_ROWS
        known = (*page.snapshot.actions, *older)
        if len(shown()) < int(chosen["rows"]) and known:
            older.extend(await feed.view.actions(200, min(a.id for a in known)))
        redraw()

    with page.main, box("card", "section", 'aria-label="Every action"'):
        with box("gridhead"):
            page.section(
                "<h2>Every action <span class=count>{{matches}}</span></h2>", lambda s, n: {"matches": render(s, n)["matches"]}
            )
            ui.input(
                value=str(chosen["words"]),
                placeholder="Filter: machine, actor, reason",
                on_change=lambda e: choose("words", e.value),
            ).props('outlined dense clearable debounce=250 aria-label="Filter actions"').classes("search")
            ui.select(RESULTS, value="all", on_change=lambda e: choose("result", e.value)).props(
                'outlined dense aria-label="Result"'
            ).classes("pick")
        page.section("{{actions!}}", lambda s, n: {"actions!": render(s, n)["actions!"]})
        with box("more"), box("quiet", "button", "type=button").on("click", more):
            html("Show older", tag="span")
