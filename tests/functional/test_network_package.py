"""A network that another package announces: installed by pip, named in a fleet file, watched and booked by the running system."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
from tests.functional.running_site import COMMAND, EXAMPLES, RunningSite

PACKAGE = EXAMPLES / "networks" / "tally"


def installed(source: Path, target: Path) -> dict[str, str]:
    """Install a package into a folder; the environment in which it is found there."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    subprocess.run([*command, str(target), str(source)], check=True, timeout=120)
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{target}{os.pathsep}{path}" if path else str(target)}


WALLET = "tally1qpzry9x8gf2tvdw0s3"
BEADS = 40 * 10**18


def fee(number: int, state: str, count: int, paid_to: str | None = None, **more: object) -> dict[str, object]:
    """One fee in a state, as a counter tells it."""
    amount, time_ms = str(BEADS + number), 1_700_000_000_000 + count
    known = {"id": f"fee-{number}", "kind": "fee", "amount": amount, "state": state, "count": count, "time_ms": time_ms}
    return {**known, "paid_to": paid_to, **more}


@contextmanager
def counter(fees: list[dict[str, object]]) -> Iterator[str]:
    """A counter that counts up with each question, and pays these fees; its address."""
    count = iter(range(1, 10**6))

    class Counter(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result: dict[str, object] = {"chain": "main", "count": next(count), "peers": 3, "version": "counter/1.0"}
            if asked["method"].endswith("_income"):
                paid = [fee for fee in fees if cast(int, fee["count"]) >= asked["params"][0]]
                result = {"last": max(cast(int, fee["count"]) for fee in fees), "fees": paid, "more": False}
            answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Counter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def renamed(folder: Path, word: str) -> Path:
    """The package with another word in place of tally, in its files and their names."""
    target = folder / word
    shutil.copytree(PACKAGE, target, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_file():
            text = path.read_text()
            path.write_text(re.sub("Tally", word.title(), re.sub("tally", word, text)))
        if "tally" in path.name:
            path.rename(path.with_name(path.name.replace("tally", word)))
    return target


@pytest.mark.parametrize("word", ["tally", "abacus"])
def test_a_package_of_somebody_else_brings_a_network(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, and with another word in its place."""
    source = PACKAGE if word == "tally" else renamed(tmp_path / "source", word)
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / word  # building leaves nothing in the source tree
    shutil.copytree(source, copy)
    fees = [fee(1, "accrued", 1), fee(2, "accrued", 2), fee(1, "claimed", 3), fee(3, "accrued", 4, kind="gift")]
    with counter(fees) as address:
        reached = f"run: external, endpoints: {{rpc: '{address}'}}"
        node = f"nodes:\n  - {{id: one, network: {word}, chain: main, role: counter, {reached}}}\n"
        fleet = tmp_path / "fleet.yaml"
        wallet = f"wallets:\n  - {{id: cold, network: {word}, chain: main, address: {WALLET}, party: factory}}\n"
        text = (EXAMPLES / "backnang.yaml").read_text().replace("nodes:\n", node).replace("wallets:\n", wallet)
        fleet.write_text(text)
        check = [*COMMAND, "fleet", "check", str(fleet)]
        unknown = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
        assert (unknown.returncode, f"no network is called {word}" in unknown.stderr) == (2, True)
        assert f"pip install photosynth-network-{word}" in unknown.stderr
        environment = installed(copy, tmp_path / "site-packages")
        known = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False, env=environment)
        assert (known.returncode, f"Node one: {word} on main" in known.stdout) == (0, True), known.stderr
        schema = subprocess.run([*COMMAND, "fleet", "schema"], capture_output=True, text=True, check=True, env=environment)
        assert json.loads(schema.stdout)["$defs"]["Node"]["properties"]["network"]["enum"] == ["bitcoin", word]
        monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
        site = RunningSite(tmp_path / "state", fleet=fleet)
        try:
            site.start()
            site.wait_for(lambda: site.get("nodes/one")["state"] == "healthy", "the counter to be healthy")
            first = site.get("nodes/one")["head"]
            site.wait_for(lambda: site.get("nodes/one")["head"] > first, "its count to move")
            assert site.get("nodes/one")["version"] == "counter/1.0"
            site.wait_for(lambda: len(site.get("income")) == 4, "its fees to be posted")
            site.kill()
            fees.append(fee(1, "received", 5, WALLET))  # while nobody looks
            site.start()
            site.wait_for(lambda: len(site.get("income")) == 5, "the fee to come to its wallet")
            told = json.loads(site.command("income", "--network", word, "--json").stdout)
            assert [(one["id"], one["state"], one["position"]) for one in told] == [
                ("fee-1", "received", "count 5"),
                ("fee-3", "accrued", "count 4"),
                ("fee-1", "claimed", "count 3"),
                ("fee-2", "accrued", "count 2"),
                ("fee-1", "accrued", "count 1"),
            ]
            same = {"id": "fee-1", "network": word, "node": "one", "validator": None, "kind": "fee", "asset": "TALLY"}
            assert told[-1] == {
                **same,
                "amount": str(BEADS + 1),
                "state": "accrued",
                "time_ms": 1_700_000_000_001,
                "position": "count 1",
            }
            assert json.loads(site.command("income", "--network", "bitcoin", "--json").stdout) == []
            assert "40.000000000000000001 TALLY" in site.command("income").stdout
            ledger = json.loads(site.command("ledger", "--json").stdout)
            stands = {row["account"]: int(row["closing"]) for row in ledger["trial_balance"] if row["asset"] == "TALLY"}
            assert {account: amount for account, amount in stands.items() if amount} == {
                "1110": BEADS + 1,
                "1150": 2 * BEADS + 5,
                "4150": -(2 * BEADS + 3),
                "9000": -(BEADS + 3),
            }, "of the three fees one has come, one is owed, and one is of a kind that has no rule"
            made = [posting["key"] for posting in ledger["postings"] if posting["event"].startswith("income_")]
            assert sorted(made) == sorted(f"{word}/main:income:{one['id']}:{one['state']}:1" for one in told), "each once"
            (suspense,) = [found for found in site.get("status")["conditions"] if found["id"].startswith("income_in_suspense")]
            assert "fee-3" in suspense["evidence"]
            fees[1]["amount"] = "7"  # the chain is another one now, back to count 2
            fees.pop(3)
            site.wait_for(lambda: len(site.get("income")) == 4, "what vanished to be reversed")
            found = {one["id"]: one["amount"] for one in site.get("income")}
            assert found == {"fee-1": str(BEADS + 1), "fee-2": "7"}
            ledger = json.loads(site.command("ledger", "--json").stdout)
            stands = {row["account"]: int(row["closing"]) for row in ledger["trial_balance"] if row["asset"] == "TALLY"}
            assert (stands["1150"], stands["4150"], stands["9000"]) == (7, -(BEADS + 8), 0)
            running = site.get("income")
            site.stop()
            assert json.loads(site.command("income", "--json").stdout) == running, "a stopped fleet tells the same"
        finally:
            site.end()
