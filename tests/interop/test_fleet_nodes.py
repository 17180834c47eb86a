"""Real bitcoinds as members of a fleet, beside the embedded node: supervised, external, hung, killed, adopted, elsewhere."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.functional.running_site import EXAMPLES, RunningSite
from tests.peers.bitcoind import RunningBitcoind, free_port
from tests.peers.setup_bitcoind import Bitcoind

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]


class Fleet:
    """The example with two more nodes: a bitcoind that runs as its child process, and one that somebody else runs."""

    def __init__(self, folder: Path, software: Bitcoind, external: RunningBitcoind) -> None:
        program = folder / "bitcoind.sh"  # as many programs are: a script that becomes something else
        program.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in software.command) + ' "$@"\n')
        program.chmod(0o755)
        nodes = f"""nodes:
  - {{id: child, network: bitcoin, chain: regtest, role: full, run: process, program: {program},
     data: {folder}/child, ports: {{rpc: {free_port()}, p2p: {free_port()}}}, flags: [-dbcache=50]}}
  - id: other
    network: bitcoin
    chain: regtest
    role: full
    run: external
    endpoints: {{rpc: "{external.url}"}}
    credentials: {{cookie_file: {external.cookie}}}
"""
        fleet = folder / "fleet.yaml"
        fleet.write_text((EXAMPLES / "backnang.yaml").read_text().replace("nodes:\n", nodes))
        self.program = program
        self.site = RunningSite(folder / "state", fleet=fleet)

    def node(self, name: str) -> dict[str, Any]:
        """What the API says of a node now."""
        found: dict[str, Any] = self.site.get(f"nodes/{name}")
        return found

    def until(self, name: str, what: str, **wanted: Any) -> dict[str, Any]:
        """Wait until a node is so; what it says then."""
        self.site.wait_for(lambda: {key: self.node(name)[key] for key in wanted} == wanted, f"{name}: {what}")
        return self.node(name)

    def until_another_process(self, before: int) -> int:
        """Wait until the child's process is another one; its id."""
        self.site.wait_for(lambda: (self.node("child")["process"] or {}).get("pid") not in (None, before), "a new child")
        return int(self.node("child")["process"]["pid"])


def runs(pid: int) -> bool:
    """Whether a process runs; one that ended is listed until its parent, whoever that is after a kill of ours, asks for it."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def fleet(tmp_path: Path, bitcoind_software: Bitcoind, bitcoind: RunningBitcoind) -> Iterator[Fleet]:
    found = Fleet(tmp_path, bitcoind_software, bitcoind)
    yield found
    found.site.end()
    with suppress(OSError, ValueError, psutil.Error):  # what was adopted and then left by a kill
        known = json.loads((found.site.state / "nodes" / "child" / "process.json").read_bytes())
        process = psutil.Process(known["pid"])
        if process.create_time() == known["created"]:
            process.kill()


def test_three_nodes_in_three_ways_are_watched_and_named_in_trouble(
    fleet: Fleet, bitcoind: RunningBitcoind, bitcoind_software: Bitcoind, tmp_path: Path
) -> None:
    site = fleet.site.start()
    child, other = fleet.until("child", "healthy", state="healthy"), fleet.until("other", "healthy", state="healthy")
    own = fleet.until("btc-1", "healthy", state="healthy")
    assert (child["run"], other["run"], own["run"]) == ("process", "external", "embedded")
    assert "Satoshi" in child["version"]
    assert (child["head"], other["head"]) == (0, 0)
    assert child["process"]["restarts"] == 0
    assert own["process"] is None
    assert site.get("status")["nodes"]["unknown"] == 0
    listed = json.loads(site.command("nodes", "--json").stdout)
    assert [one["id"] for one in listed] == ["child", "other", "btc-1"]

    # Its log is read, and a restart on demand is an audited action with another process behind it.
    log = site.command("node", "child", "logs", "--lines", "1000").stdout
    assert "Done loading" in log
    restarted = json.loads(site.command("node", "child", "restart", "--reason", "a test", "--json").stdout)
    assert (restarted["kind"], restarted["result"], restarted["verified"]) == ("restart_node", "done", True)
    second = fleet.until_another_process(child["process"]["pid"])
    refused = site.command("node", "other", "restart")
    assert (refused.returncode, "has no process here" in refused.stderr) == (1, True)

    # Killed by somebody: started anew. Somebody else's node that goes away: down, with its age, and healthy when it is back.
    os.kill(second, signal.SIGKILL)
    third = fleet.until_another_process(second)
    fleet.until("child", "healthy again", state="healthy")
    bitcoind.process.send_signal(signal.SIGSTOP)
    try:
        down = fleet.until("other", "down while it hangs", state="down")
        assert (down["head"], down["version"], down["peers"]) == (0, other["version"], None)
        assert down["conditions"][0]["kind"] == "node_unreachable"
        assert any(found["subject"] == "other" for found in site.conditions())
        assert site.part()["chain"]["synchronised"] is True
    finally:
        bitcoind.process.send_signal(signal.SIGCONT)
    fleet.until("other", "healthy when it goes on", state="healthy")

    # kill -9 of ours: the child goes on, and is adopted with its process id.
    site.kill(all_processes=False)
    assert psutil.pid_exists(third)
    site.start()
    adopted = fleet.until("child", "healthy after it was adopted", state="healthy")
    assert (adopted["process"]["pid"], adopted["process"]["restarts"]) == (third, 0)

    # Ctrl-C ends it in its own time: it wrote its databases.
    site.stop()
    assert not runs(third)
    assert "Shutdown: done" in (site.state / "nodes" / "child" / "log.txt").read_text()


def test_a_node_that_comes_back_on_another_chain_is_refused(
    tmp_path: Path, bitcoind_software: Bitcoind, bitcoind: RunningBitcoind
) -> None:
    fleet = Fleet(tmp_path, bitcoind_software, bitcoind)
    try:
        fleet.site.start()
        fleet.until("other", "healthy", state="healthy")
        bitcoind.process.terminate()
        bitcoind.process.wait(60)
        folder = tmp_path / "signet"
        folder.mkdir()
        command = [*bitcoind_software.command, "-signet", f"-datadir={folder}", f"-rpcport={bitcoind.rpc_port}"]
        command += ["-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1", "-connect=0", "-listen=0", "-server"]
        with (folder / "output.txt").open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
            try:
                cookie = folder / "signet" / ".cookie"
                fleet.site.wait_for(cookie.exists, "the signet node's cookie")
                bitcoind.cookie.write_bytes(cookie.read_bytes())
                fleet.until("other", "degraded", state="degraded")
                wrong = fleet.node("other")["conditions"][0]
                assert (wrong["kind"], wrong["severity"]) == ("wrong_chain", "critical")
                assert wrong["summary"] == "it is on signet, not on regtest"
                assert fleet.node("btc-1")["lag"] == 0
            finally:
                process.terminate()
    finally:
        fleet.site.end()
        with suppress(OSError, ValueError, psutil.Error):
            psutil.Process(json.loads((fleet.site.state / "nodes" / "child" / "process.json").read_bytes())["pid"]).kill()


def test_the_chain_of_each_node_leaves_and_enters_by_its_name(fleet: Fleet, bitcoind: RunningBitcoind, tmp_path: Path) -> None:
    site = fleet.site.start()
    for name in ("child", "other", "btc-1"):
        fleet.until(name, "healthy", state="healthy")
    site.wait_for(lambda: fleet.node("btc-1")["head"] >= 3, "three blocks")
    own = tmp_path / "own.txt"
    assert site.command("chain", "export", str(own), "--node", "btc-1").returncode == 0
    for name in ("child", "other"):
        told = site.command("chain", "import", str(own), "--node", name, "--json")
        assert (told.returncode, json.loads(told.stdout)["reasons"]) == (0, {})
        back = tmp_path / f"{name}.txt"
        assert site.command("chain", "export", str(back), "--node", name).returncode == 0
        assert back.read_text() == own.read_text()
    assert bitcoind.rpc("getblockcount") == len(own.read_text().split())
    first = tmp_path / "first.txt"
    assert site.command("chain", "export", str(first)).returncode == 0
    assert first.read_text() == own.read_text(), "without a name the first of the file, which is the child"
    unknown = site.command("chain", "export", str(first), "--node", "btc-9")
    assert (unknown.returncode, "child, other, btc-1" in unknown.stderr) == (2, True)
    bitcoind.process.terminate()
    bitcoind.process.wait(60)
    for what in ("export", "import"):
        gone = site.command("chain", what, str(own), "--node", "other")
        assert (gone.returncode, "is bitcoind running" in gone.stderr) == (3, True), gone.stderr
    site.stop()
    left = site.command("chain", "export", str(first), "--node", "other")
    assert (left.returncode, "inside this program; there is btc-1" in left.stderr) == (2, True)
