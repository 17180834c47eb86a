"""Whom the console lets in: axe finds nothing on any page, and the keyboard reaches and opens everything."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tests.browser.conftest import Open, Site
from tests.browser.test_browser_console import PAGES, PHONE, connected

pytestmark = pytest.mark.browser
DESKTOP = {"width": 1440, "height": 900}


MOVING = """document.querySelector('[class*="-enter-active"], [class*="-leave-active"]') !== null
    || document.getAnimations().some((a) => a.playState === "running" && !a.effect.target.matches(".dot"))"""


def settled(page: Page) -> None:
    """Wait until nothing moves any more, apart from the dot that pulses for ever: what fades has colours that nobody chose."""
    page.wait_for_function(f"!({MOVING})")


def violations(page: Page) -> list[str]:
    """What axe holds against a page that has come to rest, one line for each rule with the first place.

    It keeps the page from everything else for so long that a busy computer may lose its connection, so nothing is asked after it.
    """
    settled(page)
    found = Axe().run(page).response["violations"]
    return [f"{v['id']} ({v['impact']}), {len(v['nodes'])} times: {v['nodes'][0]['html'][:200]}" for v in found]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
def test_axe_finds_nothing(site: Site, open_page: Open, path: str, dark: bool, size: dict[str, int]) -> None:
    page = open_page(site.url + path, dark=dark, **size)
    connected(page)
    assert violations(page) == []


@pytest.mark.parametrize("path", ["/", "/miners", "/nodes", "/incidents", "/ledger", "/activity"])
def test_axe_finds_nothing_on_an_empty_site(empty_site: Site, open_page: Open, path: str) -> None:
    page = open_page(empty_site.url + path, dark=True, **PHONE)
    connected(page)
    assert violations(page) == []


def test_axe_finds_nothing_in_what_opens(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/activity")
    connected(page)
    page.locator(".decision > summary").first.click()
    expect(page.locator(".decision[open] table")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("motion", [False, True], ids=["still", "moving"])
def test_axe_finds_nothing_in_a_dialog(site: Site, open_page: Open, motion: bool) -> None:
    page = open_page(site.url + "/activity", motion=motion)
    connected(page)
    page.get_by_role("button", name="Stop mining").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("motion", [False, True], ids=["still", "moving"])
def test_a_dialog_moves_for_those_only_who_did_not_ask_for_less(site: Site, open_page: Open, motion: bool) -> None:
    page = open_page(site.url, motion=motion)
    connected(page)
    page.evaluate(
        """() => { window.moved = []; const note = (event) => moved.push(event.target.className);
        addEventListener("transitionrun", note); addEventListener("animationstart", note); }"""
    )
    page.get_by_role("button", name="Stop mining").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert any("q-dialog" in name for name in page.evaluate("moved")) == motion


def test_readers_hear_the_severity_and_the_name_of_the_site_filter(site: Site, open_page: Open) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("combobox", name="Site")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Answers OK and does nothing")).to_contain_text("critical")
    shown = page.locator(".unseen").evaluate_all("words => words.map((e) => getComputedStyle(e).display)")
    assert shown
    assert "none" not in shown


def test_one_stop_leads_past_all_machines(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/miners")
    connected(page)
    stops = 0
    while not page.get_by_label("Filter by any column").evaluate("e => e === document.activeElement"):
        page.keyboard.press("Tab")
        stops += 1
        assert stops < 20
    page.keyboard.press("Shift+Tab")
    expect(page.locator('[id="tile-backnang/hall-a-01"]')).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator('[id="tile-backnang/hall-a-02"]')).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator('[id="tile-backnang/hall-a-02"]')).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator('[id="tile-backnang/hall-c-32"]')).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="hall-c-32")).to_be_visible()


def test_enter_on_a_row_opens_the_machine(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/miners")
    connected(page)
    page.locator('.ag-center-cols-container [row-index="2"] [col-id="model"]').click()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/miners/backnang/hall-a-03$"))


def test_columns_are_sorted_by_the_keyboard_and_stay_sorted(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/nodes")
    connected(page)
    head = page.get_by_role("button", name="Accepted")
    head.press("Enter")
    expect(page.get_by_role("columnheader", name="Accepted")).to_have_attribute("aria-sort", "descending")
    counts = page.locator('[data-live="workers"] tbody td:nth-child(4)')
    before = counts.first.inner_text()
    expect(counts.first).not_to_have_text(before)  # drawn anew
    shown = [int(text.replace(",", "")) for text in counts.all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    expect(head).to_be_focused()
