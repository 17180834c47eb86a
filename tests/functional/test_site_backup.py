"""The drill: a backup of a running site, restored into the other kind of database, goes on; its exports verify."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.functional.guest import Guest
from tests.functional.running_site import COMMAND, RunningSite
from tests.functional.test_site_kill import check_books, totals
from tests.peers.postgres import Postgres

pytestmark = [pytest.mark.functional, pytest.mark.postgres]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_running_site_is_backed_up_and_its_restored_state_goes_on(kind: str, tmp_path: Path, postgres: Postgres) -> None:
    database = postgres.new_database()
    site = RunningSite(tmp_path / "first", "--speed", "300", database=database if kind == "postgres" else None)
    other = RunningSite(tmp_path / "second", "--speed", "300", database=None if kind == "postgres" else database)
    backup = tmp_path / "site.backup"
    try:
        site.start()
        host, port = site.get("status")["pool"]["listen"].rsplit(":", 1)
        guest = Guest(host, int(port)).start()
        site.wait_for(lambda: totals(site)["records"] >= 2 and totals(site)["height"] > 3, "quarter hours and blocks")
        before, answered = totals(site), guest.accepted
        taken = site.command("state", "backup", str(backup))
        assert taken.returncode == 0, taken.stderr
        assert "while the system ran" in taken.stdout
        guest.stop()
        site.kill()

        restored = other.command("state", "restore", str(backup))
        assert restored.returncode == 0, restored.stderr
        assert "coins" in restored.stdout
        other.start()
        after = totals(other)
        assert all(after[name] >= value for name, value in before.items()), (before, after)
        workers = {worker["name"]: worker for worker in other.get("workers")["workers"]}
        assert workers["guest"]["shares_accepted"] >= answered
        other.wait_for(lambda: totals(other)["records"] >= after["records"] + 2, "the restored site to close quarter hours")
        other.wait_for(lambda: totals(other)["height"] > after["height"], "the restored site to find a block")
        check_books(other, tmp_path)
        other.stop()

        again = other.command("state", "restore", str(backup))
        assert again.returncode == 3
        assert "is not empty" in again.stderr
    finally:
        site.end()
        other.end()


@pytest.mark.timeout(600)
def test_a_site_moves_to_postgresql_and_goes_on_there(tmp_path: Path, postgres: Postgres) -> None:
    database = postgres.new_database()
    site = RunningSite(tmp_path / "first", "--speed", "300")
    moved = RunningSite(tmp_path / "data", "--speed", "300", database=database)
    try:
        site.start()
        site.wait_for(lambda: totals(site)["records"] >= 2 and totals(site)["height"] > 3, "quarter hours and blocks")
        refused = migrate(site, moved)
        assert refused.returncode == 3
        assert "in use by process" in refused.stderr
        site.stop()
        before = export(site, tmp_path / "before.jsonl")
        done = migrate(site, moved)
        assert done.returncode == 0, done.stderr
        assert "Trial balance" in done.stdout
        assert export(moved, tmp_path / "after.jsonl") == before
        moved.start()
        records = totals(moved)["records"]
        moved.wait_for(lambda: totals(moved)["records"] > records, "a quarter hour to be closed")
        check_books(moved, tmp_path)
        moved.stop()
    finally:
        site.end()
        moved.end()


def migrate(old: RunningSite, new: RunningSite) -> subprocess.CompletedProcess[str]:
    """`photosynth state migrate`, with the new one's data folder."""
    command = [*COMMAND, "state", "migrate", old.place, new.place]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=new.environment)


def export(site: RunningSite, file: Path) -> bytes:
    """The evidence, which verifies."""
    assert site.command("evidence", "export", str(file)).returncode == 0
    verified = subprocess.run(
        [sys.executable, "-m", "photosynth.cli", "verify", str(file)], capture_output=True, timeout=120, check=False
    )
    assert verified.returncode == 0, verified.stdout
    return file.read_bytes()
