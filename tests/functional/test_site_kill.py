"""kill -9 at random moments of a whole site: no share that was answered true, no posting, no record is lost or doubled.

PHOTOSYNTH_SITE_KILLS says how often (3 where it does not), PHOTOSYNTH_KILL_SEED from where the moments are drawn.
"""

import json
import os
import random
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.functional.guest import Guest
from tests.functional.running_site import PATIENCE_S, RunningSite, photosynth

from photosynth.storage import Database
from photosynth.treasury.journal import balance
from photosynth.treasury.mining.blocks import read_blocks
from photosynth.treasury.sums import Whose

pytestmark = pytest.mark.functional

KILLS = int(os.environ.get("PHOTOSYNTH_SITE_KILLS", "3"))
SEED = int(os.environ.get("PHOTOSYNTH_KILL_SEED", str(time.time_ns())))


def totals(site: RunningSite) -> dict[str, int]:
    status = site.get("status")
    return {
        "height": int(status["sites"][0]["chain"]["height"]),
        "shares": int(status["sites"][0]["pool"]["shares_accepted"]),
        "postings": int(status["ledger"]["postings"]),
        "records": int(status["evidence"]["records"]),
    }


@pytest.mark.timeout(300 + KILLS * 100)
def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    site = RunningSite(tmp_path / "state", "--speed", "300")
    answered = 0
    before: dict[str, int] = {}
    try:
        for turn in range(KILLS + 1):
            site.start()
            print(f"seed {SEED}, start {turn}")
            now = totals(site)
            assert all(now[name] >= value for name, value in before.items()), (SEED, turn, before, now)
            workers = {worker["name"]: worker for worker in site.get("workers")["workers"]}
            if turn:
                assert workers["guest"]["shares_accepted"] >= answered, (SEED, turn)
            host, port = site.part()["pool"]["listen"].rsplit(":", 1)
            guest = Guest(host, int(port)).start()
            assert guest.first_accepted.wait(PATIENCE_S), guest.refused
            time.sleep(draw.uniform(0.2, 6))
            before = totals(site)
            if turn < KILLS:
                site.kill()
                guest.stop()
                answered += guest.accepted
        check_books(site, tmp_path)
        site.stop()
        check_whose(tmp_path / "state")
    finally:
        site.end()


def booked_shares(site: RunningSite, folder: Path) -> Counter[str]:
    """Each worker's shares in closed quarter hours, as the evidence has them; what came before this call is in them."""
    now_s = datetime.fromisoformat(site.get("status")["time"]).timestamp()
    records: list[dict[str, Any]] = []

    def closed() -> bool:
        exported = folder / "booked.jsonl"
        assert site.command("evidence", "export", str(exported)).returncode == 0
        bodies = [json.loads(line)["body"] for line in exported.read_bytes().splitlines()]
        records[:] = [body["data"] for body in bodies if body["kind"] == "quarter_hour"]
        return bool(records) and records[-1]["start_utc_s"] + 900 > now_s

    site.wait_for(closed, "the quarter hour to be over, and closed")
    shares = Counter[str]()
    for record in records:
        for worker, _, _, accepted, _ in record["work"]:
            shares[record["workers"][worker][0]] += accepted
    return shares


def check_guest(site: RunningSite, guest: Guest, booked: Counter[str]) -> None:
    """Every share that was answered true is counted and booked once; none is that was not handed in."""
    counted = {worker["name"]: int(worker["shares_accepted"]) for worker in site.get("workers")["workers"]}[guest.name]
    assert guest.accepted <= counted <= guest.submitted, (guest.name, guest.accepted, counted, guest.submitted)
    assert booked[guest.name] == counted, (guest.name, booked, counted)


def check_whose(state: Path) -> None:
    """Every block is the site's whose pool found it, and so is what stands of it in the books, whenever a kill came."""
    with Database(state / "photosynth.sqlite3", at_rest=True) as database, database.read() as tx:
        assert {block.site for block in read_blocks(tx, None, 10_000)} == {"backnang"}
        for account in ("1100", "1110", "3100"):
            assert balance(tx, account, "BTC", Whose(site="backnang")) == balance(tx, account, "BTC")


def check_books(site: RunningSite, folder: Path) -> None:
    ledger: dict[str, Any] = site.get("ledger?limit=10000")
    keys = [posting["key"] for posting in ledger["postings"]]
    assert len(keys) == len(set(keys)) == ledger["total_postings"]
    energy = [posting["time_ms"] for posting in ledger["postings"] if posting["event"] == "energy"]
    assert len(energy) == len(set(energy)), "a quarter hour was posted twice"
    assert max(energy) - min(energy) == (len(energy) - 1) * 900_000, "a quarter hour is missing"
    site.wait_for(lambda: site.get("status")["ledger"]["reconciled_height"] is not None, "journal and chain to agree")
    exported = folder / "evidence.jsonl"
    assert site.command("evidence", "export", str(exported)).returncode == 0
    answer = photosynth("verify", str(exported), "--json")
    assert answer.returncode == 0, json.loads(answer.stdout)
