"""What went out to machines is in the audit once, however often the process is killed: as it spools, and as the next one books.

The database takes half of what it is given and says nothing of either half.
"""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from photosynth.storage import Database
from photosynth.storage.actions import read_actions
from photosynth.storage.address import Place

KILLS = int(os.environ.get("PHOTOSYNTH_KILLS", "6"))
ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.functional, pytest.mark.timeout(300)]


@contextmanager
def child(what: str, place: Place, spool: Path, name: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.functional.audit_worker", what, str(place), str(spool), name]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=paths) as process:
        try:
            yield process
        finally:
            process.kill()


def spin(moments: random.Random) -> None:
    """Somewhere within the next step: the loop spins a random number of times, which takes no fixed time."""
    for _ in range(moments.randint(0, 200_000)):
        pass


def test_killed_as_it_spools_and_as_it_books_nothing_that_went_out_is_lost_or_doubled(place: Place, tmp_path: Path) -> None:
    moments, spool = random.Random(20260614), tmp_path / "audit-spool.jsonl"
    durable: dict[str, str] = {}
    """By subject what was said to be durable last."""
    for life in range(KILLS):
        with child("go-out", place, spool, f"life{life}") as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(moments.randint(1, 80))]
            spin(moments)
            process.kill()
            said += process.stdout.read().splitlines()
        assert all(said), "the child ended by itself"
        durable |= dict(line.split() for line in said)
        with child("begin", place, spool) as process:
            assert process.stdout is not None
            for _ in range(moments.randint(0, 1)):  # as it books, or as it removes what is booked
                process.stdout.readline()
            spin(moments)
        with child("begin", place, spool) as process:
            assert process.stdout is not None
            assert process.stdout.read().split() == ["booked", "cleared"]
            assert process.wait() == 0
        assert not spool.exists()
    with Database(place) as database, database.read() as tx:
        rows = list(reversed(read_actions(tx, None, limit=1 << 20)))
    found = {row.subject: row.result for row in rows}
    assert set(Counter(row.subject for row in rows).values()) == {1}
    assert durable.keys() <= found.keys()
    assert {subject for subject, result in durable.items() if found[subject] != result and result == "done"} == set()
    assert set(found.values()) <= {"done", "unverified"}, "what a kill cut off is open no more"
    order = [tuple(int(part) for part in row.subject.removeprefix("life").split("-")) for row in rows]
    assert order == sorted(order), "in the order in which they went out"
