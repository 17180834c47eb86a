"""The drill: a backup of a running site, restored into the other kind of database, goes on; and a stopped state is moved."""

import subprocess
from pathlib import Path

import pytest
from tests.functional.guest import Guest
from tests.functional.running_site import RunningSite, photosynth
from tests.functional.test_site_kill import booked_shares, check_books, totals
from tests.peers.postgres import Postgres

pytestmark = [pytest.mark.functional, pytest.mark.postgres]


@pytest.mark.timeout(600)
def test_a_site_goes_on_wherever_its_state_is_brought(tmp_path: Path, postgres: Postgres) -> None:
    """One state all the way, each start on what the step before made: of a copy's copy nothing is missing that the first had.

    SQLite by a backup to PostgreSQL, by another one to SQLite again, and by ``state migrate`` to PostgreSQL once more.
    """
    first = RunningSite(tmp_path / "first", "--speed", "300")
    second = RunningSite(tmp_path / "second", "--speed", "300", database=postgres.new_database())
    third = RunningSite(tmp_path / "third", "--speed", "300")
    moved = RunningSite(tmp_path / "moved", "--speed", "300", database=postgres.new_database())
    try:
        first.start()
        first.wait_for(lambda: totals(first)["records"] >= 2 and totals(first)["height"] > 0, "quarter hours and a block")
        host, port = first.get("status")["pool"]["listen"].rsplit(":", 1)
        guest = Guest(host, int(port)).start()  # a new one is answered often, until its difficulty suits it
        first.wait_for(lambda: guest.accepted > 1, "shares to be accepted")
        known, answered = totals(first), guest.accepted
        back_up(first, tmp_path / "first.backup")
        handed_in = guest.submitted
        guest.stop()
        assert guest.accepted > answered, "it was answered while the backup was taken"
        refused = migrate(first, moved)
        assert refused.returncode == 3
        assert "in use by process" in refused.stderr
        first.kill()

        restore(tmp_path / "first.backup", second)
        second.start()
        known = goes_on(second, known, answered)
        counted = shares_of(second, guest.name)
        assert answered <= counted <= handed_in, "each share that was answered before, once, and what came during the backup"
        assert booked_shares(second, tmp_path)[guest.name] == counted
        back_up(second, tmp_path / "second.backup")
        second.kill()

        restore(tmp_path / "second.backup", third)
        again = third.command("state", "restore", str(tmp_path / "second.backup"))
        assert again.returncode == 3
        assert "is not empty" in again.stderr
        third.start()
        known = goes_on(third, known, counted)
        check_books(third, tmp_path)
        third.stop()

        before = export(third, tmp_path / "before.jsonl")
        done = migrate(third, moved)
        assert done.returncode == 0, done.stderr
        assert "Trial balance" in done.stdout
        assert export(moved, tmp_path / "after.jsonl") == before
        moved.start()
        goes_on(moved, known, counted)
        check_books(moved, tmp_path)
        moved.stop()
    finally:
        for site in (first, second, third, moved):
            site.end()


def back_up(site: RunningSite, file: Path) -> None:
    taken = site.command("state", "backup", str(file))
    assert taken.returncode == 0, taken.stderr
    assert "while the system ran" in taken.stdout


def restore(file: Path, site: RunningSite) -> None:
    restored = site.command("state", "restore", str(file))
    assert restored.returncode == 0, restored.stderr
    assert "coins" in restored.stdout


def shares_of(site: RunningSite, name: str) -> int:
    return int({worker["name"]: worker for worker in site.get("workers")["workers"]}[name]["shares_accepted"])


def goes_on(site: RunningSite, known: dict[str, int], answered: int) -> dict[str, int]:
    """What was there is there, what was answered is counted, and more comes; the totals then."""
    now = totals(site)
    assert all(now[name] >= value for name, value in known.items()), (known, now)
    assert shares_of(site, "guest") >= answered
    site.wait_for(lambda: totals(site)["records"] > now["records"], "a quarter hour to be closed")
    site.wait_for(lambda: totals(site)["height"] > now["height"], "a block to be found")
    return totals(site)


def migrate(old: RunningSite, new: RunningSite) -> subprocess.CompletedProcess[str]:
    """`photosynth state migrate`, with the new one's data folder."""
    return photosynth("state", "migrate", old.place, new.place, env=new.environment)


def export(site: RunningSite, file: Path) -> bytes:
    """The evidence, whole; that it verifies is looked at after the last step."""
    assert site.command("evidence", "export", str(file)).returncode == 0
    return file.read_bytes()
