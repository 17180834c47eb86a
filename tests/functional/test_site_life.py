"""A site as its operator meets it: it starts, mines, keeps books, stops in time, and goes on where it stopped."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.functional.guest import Guest
from tests.functional.running_site import EXAMPLES, PATIENCE_S, RunningSite, photosynth

pytestmark = pytest.mark.functional


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    running = RunningSite(tmp_path / "state")
    yield running
    running.end()


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A running site that several tests look at, and that none of them stops."""
    running = RunningSite(tmp_path_factory.mktemp("shared") / "state", "--speed", "300")
    try:
        yield running.start()
    finally:
        running.end()


def pool_of(site: RunningSite) -> tuple[str, int]:
    host, port = site.part()["pool"]["listen"].rsplit(":", 1)
    return host, int(port)


def records(site: RunningSite) -> int:
    return int(site.get("status")["evidence"]["records"])


def test_first_ten_minutes(site: RunningSite, tmp_path: Path) -> None:
    """Blocks, quarter hours, ledger, trace, evidence, stop, and the same totals after the next start."""
    site.start()
    site.wait_for(lambda: records(site) >= 2, "two closed quarter hours")
    site.wait_for(lambda: traced(site) is not None, "a block whose quarter hour is closed")
    trace = traced(site)
    assert trace is not None
    assert sum(share["value_sat"] for share in trace["shares"]) == trace["block"]["value_sat"]
    assert {meter["role"] for meter in trace["intervals"][0]["meters"]} == {
        "own_generation",
        "import",
        "export",
        "factory",
        "mining",
    }
    status = site.get("status")
    assert status["sites"][0]["site"]["spot_cent_per_mwh"] < 0
    assert (
        status["sites"][0]["site"]["grid_w"] <= 0
        or status["sites"][0]["site"]["grid_w"] < status["sites"][0]["site"]["generation_w"] // 20
    )
    assert status["sites"][0]["pool"]["connections"] >= 100

    exported = tmp_path / "evidence.jsonl"
    assert site.command("evidence", "export", str(exported)).returncode == 0
    assert verify(exported)["holds"] is True

    site.stop()
    stopped = json.loads(site.command("status", "--json").stdout)
    assert stopped["running"] is False
    assert stopped["sites"][0]["site"]["mining_power_w"] is None
    site.start()
    again = site.get("status")
    for part, name in (("pool", "shares_accepted"), ("ledger", "postings"), ("evidence", "records"), ("chain", "height")):
        now, then = (status.get(part) or status["sites"][0][part] for status in (again, stopped))
        assert int(now[name]) >= int(then[name]), name
    assert again["time"] >= stopped["time"]


def traced(site: RunningSite) -> dict[str, Any] | None:
    """The trace of the first block that claims work of a closed quarter hour only."""
    for block in reversed(site.get("blocks")):
        trace: dict[str, Any] = site.get(f"trace/{block['hash']}")
        if trace["intervals"] and all(interval["record"] is not None for interval in trace["intervals"]):
            return trace
    return None


def verify(exported: Path) -> dict[str, Any]:
    answer = photosynth("verify", str(exported), "--json")
    report: dict[str, Any] = json.loads(answer.stdout)
    assert answer.returncode == (0 if report["holds"] else 1), answer
    return report


def test_everything_stops_but_who_is_named_and_stays_off_until_resumed(site: RunningSite) -> None:
    site.start()
    site.wait_for(lambda: (site.part()["machines"]["running"] or 0) > 90, "machines to run")
    answer = site.command("stop-mining", "--reason", "test", "--json")
    assert answer.returncode in (0, 1), answer.stderr
    action = json.loads(answer.stdout)
    assert action["kind"] == "stop_mining"
    assert "asleep" in action["read_back"]
    assert site.part()["site"]["stopped"] is True
    assert site.part()["machines"]["running"] <= 3
    # Bad habits show when a machine is told something, and switching off tells all of them.
    site.wait_for(lambda: "hall-c-11" in named(site), "the machine that says OK and does nothing to be named")
    assert any(action["verified"] is False for action in site.get("actions?limit=500&subject=hall-c-11"))
    site.stop()
    site.start()
    assert site.part()["site"]["stopped"] is True, "a restart must not switch on what an operator switched off"
    resumed = site.command("resume-mining", "--reason", "test")
    assert (resumed.returncode, "the dispatch decides again" in resumed.stdout) == (0, True)
    again = site.command("resume-mining", "--reason", "test")
    assert "mining was not stopped, so nothing changed" in again.stdout
    assert "verified" not in resumed.stdout + again.stdout, "nothing of the world was read back"
    site.wait_for(lambda: (site.part()["machines"]["running"] or 0) > 80, "machines to run again")


def named(site: RunningSite) -> set[str]:
    return {condition["subject"] for condition in site.conditions()}


def test_a_guest_is_served_beside_garbage(shared_site: RunningSite) -> None:
    host, port = pool_of(shared_site)
    guest = Guest(host, port).start()

    async def rubbish() -> None:
        for data in (b"\x00" * 100_000, b"{" * 50_000 + b"\n", b'{"id":1,"method":"mining.submit","params":[]}\n' * 200):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(data)
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(reader.read(), 2)
            writer.close()

    asyncio.run(rubbish())
    assert guest.first_accepted.wait(PATIENCE_S), guest.refused
    guest.stop()
    workers = {worker["name"]: worker for worker in shared_site.get("workers")["workers"]}
    assert workers["guest"]["scale"] == "1"
    assert workers["guest"]["shares_accepted"] >= guest.accepted > 0


def test_a_state_in_use_and_ports_in_use_are_told(shared_site: RunningSite, tmp_path: Path) -> None:
    again = shared_site.command("up", str(shared_site.fleet), "--no-open")
    assert again.returncode == 3
    assert "in use by process" in again.stderr
    _, pool_port = pool_of(shared_site)
    port = shared_site.url.rsplit(":", 1)[1]
    for flags, word in ((("--pool-port", str(pool_port), "--port", "0"), "pool"), (("--port", port, "--pool-port", "0"), "Port")):
        other = RunningSite(tmp_path / "other")
        answer = other.command("up", str(other.fleet), "--no-open", *flags)
        assert answer.returncode == 3, answer
        assert word in answer.stderr
        assert "Traceback" not in answer.stderr
        assert [path.name for path in other.state.iterdir()] == ["lock"], "nothing was opened, no machine mined"


def test_a_broken_fleet_file_starts_nothing(site: RunningSite, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    text = (EXAMPLES / "backnang.yaml").read_text()
    broken.write_text(text.replace("connection: 400 kW", "connection: -400 kW").replace("peak: 600 kWp", "peak: 600 kHz"))
    answer = site.command("up", str(broken), "--no-open")
    assert answer.returncode == 2
    assert "broken.yaml:" in answer.stderr
    assert "connection" in answer.stderr
    assert "peak" in answer.stderr
    assert not (tmp_path / "state" / "photosynth.sqlite3").exists()


def test_a_corrupted_export_is_told(shared_site: RunningSite, tmp_path: Path) -> None:
    shared_site.wait_for(lambda: records(shared_site) >= 1, "a closed quarter hour")
    exported = tmp_path / "evidence.jsonl"
    shared_site.command("evidence", "export", str(exported))
    data = bytearray(exported.read_bytes())
    data[len(data) // 2] ^= 1
    exported.write_bytes(data)
    assert verify(exported)["holds"] is False


def test_sigterm_stops_as_well(site: RunningSite) -> None:
    site.start()
    assert site.process is not None
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(PATIENCE_S) == 0
