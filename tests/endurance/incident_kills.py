"""kill -9 of a fleet of silent nodes, again and again: `python tests/endurance/incident_kills.py [kills [seed]]`, 50 without.

Eight nodes take connections and never answer. After each kill, at a random moment from the start on, the state is read: every
incident that was there is there, once, with its number. After the last life a webhook has heard of each; a message is heard twice
only where a kill fell between its sending and its writing.
"""

import json
import random
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.functional.running_site import RunningSite

NODES = 8
"""No more than a message names singly."""
LONGEST_S = 45.0
"""The incidents open about 40 s after the first start."""


class Handler(BaseHTTPRequestHandler):
    """A webhook that remembers the text of every message."""

    heard: list[str] = []  # noqa: RUF012 - one for all

    def do_POST(self) -> None:
        """One message."""
        self.heard.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["message"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def incidents(database: Path) -> dict[int, tuple[str, str, int]]:
    """Key, state and openings of all incidents, by their ids; the copy is read, so that the state stays as the kill left it."""
    if not database.exists():
        return {}
    with closing(sqlite3.connect(database)) as raw:
        if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'incidents'").fetchall():
            return {}
        rows = raw.execute("SELECT id, key, state, openings FROM incidents").fetchall()
    return {number: (key, state, openings) for number, key, state, openings in rows}


def main() -> None:
    """Kill, look, and judge."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    moments, began = random.Random(seed), time.monotonic()
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(NODES)]
    webhook = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=webhook.serve_forever)
    serving.start()
    with tempfile.TemporaryDirectory() as folder:
        fleet = Path(folder) / "fleet.yaml"
        (Path(folder) / "password").write_text("x\n")
        lines = ["version: 2", "operator: tester", "nodes:"]
        lines += ["  - {id: btc-0, network: bitcoin, chain: regtest, role: full, run: embedded}"]
        how = "network: bitcoin, chain: regtest, role: full, run: external, credentials: {user: u, password_file: password}"
        lines += [
            f'  - {{id: out-{n}, {how}, endpoints: {{rpc: "http://127.0.0.1:{server.getsockname()[1]}"}}}}'
            for n, server in enumerate(silent)
        ]
        lines += [f'alerts: {{to: [{{id: hook, url: "json://127.0.0.1:{webhook.server_port}/hook"}}]}}']
        fleet.write_text("\n".join(lines) + "\n")
        site = RunningSite(Path(folder) / "state", fleet=fleet)
        known: dict[int, tuple[str, str, int]] = {}
        try:
            for turn in range(turns):
                site.start()
                after_s = moments.uniform(0, LONGEST_S)
                time.sleep(after_s)
                site.kill()
                found = incidents(site.state / "photosynth.sqlite3")
                assert {n: x[0] for n, x in known.items()}.items() <= {n: x[0] for n, x in found.items()}.items(), "one is lost"
                keys = Counter(key for key, _, _ in found.values())
                assert not keys or max(keys.values()) == 1, f"doubled: {keys.most_common(3)}"
                assert all(state == "open" and times == 1 for _, state, times in found.values()), "resolved, or opened anew"
                known = found
                print(f"{turn + 1} of {turns}: killed after {after_s:.1f} s; {len(found)} incidents", flush=True)
            site.start()
            site.wait_for(lambda: len(site.get("incidents")) == NODES, "an incident of every node")
            site.wait_for(lambda: len(told()) == NODES, "everybody to be told")
            site.stop()
        finally:
            site.end()
            webhook.shutdown()
            webhook.server_close()
            serving.join()
            for server in silent:
                server.close()
        messages = Counter(told().values())
    twice = sum(number - 1 for number in told().values())
    assert set(messages) <= {1, 2}, messages
    print(f"{turns} kills with seed {seed}: {NODES} incidents, none lost, doubled or opened anew; {len(Handler.heard)} messages")
    print(f"{twice} tellings came twice; in {time.monotonic() - began:.0f} s")


def told() -> Counter[str]:
    """How often the opening of each node's incident was heard of."""
    return Counter(f"out-{n}" for text in Handler.heard for n in range(NODES) if f"node out-{n} (" in text)


if __name__ == "__main__":
    main()
