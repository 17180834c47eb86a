"""What every page has around it: navigation, site filter, time, the stop button and its dialog, the lost-sight banner."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from fastapi import Request
from nicegui import Client, ui

from photosynth.console import links
from photosynth.console.feed import Feed
from photosynth.console.icons import LEAF, icon
from photosynth.console.markup import Values, text
from photosynth.console.numbers import Numbers, preferred_locale
from photosynth.console.page import Page, box, html, text_field
from photosynth.console.snapshot import Snapshot
from photosynth.documents import ActionDocument
from photosynth.quantities.texts import objection

_log = logging.getLogger(__name__)

PAGES = (
    ("/", "overview", "Overview"),
    ("/miners", "miners", "Miners"),
    ("/nodes", "nodes", "Nodes"),
    ("/incidents", "incidents", "Incidents"),
    ("/ledger", "ledger", "Ledger"),
    ("/activity", "activity", "Activity"),
)


_WORST_FIRST = ("unknown", "stale", "estimated", "good")


def _quality(snapshot: Snapshot) -> str:
    """The worst quality of the sites' readings; a fleet without sites that answers is as fresh as its answer."""
    found = {part.site.quality for part in snapshot.parts}
    return next((quality for quality in _WORST_FIRST if quality in found), "good")


def _stopped(snapshot: Snapshot) -> str:
    """Whether the shown sites are stopped: true, false, some of them, or none is there to be stopped."""
    if snapshot.status is None:
        return "false"
    found = {part.site.stopped for part in snapshot.parts}
    return "none" if not found else "some" if len(found) > 1 else "true" if found.pop() else "false"


def _header(snapshot: Snapshot, numbers: Numbers) -> Values:
    status, stopped = snapshot.status, _stopped(snapshot)
    if status is None:
        return {
            "clock": "unknown",
            "speed": "",
            "live@data-state": "unknown",
            "livetext": "no data",
            "stopped@data-stopped": stopped,
        }
    old, quality = snapshot.error is not None, _quality(snapshot)
    return {
        "clock": numbers.instant(snapshot.time_ms),
        "speed": f"×{numbers.decimal(status.speed, 0)}" if status.speed != 1 else "",
        "live@data-state": "stale" if old else quality,
        "livetext": "not answering" if old else {"good": "live"}.get(quality, quality),
        "stopped@data-stopped": stopped,
    }


def _trouble(snapshot: Snapshot, numbers: Numbers) -> Values:
    del numbers
    said, stopped = "", [part.site.title for part in snapshot.parts if part.site.stopped]
    if snapshot.error is not None:
        said = f"The fleet does not answer ({snapshot.error}). What you see was seen last; it is asked again every second."
    elif stopped and len(stopped) == len(snapshot.parts):
        said = "Mining is stopped by an operator: every machine stays asleep until somebody resumes."
    elif stopped:
        said = f"Mining is stopped by an operator at {', '.join(stopped)}: the machines there stay asleep until somebody resumes."
    return {"trouble@data-on": "true" if said else "false", "trouble-text": said}


async def open_page(
    request: Request,
    client: Client,
    feed: Feed,
    *,
    here: str,
    title: str,
    needs: frozenset[str] = frozenset(),
    of_site: str | None = None,
) -> Page:
    """Draw the frame and return the page; its content goes into ``page.main``.

    ``of_site`` is the site that the page's address names; another one that is chosen in the filter does not count then.
    """
    numbers = Numbers(preferred_locale(request.headers.get("accept-language", ""), request.cookies.get("locale")))
    wanted = request.query_params.get("site", "")
    if of_site is not None and wanted != of_site:
        wanted = ""
    snapshot = await feed.look(needs, await feed.chosen(wanted))
    numbers = replace(numbers, zone=snapshot.zone)
    page = Page(client, feed, numbers, needs, snapshot)
    client.title = f"{title} · Photosynth"
    assert client.content.parent_slot is not None
    client.content.parent_slot.parent.tag = "div"  # NiceGUI's page is a <main> of everything; ours is without the navigation
    html('<a class="skip" href="#main">Skip to content</a>')
    age_ms, as_of, clock = page.beat()
    html(
        f'<i id="beat" hidden data-age="{"" if age_ms is None else age_ms}" data-as-of="{text(as_of)}" '
        f'data-clock="{text(clock)}"></i>'
        '<div id="lost" class="trouble" role="alert"></div><div id="toasts" aria-live="polite"></div>'
    )
    kept = links.kept(page.site)
    pages = "".join(
        f'<a href="{path}{kept}"{" aria-current=page" if path == here else ""}>{icon(name)}<span>{label}</span></a>'
        for path, name, label in PAGES
    )
    shell = box("shell")
    with shell:
        html(
            f'<a class="brand" href="/{kept}" aria-label="Photosynth, overview">{LEAF}<span>Photosynth</span></a>'
            f'<nav aria-label="Pages">{pages}</nav><div class="foot"><a href="/api/v1/openapi.json">HTTP API '
            "(OpenAPI)</a></div>",
            css="side",
            tag="header",
        )
        with box("page", "main"):
            with box("top"):
                _top(page, title, here or "/")
            page.section(
                '<div class="trouble" role="alert" data-live="trouble" {{trouble@data-on}}>{{trouble-text}}</div>', _trouble
            )
            page.main = box("main", "div", "id=main tabindex=-1")
    if wanted and page.site is None and snapshot.status is not None:
        there = ", ".join(part.name for part in snapshot.parts) or "none"
        with page.main:
            said = f"This fleet has no site “{text(wanted[:60])}”, so all are shown. Its sites: {text(there)}."
            html(f'<div class="note warn">{said}</div>')
    return page


def _site_filter(page: Page, here: str) -> None:
    """What to choose a site with; choosing leads to the page's list where the page is of one machine or block."""
    sites = () if page.snapshot.status is None else page.snapshot.status.sites
    titles = Counter(part.site.title for part in sites)
    options = "".join(
        f'<option value="{text(part.name)}"{" selected" if part.name == page.site else ""}>{text(part.site.title)}'
        f"{f' ({text(part.name)})' if titles[part.site.title] > 1 else ''}</option>"
        for part in sites
    )
    if options:
        html(
            f'<label class="unseen" for="site">Site</label><select id="site" onchange="photosynth.site(this.value, \'{here}\')">'
            f'<option value="">All sites ({len(sites)})</option>{options}</select>',
            css="sitebox",
        )


def _top(page: Page, title: str, here: str) -> None:
    html(f"<h1>{text(title)}</h1>", css="title")
    _site_filter(page, here)
    page.section(
        '<span class="dot" data-live="live" {{live@data-state}}></span><span class="while-fresh">{{livetext}}</span>'
        '<span class="while-old">old</span>'
        '<span class="while-fresh"><span class="unseen">site time</span> <time>{{clock}}</time></span>'
        '<time class="while-old" id="as-of"></time><span class="speed" title="site time runs faster than the wall clock">'
        "{{speed}}</span>",
        lambda s, n: {k: v for k, v in _header(s, n).items() if k != "stopped@data-stopped"},
        css="clock",
    )
    locale = page.numbers.locale
    other, example = ("en", "1.234,5") if locale == "de" else ("de", "1,234.5")
    html(
        f'<button class="quiet" onclick="photosynth.locale(\'{other}\')" title="Number format: {example}" '
        f'aria-label="Number format {locale.upper()}, change to {other.upper()}">{locale.upper()}</button>'
        f'<button class="quiet" onclick="photosynth.theme()" aria-label="Change between dark and light">{icon("theme")}</button>',
        css="tools",
    )
    _stop_control(page)


def _stop_control(page: Page) -> None:
    site, parts = page.site, page.snapshot.parts
    at = f" at {parts[0].site.title}" if site is not None and parts else ""
    whose = "Every machine there" if at else "Every machine of every site" if page.snapshot.several else "Every machine"
    stop = _dialog(
        page,
        f"Stop mining{at}?" if at else "Stop all mining?",
        f"{whose} is put to sleep now and stays asleep until somebody resumes. "
        "The surplus is fed in or curtailed meanwhile. The action and its reason go into the audit.",
        confirm="Stop mining",
        css="danger",
        write=partial(page.feed.view.stop_mining, site=site),
    )
    resume = _dialog(
        page,
        f"Resume mining{at}?",
        "The dispatch decides again which machines run, by surplus and price. The action and its reason go into the audit.",
        confirm="Resume mining",
        css="primary",
        write=partial(page.feed.view.resume_mining, site=site),
    )
    page.section(
        '<i data-live="stopped" {{stopped@data-stopped}}></i>',
        lambda s, n: {"stopped@data-stopped": _header(s, n)["stopped@data-stopped"]},
        css="stopflag",
    )
    with box("danger only-running", "button", "type=button aria-haspopup=dialog data-server").on("click", stop):
        html(f"{icon('stop')}<span>Stop mining</span>", tag="span")
    with box("primary only-stopped", "button", "type=button aria-haspopup=dialog data-server").on("click", resume):
        html(f"{icon('play')}<span>Resume mining</span>", tag="span")


def told(what: str, action: ActionDocument) -> tuple[str, str]:
    """What a person is told of their own action: its outcome, and what reading back found, which names who did not follow."""
    outcomes = {"done": "done", "unverified": "not everything followed", "refused": "refused", "failed": "failed"}
    return f"{what}: {outcomes.get(action.result, action.result)}", action.read_back or action.answer or "Nothing was read back."


def _dialog(
    page: Page, title: str, message: str, *, confirm: str, css: str, write: Callable[[str, str], Awaitable[ActionDocument]]
) -> Callable[[], None]:
    """A dialog that asks for a reason and then writes; returns what opens it."""
    host = "unknown" if page.client.request.client is None else page.client.request.client.host
    name = f"reason-{css}"
    said = {"reason": ""}

    def typed(reason: str) -> None:
        said["reason"] = reason

    async def act() -> None:
        reason = said["reason"].strip()
        wrong = objection(reason)
        if not reason or wrong is not None:
            page.run("focus", name)  # first, so that nothing typed after the words appear is lost
            page.run("patch", {f"{name}-missing": f"The reason {wrong}." if wrong else "Say why: the audit keeps it."})
            return
        dialog.close()
        try:
            action = await write(f"console ({host})", reason)
        except Exception as error:  # noqa: BLE001 - whatever failed, the person who pressed the button is told
            _log.exception("%s failed", confirm)
            page.run("toast", f"{confirm} failed", str(error), True)
            return
        page.run("toast", *told(confirm, action), action.result != "done")

    with ui.dialog().props(f'aria-label="{title}"') as dialog, box("dialog"):
        html(f'<h2>{text(title)}</h2><p>{text(message)}</p><label for="{name}">Reason</label>')
        props = f'id={name} autofocus required aria-describedby="{name}-missing"'
        text_field("why, for whoever reads the audit", typed, props=props).on("keydown.enter", act)
        html(f'<p class="missing" role="alert" id="{name}-missing" data-live="{name}-missing"></p>')
        with box("buttons"):
            with box("quiet", "button", "type=button").on("click", dialog.close):
                html("Cancel", tag="span")
            with box(css, "button", "type=button data-server").on("click", act):
                html(text(confirm), tag="span")

    def ask() -> None:
        said["reason"] = ""
        dialog.open()

    return ask
