"""A whole site whose books lie in PostgreSQL: killed, and its server killed, hung and started again, under load.

What was answered true is in the share log whatever the server does, and the books catch up once.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.functional.guest import Guest
from tests.functional.running_site import RunningSite
from tests.functional.test_site_kill import check_books, totals
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


def guest_of(site: RunningSite) -> Guest:
    host, port = site.get("status")["pool"]["listen"].rsplit(":", 1)
    guest = Guest(host, int(port)).start()
    assert guest.first_accepted.wait(20), guest.refused
    return guest


def shares_of_guest(site: RunningSite) -> int:
    return next(int(w["shares_accepted"]) for w in site.get("workers")["workers"] if w["name"] == "guest")


def conditions(site: RunningSite) -> dict[str, Any]:
    return {item["id"]: item for item in site.get("status")["conditions"]}


def until(site: RunningSite, holds: Callable[[], bool], what: str) -> None:
    site.wait_for(holds, what)


@pytest.mark.timeout(600)
def test_a_site_lives_on_postgresql_and_nothing_is_lost_with_a_kill_of_either(
    site: RunningSite, server: Postgres, tmp_path: Path
) -> None:
    site.start()
    guest = guest_of(site)
    until(site, lambda: totals(site)["records"] >= 2, "two quarter hours")
    before = totals(site)
    site.kill()
    guest.stop()
    answered = guest.accepted

    stopped = site.command("status", "--json")
    assert stopped.returncode == 0, stopped.stderr
    for command in (
        ["ledger", "--json"],
        ["trace", "1", "--json"],
        ["workers", "--json"],
        ["chain", "export", str(tmp_path / "c")],
    ):
        asked = site.command(*command)
        assert asked.returncode == 0, asked.stderr
    site.start()
    assert all(totals(site)[name] >= value for name, value in before.items())
    assert shares_of_guest(site) >= answered

    guest = guest_of(site)
    for disturb in (killed, hung):
        before = totals(site)
        disturb(site, server, guest)
        until(
            site, lambda: "database_away" not in conditions(site) and "books_wait" not in conditions(site), "the books to go on"
        )
        until(site, lambda: totals(site)["records"] >= before["records"] + 2, "quarter hours to be closed")  # noqa: B023
    guest.stop()
    assert shares_of_guest(site) >= answered + guest.accepted
    check_books(site, tmp_path)
    site.stop()
    assert not (tmp_path / "data" / "photosynth" / "photosynth.sqlite3").exists()


def killed(site: RunningSite, server: Postgres, guest: Guest) -> None:
    server.kill()
    goes_on_without(site, guest)
    server.start()


def hung(site: RunningSite, server: Postgres, guest: Guest) -> None:
    with server.hanging():
        goes_on_without(site, guest)


def goes_on_without(site: RunningSite, guest: Guest) -> None:
    until(site, lambda: "database_away" in conditions(site), "a condition that says that the database is away")
    accepted, height = guest.accepted, totals(site)["height"]
    until(site, lambda: guest.accepted > accepted + 3, "shares to be answered true without the database")
    until(site, lambda: totals(site)["height"] > height, "a block to be found without the database")


def test_where_the_server_is_away_a_start_says_so(site: RunningSite, server: Postgres) -> None:
    server.stop()
    ended = site.command("up", str(site.fleet), "--no-open", "--port", "0", "--pool-port", "0")
    assert ended.returncode == 3
    assert site.place in ended.stderr
    assert "does not answer" in ended.stderr


@pytest.mark.timeout(300)
def test_two_processes_never_write_to_one_database(site: RunningSite, server: Postgres, tmp_path: Path) -> None:
    site.start()
    address = server.address(site.place.rsplit("/", 1)[1])
    other = RunningSite(tmp_path / "elsewhere", database=address)
    ended = other.command("up", str(other.fleet), "--no-open", "--port", "0", "--pool-port", "0")
    assert ended.returncode == 3
    assert "another process is writing" in ended.stderr
    site.stop()
    ended = other.command("up", str(other.fleet), "--no-open", "--port", "0", "--pool-port", "0")
    assert ended.returncode == 3
    assert "is of another state" in ended.stderr


@pytest.mark.timeout(300)
def test_fresh_moves_the_tables_into_a_schema_of_their_own(site: RunningSite, server: Postgres, tmp_path: Path) -> None:
    database = server.address(site.place.rsplit("/", 1)[1])
    site.start()
    until(site, lambda: totals(site)["postings"] > 0, "a posting")
    site.stop()
    again = RunningSite(tmp_path / "data", "--speed", "300", "--fresh", database=database).start()
    try:
        schemas = server.execute(database, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'before_%'")
        assert len(schemas) == 1
        again.stop()
    finally:
        again.end()
