"""Every node of the fleet looked at again and again, and those that run here kept running. Wall time throughout.

A look that fails is one observation: a node is down when the second in a row fails, and what it said last stays with its age.
A node never says by itself that it is healthy: a head that does not move while others' do, another chain, a foreign coin are
judged over what it tells. A process that runs and does not answer for ``HANG_S`` is ended and started anew.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from photosynth.actions import ActionSink
from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.documents.nodes import NodeCondition, NodeDocument, NodeState, ProcessDocument
from photosynth.fleet import Node
from photosynth.networks.grammar import Access, Judgement, Probe, Report
from photosynth.networks.registry import network
from photosynth.operations.node_access import access_of, command_of
from photosynth.operations.node_look import NodeLook
from photosynth.operations.view import NotKnownError
from photosynth.registry import words_of
from photosynth.runtimes.process import ChildProcess, Workload
from photosynth.runtimes.process_log import tail

log = structlog.get_logger()

LOOK_EVERY_S = 5.0
JITTER_S = 1.0
AT_ONCE = 20
"""Looks under way at most, once of nodes that answered last and once of those that did not: these keep nobody waiting."""
STALE_S = 120.0
"""A node that nobody could look at for so long is not shown as what it was."""
DOWN_AFTER = 2
"""Failed looks in a row after which a node that answered before is down."""
HANG_S = 90.0
"""A process that runs and does not answer for so long is ended and started anew."""
BEHIND_BLOCKS = 3
"""Blocks behind the best head of its chain at which a node is degraded."""
MOST_LOG_LINES = 10_000
RESTART_LOOKS = 100
"""Tenths of a second that a restart waits for the new process."""
_SEVERITIES = ("critical", "warning", "info")


class EmbeddedProbe:
    """Looks at the embedded node; satisfies ``networks.grammar.Probe``."""

    def __init__(self, node: BitcoinNode) -> None:
        self._node = node

    async def look(self, now_ms: int) -> Report:
        """One look."""
        try:
            health = await self._node.health()
        except NodeUnavailableError as error:
            unreachable = Judgement("node_unreachable", "critical", "it does not answer", str(error), "See the log, and restart.")
            return Report(now_ms, problem=str(error), judgements=(unreachable,))
        found = [
            Judgement("node_warns", "warning", f"it warns: {text}", text, "Do what the warning says.") for text in health.warnings
        ]
        if not health.synchronised:
            evidence = f"headers {health.headers}, blocks {health.tip.height}"
            found.append(Judgement("behind_headers", "warning", "it has not caught up", evidence, "It catches up by itself."))
        return Report(now_ms, None, health.tip.height, health.peers, health.software, tuple(found))

    async def close(self) -> None:
        """Nothing is open: the node is another's."""


@dataclass(slots=True)
class _Watched:
    """One node, what was seen of it, and what keeps it running."""

    declared: Node
    look: NodeLook | None = None
    access: Callable[[], Access] | None = None
    """How others speak to it; None where they do not."""
    noted: Judgement | None = None
    """What others who ask it have to say of it."""
    process: ChildProcess | None = None
    fault: str | None = None
    """Why it cannot be run or looked at as the fleet file says."""
    answered_s: float = 0.0
    latest: Report | None = None
    answered: Report | None = None
    failed: int = 0
    silent_since_s: float | None = None
    since: dict[str, int] = field(default_factory=dict)

    def state(self, now_s: float) -> NodeState:
        if self.answered is None:
            return "unknown"
        if self.failed >= DOWN_AFTER or now_s - self.answered_s > STALE_S:
            return "down"
        return "degraded" if any(found.severity != "info" for found in self.answered.judgements) else "healthy"


_Furthest = dict[tuple[str, str], tuple[int, str]]


class NodeWatch:
    """The fleet's nodes in operation. :meth:`run` it in a task, :meth:`close` it after that."""

    def __init__(
        self,
        nodes: Iterable[Node],
        folder: Path,
        mark: str,
        actions: ActionSink,
        *,
        embedded: Mapping[str, BitcoinNode] | None = None,
        simulated: Callable[[str], Access] | None = None,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``folder`` is where nodes that run here live, ``mark`` what tells their processes from another fleet's.

        Starts and ends are written to ``actions``. ``embedded`` are the nodes that run inside this program, by their names, and
        ``simulated`` says how one that is a model is spoken to; it raises NodeUnavailableError where that does not run.
        """
        self._wall_ms, self._monotonic = wall_ms, monotonic
        self._places, self._places_of_silent = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)
        here = Here(folder, mark, actions, embedded or {}, simulated)
        self._watched = {node.id: _watched(node, here) for node in nodes}

    async def run(self) -> None:
        """Look and keep running until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number, watched in enumerate(self._watched.values()):
                if watched.process is not None:
                    tasks.create_task(self._keep_running(watched, watched.process), name=f"process of {watched.declared.id}")
                if watched.look is not None:
                    tasks.create_task(self._keep_looking(watched, number), name=f"watch of {watched.declared.id}")

    async def close(self) -> None:
        """End every process in its own time, and let connections go."""
        every = self._watched.values()
        ended = await asyncio.gather(
            *(watched.process.stop() for watched in every if watched.process is not None), return_exceptions=True
        )
        for error in ended:
            if isinstance(error, BaseException):
                log.error("a node's process could not be ended", reason=str(error))
        await asyncio.gather(*(watched.look.close() for watched in every if watched.look is not None))

    async def _keep_running(self, watched: _Watched, process: ChildProcess) -> None:
        """A mistake of ours in the care of one process ends nobody else's."""
        while True:
            try:
                await process.run()
            except Exception as error:
                log.exception("a node's process could not be looked after", node=watched.declared.id)
                watched.fault = f"its process cannot be looked after: {words_of(error)}"
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                return

    async def _keep_looking(self, watched: _Watched, number: int) -> None:
        await asyncio.sleep(JITTER_S * (number % 10) / 10)
        while True:
            await self._look(watched)
            await asyncio.sleep(LOOK_EVERY_S + random.uniform(0, JITTER_S))

    async def _look(self, watched: _Watched) -> None:
        assert watched.look is not None
        async with self._places_of_silent if watched.failed else self._places:
            report = await watched.look.look(self._wall_ms())
        self._take(watched, report)
        await self._end_what_hangs(watched)

    def _take(self, watched: _Watched, report: Report) -> None:
        watched.latest = report
        if report.problem is None:
            watched.answered, watched.answered_s, watched.failed, watched.silent_since_s = report, self._monotonic(), 0, None
        else:
            watched.failed += 1
            if report.alive:
                watched.silent_since_s = None
            elif watched.silent_since_s is None:
                watched.silent_since_s = self._monotonic()

    async def _end_what_hangs(self, watched: _Watched) -> None:
        process, since_s = watched.process, watched.silent_since_s
        if process is None or since_s is None or (state := process.state).pid is None:
            return
        if min(self._monotonic() - since_s, state.known_s) >= HANG_S:
            log.warning("node's process runs and does not answer; it is ended", node=watched.declared.id, pid=state.pid)
            watched.silent_since_s = None
            try:
                await process.restart(f"it runs and did not answer for {HANG_S:g} s")
            except TimeoutError as error:
                log.error("a node's process that hangs could not be ended", node=watched.declared.id, reason=str(error))

    def access(self, node_id: str) -> Callable[[], Access] | None:
        """What tells how a node is spoken to, which may raise NodeUnavailableError; None where nobody speaks to it from here."""
        return self._of(node_id).access

    def note(self, node_id: str, judgement: Judgement | None) -> None:
        """Let a node's conditions hold what somebody else who asks it found, until that is None."""
        self._of(node_id).noted = judgement

    # What it says

    def nodes(self) -> list[NodeDocument]:
        """Every node, in the fleet file's order."""
        furthest = self._furthest()
        return [self._document(watched, furthest) for watched in self._watched.values()]

    def node(self, node_id: str) -> NodeDocument:
        """One node. Raises NotKnownError."""
        return self._document(self._of(node_id), self._furthest())

    def log_lines(self, node_id: str, lines: int) -> list[str]:
        """The last lines of what a node's process said. Raises NotKnownError where it has none here."""
        return tail(self.needs_process(node_id).log, min(lines, MOST_LOG_LINES))

    def needs_process(self, node_id: str) -> ChildProcess:
        """The process of a node that runs here. Raises NotKnownError where there is none."""
        watched = self._of(node_id)
        if watched.process is None:
            raise NotKnownError(f"{node_id} has no process here: it has `run: {watched.declared.run}`.")
        return watched.process

    async def restart(self, node_id: str) -> str:
        """End a node's process in its own time; it is started anew. What was done.

        Raises NotKnownError where there is none, NodeUnavailableError where it does not even end when it is killed.
        """
        process = self.needs_process(node_id)
        before = process.state.pid
        try:
            await process.restart("a restart was asked for")
        except TimeoutError as error:
            raise NodeUnavailableError(f"{error}: see whether its disk hangs; it is started anew once it has ended") from error
        return "nothing ran; it is started" if before is None else f"process {before} ended; it is started anew"

    async def started_again(self, node_id: str, before: int | None) -> int | None:
        """Wait a while for a process of another id than before; None where there is none."""
        process = self.needs_process(node_id)
        for _ in range(RESTART_LOOKS):
            if (pid := process.state.pid) not in (None, before):
                return pid
            await asyncio.sleep(0.1)
        return None

    def _of(self, node_id: str) -> _Watched:
        found = self._watched.get(node_id)
        if found is None:
            known = ", ".join(list(self._watched)[:20]) or "none"
            raise NotKnownError(f"There is no node {node_id!r} in this fleet; there is {known}.")
        return found

    def _furthest(self) -> _Furthest:
        """The furthest head of each chain and whose it is, of nodes that nothing critical speaks against.

        Of three nodes and more it is the second furthest: one that lies makes nobody else look late.
        """
        now_s, heads = self._monotonic(), dict[tuple[str, str], list[tuple[int, str]]]()
        for other in self._watched.values():
            answered = other.answered
            if answered is None or answered.head is None or other.state(now_s) not in ("healthy", "degraded"):
                continue
            if all(found.severity != "critical" for found in answered.judgements):
                of_chain = heads.setdefault((other.declared.network, other.declared.chain), [])
                of_chain.append((answered.head, other.declared.id))
        return {chain: sorted(found)[-2 if len(found) >= 3 else -1] for chain, found in heads.items()}

    def _document(self, watched: _Watched, every_furthest: _Furthest) -> NodeDocument:
        node, answered, process = watched.declared, watched.answered, watched.process
        head = None if answered is None else answered.head
        furthest = every_furthest.get((node.network, node.chain))
        lag = None if head is None or furthest is None else max(0, furthest[0] - head)
        state = watched.state(self._monotonic())
        judged = self._judged(watched, state, lag, None if furthest is None else furthest[1])
        if state == "healthy" and any(found.severity != "info" for found in judged):
            state = "degraded"
        running = None if process is None else process.state
        return NodeDocument(
            id=node.id,
            network=node.network,
            chain=node.chain,
            role=node.role,
            site=node.site,
            run=node.run,
            state=state,
            head=head,
            lag=lag,
            peers=None if answered is None or state == "down" else answered.peers,
            version=None if answered is None else answered.version,
            observed_ms=None if answered is None else self._observed_ms(watched, answered),
            conditions=self._conditions(watched, judged),
            process=None
            if running is None or running.pid is None or running.started_ms is None
            else ProcessDocument(pid=running.pid, started_ms=running.started_ms, restarts=running.restarts),
        )

    def _observed_ms(self, watched: _Watched, answered: Report) -> int:
        """When it answered; where the wall clock was set back since, what is old does not look new by that."""
        return min(answered.at_ms, self._wall_ms() - int((self._monotonic() - watched.answered_s) * 1000))

    def _judged(self, watched: _Watched, state: NodeState, lag: int | None, furthest: str | None) -> Sequence[Judgement]:
        found: list[Judgement] = []
        if watched.process is not None and (problem := watched.process.state.problem) is not None:
            runbook = f"Read its log: photosynth node {watched.declared.id} logs"
            found.append(Judgement("process_ended", "critical", "its process does not run", problem, runbook))
        if watched.fault is not None:
            runbook = "Mend what it says, and start again."
            found.append(Judgement("node_fault", "critical", "it cannot be run or looked at", watched.fault, runbook))
        elif watched.look is None:
            runbook = "Nothing that runs here makes or meets a node that is declared like this one."
            found.append(Judgement("not_watched", "info", "nothing looks at it", f"run: {watched.declared.run}", runbook))
        latest, answered = watched.latest, watched.answered
        if latest is not None and latest.problem is not None and (watched.failed >= DOWN_AFTER or answered is None):
            found += latest.judgements
        elif answered is not None:
            found += answered.judgements
            if state == "down":
                evidence = f"nobody could look at it for {self._monotonic() - watched.answered_s:.0f} s"
                runbook = "See the log of this program, and whether the machine has too much to do."
                found.append(Judgement("not_looked_at", "critical", "what is known of it is old", evidence, runbook))
        if watched.noted is not None:
            found.append(watched.noted)
        if lag is not None and lag >= BEHIND_BLOCKS and state != "down":
            found.append(_lags(watched.declared, lag, furthest))
        return sorted(found, key=lambda item: _SEVERITIES.index(item.severity))

    def _conditions(self, watched: _Watched, judged: Sequence[Judgement]) -> list[NodeCondition]:
        now_ms = self._wall_ms()
        watched.since = {found.kind: watched.since.get(found.kind, now_ms) for found in judged}
        return [
            NodeCondition(
                kind=found.kind,
                severity=found.severity,
                summary=found.summary,
                evidence=found.evidence,
                runbook=found.runbook,
                since_ms=watched.since[found.kind],
            )
            for found in judged
        ]


def _lags(node: Node, lag: int, furthest: str | None) -> Judgement:
    """A node behind another one: no fault by itself where everybody makes his own chain; a model follows ours."""
    summary = f"it is {lag} blocks behind the best head of its chain"
    evidence = f"{furthest} is {lag} blocks further"
    known = network(node.network)
    if known is not None and node.chain in known.private and node.run != "simulated":
        runbook = f"Where the two shall be one chain, connect them: on {node.chain} everybody may have a chain of his own."
        return Judgement("lags", "info", summary, evidence, runbook)
    runbook = "See its peers, disk and memory. Where others move on and it does not, restart it."
    return Judgement("lags", "warning", summary, evidence, runbook)


@dataclass(frozen=True, slots=True)
class Here:
    """What nodes that run here share: their folder, the mark of their processes, whom starts are written to, and those that are
    inside this program or models."""

    folder: Path
    mark: str
    actions: ActionSink
    embedded: Mapping[str, BitcoinNode]
    simulated: Callable[[str], Access] | None


def _watched(node: Node, here: Here) -> _Watched:
    """A node with what looks at it and what keeps it running. What cannot be had of it is its own fault, and nobody else's."""
    try:
        return _made(node, here)
    except (Exception, SystemExit) as error:
        log.error("a node can neither be run nor looked at", node=node.id, exc_info=error)
        return _Watched(node, fault=words_of(error))


def _made(node: Node, here: Here) -> _Watched:
    if node.run == "embedded":
        ours = here.embedded.get(node.id)
        return _Watched(node, None if ours is None else NodeLook(node.id, lambda: EmbeddedProbe(ours)))
    found = network(node.network)
    role = None if found is None else found.roles.get(node.role)
    if role is None or (probe := role.probe) is None:
        return _Watched(node)
    if node.run == "simulated" and (spoken_to := here.simulated) is not None:
        return _looked_at(node, probe, lambda: spoken_to(node.id))
    command = command_of(node, here.folder)
    if command is not None:
        workload = Workload(node.id, f"{here.mark}:{node.id}", command.arguments, here.folder / node.id, command.stop_s)
        watched = _looked_at(node, probe, lambda: command.access)
        watched.process = ChildProcess(workload, here.actions)
        return watched
    access = access_of(node, here.folder)
    return _Watched(node) if access is None else _looked_at(node, probe, lambda: access)


def _looked_at(node: Node, probe: Callable[[Access], Probe], access: Callable[[], Access]) -> _Watched:
    return _Watched(node, NodeLook(node.id, lambda: probe(access())), access)
