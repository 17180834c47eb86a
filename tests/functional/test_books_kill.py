"""The books survive kill -9 at any moment: no posting and no evidence record is lost or doubled."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.treasury.treasury_site import CHAIN, COIN, WALLET, DemoSite, as_node, open_database

from photosynth.storage import DatabaseThread
from photosynth.treasury import ChainBooks, verify
from photosynth.treasury import journal as j
from photosynth.treasury.glance import evidence_state

KILLS = int(os.environ.get("PHOTOSYNTH_KILLS", "6"))
pytestmark = [pytest.mark.functional, pytest.mark.timeout(300)]


async def test_killed_at_random_moments_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    moments = random.Random(20260614)
    said = 0
    for _ in range(KILLS):
        lines = moments.randint(1, 12)
        command = [sys.executable, "-m", "tests.functional.books_worker", str(tmp_path)]
        paths = os.pathsep.join([str(root / "src"), str(root)])
        with subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
        ) as child:
            assert child.stdout is not None
            for _ in range(lines):
                line = child.stdout.readline()
                assert line, "the child ended by itself"
                answer = json.loads(line)
            # Somewhere within the next quarter hour: the loop spins a random number of times, which takes no fixed time.
            for _ in range(moments.randint(0, 200_000)):
                pass
            child.kill()
            rest = child.stdout.read().splitlines()
        whole = [json.loads(line) for line in rest if line.endswith("}")]
        said = (whole[-1] if whole else answer)["records"]
        head = (whole[-1] if whole else answer)["head"]
        with open_database(tmp_path) as db, db.begin() as tx:
            state = evidence_state(tx)
            assert state.records in (said, said + 1), "what was said is there, and at most one that was not said yet"
            if state.records == said:
                assert state.head is not None
                assert state.head.hex() == head
            assert sum(row.closing for row in j.trial_balance(tx)) == 0
    with open_database(tmp_path) as db:
        site = DemoSite(db)
        blocks = (tmp_path / "node").read_text().splitlines()
        for line in blocks:
            site.node.add(bytes.fromhex(line))
        books, run = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock), DatabaseThread()
        result = await books.reconcile(as_node(site.node), db, run)
        run.close()
        assert result.agrees
        assert result.height == len(blocks) > 0
        with db.read() as tx:
            site.export(tx, tmp_path / "evidence.jsonl")
            records = evidence_state(tx).records
            accrued = [p for p in j.postings(tx, limit=10_000) if p.posting.event == "coinbase_accrued"]
        assert len({p.posting.key for p in accrued}) == len(accrued)
    report = verify(tmp_path / "evidence.jsonl")
    assert report.reason is None
    assert report.records == records >= said
