"""A site in trouble: a full disk, damaged files, processes that stop or die. It says what is wrong, loses nothing, goes on."""

import contextlib
import itertools
import json
import os
import signal
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.functional.guest import Guest
from tests.functional.running_site import COMMAND, EXAMPLES, PATIENCE_S, RunningSite, photosynth

pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc"),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    running = RunningSite(tmp_path / "state", "--speed", "300")
    yield running
    running.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk to fill")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def children(site: RunningSite) -> list[int]:
    assert site.process is not None
    return [int(pid) for pid in Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text().split()]


def conditions(site: RunningSite) -> dict[str, str]:
    return {condition["id"]: condition["evidence"] for condition in site.conditions()}


def check_quarter_hours(site: RunningSite) -> None:
    """Every quarter hour once, in order, and evidence that holds."""
    energy = sorted(p["time_ms"] for p in site.get("ledger?limit=10000")["postings"] if p["event"] == "energy")
    assert energy == list(range(energy[0], energy[-1] + 1, 900_000))
    exported = site.state.with_suffix(".jsonl")
    assert site.command("evidence", "export", str(exported)).returncode == 0
    verified = photosynth("verify", str(exported))
    assert verified.returncode == 0, verified.stdout


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / f"filler-{time.monotonic_ns()}").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def make_room(folder: Path) -> None:
    for filler in folder.glob("filler-*"):
        filler.unlink()


def test_a_full_disk_is_told_and_survived(small_disk: Path) -> None:
    site = RunningSite(small_disk / "state", "--speed", "300")
    site.output = small_disk.with_suffix(".out")
    try:
        site.start()
        host, port = site.part()["pool"]["listen"].rsplit(":", 1)
        guest = Guest(host, int(port)).start()
        assert guest.first_accepted.wait(PATIENCE_S), guest.refused

        def told() -> bool:
            fill(small_disk)  # and whatever was freed meanwhile
            said = conditions(site)  # node_behind where a block did not fit; some may fit in what files had in advance
            return any("free some space" in said.get(kind, "").lower() for kind in ("node_warns", "node_behind"))

        site.wait_for(told, "the node to say that the disk is full")
        make_room(small_disk)
        height = site.part()["chain"]["height"]
        site.wait_for(lambda: site.part()["chain"]["height"] > height, "the chain to go on by itself")
        site.wait_for(lambda: site.get("status")["evidence"]["records"] >= 2, "quarter hours to be closed")
        check_quarter_hours(site)

        fill(small_disk)
        site.kill()
        guest.stop()
        again = site.command("up", str(site.fleet), "--no-open", "--port", "0", "--pool-port", "0")
        assert again.returncode == 3
        assert "free some space" in again.stderr.lower()
        assert "Traceback" not in again.stderr
        make_room(small_disk)
        site.start()
        workers = {worker["name"]: worker for worker in site.get("workers")["workers"]}
        assert workers["guest"]["shares_accepted"] >= guest.accepted
        site.stop()
    finally:
        site.end()
    assert "Traceback" not in site.output.read_text()


def test_a_full_disk_does_not_disable_stopping(small_disk: Path) -> None:
    site = RunningSite(small_disk / "state", "--speed", "300")
    site.output = small_disk.with_suffix(".out")
    try:
        site.start()
        site.wait_for(lambda: (site.part()["machines"]["running"] or 0) > 90, "machines to run")

        def full() -> bool:
            fill(small_disk)
            return "audit_waits" in conditions(site)

        fill(small_disk)
        answer = site.command("stop-mining", "--reason", "the disk is full", "--json")
        assert answer.returncode in (0, 1), answer.stderr
        action = json.loads(answer.stdout)
        assert "machines are asleep" in action["read_back"]
        assert site.part()["machines"]["running"] <= 3
        if action["answer"] is not None:  # else there was room for an empty file's name
            assert "a restart does not know of it yet" in action["answer"]
        site.wait_for(full, "it to be told that the audit waits")
        assert "entries wait" in conditions(site)["audit_waits"]
        make_room(small_disk)
        site.wait_for(lambda: "audit_waits" not in conditions(site), "the audit to be written")
        (stop,) = [item for item in site.get("actions?limit=1000") if item["kind"] == "stop_mining"]
        assert (stop["time_ms"], stop["read_back"]) == (action["time_ms"], action["read_back"])
        site.stop()
        site.start()
        assert site.part()["site"]["stopped"] is True
        site.stop()
    finally:
        site.end()
    assert "Traceback" not in site.output.read_text()


def test_a_machine_that_says_impossible_things_ends_nothing(tmp_path: Path) -> None:
    huge = b"1" + b"0" * 400
    answers = itertools.cycle(
        (
            b'{"summary":[{"SUMMARY":[{"GHS 5s":' + huge + b'}]}],"power":[{"POWER":[{"Watts":' + huge + b"}]}]}",
            b'{"STATUS":[{"STATUS":"E","Code":' + huge + b',"Msg":' + huge + b"}]}",
            b'{"summary":' + b"[" * 5000,
            b'{"SESSION":[{"SessionID":' + huge + b"}]}",
            huge,
            b"",
        )
    )

    class Rogue(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(4096)
                self.request.sendall(next(answers))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rogue) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        group = (
            "        - {id: rogue, model: s21, count: 1, party: photosynth-demo, driver: luxos, "
            f'worker: "{{machine}}", addresses: ["{address}"]}}\n'
        )
        fleet = tmp_path / "fleet.yaml"
        fleet.write_text((EXAMPLES / "backnang.yaml").read_text().replace("      habits:", group + "      habits:"))
        site = RunningSite(tmp_path / "state", fleet=fleet)
        try:
            site.start()
            site.wait_for(lambda: "talks_nonsense" in named(site, "rogue-01"), "the rogue to be named")
            site.wait_for(lambda: (site.part()["machines"]["running"] or 0) > 80, "the others to run")
            answer = site.command("stop-mining", "--reason", "test", "--json")
            assert answer.returncode == 1, answer
            assert "rogue-01" in json.loads(answer.stdout)["read_back"]
            assert site.part()["machines"]["running"] <= 3
            site.stop()
            site.start()  # with what was learnt of it
            site.wait_for(lambda: "talks_nonsense" in named(site, "rogue-01"), "the rogue to be named again")
            site.stop()
        finally:
            site.end()
            server.shutdown()
    assert "Traceback" not in site.output.read_text()


def named(site: RunningSite, machine: str) -> set[str]:
    return {condition["id"].partition(":")[0] for condition in site.conditions() if condition["subject"] == machine}


def test_damaged_files_are_told_in_a_sentence(site: RunningSite) -> None:
    site.start()
    site.stop()
    start = ("up", str(EXAMPLES / "backnang.yaml"), "--no-open", "--port", "0", "--pool-port", "0", "--for", "60s")
    database, whose = site.state / "photosynth.sqlite3", site.state / "manifest.json"
    whole = database.read_bytes()
    database.write_bytes(b"no database at all" * 100)
    for command in (start, ("status",), ("ledger",), ("evidence", "export", "-")):
        answer = site.command(*command)
        assert answer.returncode == 3, answer
        assert "photosynth.sqlite3" in answer.stderr
        assert "Traceback" not in answer.stderr
    database.write_bytes(whole)
    known = whose.read_bytes()
    for rubbish in (b"", b"[]", b"{}"):
        whose.write_bytes(rubbish)
        answer = site.command(*start)
        assert answer.returncode == 3, answer
        assert "manifest.json" in answer.stderr
    whose.write_bytes(known)
    (site.state / "clock.json").write_bytes(b"half a li")
    (site.state / "sites/backnang/world" / "state.json").write_bytes(b"{}")
    site.start()
    site.stop()


def test_a_suspended_site_goes_on_in_order(site: RunningSite) -> None:
    site.start()
    site.wait_for(lambda: site.get("status")["evidence"]["records"] >= 1, "a closed quarter hour")
    assert site.process is not None
    os.killpg(site.process.pid, signal.SIGSTOP)
    time.sleep(8)  # more than two quarter hours of the site's time
    os.killpg(site.process.pid, signal.SIGCONT)
    before = site.get("status")["evidence"]["records"]
    site.wait_for(lambda: site.get("status")["evidence"]["records"] >= before + 3, "the quarter hours slept through")
    check_quarter_hours(site)


def test_a_world_that_stands_still_is_not_believed(site: RunningSite) -> None:
    site.start()
    site.wait_for(lambda: site.part()["site"]["quality"] == "good", "the meters to be read")
    (world,) = children(site)
    os.kill(world, signal.SIGSTOP)
    site.wait_for(lambda: site.part()["site"]["quality"] in {"stale", "unknown"}, "the meters to be stale")
    assert site.part()["site"]["generation_w"] is None
    assert "meters_unreachable" in conditions(site)
    os.kill(world, signal.SIGCONT)
    site.wait_for(lambda: site.part()["site"]["quality"] == "good", "the meters to be fresh again")
    os.kill(world, signal.SIGKILL)
    gone = "part_down:site:backnang:field"
    site.wait_for(lambda: gone in conditions(site), "it to be told that the simulated site ended")
    assert "ended with code -9" in conditions(site)[gone]
    site.wait_for(lambda: gone not in conditions(site), "another to take its place")
    (again,) = children(site)
    assert again != world
    site.wait_for(lambda: site.part()["site"]["quality"] == "good", "its meters to be fresh")
    site.wait_for(lambda: (site.part()["machines"]["running"] or 0) > 80, "its machines to run")


def test_the_world_ends_with_a_killed_site(site: RunningSite) -> None:
    site.start()
    (world,) = children(site)
    site.kill(all_processes=False)
    deadline = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{world}").exists() and "Z" not in Path(f"/proc/{world}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the simulated site outlived the one that started it"
        time.sleep(0.1)
    site.start()


def test_ctrl_c_during_the_start_ends_it(tmp_path: Path) -> None:
    # Where tests run in the background, SIGINT is ignored, and a child would inherit that; a handler is not inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for sign in ("lock", "photosynth.sqlite3", "nodes/btc-1", "sites/backnang/world"):
        state = tmp_path / f"state-{sign.replace('/', '-')}"
        command = [
            *COMMAND,
            "up",
            str(EXAMPLES / "backnang.yaml"),
            "--state",
            str(state),
            "--no-open",
            "--port",
            "0",
            "--pool-port",
            "0",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as starting:
            deadline = time.monotonic() + PATIENCE_S
            while not (state / sign).exists():
                assert time.monotonic() < deadline, f"{sign} was never made"
                time.sleep(0.01)
            starting.send_signal(signal.SIGINT)
            out, _ = starting.communicate(timeout=PATIENCE_S)
            assert starting.returncode in {0, 130}, out  # 130: before there was anything to close
            assert "Traceback" not in out


def test_quarter_hours_wait_for_meters_that_are_silent_for_a_while(site: RunningSite) -> None:
    site.start()
    (world,) = children(site)
    site.wait_for(lambda: any(p["event"] == "energy" for p in site.get("ledger")["postings"]), "the first whole quarter hour")
    os.kill(world, signal.SIGSTOP)
    site.wait_for(lambda: "quarter_hours_wait" in conditions(site), "the books to say what they wait for")
    before, unknown = site.get("status")["evidence"]["records"], conditions(site).get("quarter_hours_unknown")
    os.kill(world, signal.SIGCONT)
    site.wait_for(lambda: site.get("status")["evidence"]["records"] >= before + 4, "the quarter hours that waited")
    site.wait_for(lambda: "quarter_hours_wait" not in conditions(site), "nothing to wait for")
    assert conditions(site).get("quarter_hours_unknown") == unknown, "those that were over before the world began"
    check_quarter_hours(site)
