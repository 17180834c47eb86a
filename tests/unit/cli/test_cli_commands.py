"""The commands against a running API and against a stopped state: output, JSON, exit codes, sentences on errors."""

import asyncio
import csv
import json
import os
import socket
import sys
import threading
import types
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.cli import cli_sample
from tests.unit.cli.cli_sample import INCOME, NOON_MS, SITE, STATUS, SampleView, of_sites
from typer.testing import CliRunner, Result

from photosynth.api.app import create_app
from photosynth.api.server import WebServer, listen
from photosynth.bitcoin.node import NodeUnavailableError, Verdict
from photosynth.cli.app import app
from photosynth.cli.fleet_check import site_of
from photosynth.cli.options import UpOptions
from photosynth.documents import AlertTestDocument, LedgerDocument, Status, TraceDocument, WorkersDocument
from photosynth.fleet import load_fleet
from photosynth.operations.state import StateFolder, StateInUseError
from photosynth.operations.view import NotKnownError

EXAMPLE = Path(__file__).parents[3] / "examples" / "backnang.yaml"
BLOCKS = [bytes([number]) * 100 for number in range(1, 8)]


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("COLUMNS", "200")


def run(*arguments: str | Path, text: str | None = None) -> Result:
    """One command line."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)


class SampleChain:
    """A chain of seven blocks that knows them and refuses what begins with ff."""

    @staticmethod
    def named(node: str | None) -> None:
        """Know one node, and its name."""
        if node not in (None, "btc-1"):
            raise NotKnownError(f"There is no node {node!r} in this fleet; its Bitcoin nodes are btc-1.")

    async def blocks(self, from_height: int, node: str | None = None) -> AsyncIterator[bytes]:
        """The blocks from a height."""
        self.named(node)
        for raw in BLOCKS[from_height - 1 :]:
            yield raw

    @asynccontextmanager
    async def _taking(self) -> AsyncIterator["SampleChain"]:
        yield self

    def taking(self, node: str | None = None) -> AbstractAsyncContextManager["SampleChain"]:
        """Itself, under its name."""
        self.named(node)
        return self._taking()

    async def submit_block(self, raw: bytes) -> Verdict:
        """Known, bad or new; with fe the node goes away."""
        if raw[:1] == b"\xfe":
            raise NodeUnavailableError("the node does not answer: see that it runs")
        return Verdict("duplicate" if raw in BLOCKS else "bad-txns" if raw[:1] == b"\xff" else None)

    async def submit_all(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[Verdict]:
        """The same for many."""
        async for raw in blocks:
            yield await self.submit_block(raw)


class SampleEvidence:
    """Three lines of evidence."""

    async def lines(self, stream: str | None = None) -> AsyncIterator[bytes]:
        """Two of a site and one of the books."""
        if stream not in (None, "backnang"):
            raise NotKnownError(f"There is no evidence of {stream}; there is of backnang, books.")
        for line in (b'{"format":1}', b'{"seq":1}', b'{"count":1}')[: 3 if stream is None else 2]:
            yield line


@pytest.fixture
def view() -> SampleView:
    """A site with some pages of postings."""
    return SampleView(postings=2345)


@pytest.fixture
def running(tmp_path: Path, view: SampleView) -> Iterator[Path]:
    """A state folder whose system runs: its API really listens."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    ports: list[int] = []
    stop = asyncio.Event()

    async def serve() -> None:
        server = WebServer(create_app(view, token="secret", chain=SampleChain(), evidence=SampleEvidence()))
        listener = listen("127.0.0.1", 0)
        await server.start(listener)
        ports.append(listener.getsockname()[1])
        started.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(30)
    address = {"url": f"http://127.0.0.1:{ports[0]}", "token": "secret", "pid": os.getpid()}
    (tmp_path / "api.json").write_text(json.dumps(address))
    yield tmp_path
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)
    loop.close()


@pytest.fixture
def stopped(tmp_path: Path, view: SampleView, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder whose system is stopped."""
    seen, resting = types.ModuleType("photosynth.operations.stopped"), types.ModuleType("photosynth.operations.resting")

    @asynccontextmanager
    async def chain(_state: Path, node: str | None) -> AsyncIterator[SampleChain]:
        SampleChain.named(node)
        yield SampleChain()

    @asynccontextmanager
    async def evidence(_state: Path) -> AsyncIterator[SampleEvidence]:
        yield SampleEvidence()

    vars(seen).update(open_stopped=lambda _state: view)
    vars(resting).update(open_stopped_chain=chain, open_stopped_node=chain, open_stopped_evidence=evidence)
    for module in (seen, resting):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "photosynth.sqlite3").touch()
    return tmp_path


@pytest.mark.parametrize("place", ["running", "stopped"])
class TestQuestions:
    """What can be asked, of the running system and of the stopped one's state alike."""

    def test_status(self, place: str, request: pytest.FixtureRequest) -> None:
        """Tables say which site they show; JSON is the document and nothing else."""
        state = request.getfixturevalue(place)
        told = run("status", "--state", state)
        assert told.exit_code == 0
        assert told.stdout.startswith("Running at http://127.0.0.1:" if place == "running" else "Stopped; as it was left in")
        for part in (
            "412.3 kW",
            "-12.30 EUR/MWh",
            "19.8 PH/s (error 3 %)",
            "47,600 sat",
            "28.23 EUR",
            "It said OK and did nothing.",
        ):
            assert part in told.stdout
        assert Status.model_validate_json(run("status", "--json", "--state", state).stdout) == STATUS

    def test_workers(self, place: str, request: pytest.FixtureRequest) -> None:
        """Workers stand sorted by name."""
        state = request.getfixturevalue(place)
        told = run("workers", "--state", state).stdout
        assert told.index("hall-a-01") < told.index("zoe")
        assert "2 stale" in told
        assert len(WorkersDocument.model_validate_json(run("workers", "--json", "--state", state).stdout).workers) == 2

    def test_nodes(self, place: str, request: pytest.FixtureRequest) -> None:
        """A row a node, with how old it is; JSON is a list."""
        state = request.getfixturevalue(place)
        told = run("nodes", "--state", state).stdout
        assert [word for word in ("btc-1", "healthy", "btc-2", "down", "5 (2 behind)") if word not in told] == []
        assert [found["id"] for found in json.loads(run("nodes", "--json", "--state", state).stdout)] == ["btc-1", "btc-2"]
        one = run("node", "btc-2", "--state", state).stdout
        assert "process, pid 77, started anew 3 times" in one
        assert "critical: it does not answer" in one
        assert json.loads(run("node", "btc-2", "--json", "--state", state).stdout)["process"]["restarts"] == 3
        assert run("node", "btc-2", "logs", "--lines", "2", "--state", state).stdout == "line 199\nline 200\n"
        unknown = run("node", "btc-9", "--state", state)
        assert (unknown.exit_code, unknown.stderr) == (1, "There is no node 'btc-9' in this fleet; there is btc-1, btc-2.\n")

    def test_incidents(self, place: str, request: pytest.FixtureRequest) -> None:
        """What is not over, the newest first; the one that there is shows its evidence; JSON is a list."""
        state = request.getfixturevalue(place)
        told = run("incidents", "--state", state).stdout
        parts = ("node btc-2", "critical", "open", "hall-c-11", "comes and goes: 4 times")
        assert [part for part in parts if part not in told] == []
        assert "site backnang pool" not in told
        found = json.loads(run("incidents", "--json", "--state", state).stdout)
        assert [(one["id"], one["state"], one["cause"]) for one in found] == [(2, "open", None), (1, "open", None)]
        every = json.loads(run("incidents", "--all", "--json", "--state", state).stdout)
        assert (every[0]["id"], every[0]["cause"]) == (3, "node btc-2: it does not answer")
        one = run("incidents", "--site", "backnang", "--state", state).stdout
        assert "Seen: reads 3,068 W\nRunbook: docs/runbooks/machines.md#stays_awake" in one

    def test_income(self, place: str, request: pytest.FixtureRequest) -> None:
        """A row a payment and state, to the last digit; JSON is a list, whose validator is null where there is none."""
        state = request.getfixturevalue(place)
        told = run("income", "--state", state).stdout
        assert [part for part in ("slot 9", "-40.000000000000000000 ETH", "7 TALLY", "accrued") if part not in told] == []
        found = json.loads(run("income", "--network", "tally", "--json", "--state", state).stdout)
        assert [(one["id"], one["validator"], one["amount"]) for one in found] == [("fee-1", None, "7")]
        assert set(found[0]) == {"id", "network", "node", "validator", "kind", "asset", "amount", "state", "time_ms", "position"}
        assert "no income of dot yet" in run("income", "--network", "dot", "--state", state).stdout
        assert run("income", "--network", "dot", "--json", "--state", state).stdout == "[]\n"
        for more in ((), ("--json",)):
            unknown = run("income", "--network", "etherium", *more, "--state", state)
            assert (unknown.exit_code, unknown.stdout) == (2, "")
            assert "no network 'etherium' here; there is ethereum, tally, dot" in unknown.stderr

    def test_income_that_is_long(self, place: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """A table shows the newest, JSON is the whole list."""
        state = request.getfixturevalue(place)
        monkeypatch.setattr(cli_sample, "INCOME", [INCOME[0].model_copy(update={"id": f"fee-{n}"}) for n in range(1300)])
        assert "the newest 40" in run("income", "--state", state).stdout
        found = json.loads(run("income", "--json", "--state", state).stdout)
        assert [one["id"] for one in found] == [f"fee-{n}" for n in range(1300)]

    def test_trace(self, place: str, request: pytest.FixtureRequest) -> None:
        """A known block is traced; an unknown one is exit code 1 and a sentence."""
        state = request.getfixturevalue(place)
        told = run("trace", "7", "--state", state)
        assert "6,800 sat" in told.stdout
        assert "83.33 kWh" in told.stdout
        assert TraceDocument.model_validate_json(run("trace", "7", "--json", "--state", state).stdout).block.height == 7
        unknown = run("trace", "99", "--state", state)
        assert (unknown.exit_code, unknown.stdout, unknown.stderr) == (1, "", "There is no block 99 of ours.\n")

    def test_ledger(self, place: str, request: pytest.FixtureRequest, tmp_path: Path, view: SampleView) -> None:
        """A table shows the newest, JSON and CSV have every posting; the period is in Berlin's time."""
        state = request.getfixturevalue(place)
        told = run("ledger", "--state", state, "--from", "2026-06-14", "--to", "2026-06-14")
        assert "Trial balance, 2026-06-14 00:00 CEST to 2026-06-15 00:00 CEST" in told.stdout
        assert "the newest 20 of 2,345" in told.stdout
        assert view.periods[0] == (1_781_388_000_000, 1_781_474_400_000)
        document = LedgerDocument.model_validate_json(run("ledger", "--json", "--state", state).stdout)
        assert [posting.id for posting in document.postings] == list(range(2345, 0, -1))
        assert run("ledger", "--state", state, "--csv", tmp_path / "l.csv").exit_code == 0
        rows = list(csv.DictReader((tmp_path / "l.csv").read_text().splitlines()))
        assert len(rows) == 2 * 2345
        assert (rows[0]["posting"], rows[0]["text"], rows[0]["amount"], rows[0]["side"]) == ("1", "'=1+1", "6800", "debit")

    def test_a_ledger_that_breaks_off_is_not_taken_for_a_whole_one(
        self, place: str, request: pytest.FixtureRequest, tmp_path: Path, view: SampleView
    ) -> None:
        """What is missing is said, and an older file stays."""
        state, old = request.getfixturevalue(place), tmp_path / "l.csv"
        view.lost_lines = 3
        old.write_text("as it was")
        for arguments in (["--json"], ["--csv", str(old)], []):
            told = run("ledger", *arguments, "--state", state)
            assert told.exit_code == 3
            assert "broke off after" in told.stderr
        assert old.read_text() == "as it was"

    def test_exports(self, place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Chain and evidence leave as lines, whole or not at all."""
        state = request.getfixturevalue(place)
        assert run("chain", "export", tmp_path / "blocks.txt", "--state", state).exit_code == 0
        assert (tmp_path / "blocks.txt").read_text().split() == [raw.hex() for raw in BLOCKS]
        assert run("evidence", "export", tmp_path / "e.jsonl", "--state", state).exit_code == 0
        assert (tmp_path / "e.jsonl").read_bytes() == b'{"format":1}\n{"seq":1}\n{"count":1}\n'
        assert run("evidence", "export", "-", "--state", state).stdout.count("\n") == 3
        assert run("evidence", "export", "-", "--site", "backnang", "--state", state).stdout.count("\n") == 2
        elsewhere = run("evidence", "export", "-", "--site", "nowhere", "--state", state)
        assert elsewhere.exit_code == 2
        assert "there is of backnang, books" in elsewhere.output
        nowhere = run("chain", "export", tmp_path / "no" / "blocks.txt", "--state", state)
        assert nowhere.exit_code == 3
        assert "No such file or directory" in nowhere.stderr

    def test_import(self, place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Verdicts are counted; a refused block is exit code 1, a line that is no block 2."""
        state = request.getfixturevalue(place)
        file = tmp_path / "in.txt"
        file.write_text("\n".join(raw.hex() for raw in [*BLOCKS, b"new" * 40]))
        told = run("chain", "import", file, "--state", state)
        assert (told.exit_code, told.stdout) == (0, "8 blocks submitted, 1 became the tip.\n7 duplicate\n")
        file.write_text("ff" * 100)
        refused = run("chain", "import", file, "--json", "--state", state)
        assert refused.exit_code == 1
        assert json.loads(refused.stdout)["reasons"] == {"bad-txns": 1}
        file.write_text(BLOCKS[0].hex() + "\nxyz\n")
        wrong = run("chain", "import", file, "--state", state)
        assert wrong.exit_code == 2
        assert "line 2 is not a block in hexadecimal" in wrong.stderr
        assert run("chain", "import", tmp_path / "none.txt", "--state", state).exit_code == 2
        assert run("chain", "import", "-", "--state", state, text=BLOCKS[1].hex() + "\n").exit_code == 0
        file.write_text(BLOCKS[0].hex() + "\n" + "fe" * 100)
        gone = run("chain", "import", file, "--state", state)
        assert (gone.exit_code, "node does not answer" in gone.stderr) == (3, True)

    def test_a_node_of_the_fleet_is_named(self, place: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Export and import take a node's name; one that there is not is wrong use, and the known ones are named."""
        state, file = request.getfixturevalue(place), tmp_path / "blocks.txt"
        assert run("chain", "export", file, "--node", "btc-1", "--state", state).exit_code == 0
        assert run("chain", "import", file, "--node", "btc-1", "--state", state).exit_code == 0
        for what in ("export", "import"):
            unknown = run("chain", what, file, "--node", "btc-9", "--state", state)
            assert (unknown.exit_code, "its Bitcoin nodes are btc-1" in unknown.stderr) == (2, True)
        assert len(file.read_text().split()) == len(BLOCKS), "what was exported before is left"


def test_stop_and_resume(running: Path, view: SampleView) -> None:
    """The actor and the reason reach the audit; what was not verified is exit code 1."""
    assert run("stop-mining", "--reason", "smoke in hall A", "--state", running).exit_code == 0
    assert view.actions_taken[0][0] == "stop"
    assert view.actions_taken[0][1].startswith("cli:")
    assert view.actions_taken[0][2] == "smoke in hall A"
    view.result = "unverified"
    told = run("resume-mining", "--state", running)
    assert told.exit_code == 1
    assert "reading back contradicts it" in told.stdout
    for kind in ("stop-mining", "resume-mining"):
        refused = run(kind, "--reason", " ", "--state", running)
        assert refused.exit_code == 2
        assert "write why" in refused.stderr
    assert len(view.actions_taken) == 2


@pytest.mark.parametrize("what", ["stop-mining", "resume-mining"])
def test_one_site_is_stopped_and_resumed(what: str, running: Path, view: SampleView) -> None:
    view.sites = ["backnang", "jever"]
    assert run(what, "--site", "jever", "--state", running).exit_code == 0
    assert run(what, "--state", running).exit_code == 0
    assert view.asked_of == ["jever", None]


@pytest.mark.parametrize("what", ["stop-mining", "resume-mining"])
def test_a_fleet_without_sites_has_no_mining_to_stop(what: str, running: Path, view: SampleView) -> None:
    view.sites = []
    told = run(what, "--state", running)
    assert (told.exit_code, told.stdout) == (1, "")
    assert "This fleet has no mining site" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    "command",
    [("workers",), ("ledger",), ("ledger", "--json"), ("trace", "7"), ("stop-mining",), ("resume-mining",)],
    ids=" ".join,
)
def test_a_site_that_the_fleet_does_not_have_is_named_with_those_it_has(command: tuple[str, ...], running: Path) -> None:
    assert run(*command, "--site", "backnang", "--state", running).exit_code == 0
    told = run(*command, "--site", "nowhere", "--state", running)
    assert (told.exit_code, told.stdout) == (1, "")
    assert "There is no site 'nowhere' in this fleet; there is backnang." in " ".join(told.stderr.split())


def test_a_backtest_is_of_the_first_site_or_of_the_named_one(tmp_path: Path) -> None:
    example = load_fleet(EXAMPLE)
    assert site_of(EXAMPLE, None).site.name == site_of(EXAMPLE, "backnang").site.name == example.sites[0].name
    refused = run(*("backtest", EXAMPLE, "--from", "2024-05-01", "--to", "2024-05-01", "--data", tmp_path, "--site", "nowhere"))
    assert refused.exit_code == 2
    assert "has no site 'nowhere'; its sites: backnang" in " ".join(refused.stderr.split())


def test_what_the_api_refuses_is_said_field_by_field(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal's list of fields is shown, not only that there is one."""
    monkeypatch.setattr("photosynth.cli.ask._user", lambda: "x" * 1000)
    refused = run("stop-mining", "--reason", "smoke", "--state", running)
    assert refused.exit_code == 3
    assert "body.actor: " in refused.stderr


def test_times_are_those_of_the_sites_clock(running: Path, view: SampleView, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site in another zone shows its own clock, and a period is meant on it."""
    told = run("status", "--state", running).stdout
    assert "2026-06-14 12:00 CEST" in told
    site = SITE.site.model_copy(update={"zone": "Asia/Tokyo"})
    monkeypatch.setattr("tests.unit.cli.cli_sample.STATUS", of_sites(SITE.model_copy(update={"site": site})))
    assert "2026-06-14 19:00 JST" in run("status", "--state", running).stdout
    told = run("ledger", "--from", "2026-06-14T18:00", "--limit", "1", "--state", running).stdout
    assert "times of Asia/Tokyo" in told
    assert "2026-06-14 19:00" in told
    assert view.periods[-1] == (NOON_MS - 3_600_000, None)
    assert "2026-06-14 19:00 to 19:15 JST" in run("trace", "7", "--state", running).stdout


def test_german_numbers(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A German locale gets German numbers."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert "412,3 kW" in run("status", "--state", running).stdout


def test_nothing_to_ask(tmp_path: Path) -> None:
    """Without a state every question is exit code 3 and says what to do."""
    for command in (["status"], ["workers"], ["trace", "1"], ["ledger"], ["stop-mining"]):
        told = run(*command, "--state", tmp_path)
        assert told.exit_code == 3, command
        assert told.stdout == ""
        assert "photosynth up" in told.stderr


def test_left_over_address_is_a_stopped_system(stopped: Path) -> None:
    """After a kill -9 api.json still stands there; a dead process or a closed port means stopped."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for pid in (2**22 + 1, os.getpid()):
            (stopped / "api.json").write_text(json.dumps({"url": url, "token": "t", "pid": pid}))
            assert run("status", "--state", stopped).stdout.startswith("Stopped")
    (stopped / "api.json").write_text("{half")
    assert run("status", "--state", stopped).exit_code == 3


def test_state_in_use(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that another process holds is exit code 3 in one sentence."""

    def refuse(_state: Path) -> None:
        raise StateInUseError("the state folder is in use by process 7")

    monkeypatch.setattr(sys.modules["photosynth.operations.stopped"], "open_stopped", refuse)
    monkeypatch.setattr("photosynth.cli.client.START_PATIENCE_S", 0.0)
    told = run("status", "--state", stopped)
    assert (told.exit_code, told.stderr) == (3, "The state folder is in use by process 7.\n")


def test_a_system_that_starts_is_waited_for(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the folder and does not answer yet; where it never does, that is said."""
    starting = StateFolder(running)
    starting.lock()
    address = (running / "api.json").rename(running / "later.json")
    answering = threading.Timer(0.3, lambda: address.rename(running / "api.json"))
    answering.start()
    assert run("status", "--state", running).stdout.startswith("Running at")
    answering.join()
    (running / "api.json").unlink()
    monkeypatch.setattr("photosynth.cli.client.START_PATIENCE_S", 0.0)
    told = run("stop-mining", "--state", running)
    assert told.exit_code == 3
    assert f"Process {os.getpid()} runs on {running} and does not answer: it is starting or stopping." in told.stderr
    starting.unlock()


def test_a_command_that_only_reads_keeps_no_start_out(tmp_path: Path) -> None:
    """Whoever comes while a stopped state is read waits for the moment that takes."""
    reader, system = StateFolder(tmp_path), StateFolder(tmp_path)
    reader.lock(reading=True)
    done = threading.Timer(0.3, reader.unlock)
    done.start()
    system.lock()
    done.join()
    with pytest.raises(StateInUseError, match=f"in use by process {os.getpid()};"):
        reader.lock(reading=True)
    system.unlock()


def test_fleet_check(tmp_path: Path) -> None:
    """A good file is summed up; a bad one lists every mistake on standard error."""
    good = run("fleet", "check", EXAMPLE)
    assert good.exit_code == 0
    assert "102 machines" in good.stdout
    bad = tmp_path / "bad.yaml"
    bad.write_text(EXAMPLE.read_text(encoding="utf-8").replace("400 kW", "-400 kW").replace("kind: photovoltaic", "kind: wave"))
    told = run("fleet", "check", bad)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.count(f"{bad}:") == 2
    assert told.stderr.endswith("2 mistakes; nothing was started.\n")
    assert run("fleet", "check", tmp_path / "none.yaml").exit_code == 2


def test_up_passes_its_options_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option of `up` arrives, in its unit."""
    asked: list[UpOptions] = []
    module = types.ModuleType("photosynth.cli.up")

    def run_up(options: UpOptions) -> int:
        asked.append(options)
        return 3

    vars(module).update(run_up=run_up)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    line = "--fresh --speed 0.5 --replay 2024-05-12 --data d --port 0 --pool-port 4444 --for 10min --no-open --json-log"
    assert run("up", "f.yaml", "--state", tmp_path, *line.split()).exit_code == 3
    (options,) = asked
    assert (options.fleet, options.state, options.fresh, options.speed_milli) == (Path("f.yaml"), tmp_path, True, 500)
    assert str(options.replay) == "2024-05-12"
    assert (options.data, options.port, options.pool_port, options.run_for_s) == (Path("d"), 0, 4444, 600)
    assert (options.open_browser, options.json_log) == (False, True)
    run("up", "--state", tmp_path)
    assert asked[1] == UpOptions(fleet=asked[1].fleet, state=tmp_path)
    assert asked[1].fleet.name == "operator.yaml"


@pytest.mark.parametrize(
    "line",
    [
        "up --speed 0",
        "up --speed fast",
        "up --replay 2024-02-30 --data d",
        "up --replay 2024-05-12",
        "up --for soon",
        "up --port 70000",
        "ledger --from yesterday",
        "ledger --from 2026-06-15 --to 2026-06-14",
        "backtest --from 2024-05-01",
        "trace",
        "nonsense",
        "status --nonsense",
    ],
)
def test_wrong_command_lines(line: str, tmp_path: Path) -> None:
    """What cannot be meant is exit code 2, with a sentence and no traceback."""
    told = run(
        *line.split(), *([] if line in ("trace", "nonsense") else ["--state", str(tmp_path)] if "backtest" not in line else [])
    )
    assert told.exit_code == 2
    assert told.stderr
    assert "Traceback" not in told.stderr


def every_command() -> list[list[str]]:
    """The path of every command."""
    import typer

    root = typer.main.get_command(app)
    paths: list[list[str]] = []
    for name, found in root.commands.items():  # type: ignore[attr-defined]
        paths += [[name, sub] for sub in found.commands] if hasattr(found, "commands") else [[name]]
    return paths


def test_every_command_explains_itself() -> None:
    """--help of every command, and -h, has an example that begins with its own name."""
    assert run("-h").stdout == run("--help").stdout
    for path in every_command():
        told = run(*path, "--help")
        assert told.exit_code == 0
        assert run(*path, "-h").stdout == told.stdout
        assert f"Example: photosynth {' '.join(path)}" in told.stdout, path


def test_verify_takes_the_keys_that_streams_begin_with() -> None:
    golden = Path(__file__).parents[1] / "treasury" / "golden_evidence.jsonl"
    plain = run("verify", golden, "--json")
    key = json.loads(plain.stdout)["public_key"]
    assert json.loads(plain.stdout)["key_expected"] is None
    assert run("verify", golden, "--key", key.upper()).exit_code == 0
    assert run("verify", golden, "--key", "00" * 32, "--key", key).exit_code == 0
    other = run("verify", golden, "--key", "00" * 32, "--json")
    assert other.exit_code == 1
    assert json.loads(other.stdout)["holds"] is False
    for wrong in ("00", key + "00", "g" * 64, ""):
        refused = run("verify", golden, "--key", wrong)
        assert refused.exit_code == 2
        assert "64 hexadecimal digits" in refused.output


def test_an_incident_is_taken_on_under_a_name(running: Path, view: SampleView) -> None:
    """Unknown is wrong use, over is the answer no; a name is one that can be read."""
    done = run("incident", "ack", "1", "--by", "anna", "--state", running)
    assert (done.exit_code, "acknowledge_incident node btc-2: done" in done.stdout) == (0, True)
    assert json.loads(run("incident", "ack", "2", "--by", "bert", "--json", "--state", running).stdout)["actor"] == "bert"
    unknown = run("incident", "ack", "99", "--by", "anna", "--state", running)
    assert (unknown.exit_code, "There is no incident 99" in unknown.stderr) == (2, True)
    over = run("incident", "ack", "3", "--by", "anna", "--state", running)
    assert (over.exit_code, "is over" in over.stderr) == (1, True)
    for name in ("", " ", "x" * 101, "a\x1b[2J", "a\nb"):
        assert run("incident", "ack", "1", "--by", name, "--state", running).exit_code == 2
    for number in ("x", "0", "-1", str(2**64)):
        assert run("incident", "ack", number, "--by", "anna", "--state", running).exit_code == 2


def test_alerts_are_tried_and_each_target_is_told_of(running: Path, view: SampleView) -> None:
    """Exit code 1 where one does not take it, and where there is none."""
    told = run("alerts", "test", "--state", running)
    assert (told.exit_code, "office" in told.stdout, "took the message" in told.stdout) == (0, True, True)
    view.made_up.targets.append(AlertTestDocument(id="home", delivered=False, why="it answers 503"))
    told = run("alerts", "test", "--state", running)
    assert (told.exit_code, "did not take it: it answers 503" in told.stdout) == (1, True)
    assert [one["delivered"] for one in json.loads(run("alerts", "test", "--json", "--state", running).stdout)] == [True, False]
    view.made_up.targets.clear()
    told = run("alerts", "test", "--state", running)
    assert (told.exit_code, "names nobody" in told.stdout) == (1, True)


def test_nobody_is_woken_by_a_stopped_system(tmp_path: Path) -> None:
    """Exit code 3 says that nothing runs."""
    for words in (("incident", "ack", "1", "--by", "anna"), ("alerts", "test")):
        told = run(*words, "--state", tmp_path)
        assert (told.exit_code, "No system runs on" in told.stderr) == (3, True)
