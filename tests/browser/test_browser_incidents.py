"""The Incidents page: narrowed by site, state and words, and an incident taken on under a name."""

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Open, Site
from tests.browser.test_browser_accessibility import DESKTOP, violations
from tests.browser.test_browser_console import connected

pytestmark = pytest.mark.browser


def test_what_is_not_over_is_listed_with_what_was_seen_and_what_to_do(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/incidents")
    items = page.locator(".conds li")
    expect(items).to_have_count(2)
    expect(items.nth(0)).to_contain_text("comes and goes: 4 times")
    expect(items.nth(1)).to_contain_text("node btc-2")
    expect(items.nth(1)).to_contain_text("connection refused")
    expect(items.nth(1)).to_contain_text("docs/runbooks/nodes.md#node_unreachable")
    page.get_by_label("State").select_option("resolved")
    expect(items).to_have_count(1)
    expect(items).to_contain_text("Because of node btc-2: it does not answer")
    expect(page.get_by_role("button", name="Acknowledge incident")).to_have_count(0)
    page.get_by_label("Filter: node, machine").fill("nothing like it")
    expect(page.get_by_text("No incident matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(items).to_have_count(2)


def test_a_site_has_its_own_and_those_of_the_fleet(two_sites: Site, open_page: Open) -> None:
    page = open_page(two_sites.url + "/incidents?site=jever")
    expect(page.locator(".conds li")).to_have_count(1)
    expect(page.locator(".conds li")).to_contain_text("node btc-2")


def test_an_incident_is_taken_on_under_a_name(site_of_its_own: Site, open_page: Open) -> None:
    page = open_page(site_of_its_own.url + "/incidents")
    connected(page)
    page.get_by_role("button", name="Acknowledge incident 1", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("node btc-2: it does not answer")).to_be_visible()
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(dialog.get_by_text("Say who")).to_be_visible()
    dialog.get_by_label("Name").fill("anna")
    dialog.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Acknowledge: done")).to_be_visible()
    expect(page.locator(".conds li").nth(1)).to_contain_text("taken on by anna")
    expect(page.get_by_role("button", name="Acknowledge incident")).to_have_count(1)


def test_nothing_wrong_is_said_and_the_dialog_lets_everybody_in(empty_site: Site, site: Site, open_page: Open) -> None:
    page = open_page(empty_site.url + "/incidents")
    expect(page.get_by_text("Nothing is wrong")).to_be_visible()
    page = open_page(site.url + "/incidents", dark=True, **DESKTOP)
    connected(page)
    page.get_by_role("button", name="Acknowledge incident 1", exact=True).click()
    expect(page.get_by_role("dialog").get_by_label("Name")).to_be_visible()
    assert violations(page) == []
