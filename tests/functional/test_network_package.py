"""A network that another package announces: installed by pip, named in a fleet file, watched by the running system."""

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

import pytest
from tests.functional.running_site import COMMAND, EXAMPLES, RunningSite

PACKAGE = EXAMPLES / "networks" / "tally"


def installed(source: Path, target: Path) -> dict[str, str]:
    """Install a package into a folder; the environment in which it is found there."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    subprocess.run([*command, str(target), str(source)], check=True, timeout=120)
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{target}{os.pathsep}{path}" if path else str(target)}


@contextmanager
def counter() -> Iterator[str]:
    """A counter that counts up with each question; its address."""
    count = iter(range(1, 10**6))

    class Counter(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked["method"].endswith("_status")
            result = {"chain": "main", "count": next(count), "peers": 3, "version": "counter/1.0"}
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
    with counter() as address:
        reached = f"run: external, endpoints: {{rpc: '{address}'}}"
        node = f"nodes:\n  - {{id: one, network: {word}, chain: main, role: counter, {reached}}}\n"
        fleet = tmp_path / "fleet.yaml"
        fleet.write_text((EXAMPLES / "backnang.yaml").read_text().replace("nodes:\n", node))
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
        finally:
            site.end()
