"""A whole site whose books lie in PostgreSQL: killed, and its server killed, hung and started again, under load.

What was answered true is in the share log whatever the server does, and the books catch up once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
