"""The console in Chromium: each page shows what it should, keeps itself current, and fits a telephone."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import Open, Site

pytestmark = pytest.mark.browser
PAGES = {
    "/": "Energy now",
    "/miners": "hall-c",
    "/miners/backnang/hall-c-11": "Answers OK and does nothing",
    "/nodes": "stratum+tcp://127.0.0.1:3333",
    "/incidents": "it does not answer",
    "/ledger": "Trial balance",
    "/ledger/trace/backnang/120": "From the block to quarter hours to workers",
    "/activity": "Every action",
}
PHONE = {"width": 390, "height": 844}


def connected(page: Page) -> None:
    """Wait until the page is live: its clock has moved."""
    clock = page.locator('[data-live="clock"]')
    shown = clock.inner_text()
    expect(clock).not_to_have_text(shown)


@pytest.mark.parametrize("path", PAGES)
def test_each_page_shows_its_content_and_stays_live(site: Site, open_page: Open, path: str) -> None:
    page = open_page(site.url + path)
    expect(page.get_by_text(PAGES[path]).first).to_be_visible()
    expect(page.locator("nav a[aria-current]")).to_have_count(1)
    connected(page)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_telephone(site: Site, open_page: Open, path: str) -> None:
    page = open_page(site.url + path, dark=True, **PHONE)
    expect(page.get_by_text(PAGES[path]).first).to_be_visible()
    connected(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_energy_flow_is_drawn_with_powers(site: Site, open_page: Open) -> None:
    page = open_page(site.url)
    for name in ("Sun", "Factory", "Mining", "Curtailed, est."):
        expect(page.locator(".sankey svg text", has_text=re.compile(f"^{re.escape(name)}$"))).to_be_visible()
    expect(page.locator(".sankey svg text", has_text=re.compile(r"[\d.]+\skW")).nth(3)).to_be_visible()
    expect(page.locator(".day svg text", has_text="Spot price")).to_be_visible()


def test_mining_is_stopped_with_a_reason_and_resumed(site_of_its_own: Site, open_page: Open) -> None:
    page = open_page(site_of_its_own.url)
    connected(page)
    page.get_by_role("button", name="Stop mining").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Stop mining").click()
    expect(dialog.get_by_text("Say why")).to_be_visible()
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("storm warning")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Mining is stopped by an operator")).to_be_visible()
    page.get_by_role("button", name="Resume mining").click()
    dialog.get_by_label("Reason").fill("storm is over")
    dialog.get_by_role("button", name="Resume mining").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("Mining is stopped by an operator")).to_be_hidden()
    page.goto(site_of_its_own.url + "/activity")
    line = page.locator(".decision", has_text="storm warning")
    expect(line.locator("summary")).to_contain_text("console")
    line.locator("summary").click()
    expect(line.get_by_role("cell", name=re.compile("awake: hall-c-11"))).to_be_visible()


def test_the_field_has_the_focus_when_it_is_said_what_is_missing(site: Site, open_page: Open) -> None:
    page = open_page(site.url)
    connected(page)
    page.get_by_role("button", name="Stop mining").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    dialog.get_by_role("alert").evaluate(
        """(e) => { new MutationObserver(() => { window.focused = document.activeElement.tagName; })
        .observe(e, { childList: true, characterData: true, subtree: true }); }"""
    )
    dialog.get_by_role("button", name="Stop mining").click()
    expect(dialog.get_by_role("alert")).to_have_text("Say why: the audit keeps it.")
    assert page.evaluate("focused") == "INPUT"  # who types on as soon as it is read loses no letter
    dialog.get_by_label("Reason").fill("smo\x07ke")
    dialog.get_by_role("button", name="Stop mining").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The reason has a control character, U+0007, as its character 4")


def test_the_table_of_machines_is_filtered_and_leads_to_a_machine(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/miners")
    connected(page)
    expect(page.locator(".tile")).to_have_count(102)
    page.get_by_label("Filter by any column").fill("hall-c-11")
    expect(page.locator(".ag-center-cols-container .ag-row")).to_have_count(1)
    page.get_by_label("Filter by any column").fill("nothing like this")
    expect(page.get_by_text("No machine matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_text("No machine matches")).to_be_hidden()
    expect(page.get_by_label("Filter by any column")).to_have_value("")
    page.get_by_label("Filter by any column").fill("hall-c-11")
    expect(page.locator(".ag-center-cols-container .ag-row")).to_have_count(1)
    link = page.locator(".ag-pinned-left-cols-container a")
    expect(link).to_have_text(["hall-c-11"])
    link.click()
    expect(page.get_by_role("heading", name="hall-c-11")).to_be_visible()


def test_actions_are_filtered(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/activity")
    connected(page)
    page.get_by_label("Filter: machine, actor, reason").fill("hall-c-11")
    page.get_by_label("Result").select_option("open")
    lines = page.locator(".decision > summary")
    expect(lines.filter(has_not_text="hall-c-11")).to_have_count(0)
    expect(lines.filter(has_text="not as told").first).to_be_visible()
    page.get_by_label("Filter: machine, actor, reason").fill("nothing like this")
    expect(page.get_by_text("No action matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_label("Result")).to_have_value("all")
    expect(lines.filter(has_not_text="hall-c-11").first).to_be_visible()


def decision(page: Page, told: str | re.Pattern[str]) -> Locator:
    """The newest decision that says so, held on to by its name: newer ones come above it every two seconds."""
    newest = page.locator(".decision", has_text=told).first.get_attribute("data-decision")
    assert newest is not None
    return page.locator(f'.decision[data-decision="{newest}"]')


def test_what_one_decision_told_is_one_line_that_opens_and_stays_open(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/activity")
    connected(page)
    line = decision(page, "set_power 9 machines")
    expect(line).to_contain_text("all 9 verified")
    expect(line).to_contain_text(re.compile(r"14 Jun 2026 \d\d:\d\d:00"))
    line.locator("summary").click()
    rows = line.locator("tbody tr")
    expect(rows).to_have_count(9)
    expect(rows.first).to_contain_text("2,391 W after 44 s")
    told = page.locator(".decision", has=page.locator(".who", has_text="dispatch"))
    newest = told.first.get_attribute("data-decision")
    assert newest is not None
    expect(told.first).not_to_have_attribute("data-decision", newest)  # drawn anew
    expect(rows).to_have_count(9)


DRAWN_ANEW = """(line) => { const list = line.closest('[data-live="actions"]'), markup = list.innerHTML;
    if (press) line.querySelector("summary").click();
    photosynth.patch({ "actions!": markup }); }"""


def test_a_decision_opens_also_where_the_list_is_drawn_anew_before_the_site_hears_of_it(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/activity")
    connected(page)
    line = decision(page, "set_power 9 machines")
    line.evaluate(DRAWN_ANEW.replace("press", "true"))
    expect(line).to_have_attribute("open", "")
    expect(line.locator("tbody tr")).to_have_count(9)


def test_a_click_is_not_lost_where_the_list_is_drawn_anew_in_the_midst_of_it(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/activity")
    connected(page)
    newest = page.locator(".decision").first.get_attribute("data-decision")
    assert newest is not None
    line = decision(page, "set_power 9 machines")
    line.locator("summary").hover()
    page.mouse.down()
    line.evaluate(DRAWN_ANEW.replace("press", "false"))
    page.mouse.up()
    expect(line).to_have_attribute("open", "")
    expect(line.locator("tbody tr")).to_have_count(9)
    expect(page.locator(".decision").first).not_to_have_attribute("data-decision", newest)  # and what was held back comes


def test_the_whole_answer_of_a_machine_is_there(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/activity", **PHONE)
    connected(page)
    line = decision(page, re.compile(r"sleep \d machines"))
    line.locator("summary").click()
    answer = line.get_by_text("Description=LUXminer 2026.1.14").first
    expect(answer).to_contain_text("STATUS=S")
    assert answer.evaluate("e => e.scrollWidth <= e.clientWidth && getComputedStyle(e).textOverflow !== 'ellipsis'")


def test_workers_are_filtered_and_an_empty_filter_leads_back(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/nodes")
    connected(page)
    page.get_by_label("Filter: name, party, software").fill("cpuminer")
    expect(page.locator('[data-live="workers"] tbody tr')).to_have_count(1)
    page.get_by_label("Filter: name, party, software").fill("nobody")
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.locator('[data-live="workers.count"]')).to_have_text("103")


def test_postings_open_to_their_lines_and_older_ones_follow(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/ledger")
    connected(page)
    page.get_by_label("Event").select_option("mining.coinbase.accrued")
    expect(page.locator(".posting .event", has_not_text="mining.coinbase.accrued")).to_have_count(0)
    page.locator(".posting summary").first.click()
    expect(page.locator(".posting[open]").get_by_text("coins contra")).to_be_visible()
    first = page.locator(".posting .id").first.inner_text()
    page.get_by_role("button", name="Older").click()
    expect(page.locator(".posting .id").first).not_to_have_text(first)
    page.get_by_label("Period").select_option("quarter")
    expect(page.locator('[data-live="total"]')).to_have_text(re.compile(r"^\d{1,2}$"))


def test_a_block_is_traced_to_workers_and_meters(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/ledger")
    page.get_by_role("link", name="Trace block 120").click()
    expect(page.locator(".tracechart svg text", has_text="Block 120")).to_be_visible()
    expect(page.get_by_role("cell", name="own generation").first).to_be_visible()
    page.goto(site.url + "/ledger/trace/backnang/424242")
    expect(page.get_by_text("No such block")).to_be_visible()


def test_a_site_that_does_not_answer_is_said_to_and_never_green(site_of_its_own: Site, open_page: Open) -> None:
    page = open_page(site_of_its_own.url)
    connected(page)
    site_of_its_own.toggle_failure()
    expect(page.get_by_text("The fleet does not answer")).to_be_visible()
    expect(page.locator('[data-live="live"]')).to_have_attribute("data-state", "stale")
    expect(page.locator('[data-live="surplus"]')).to_have_attribute("data-quality", "stale")
    site_of_its_own.toggle_failure()
    expect(page.get_by_text("The fleet does not answer")).to_be_hidden()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Nothing needs attention"),
        ("/ledger", "No block yet"),
        ("/activity", "Nothing was changed yet"),
        ("/nodes", "No worker yet"),
    ],
)
def test_an_empty_site_says_what_to_do_next(empty_site: Site, open_page: Open, path: str, words: str) -> None:
    page = open_page(empty_site.url + path)
    expect(page.get_by_text(words)).to_be_visible()


def test_what_was_never_observed_is_unknown_and_not_zero(empty_site: Site, open_page: Open) -> None:
    page = open_page(empty_site.url)
    surplus = page.locator('[data-live="surplus"]')
    expect(surplus).to_have_attribute("data-quality", "unknown")
    expect(surplus).to_contain_text("unknown")


def test_numbers_follow_the_reader(site: Site, open_page: Open) -> None:
    page = open_page(site.url, locale="de-DE")
    expect(page.locator('[data-live="surplus.value"]')).to_have_text(re.compile(r"^\d+,\d$"))
    page.get_by_role("button", name="Number format DE").click()
    expect(page.locator('[data-live="surplus.value"]')).to_have_text(re.compile(r"^\d+\.\d$"))


def test_the_keyboard_reaches_content_and_pages(site: Site, open_page: Open) -> None:
    page = open_page(site.url)
    connected(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    unnamed = "e => !(e.innerText || e.ariaLabel || e.labels?.length)"
    names = page.evaluate(f"[...document.querySelectorAll('button, select, input, a')].filter({unnamed}).length")
    assert names == 0


def test_a_page_that_is_not_there_says_so(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/nowhere")
    expect(page.get_by_text("There is no page /nowhere")).to_be_visible()


def test_a_page_with_a_bug_keeps_the_inside_to_itself(site: Site, open_page: Open) -> None:
    page = open_page(site.url + "/ledger/trace/backnang/bug")
    expect(page.get_by_role("heading", name="This page could not be shown")).to_be_visible()
    expect(page.get_by_text("the inside of the program")).to_have_count(0)
