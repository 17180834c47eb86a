"""Where the console joins the application: its pages, its two files, and the settings of NiceGUI."""

import hashlib
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles
from nicegui import Client, ui
from nicegui import app as nicegui_app

from photosynth.console import activity, incidents, ledger, machine, miners, nodes, overview, trace
from photosynth.console.feed import PERIOD_S, Feed
from photosynth.console.frame import open_page
from photosynth.console.icons import FAVICON, LEAF
from photosynth.console.markup import empty
from photosynth.console.page import html
from photosynth.operations.view import FleetView

_STATIC = Path(__file__).parent / "static"
_mounted: list[Feed] = []


def mount(app: FastAPI, view: FleetView, *, period_s: float = PERIOD_S) -> Feed:
    """Add the console's pages to an application and return the feed that keeps them current.

    ``period_s`` is wall seconds between two looks at the fleet while a page is open. NiceGUI keeps one set of pages for a
    process, so this may be called once; RuntimeError says so.
    """
    if _mounted:
        raise RuntimeError("the console is mounted already: one process shows one fleet")
    feed = Feed(view, period_s)
    _mounted.append(feed)
    app.mount("/_console", StaticFiles(directory=_STATIC), name="console")
    _pages(feed)
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_STATIC.iterdir()))).hexdigest()[:12]
    ui.add_head_html(
        "".join(f'<script src="/_console/{path.name}?{version}"></script>' for path in sorted(_STATIC.glob("*.js")))
        + f'<link rel="stylesheet" href="/_console/console.css?{version}">'
        '<meta name="theme-color" content="#f5f6f2" media="(prefers-color-scheme: light)">'
        '<meta name="theme-color" content="#0d1311" media="(prefers-color-scheme: dark)">',
        shared=True,
    )
    nicegui_app.on_shutdown(feed.close)
    nicegui_app.on_page_exception(_failed)
    ui.run_with(
        app,
        title="Photosynth",
        favicon=FAVICON,
        dark=False,
        binding_refresh_interval=None,
        reconnect_timeout=20.0,  # a page that is busy for 8 s (0.4 of it) is not given up, and no dialog lost with it
        message_history_length=0,
        tailwind=False,
        show_welcome_message=False,
    )
    return feed


def _failed() -> None:
    """What a page shows that could not be built; the log has the reason, the page does not."""
    html(
        f'<div class="failed">{LEAF}<h1>This page could not be shown</h1><p>Something failed while it was drawn; the log of the '
        'state folder has the details. Nothing was changed.</p><p><a href="/">To the overview</a></p></div>'
    )


def _pages(feed: Feed) -> None:
    @ui.page("/")
    async def _overview(request: Request, client: Client) -> None:
        await overview.show(request, client, feed)

    @ui.page("/miners")
    async def _miners(request: Request, client: Client) -> None:
        await miners.show(request, client, feed)

    @ui.page("/miners/{site}/{machine_id}")
    async def _machine(request: Request, client: Client, site: str, machine_id: str) -> None:
        await machine.show(request, client, feed, site, machine_id)

    @ui.page("/nodes")
    async def _nodes(request: Request, client: Client) -> None:
        await nodes.show(request, client, feed)

    @ui.page("/incidents")
    async def _incidents(request: Request, client: Client) -> None:
        await incidents.show(request, client, feed)

    @ui.page("/ledger")
    async def _ledger(request: Request, client: Client) -> None:
        await ledger.show(request, client, feed)

    @ui.page("/ledger/trace/{site}/{block}")
    async def _trace(request: Request, client: Client, site: str, block: str) -> None:
        await trace.show(request, client, feed, site, block)

    @ui.page("/activity")
    async def _activity(request: Request, client: Client) -> None:
        await activity.show(request, client, feed)

    @ui.page("/{rest:path}")
    async def _nowhere(request: Request, client: Client, rest: str) -> None:
        client.status_code = 404
        page = await open_page(request, client, feed, here="", title="No such page")
        with page.main:
            html(empty(f"There is no page /{rest[:80]}", "The pages are in the navigation."), css="card")
