"""The console of several sites and of none: the filter narrows every page, stays in the address, and one site can be stopped."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import Open, Site
from tests.browser.test_browser_accessibility import DESKTOP, violations
from tests.browser.test_browser_console import PHONE, connected
from tests.browser.test_browser_trouble import fresh, old

pytestmark = pytest.mark.browser
SHARED = ["/", "/miners", "/nodes", "/incidents", "/ledger", "/activity"]


def card(page: Page, title: str) -> Locator:
    """A site's card on the Overview."""
    return page.get_by_role("region", name=title, exact=True)


def test_each_site_has_a_card_that_lives_and_leads_into_it(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url)
    connected(page)
    here, there = card(page, "Factory roof, Backnang"), card(page, "Wind farm, Jever")
    expect(here).to_contain_text("of 102")
    expect(here).to_contain_text("3 need attention")
    expect(there).to_contain_text("of 36")
    expect(there).to_contain_text("nothing needs attention")
    for words in ("Mining power", "Set-point", "EUR a day on mainnet"):
        expect(there).to_contain_text(words)
    power = there.locator(".figure .big").first
    expect(power).not_to_have_text(power.inner_text())  # it is kept current
    there.get_by_role("link", name="Open Wind farm, Jever").click()
    expect(page).to_have_url(re.compile(r"/\?site=jever$"))
    expect(page.get_by_text("Energy now")).to_be_visible()
    expect(page.get_by_role("combobox", name="Site")).to_have_value("jever")


def test_the_choice_stays_over_pages_and_a_reload(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url)
    connected(page)
    page.get_by_role("combobox", name="Site").select_option("jever")
    expect(page).to_have_url(re.compile(r"\?site=jever$"))
    for name in ("Miners", "Nodes", "Incidents", "Ledger", "Activity", "Overview"):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
        expect(page).to_have_url(re.compile(r"\?site=jever$"))
    page.reload()
    expect(page.get_by_role("combobox", name="Site")).to_have_value("jever")
    page.get_by_role("combobox", name="Site").select_option("")
    expect(page).to_have_url(re.compile(r"/$"))
    expect(card(page, "Factory roof, Backnang")).to_be_visible()


def test_miners_of_all_sites_or_of_one(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/miners")
    connected(page)
    expect(page.locator(".tile")).to_have_count(138)
    page.get_by_label("Filter by any column").fill("hall-a-01")
    rows = page.locator(".ag-center-cols-container .ag-row")
    expect(rows).to_have_count(2)  # an id is unique in its site only
    page.locator('.ag-center-cols-container [col-id="site"]', has_text="jever").click()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/miners/jever/hall-a-01$"))
    expect(page.get_by_text("s21", exact=True).first).to_be_visible()
    page.goto(two_sites.url + "/miners?site=jever")
    connected(page)
    expect(page.locator(".tile")).to_have_count(36)
    expect(page.locator('[col-id="site"]')).to_have_count(0)


def test_choosing_another_site_on_a_machines_page_leads_to_its_machines(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/miners/backnang/hall-c-11?site=backnang")
    connected(page)
    page.get_by_role("link", name="All machines").click()
    expect(page).to_have_url(re.compile(r"/miners\?site=backnang$"))
    page.go_back()
    page.get_by_role("combobox", name="Site").select_option("jever")
    expect(page).to_have_url(re.compile(r"/miners\?site=jever$"))


def test_ledger_and_trace_of_one_site(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/ledger")
    expect(page.get_by_role("link", name="Trace block 131 of backnang")).to_be_visible()
    expect(page.locator(".posting .what .sub", has_text="jever").first).to_be_visible()
    page.goto(two_sites.url + "/ledger?site=jever")
    expect(page.get_by_role("link", name="of backnang")).to_have_count(0)
    page.get_by_role("link", name="Trace block 51 of jever").click()
    expect(page).to_have_url(re.compile(r"/ledger/trace/jever/51\?site=jever$"))
    expect(page.get_by_role("region", name="Block", exact=True)).to_contain_text("jever")
    page.locator("a.back").click()
    expect(page).to_have_url(re.compile(r"/ledger\?site=jever$"))


def test_activity_says_at_which_site_and_can_be_narrowed(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/activity")
    connected(page)
    expect(page.locator(".who", has_text="dispatch · jever").first).to_be_visible()
    page.goto(two_sites.url + "/activity?site=jever")
    connected(page)
    expect(page.locator(".who", has_text="backnang")).to_have_count(0)


def test_nodes_show_each_pool_and_of_one_site_how_to_mine_there(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/nodes")
    pools = page.get_by_role("region", name="Pools", exact=True)
    expect(pools.locator("tbody tr")).to_have_count(2)
    pools.get_by_role("link", name="Wind farm, Jever").click()
    expect(page.get_by_text("Point your miner here")).to_be_visible()
    names = page.locator('[data-live="nodes"] tbody td:first-child')
    expect(names).to_have_text(["btc-2", "btc-3"])  # btc-1 stands in Backnang, the others are the fleet's


def stop(page: Page, heading: str) -> None:
    """Stop what the page is of."""
    connected(page)
    page.get_by_role("button", name="Stop mining").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=heading)).to_be_visible()
    dialog.get_by_label("Reason").fill("a test")
    dialog.get_by_label("Reason").press("Enter")
    expect(dialog).to_be_hidden()


def test_one_site_is_stopped_and_it_is_said_which(two_sites_of_its_own: Site, open_page: Open) -> None:
    page = open_page(two_sites_of_its_own.url + "/?site=jever")
    stop(page, "Stop mining at Wind farm, Jever?")
    expect(page.get_by_role("status").filter(has_text="Stop mining: done")).to_be_visible()
    expect(page.get_by_text("Mining is stopped by an operator")).to_be_visible()
    expect(page.get_by_role("button", name="Stop mining")).to_be_hidden()
    page.goto(two_sites_of_its_own.url)
    expect(page.get_by_role("alert").filter(has_text="stopped by an operator at Wind farm, Jever")).to_be_visible()
    expect(card(page, "Wind farm, Jever")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Resume mining")).to_be_visible()
    stop(page, "Stop all mining?")
    toast = page.locator("#toasts [role=alert]")
    expect(toast).to_contain_text("backnang: 100 of 102 machines are asleep")
    expect(toast).to_contain_text("jever: every machine is asleep")
    expect(page.get_by_role("button", name="Stop mining")).to_be_hidden()


def test_an_unknown_site_is_said_with_those_there_are(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/miners?site=nowhere")
    expect(page.get_by_text("This fleet has no site “nowhere”, so all are shown. Its sites: backnang, jever.")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(138)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("path", [*SHARED, "/?site=jever", "/miners/jever/hall-a-01", "/ledger/trace/jever/51"])
def test_axe_finds_nothing_on_pages_of_two_sites(two_sites: Site, open_page: Open, path: str, size: dict[str, int]) -> None:
    page = open_page(two_sites.url + path, dark=size is PHONE, **size)
    connected(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert violations(page) == []


@pytest.mark.parametrize("path", SHARED)
def test_pages_of_a_fleet_without_sites(no_site: Site, open_page: Open, path: str) -> None:
    page = open_page(no_site.url + path, **PHONE)
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    connected(page)
    expect(page.get_by_role("button", name="Stop mining")).to_be_hidden()
    expect(page.get_by_role("combobox", name="Site")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert violations(page) == []


def test_a_fleet_without_sites_says_what_to_do_next(no_site: Site, open_page: Open) -> None:
    page = open_page(no_site.url)
    expect(page.get_by_text("declare a site under `sites:`")).to_be_visible()
    expect(page.get_by_text("btc-2: it does not answer")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Nodes").click()
    expect(page.locator('[data-live="nodes"] tbody tr')).to_have_count(3)
    expect(page.get_by_text("Point your miner here")).to_have_count(0)


def test_pages_of_two_sites_grow_old_and_young_again(two_sites_of_its_own: Site, open_page: Open) -> None:
    page = open_page(two_sites_of_its_own.url)
    connected(page)
    two_sites_of_its_own.toggle_freeze()
    old(page, "old")
    two_sites_of_its_own.toggle_freeze()
    fresh(page)
    two_sites_of_its_own.toggle_failure()
    expect(page.get_by_text("The fleet does not answer")).to_be_visible()
    expect(card(page, "Wind farm, Jever")).to_contain_text("stale")


def test_the_keyboard_chooses_a_site(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/activity")
    connected(page)
    choice = page.get_by_role("combobox", name="Site")
    choice.focus()
    page.keyboard.type("Wind")
    expect(page).to_have_url(re.compile(r"/activity\?site=jever$"))
