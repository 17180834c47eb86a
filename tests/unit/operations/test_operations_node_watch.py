"""Nodes are looked at again and again: silence, lies and hangs are that node's alone, and never shown as healthy."""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
from pydantic import TypeAdapter
from tests.unit.clock_and_audit import RememberingAudit

from photosynth.bitcoin.node import BitcoinNode, NodeHealth, NodeUnavailableError, Tip
from photosynth.documents import NodeDocument
from photosynth.fleet import Node
from photosynth.networks import registry
from photosynth.networks.grammar import Access, Command, Judgement, Network, Place, Probe, Report, Role, Severity
from photosynth.operations import foreign, node_access, node_look, node_watch
from photosynth.operations.conditions import node_conditions
from photosynth.operations.node_look import NodeLook
from photosynth.operations.node_watch import NodeWatch
from photosynth.operations.summaries import count_nodes
from photosynth.operations.view import NotKnownError

SOON_S = 20.0
SILENT = Report(
    0, problem="connection refused", judgements=(Judgement("node_unreachable", "critical", "it is silent", "x", "y"),)
)
Answer = Callable[[int], Report]


class Scripted:
    """A probe that answers what it is told; an exception is raised, None hangs."""

    def __init__(self, access: Access) -> None:
        self.name, self.looks, self.closed = access.name, 0, False
        PROBES[access.name] = self

    async def look(self, now_ms: int) -> Report:
        self.looks += 1
        answer = ANSWERS[self.name]
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, BaseException):
            raise answer
        assert callable(answer)
        return answer(now_ms)

    async def close(self) -> None:
        self.closed = True


PROBES: dict[str, Scripted] = {}
ANSWERS: dict[str, Answer | BaseException | None] = {}
PROGRAM = "import time; print('up', flush=True); time.sleep(600)"


def probe_of(access: Access) -> Probe:
    return Scripted(access)


def command(place: Place) -> Command:
    return Command((str(place.program), "-c", PROGRAM), 5, Access(place.name, place.chain, {}))


TALLY = Network("tally", "Tally", ("main",), {"counter": Role(("external", "process"), probe=probe_of, command=command)})


@pytest.fixture(autouse=True)
def network_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (node_watch, node_access):
        monkeypatch.setattr(module, "network", lambda name: TALLY if name == "tally" else registry.network(name))
    monkeypatch.setattr(node_watch, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(node_watch, "JITTER_S", 0.0)
    PROBES.clear()
    ANSWERS.clear()


def node(name: str, **more: object) -> Node:
    known: dict[str, object] = {"id": name, "network": "tally", "chain": "main", "role": "counter", "run": "external"}
    return Node.model_validate(known | more)


def says(head: int, *judgements: Judgement) -> Answer:
    return lambda now_ms: Report(now_ms, head=head, peers=3, version="v1", judgements=judgements)


async def watched(watch: NodeWatch, until: Callable[[], bool]) -> None:
    """Let it look until something holds, and end it."""
    task = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(SOON_S):
            while not until():
                await asyncio.sleep(0.005)
                if task.done():
                    task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await watch.close()


def everybody_was_asked(*names: str, times: int = 1) -> Callable[[], bool]:
    return lambda: all(name in PROBES and PROBES[name].looks > times for name in names)


async def test_a_silent_node_was_never_healthy_and_does_not_stop_the_others(tmp_path: Path) -> None:
    ANSWERS.update({"good": says(10), "silent": lambda _: SILENT, "raises": KeyError("x"), "later": says(9)})
    names = ("good", "silent", "raises", "later")
    watch = NodeWatch([node(name) for name in names], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked(*names, times=3))
    states = {found.id: (found.state, found.head, found.lag) for found in watch.nodes()}
    assert states["good"] == ("healthy", 10, 0)
    assert states["silent"] == states["raises"] == ("unknown", None, None)
    assert states["later"][0] == "healthy"
    assert "KeyError" in watch.node("raises").conditions[0].evidence
    counts = count_nodes(watch.nodes())
    assert (counts.healthy, counts.unknown, counts.down, counts.degraded) == (2, 2, 0, 0)
    assert all(probe.closed for probe in PROBES.values())


async def test_a_probe_that_hangs_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_look, "LONGEST_LOOK_S", 0.02)
    ANSWERS["hung"] = None
    watch = NodeWatch([node("hung")], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked("hung", times=2))
    assert (watch.node("hung").state, watch.node("hung").observed_ms) == ("unknown", None)


async def test_one_that_stopped_answering_is_down_at_the_second_look_and_keeps_what_it_said(tmp_path: Path) -> None:
    ANSWERS["one"] = says(7)
    now = [1_000]
    watch = NodeWatch([node("one")], tmp_path, "m", RememberingAudit(), wall_ms=lambda: now[0])
    seen: list[str] = []

    def until() -> bool:
        found = watch.node("one")
        if not seen or seen[-1] != found.state:
            seen.append(found.state)
        if found.state == "healthy":
            now[0], ANSWERS["one"] = 9_000, lambda _: SILENT
        return found.state == "down"

    await watched(watch, until)
    assert seen == ["unknown", "healthy", "down"]
    found = watch.node("one")
    assert (found.head, found.observed_ms, found.peers, found.version) == (7, 1_000, None, "v1")
    assert [(item.kind, item.since_ms) for item in found.conditions] == [("node_unreachable", 9_000)]


async def test_what_is_wrong_degrades_and_what_is_only_told_does_not(tmp_path: Path) -> None:
    ANSWERS["warned"] = says(1, Judgement("node_warns", "warning", "a", "b", "c"))
    ANSWERS["told"] = says(1, Judgement("news", "info", "a", "b", "c"))
    watch = NodeWatch([node("warned"), node("told")], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked("warned", "told"))
    assert [found.state for found in watch.nodes()] == ["degraded", "healthy"]


async def test_a_node_that_lags_its_siblings_is_named_and_a_liar_makes_nobody_late(tmp_path: Path) -> None:
    ANSWERS.update({"a": says(100), "b": says(100), "late": says(90), "liar": says(10**15)})
    watch = NodeWatch([node(name) for name in ANSWERS], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked(*ANSWERS))
    assert {found.id: (found.state, found.lag) for found in watch.nodes()} == {
        "a": ("healthy", 0),
        "b": ("healthy", 0),
        "late": ("degraded", 10),
        "liar": ("healthy", 0),
    }
    assert watch.node("late").conditions[0].summary == "it is 10 blocks behind the best head of its chain"
    assert count_nodes(watch.nodes()).degraded == 1


async def test_a_head_of_another_coin_is_no_measure(tmp_path: Path) -> None:
    ANSWERS.update({"good": says(100), "other": says(5_000, Judgement("not_bitcoin", "critical", "a", "b", "c"))})
    watch = NodeWatch([node(name) for name in ANSWERS], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked(*ANSWERS))
    assert [(found.state, found.lag) for found in watch.nodes()] == [("healthy", 0), ("degraded", 0)]


async def test_a_process_that_runs_and_does_not_answer_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_watch, "HANG_S", 0.2)
    monkeypatch.setattr("photosynth.runtimes.process.POLL_S", 0.02)
    ANSWERS["run"] = lambda _: SILENT
    watch = NodeWatch([node("run", run="process", program=sys.executable)], tmp_path, "m", RememberingAudit())
    pids: list[int] = []

    def until() -> bool:
        process = watch.node("run").process
        if process is not None and process.pid not in pids:
            pids.append(process.pid)
        return len(pids) >= 2

    await watched(watch, until)
    assert watch.node("run").process is None, "it ended with us"


async def test_a_program_that_is_missing_is_the_nodes_condition(tmp_path: Path) -> None:
    ANSWERS["run"] = lambda _: SILENT
    watch = NodeWatch([node("run", run="process", program="/nowhere/tallyd")], tmp_path, "m", RememberingAudit())
    await watched(watch, lambda: any(found.kind == "process_ended" for found in watch.node("run").conditions))
    (ended,) = [found for found in watch.node("run").conditions if found.kind == "process_ended"]
    assert "/nowhere/tallyd cannot be started" in ended.evidence


async def test_what_nobody_can_look_at_is_unknown_and_says_so(tmp_path: Path) -> None:
    watch = NodeWatch([node("model", run="simulated")], tmp_path, "m", RememberingAudit())
    await watched(watch, lambda: True)
    found = watch.node("model")
    assert (found.state, found.conditions[0].kind) == ("unknown", "not_watched")
    with pytest.raises(NotKnownError, match="no process here: it has `run: simulated`"):
        await watch.restart("model")
    with pytest.raises(NotKnownError, match="There is no node 'nowhere' in this fleet; there is model"):
        watch.node("nowhere")


async def test_fifty_hung_nodes_keep_nobody_from_looking_at_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_look, "LONGEST_LOOK_S", 0.05)
    names = [f"n{number}" for number in range(50)]
    ANSWERS.update(dict.fromkeys(names))
    ANSWERS["good"] = says(5)
    watch = NodeWatch([node(name) for name in [*names, "good"]], tmp_path, "m", RememberingAudit())
    await watched(watch, lambda: watch.node("good").state == "healthy" and everybody_was_asked(*names, times=0)())
    assert count_nodes(watch.nodes()).unknown == 50


class RudeError(Exception):
    def __str__(self) -> str:
        raise ValueError("nothing to say")


NONSENSE: dict[str, Answer | BaseException] = {
    "no report": cast(Answer, lambda now_ms: {"head": 1}),
    "head is a text": lambda now_ms: Report(now_ms, head=cast(int, "x")),
    "head is a fraction": lambda now_ms: Report(now_ms, head=cast(int, 1.5)),
    "head is true": lambda now_ms: Report(now_ms, head=True),
    "head is endless": lambda now_ms: Report(now_ms, head=10**5000),
    "head is negative": lambda now_ms: Report(now_ms, head=-1),
    "peers is a list": lambda now_ms: Report(now_ms, head=1, peers=cast(int, [])),
    "version is bytes": lambda now_ms: Report(now_ms, head=1, version=cast(str, b"v1")),
    "no judgements": lambda now_ms: Report(now_ms, head=1, judgements=cast(tuple[Judgement, ...], None)),
    "judgements of text": lambda now_ms: Report(now_ms, head=1, judgements=cast(tuple[Judgement, ...], ("bad",))),
    "a severity of its own": says(1, Judgement("a", cast(Severity, "fatal"), "b", "c", "d")),
    "a judgement without words": says(1, Judgement("a", "warning", cast(str, None), "c", "d")),
    "a problem that is none": lambda now_ms: Report(now_ms, problem=cast(str, 7)),
    "an exit": SystemExit(3),
    "an interrupt": KeyboardInterrupt(),
    "a cancellation": asyncio.CancelledError(),
    "an end": GeneratorExit(),
    "an exception without words": RudeError(),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_whatever_a_probe_gives_back_or_raises_is_its_own_nodes_fault(tmp_path: Path, name: str) -> None:
    ANSWERS.update({"bad": NONSENSE[name], "good": says(5)})
    watch = NodeWatch([node("bad"), node("good")], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked("bad", "good", times=3))
    assert (watch.node("bad").state, watch.node("good").state) == ("unknown", "healthy")
    (condition,) = watch.node("bad").conditions
    assert condition.kind == "node_unreachable"
    assert condition.evidence
    TypeAdapter(list[NodeDocument]).dump_json(watch.nodes())


async def test_texts_of_a_probe_are_bounded_and_obey_no_terminal(tmp_path: Path) -> None:
    text = "\x1b]0;x\x07\ud800" + "y" * 10_000_000
    many = [Judgement(text, "warning", text, text, text)] * 1000
    ANSWERS["one"] = lambda now_ms: Report(now_ms, head=1, version=text, judgements=tuple(many))
    watch = NodeWatch([node("one")], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked("one"))
    document = watch.node("one").model_dump_json()
    assert len(document) < 200_000
    assert (watch.node("one").version or "").isprintable()


async def test_one_that_answers_and_tells_no_head_is_not_healthy(tmp_path: Path) -> None:
    ANSWERS["one"] = Report
    watch = NodeWatch([node("one")], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked("one"))
    assert (watch.node("one").state, [found.kind for found in watch.node("one").conditions]) == ("degraded", ["node_silent_on"])


async def test_a_probe_that_does_not_let_itself_be_cut_off_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_look, "LONGEST_LOOK_S", 0.02)
    monkeypatch.setattr(foreign, "LONGEST_CLOSE_S", 0.02)
    end, looks = asyncio.Event(), []

    class Stubborn:
        async def look(self, now_ms: int) -> Report:
            looks.append(now_ms)
            while not end.is_set():
                with suppress(asyncio.CancelledError):
                    await end.wait()
            return Report(now_ms)

        async def close(self) -> None:
            await end.wait()

    look = NodeLook("one", Stubborn)
    said = [(await look.look(1)).problem, (await look.look(2)).problem]
    await look.close()
    end.set()
    assert said == ["no answer within 0.02 s", "it does not end the call before, although it was cut off"]
    assert looks == [1]


@pytest.mark.parametrize("error", [ValueError("no such client"), SystemExit(1)])
async def test_a_package_that_cannot_be_used_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: object) -> Probe:
        raise error

    broken = Network("broken", "Broken", ("main",), {"counter": Role(("external", "process"), probe=fails, command=fails)})  # type: ignore[arg-type]
    for module in (node_watch, node_access):
        monkeypatch.setattr(module, "network", lambda name: broken if name == "broken" else TALLY)
    ANSWERS["good"] = says(5)
    (tmp_path / "in the way").touch()
    nodes = [
        node("probe", network="broken"),
        node("command", network="broken", run="process", program="p"),
        node("folder", run="process", program="p", data=str(tmp_path / "in the way")),
        node("good"),
    ]
    watch = NodeWatch(nodes, tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked("good", times=2))
    found = {one.id: (one.state, [item.kind for item in one.conditions]) for one in watch.nodes()}
    assert found == {
        "probe": ("unknown", ["node_unreachable"]),
        "command": ("unknown", ["node_fault"]),
        "folder": ("unknown", ["node_fault"]),
        "good": ("healthy", []),
    }


async def test_an_embedded_node_that_nothing_starts_does_not_borrow_anothers_answers(tmp_path: Path) -> None:
    embedded = [node(name, network="bitcoin", chain="regtest", role="full", run="embedded") for name in ("mine", "other")]
    watch = NodeWatch(embedded, tmp_path, "m", RememberingAudit(), embedded={"mine": cast(BitcoinNode, Embedded())})
    await watched(watch, lambda: watch.node("mine").state == "healthy")
    assert (watch.node("mine").head, watch.node("other").state, watch.node("other").head) == (7, "unknown", None)


class Embedded:
    async def health(self) -> NodeHealth:
        return NodeHealth("/x/", "regtest", Tip(7, bytes(32), 0), 7, 0, True, ())


async def test_one_that_answers_that_it_still_starts_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_watch, "HANG_S", 0.0)
    ANSWERS["run"] = lambda now_ms: Report(now_ms, problem="it is still starting", alive=True)
    watch = NodeWatch([node("run", run="process", program=sys.executable)], tmp_path, "m", RememberingAudit())
    runs: list[int] = []

    def until() -> bool:
        process = watch.node("run").process
        runs.extend([] if process is None else [process.pid])
        return len(runs) > 0 and everybody_was_asked("run", times=20)()

    await watched(watch, until)
    assert len(set(runs)) == 1


async def test_a_hang_is_judged_by_a_clock_that_nobody_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_watch, "HANG_S", 0.2)
    monkeypatch.setattr("photosynth.runtimes.process.POLL_S", 0.02)
    ANSWERS["run"] = lambda _: SILENT
    an_hour_ago = time.time_ns() // 1_000_000 - 3_600_000
    watch = NodeWatch(
        [node("run", run="process", program=sys.executable)], tmp_path, "m", RememberingAudit(), wall_ms=lambda: an_hour_ago
    )
    pids: set[int] = set()

    def until() -> bool:
        process = watch.node("run").process
        pids.update([] if process is None else [process.pid])
        return len(pids) >= 2

    await watched(watch, until)


async def test_what_nobody_could_look_at_for_long_is_down_and_no_younger_for_a_clock_set_back(tmp_path: Path) -> None:
    ANSWERS["one"] = says(7)
    wall, clock = [10_000_000], [0.0]
    watch = NodeWatch([node("one")], tmp_path, "m", RememberingAudit(), wall_ms=lambda: wall[0], monotonic=lambda: clock[0])
    await watched(watch, everybody_was_asked("one"))
    assert watch.node("one").state == "healthy"
    wall[0], clock[0] = 10_000_000 - 3_600_000, 121.0
    found = watch.node("one")
    assert (found.state, found.observed_ms) == ("down", wall[0] - 121_000)
    assert [item.kind for item in found.conditions] == ["not_looked_at"]


async def test_several_warnings_of_one_node_are_conditions_of_their_own_names(tmp_path: Path) -> None:
    ANSWERS["one"] = says(1, *(Judgement("node_warns", "warning", text, text, "c") for text in ("a", "b")))
    watch = NodeWatch([node("one")], tmp_path, "m", RememberingAudit())
    await watched(watch, everybody_was_asked("one"))
    assert [found.id for found in node_conditions(watch.nodes(), 0)] == ["node_warns:one", "node_warns:one:2"]


async def test_a_process_that_cannot_be_killed_is_said_and_no_mistake_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        raise TimeoutError("run: process 7 does not even end when it is killed")

    watch = NodeWatch([node("run", run="process", program=sys.executable)], tmp_path, "m", RememberingAudit())
    monkeypatch.setattr("photosynth.runtimes.process.ChildProcess.restart", never)
    with pytest.raises(NodeUnavailableError, match="process 7 does not even end"):
        await watch.restart("run")


async def test_what_others_find_of_a_node_is_among_its_conditions_until_it_is_well(tmp_path: Path) -> None:
    ANSWERS["one"] = says(10)
    watch = NodeWatch([node("one", endpoints={"rpc": "http://127.0.0.1:1"})], tmp_path, "mark", RememberingAudit())
    await watched(watch, everybody_was_asked("one"))
    assert watch.node("one").state == "healthy"
    watch.note("one", Judgement("income_unread", "warning", "its income cannot be read", "x", "y"))
    assert (watch.node("one").state, [found.kind for found in watch.node("one").conditions]) == ("degraded", ["income_unread"])
    watch.note("one", None)
    assert (watch.node("one").state, watch.node("one").conditions) == ("healthy", [])
    access = watch.access("one")
    assert access is not None
    assert (access().name, dict(access().endpoints)) == ("one", {"rpc": "http://127.0.0.1:1"})
