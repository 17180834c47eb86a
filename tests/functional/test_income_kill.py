"""Income survives kill -9 at any moment: no payment is lost or doubled, and the next start goes on where the last page ended."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.functional.income_worker import A_PAGE, fee

from photosynth.storage import Database
from photosynth.storage.meta import get_meta
from photosynth.treasury import journal as j
from photosynth.treasury.income import read_income

KILLS = int(os.environ.get("PHOTOSYNTH_KILLS", "6"))
pytestmark = [pytest.mark.functional, pytest.mark.timeout(300)]


def test_killed_at_random_moments_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    root, moments, before = Path(__file__).parents[2], random.Random(20260614), 0
    paths = os.pathsep.join([str(root / "src"), str(root)])
    command = [sys.executable, "-m", "tests.functional.income_worker", str(tmp_path)]
    for _ in range(KILLS):
        with subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        ) as child:
            assert child.stdout is not None
            said = ""
            for _ in range(moments.randint(1, 40)):
                said = child.stdout.readline().strip()
                assert said, "the child ended by itself"
            # Somewhere within the next page: the loop spins a random number of times, which takes no fixed time.
            for _ in range(moments.randint(0, 200_000)):
                pass
            child.kill()
            said = ([said, *child.stdout.read().split()])[-1]
        with Database(tmp_path / "photosynth.sqlite3") as database, database.read() as tx:
            read = int(get_meta(tx, "chain:tally/main", "income:one") or 0)
            asked = 0 if said == "None" else int(said)
            assert read in (asked, asked + A_PAGE), "all up to the last question, and at most what it was answered"
            assert read >= before
            assert {fact.id: fact.amount for _, _, fact in read_income(tx)} == {fee(n).id: fee(n).amount for n in range(read)}
            assert j.count_postings(tx) == read, "each once, and none reversed"
            assert j.balance(tx, "1150", "TALLY") == sum(fee(n).amount for n in range(read))
        before = read
    assert before > 0
