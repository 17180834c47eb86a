"""A whole site whose books lie in PostgreSQL: killed, and its server killed, hung and started again, under load.

What was answered true is in the share log whatever the server does, and the books catch up once.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from tests.functional.guest import Guest
from tests.functional.running_site import RunningSite
from tests.functional.test_site_kill import booked_shares, check_books, check_guest, totals
from tests.peers.postgres import Postgres, running_postgres

pytestmark = [pytest.mark.functional, pytest.mark.postgres]


@pytest.fixture
def server() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def site(server: Postgres, tmp_path: Path) -> Iterator[RunningSite]:
    site = RunningSite(tmp_path / "data", "--speed", "300", database=server.new_database())
    yield site
    site.end()


SHARES = 5
"""That a guest is answered true while the server is away: more than one batch of the share log."""


def guest_of(site: RunningSite, name: str) -> Guest:
    """A new guest, to whom the pool has answered true some times."""
    host, port = site.part()["pool"]["listen"].rsplit(":", 1)
    guest = Guest(host, int(port), name).start()
    site.wait_for(lambda: guest.accepted >= SHARES, f"shares of {name} to be accepted")
    return guest


def conditions(site: RunningSite) -> dict[str, Any]:
    return {item["id"]: item for item in site.conditions()}


@pytest.mark.timeout(600)
def test_a_site_lives_on_postgresql_and_nothing_is_lost_with_a_kill_of_either(
    site: RunningSite, server: Postgres, tmp_path: Path
) -> None:
    site.start()
    site.wait_for(lambda: totals(site)["records"] >= 2, "two quarter hours")
    site.wait_for(lambda: any(p["event"] == "coinbase_accrued" for p in site.get("ledger")["postings"]), "a block in the books")
    guests = {"of-the-first-start": guest_of(site, "of-the-first-start")}
    before = totals(site)
    site.kill()
    guests["of-the-first-start"].stop()

    for command in (
        ["status", "--json"],
        ["ledger", "--json"],
        ["trace", "1", "--json"],
        ["workers", "--json"],
        ["chain", "export", str(tmp_path / "c")],
    ):
        asked = site.command(*command)
        assert asked.returncode == 0, asked.stderr
    site.start()
    assert all(totals(site)[name] >= value for name, value in before.items())

    guests["all-the-time"] = guest_of(site, "all-the-time")
    before = totals(site)
    server.kill()
    guests["while-killed"] = goes_on_without(site, "while-killed", guests["all-the-time"])
    server.start()
    catches_up(site, before)
    before = totals(site)
    with server.hanging():
        guests["while-hung"] = goes_on_without(site, "while-hung", guests["all-the-time"])
    catches_up(site, before)
    guests["all-the-time"].stop()
    booked = booked_shares(site, tmp_path)
    for guest in guests.values():
        check_guest(site, guest, booked)
    check_books(site, tmp_path)
    site.stop()
    assert not (tmp_path / "data" / "photosynth" / "photosynth.sqlite3").exists()


def goes_on_without(site: RunningSite, name: str, everywhere: Guest) -> Guest:
    """Blocks are found, and whoever comes is served and answered; the guest who came, gone again."""
    site.wait_for(lambda: "database_away" in conditions(site), "a condition that says that the database is away")
    height, steady = totals(site)["height"], everywhere.accepted
    guest = guest_of(site, name)
    guest.stop()
    site.wait_for(lambda: everywhere.accepted > steady, "the guest of before to be answered too")
    site.wait_for(lambda: totals(site)["height"] > height, "a block to be found without the database")
    return guest


def catches_up(site: RunningSite, before: dict[str, int]) -> None:
    site.wait_for(lambda: not {"database_away", "books_wait"} & conditions(site).keys(), "the books to go on")
    site.wait_for(lambda: totals(site)["records"] >= before["records"] + 2, "quarter hours to be closed")


DISOBEYS = "hall-c-11"
"""It answers OK to every command and does nothing."""


def awake(site: RunningSite) -> set[str]:
    """The machines that run, or may."""
    return {machine["id"] for machine in site.get("machines") if machine["state"] not in ("sleeping", "unreachable")}


SPOOL = "audit-spool.jsonl"
SOON_S = 25
"""Within so much a stop is answered, and a Ctrl-C ends the process, on a computer that has other things to do. The guide says ten
seconds; a process that waits for every question to a server that hangs takes a minute."""


class Case(NamedTuple):
    """What the server does, whether the site knows that it is away by then, and how the site's process ends."""

    server: Literal["hangs", "is killed"]
    known: bool
    end: Literal["Ctrl-C", "kill -9"]


CASES = [
    Case("hangs", known=False, end="Ctrl-C"),
    Case("hangs", known=True, end="Ctrl-C"),
    Case("hangs", known=True, end="kill -9"),
    Case("is killed", known=True, end="Ctrl-C"),
]


@contextmanager
def away(server: Postgres, how: str) -> Iterator[None]:
    """The server hangs, or is killed, and is back at the end."""
    if how == "hangs":
        with server.hanging():
            yield
        return
    server.kill()
    try:
        yield
    finally:
        server.start()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.server}-{case.known}-{case.end}")
def test_a_stop_without_the_server_and_what_it_sent_out_outlive_the_process(
    case: Case, site: RunningSite, server: Postgres, tmp_path: Path
) -> None:
    site.start()
    site.wait_for(lambda: (site.part()["machines"]["running"] or 0) >= 1, "a machine to run")
    site.wait_for(lambda: totals(site)["records"] >= 1, "a quarter hour")
    everywhere, before = guest_of(site, "all-the-time"), totals(site)
    with away(server, case.server):
        guest = goes_on_without(site, "meanwhile", everywhere) if case.known else guest_of(site, "meanwhile")
        asked_s = time.monotonic()
        told = site.command("stop-mining", "--reason", "storm", "--json")
        told_s = time.monotonic() - asked_s
        print(f"{case}: stopped in {told_s:.1f} s")
        assert told_s < SOON_S
        stopped = json.loads(told.stdout)
        assert (stopped["id"], stopped["answer"]) == (0, None), (
            "it has no number yet, and the next start knows of it all the same"
        )
        if case.end == "Ctrl-C":
            ended_s = site.stop()
            print(f"{case}: ended in {ended_s:.1f} s")
            assert ended_s < SOON_S
        else:
            killed_once_the_stop_has_ended(site)
        waits = kept_for_the_next_start(site, case.end)
        keys = sorted({line["key"] for line in waits}, key=lambda key: int(key.rsplit(":", 1)[1]))  # as they were told
        assert {line["kind"] for line in waits} >= {"stop_mining", "sleep"}
    for one in (everywhere, guest):
        one.stop()

    site.start()
    assert not (site.state / SPOOL).exists()
    assert site.part()["site"]["stopped"]
    site.wait_for(lambda: awake(site) <= {DISOBEYS}, "everything that obeys to be asleep")
    address = server.address(site.place.rsplit("/", 1)[1])
    booked = [str(key) for (key,) in server.execute(address, "SELECT key FROM actions ORDER BY id")]
    assert len(booked) == len(set(booked))
    assert [key for key in booked if key in keys] == keys, "each once, in the order in which they went out"
    (stop,) = [action for action in site.get("actions") if action["kind"] == "stop_mining"]
    assert (stop["result"], stop["read_back"]) == (stopped["result"], stopped["read_back"])
    assert "wake" not in [action["kind"] for action in site.get("actions") if action["wall_ms"] > stop["wall_ms"]]
    catches_up(site, before)
    shares = booked_shares(site, tmp_path)
    for one in (everywhere, guest):
        check_guest(site, one, shares)
    check_books(site, tmp_path)
    site.stop()


def killed_once_the_stop_has_ended(site: RunningSite) -> None:
    """Its end is kept a moment after the answer."""
    spool = site.state / SPOOL
    site.wait_for(lambda: any('"stop_mining"' in line and '"planned"' not in line for line in lines_of(spool)), "its end")
    site.kill()


def kept_for_the_next_start(site: RunningSite, how: str) -> list[dict[str, Any]]:
    """The lines of what the audit keeps; whoever ended the process with Ctrl-C was told of them."""
    spool = site.state / SPOOL
    first, *waits = map(json.loads, lines_of(spool))
    assert first == {"state": json.loads((site.state / "manifest.json").read_bytes())["state"]}
    number = len({line["key"] for line in waits})
    if how == "Ctrl-C":
        assert f"did not take {number} entries of the audit; they wait in {spool}" in site.output.read_text()
        assert "holds everything" not in site.output.read_text()
    return waits


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_where_the_server_is_away_a_start_says_so(site: RunningSite, server: Postgres) -> None:
    server.stop()
    ended = site.command("up", str(site.fleet), "--no-open", "--port", "0", "--pool-port", "0")
    assert ended.returncode == 3
    assert site.place in ended.stderr
    assert "does not answer" in ended.stderr


@pytest.mark.timeout(300)
def test_one_database_has_one_writer_and_one_state_until_it_is_begun_anew(
    site: RunningSite, server: Postgres, tmp_path: Path
) -> None:
    site.start()
    address = server.address(site.place.rsplit("/", 1)[1])
    other = RunningSite(tmp_path / "elsewhere", database=address)
    ended = other.command("up", str(other.fleet), "--no-open", "--port", "0", "--pool-port", "0")
    assert ended.returncode == 3
    assert "another process is writing" in ended.stderr
    site.wait_for(lambda: totals(site)["postings"] > 0, "a posting")
    site.stop()
    ended = other.command("up", str(other.fleet), "--no-open", "--port", "0", "--pool-port", "0")
    assert ended.returncode == 3
    assert "is of another state" in ended.stderr

    again = RunningSite(tmp_path / "data", "--speed", "300", "--fresh", database=address).start()
    try:
        schemas = server.execute(address, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'before_%'")
        assert len(schemas) == 1
        again.stop()
    finally:
        again.end()
