"""What people read in a terminal: the live panel, its plain line, tables in German, a verifier's report, durations."""

import asyncio
import contextlib
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import typer
from rich.console import Console, RenderableType
from tests.unit.cli.cli_sample import SITE, STATUS, TRACE, WORKERS, action, of_sites
from tests.unit.treasury.treasury_site import SITE as SITE_FACTS

from photosynth.cli import show, show_status
from photosynth.cli.errors import CommandError
from photosynth.cli.live import LivePanel, display, plain_line
from photosynth.cli.options import parse_day, parse_duration, parse_instant, parse_speed
from photosynth.cli.proof import verification_text
from photosynth.cli.table import FittingTable
from photosynth.operations.book_documents import ledger_document
from photosynth.quantities.assets import Asset
from photosynth.quantities.format import ENGLISH, GERMAN
from photosynth.storage import Database
from photosynth.treasury.assets import add_asset
from photosynth.treasury.evidence.check_blocks import KnownBlock
from photosynth.treasury.evidence.findings import proven, trusted
from photosynth.treasury.evidence.report import VerifyReport
from photosynth.treasury.evidence.seal import Checker
from photosynth.treasury.evidence.state import BooksState, SiteState, Stream
from photosynth.treasury.evidence.verify import Verifier, verify
from photosynth.treasury.journal import Posting, post, transfer

BERLIN = ZoneInfo("Europe/Berlin")
GOLDEN = Path(__file__).parents[1] / "treasury" / "golden_evidence.jsonl"


def drawn(renderable: RenderableType, width: int = 200) -> str:
    """What a terminal of a width would show."""
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_ledger_shows_every_digit_of_every_asset(tmp_path: Path) -> None:
    with Database(tmp_path / "photosynth.sqlite3") as db, db.begin() as tx:
        add_asset(tx, Asset("TALLY", "Tally", "tally", "bead", 3))
        lines = transfer("1110", "9000", "ETH", 40 * 10**18 + 1) + transfer("1110", "9000", "TALLY", 10**30 + 5)
        post(
            tx,
            Posting("a", 0, 0, "test", "a test", lines + transfer("E40", "E10", "J", 1234) + transfer("5100", "2100", "EUR", 7)),
        )
        document = ledger_document(tx, None, None, None, limit=10, before_id=None)
    told = drawn(show.ledger(document, "here", GERMAN, BERLIN), 300)
    assert told.count("40,000000000000000001 ETH") == 6
    assert told.count("1.000.000.000.000.000.000.000.000.000,005 TALLY") == 6
    assert told.count("-0,000007 EUR") == 1
    assert told.count("1.234 J") == 6


def test_the_live_panel_shows_the_site_and_what_is_wrong() -> None:
    text = drawn(LivePanel(STATUS, "http://127.0.0.1:8480"), 120)
    for part in (
        "2026-06-14 12:00:00 CEST",
        "352.2 kW",
        "340.0 kW",
        "339.0 kW",
        "19.8 PH/s ±3 %",
        "1,234 (2 refused)",
        "7 at height 7",
        "47,600 sat",
        "28.23 EUR",
    ):
        assert part in text, part
    assert "! hall-c-11: It said OK and did nothing." in text
    assert "demonstration BTC" in text
    assert "http://127.0.0.1:8480" in text


def test_unknown_values_are_unknown_and_never_zero() -> None:
    site = SITE.site.model_copy(update=dict.fromkeys(("surplus_w", "grid_w", "spot_cent_per_mwh", "mining_power_w")))
    pool = SITE.pool.model_copy(update={"hash_rate_hs": None, "hash_rate_error_percent": None})
    status = of_sites(SITE.model_copy(update={"site": site, "pool": pool}))
    assert drawn(LivePanel(status, "")).count("unknown") == 5
    assert plain_line(status).count("unknown") == 4
    assert "unknown" in drawn(show_status.status(status, "Running", ENGLISH))


def test_machines_and_chain_of_which_nothing_is_known_are_unknown_too() -> None:
    states = dict.fromkeys(("running", "sleeping", "starting", "unreachable", "faulty"))
    unknown = dict.fromkeys(("height", "tip", "peers", "last_block_age_s"))
    status = of_sites(
        SITE.model_copy(
            update={"machines": SITE.machines.model_copy(update=states), "chain": SITE.chain.model_copy(update=unknown)}
        )
    )
    lines = [" ".join(line.split()) for line in drawn(show_status.status(status, "Stopped", GERMAN)).splitlines()]
    for line in ("Machines unknown how many of 102 run", "sleeping unknown", "unreachable or faulty unknown", "height unknown"):
        assert line in lines
    assert "height unknown" in plain_line(status)
    assert drawn(LivePanel(status, "")).count("unknown") == 2


def test_the_plain_line_is_one_line() -> None:
    line = plain_line(STATUS)
    assert "\n" not in line
    assert "surplus 352.2 kW" in line
    assert "blocks 7 height 7 47600 sat 28.23 EUR" in line


FIGURES = (
    ("surplus", "352.2 kW"),
    ("set-point", "340.0 kW"),
    ("spot", "-12.30 EUR/MWh"),
    ("machines", "100 of 102 run"),
    ("hash rate", "19.8 PH/s ±3 %"),
    ("shares", "1,234 (2 refused)"),
    ("blocks", "7 at height 7"),
    ("immature", "47,600 sat"),
    ("available", "0 sat"),
    ("asset", "demonstration BTC"),
)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_the_live_panel_cuts_no_label_and_no_digit(width: int) -> None:
    lines = drawn(LivePanel(STATUS, "http://127.0.0.1:8480", "Simulated: the sun."), width).splitlines()
    assert {len(line) for line in lines} == {width}
    text = "\n".join(lines)
    for label, value in FIGURES:
        assert re.search(rf"{re.escape(label)} +{re.escape(value)}(?!\w)", text), (label, value)
    assert "…" not in text


SECOND = SITE.model_copy(
    update={
        "name": "jever",
        "site": SITE.site.model_copy(update={"name": "jever", "mining_power_w": 120_400, "quality": "stale", "stopped": True}),
        "pool": SITE.pool.model_copy(update={"hash_rate_hs": None, "blocks_found": 3}),
        "conditions": [],
    }
)
GONE = SITE.conditions[0].model_copy(update={"id": "node_unreachable:btc-2", "subject": "btc-2", "summary": "it does not answer"})
TWO = of_sites(SITE, SECOND).model_copy(update={"conditions": [GONE]})
NONE = of_sites().model_copy(update={"conditions": [GONE]})


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_the_live_panel_of_two_sites_names_each_and_cuts_nothing(width: int) -> None:
    lines = drawn(LivePanel(TWO, "http://127.0.0.1:8480", "Simulated: the sun."), width).splitlines()
    assert {len(line) for line in lines} == {width}
    text = "\n".join(lines)
    assert "…" not in text
    for words in (
        "2 sites",
        "backnang",
        "jever",
        "339.0 kW",
        "120.4 kW",
        "100 of 102",
        "stopped",
        "1 good, 1 stale",
        "47,600 sat",
    ):
        assert words in text, words
    assert re.search(r"down +1(?!\w)", text)
    said = " ".join(text.replace("│", " ").split())
    assert "! backnang: hall-c-11: It said OK and did nothing." in said
    assert "! btc-2: it does not answer" in said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_live_panel_of_a_fleet_without_sites_shows_its_nodes(width: int) -> None:
    text = drawn(LivePanel(NONE, "http://127.0.0.1:8480"), width)
    for words in ("no mining site", "2026-06-14 12:00:00 CEST", "! btc-2: it does not answer"):
        assert words in " ".join(text.replace("│", " ").split()), words
    assert re.search(r"healthy +1(?!\w)", text)
    assert re.search(r"postings +9(?!\w)", text)
    assert "sat" not in text.replace("postings", "")


def test_the_plain_line_of_several_sites_and_of_none() -> None:
    line = plain_line(TWO)
    assert "\n" not in line
    assert "; backnang surplus 352.2 kW" in line
    assert "; jever surplus" in line
    assert line.endswith("nodes 1 healthy, 1 down; 47600 sat 28.23 EUR")
    assert plain_line(NONE) == "2026-06-14 12:00:00 CEST nodes 1 healthy, 1 down"


def test_the_status_of_two_sites_is_a_line_each_then_what_is_the_fleets() -> None:
    text = drawn(show_status.status(TWO, "Running", GERMAN))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "2 sites, 2026-06-14 12:00 CEST, speed 60" in lines
    assert "backnang 352,2 kW 340,0 kW 339,0 kW -13,2 kW 100 of 102 19,8 PH/s 7 1" in lines
    assert "jever 352,2 kW 340,0 kW 120,4 kW -13,2 kW stopped unknown 3 0" in lines
    assert "Nodes 1 healthy, 1 down" in lines
    assert "immature 47.600 sat" in lines
    assert "warning: backnang: hall-c-11: It said OK and did nothing. Switch it off at its plug." in lines
    assert "warning: btc-2: it does not answer. Switch it off at its plug." in lines


def test_the_status_of_a_fleet_without_sites_is_its_nodes_and_what_it_holds() -> None:
    lines = [" ".join(line.split()) for line in drawn(show_status.status(NONE, "Running", ENGLISH)).splitlines()]
    assert "No mining site, 2026-06-14 12:00 CEST, speed 60" in lines
    assert "Nodes 1 healthy, 1 down" in lines
    assert "Books 9 postings" in lines
    assert "BTC held 0.00047600 BTC" in lines
    assert not any(line.startswith(("Energy", "Pool", "immature")) for line in lines)


def test_nodes_that_nobody_looks_at_are_not_said_to_have_never_answered() -> None:
    left = STATUS.model_copy(
        update={"running": False, "nodes": STATUS.nodes.model_copy(update={"healthy": 0, "down": 0, "unknown": 2})}
    )
    lines = [" ".join(line.split()) for line in drawn(show_status.status(left, "Stopped", ENGLISH)).splitlines()]
    assert "Nodes 2, not looked at while nothing runs" in lines


def test_workers_and_postings_name_their_site_where_there_are_several() -> None:
    assert " site " not in drawn(show.workers(WORKERS, "here", ENGLISH))
    first, *others = WORKERS.workers
    several = WORKERS.model_copy(update={"workers": [first, *(one.model_copy(update={"site": "jever"}) for one in others)]})
    lines = [line.split()[:2] for line in drawn(show.workers(several, "here", ENGLISH)).splitlines()]
    assert ["site", "worker"] in lines
    assert [first.site, first.name] in lines
    assert ["jever", others[0].name] in lines


@pytest.mark.parametrize("height", [12, 16, 20, 24, 50])
def test_the_live_panel_leaves_out_what_there_are_no_lines_for(height: int) -> None:
    conditions = [SITE.conditions[0].model_copy(update={"subject": f"hall-c-{number}"}) for number in range(9)]
    status = of_sites(SITE.model_copy(update={"conditions": conditions}))
    console = Console(width=80, height=height, file=StringIO())
    lines = console.render_lines(LivePanel(status, "", "Simulated: the sun."))
    text = "\n".join("".join(segment.text for segment in line) for line in lines)
    assert len(lines) <= max(height, 12)
    shown = len(re.findall(r"hall-c-\d: It said OK", text))
    assert f"{9 - shown} more to look at" in text
    assert ("Simulated" in text) is (height == 50 or (shown == 5 and len(lines) > 15))


def test_a_resized_terminal_is_drawn_anew_from_its_corner() -> None:
    written = StringIO()
    console = Console(width=100, height=30, file=written, force_terminal=True, color_system=None, legacy_windows=False)
    redraws: list[Callable[[], None]] = []
    with (
        contextlib.suppress(asyncio.CancelledError),
        display(console, "", "", quiet=False, redraw_on_resize=redraws.append) as show,
    ):
        show(STATUS)
        console.width, console.height = 70, 20
        written.seek(0)
        written.truncate()
        redraws[0]()
        frame = written.getvalue()
        raise asyncio.CancelledError  # as a run is ended
    assert frame.startswith("\x1b[H"), "the frame begins at the corner, whatever stood there"
    rows = frame.removeprefix("\x1b[H").split("\n")
    assert (len(rows), {len(row) for row in rows}) == (20, {70}), "and fills the terminal, so that nothing old is left"
    after = written.getvalue()[len(frame) :]
    assert "\x1b[?1049l" in after, "the terminal is given back as it was"
    assert "352.2 kW" in after.partition("\x1b[?1049l")[2], "with what was shown last"


def test_elsewhere_than_in_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=StringIO(), force_terminal=False)
    with display(console, "", "", quiet=False, redraw_on_resize=lambda _redraw: None) as show:
        show(STATUS)
        show(STATUS)
    assert capsys.readouterr().out == plain_line(STATUS) + "\n", "one now and then"


def test_a_trace_has_every_quarter_hour_and_worker_once_and_no_broken_time() -> None:
    share = TRACE.shares[0]
    shares = [
        share,
        share.model_copy(update={"round": 8, "value_sat": 200, "shares": 4}),
        share.model_copy(update={"worker": "zoe"}),
    ]
    interval = TRACE.intervals[0]
    following = interval.model_copy(update={"interval_ms": interval.interval_ms + 900_000, "record": None})
    document = TRACE.model_copy(update={"shares": shares, "intervals": [following, interval]})
    for width in (60, 80, 120):
        text = drawn(show.trace(document, "x", ENGLISH, BERLIN), width)
        assert text.count("2026-06-14 12:00 to 12:15 CEST, record 4") == 1
        assert text.count("2026-06-14 12:15 to 12:30 CEST, still open") == 1
        assert re.findall(r"^(\S+) +(\d) +24.0 kH +200 EH +7,000 sat$", text, re.MULTILINE) == [("hall-a-01", "7")]
        assert len(re.findall(r"^zoe ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("width", [30, 60, 80, 120])
def test_a_table_stands_or_lists_its_fields_and_cuts_nothing(width: int) -> None:
    table = FittingTable("Amounts", "account", "name", "debit", "credit", left=2)
    table.add_row("1100", "coins that cannot be spent yet", "123,456,789 sat", "0 sat")
    table.add_row("", "", "9,876,543.21 EUR", "1,000,000.00 EUR")
    text = drawn(table, width)
    assert max(map(len, text.splitlines())) <= width
    for cell in ("1100", "cannot", "123,456,789 sat", "9,876,543.21 EUR", "1,000,000.00 EUR"):
        assert cell in text
    assert ("account  1100" in text) is (width == 30)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_tables_fit_any_terminal(width: int) -> None:
    for table in (
        show_status.status(STATUS, "x", ENGLISH),
        show.workers(WORKERS, "x", ENGLISH),
        show.trace(TRACE, "x", ENGLISH, BERLIN),
    ):
        assert max(len(line) for line in drawn(table, width).splitlines()) <= width


def test_german_tables() -> None:
    assert "-12,30 EUR/MWh" in drawn(show_status.status(STATUS, "x", GERMAN))
    trace = drawn(show.trace(TRACE, "x", GERMAN, BERLIN))
    assert "83,33 kWh" in trace
    assert "6.800 sat" in trace
    assert "40,32" not in trace
    assert "4,03 EUR" in trace


def test_text_from_outside_is_not_markup() -> None:
    worker = WORKERS.workers[0].model_copy(update={"name": "[red]x[/red]"})
    assert "[red]x[/red]" in drawn(show.workers(WORKERS.model_copy(update={"workers": [worker]}), "x", ENGLISH))


@pytest.mark.parametrize(
    ("result", "words"), [("done", "verified by reading back"), ("unverified", "reading back contradicts it")]
)
def test_an_action_says_what_reading_back_found(result: str, words: str) -> None:
    text = drawn(show.action(action("stop_mining", "cli:me", "test", result)))
    assert words in text
    assert "2,600 W" in text


def test_a_report_that_holds_says_what_it_rests_on() -> None:
    text = verification_text(verify(GOLDEN))
    assert text.startswith("It holds: ")
    for title in ("\nProven\n", "\nEstimated\n", "\nOn trust\n", "\nHead ", "\nKey "):
        assert title in text


def test_a_report_says_whether_the_keys_are_to_be_compared() -> None:
    key = str(verify(GOLDEN).public_key)
    unasked, known = (
        verification_text(verify(GOLDEN)).splitlines(),
        verification_text(verify(GOLDEN, bytes.fromhex(key))).splitlines(),
    )
    assert unasked[0].startswith("It holds: 4 quarter hours of backnang and the books, ")
    assert unasked[1].startswith("Compare the keys below with the operator's")
    assert key in unasked[1]
    assert known[1].startswith("Its streams begin with keys that you named, or work under such a key commits")
    assert not any("Compare" in line or "compare" in line for line in known)
    assert [line.split()[::3] for line in known[-2:]] == [["Key", "backnang"], ["Key", "books"]]


def test_one_is_not_told_as_many() -> None:
    block = KnownBlock(bytes(32), bytes(32), 1, 1, "bitcoin/regtest")

    def said(hours: int, blocks: int) -> str:
        verifier = Verifier()
        file = verifier.file
        file.books = BooksState("demo")
        file.sites["a"] = SiteState("a", SITE_FACTS, quarter_hours=hours)
        file.streams["a"] = Stream("a", bytes(32), bytes(32), Checker(bytes(32)), changes=blocks)
        file.streams["a"].places.append(0)
        file.blocks.foreign = {bytes([n]) * 32 for n in range(blocks)}
        file.blocks.blocks = dict.fromkeys(file.blocks.foreign, block)
        return " ".join((*proven(verifier, None), *trusted(verifier, None)))

    assert "1 quarter hour in 1 stream," in said(1, 1)
    assert "2 quarter hours in" in said(2, 2)
    for one in ("1 block meets its", "That 1 block that pays a script is", "1 block of the sites", "1 later configuration says"):
        assert one in said(1, 1)
    for more in (
        "2 blocks meet their",
        "That 2 blocks that pay a script are",
        "2 blocks of the sites",
        "2 later configurations say",
    ):
        assert more in said(2, 2)
    assert not re.search(r"\b1 (streams|blocks|later configurations|quarter hours)\b", said(1, 1))


def test_a_report_that_does_not_hold_names_the_line_first(tmp_path: Path) -> None:
    lines = GOLDEN.read_bytes().splitlines(keepends=True)
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(b"".join([lines[0], lines[1].replace(b"0", b"1", 1), *lines[2:]]))
    report = verify(changed)
    text = verification_text(report)
    assert report.exit_code == 1
    assert text.startswith("It does not hold. First at fault is line 2")
    assert "of the lines before it" in text


def test_a_report_on_something_else() -> None:
    report = VerifyReport("notes.txt", is_evidence=False, holds=False, reason="notes.txt is no evidence file")
    assert report.exit_code == 2
    assert verification_text(report) == (
        "notes.txt is no evidence file. `photosynth evidence export` writes what is verified, "
        "`photosynth chain export` the chain."
    )


def test_numbers_of_the_command_line() -> None:
    assert [parse_duration(text) for text in ("90", "90s", "10min", "10m", "2h", "1d")] == [90, 90, 600, 600, 7200, 86_400]
    assert [parse_speed(text) for text in ("60", "0.5", "0.001", "3600")] == [60_000, 500, 1, 3_600_000]
    assert str(parse_day("2024-02-29")) == "2024-02-29"
    assert parse_instant("2026-06-14T11:00", BERLIN, end=False) == parse_instant("2026-06-14T09:00+00:00", BERLIN, end=False)
    assert parse_instant("2026-03-29", BERLIN, end=True) - parse_instant("2026-03-29", BERLIN, end=False) == 23 * 3_600_000


@pytest.mark.parametrize("text", ["0", "-1s", "1.5h", "", "10 years", "٣s"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01", "9999-12-31"])
def test_instants_that_are_none(text: str) -> None:
    with pytest.raises(CommandError):
        parse_instant(text, BERLIN, end=True)
