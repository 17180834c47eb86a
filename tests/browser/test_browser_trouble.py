"""The console in trouble: a stop that not everybody follows, a server that is gone, a crowd at the door."""

import json
import re
import signal
import socket
from contextlib import ExitStack

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.browser.conftest import Open, Site, serve
from tests.browser.test_browser_accessibility import violations
from tests.browser.test_browser_console import connected

pytestmark = pytest.mark.browser


def stop_mining(page: Page) -> Locator:
    """Stop mining, and return the toast that says that not everybody followed."""
    connected(page)
    page.get_by_role("button", name="Stop mining").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("a test of the toast")
    dialog.get_by_label("Reason").press("Enter")
    expect(dialog).to_be_hidden()
    toast = page.get_by_role("alert").filter(has_text="not everything followed")
    expect(toast).to_contain_text("awake: hall-c-11")
    expect(toast).to_contain_text("hall-c-23")
    return toast


def test_a_stop_that_not_everybody_followed_names_who_did_not(site_of_its_own: Site, open_page: Open) -> None:
    page = open_page(site_of_its_own.url)
    toast = stop_mining(page)
    toast.get_by_role("button", name="Close").click()
    expect(toast).to_be_hidden()
    page.get_by_role("button", name="Resume mining").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("the test is over")
    dialog.get_by_label("Reason").press("Enter")
    expect(page.get_by_role("status").filter(has_text="Resume mining: done")).to_be_visible()


@pytest.mark.parametrize("motion", [False, True], ids=["still", "moving"])
def test_who_did_not_follow_a_stop_is_named_in_colours_that_can_be_read(
    site_of_its_own: Site, open_page: Open, motion: bool
) -> None:
    page = open_page(site_of_its_own.url, motion=motion)
    stop_mining(page)
    assert violations(page) == []


def test_a_page_that_is_busy_for_some_seconds_is_not_given_up(site: Site) -> None:
    """A connection that the server closes is a page that loads anew, and a dialog and its words are gone."""
    opened = httpx2.get(site.url + "/_nicegui_ws/socket.io/?EIO=4&transport=polling").text
    assert json.loads(opened[opened.index("{") :])["pingTimeout"] >= 8000


def old(page: Page, because: str) -> None:
    """Wait until everything on a page says that it is old."""
    expect(page.locator("html")).to_have_attribute("data-age", because)
    expect(page.locator("#as-of")).to_have_text(re.compile(r"as of 14 Jun 2026 \d\d:\d\d:\d\d CEST, \d+ s ago"))
    expect(page.get_by_text("live", exact=True)).to_be_hidden()
    assert page.locator(".dot").evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert "grayscale" in page.locator("#main").evaluate("e => getComputedStyle(e).filter")


def fresh(page: Page) -> None:
    """Wait until a page lives again."""
    expect(page.locator("html")).to_have_attribute("data-age", "fresh")
    expect(page.locator("#as-of")).to_be_hidden()
    expect(page.get_by_role("button", name="Stop mining")).to_be_enabled()


@pytest.mark.parametrize("path", ["/", "/miners", "/ledger"])
def test_a_page_whose_server_is_suspended_grows_old_and_young_again(site: Site, open_page: Open, path: str) -> None:
    page = open_page(site.url + path)
    connected(page)
    fresh(page)
    site.process.send_signal(signal.SIGSTOP)
    try:
        old(page, "lost")
        stop = page.get_by_role("button", name="Stop mining")
        expect(stop).to_be_disabled()
        expect(stop).to_have_attribute("title", "No connection to Photosynth")
        expect(page.get_by_role("alert").filter(has_text="No connection to Photosynth")).to_be_visible()
        shown = page.locator("#as-of").inner_text()
        expect(page.locator("#as-of")).not_to_have_text(shown)  # it goes on ageing
        assert violations(page) == []
    finally:
        site.process.send_signal(signal.SIGCONT)
    fresh(page)


def test_a_page_comes_back_with_a_server_that_was_started_again(chromium: Browser, open_page: Open) -> None:
    with serve() as first:
        page = open_page(first.url + "/miners", unreachable=True)
        connected(page)
        fresh(page)
    old(page, "lost")
    with serve(port=int(first.url.rsplit(":", 1)[1])):
        fresh(page)
        connected(page)


def test_a_page_grows_old_where_the_server_lives_and_the_site_does_not_look(site_of_its_own: Site, open_page: Open) -> None:
    page = open_page(site_of_its_own.url)
    connected(page)
    site_of_its_own.toggle_freeze()
    old(page, "old")
    expect(page.get_by_role("button", name="Stop mining")).to_be_enabled()  # it still gets through
    site_of_its_own.toggle_freeze()
    fresh(page)


def test_a_page_is_old_when_the_computer_wakes(site: Site, open_page: Open) -> None:
    page = open_page("about:blank")
    page.clock.install()
    page.goto(site.url)
    page.clock.resume()
    fresh(page)
    site.process.send_signal(signal.SIGSTOP)  # nothing new comes in the moment of waking
    try:
        page.clock.fast_forward("01:00:00")
        expect(page.locator("#as-of")).to_contain_text("1 h 0 min ago")
        expect(page.locator("html")).to_have_attribute("data-age", "lost")
    finally:
        site.process.send_signal(signal.SIGCONT)


def test_a_crowd_that_says_nothing_takes_no_page_away(site_of_its_own: Site, open_page: Open) -> None:
    page = open_page(site_of_its_own.url)
    connected(page)
    port = int(site_of_its_own.url.rsplit(":", 1)[1])
    with ExitStack() as crowd:
        for number in range(2000):
            idle = crowd.enter_context(socket.create_connection(("127.0.0.1", port)))
            if number % 2:
                idle.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")
        connected(page)
        fresh(page)
        another = open_page(site_of_its_own.url + "/miners")
        connected(another)
        fresh(another)
