"""The view of a running site: documents from its engines and its books, and the two writes, audited."""

import asyncio
import time
from collections.abc import AsyncIterator
from importlib.metadata import version

import structlog

from photosynth.bitcoin.node import BitcoinNode, NodeHealth, NodeUnavailableError, Verdict
from photosynth.miners.guard import named
from photosynth.miners.view import MachineView
from photosynth.operations import book_documents as books
from photosynth.operations import status as parts
from photosynth.operations.configuration import DEMONSTRATION_ASSET
from photosynth.operations.documents import (
    ActionDocument,
    BlockDocument,
    Condition,
    DayPoint,
    LedgerDocument,
    MachineDocument,
    NodeDocument,
    Status,
    TraceDocument,
    WorkerDocument,
    WorkersDocument,
)
from photosynth.operations.documents.nodes import count_nodes
from photosynth.operations.documents.status import EvidenceStatus, LedgerStatus
from photosynth.operations.evidence_door import evidence_lines
from photosynth.operations.glance import Glance
from photosynth.operations.ledger_lines import ledger_lines
from photosynth.operations.node_watch import NodeWatch
from photosynth.operations.site import Site
from photosynth.operations.summaries import evidence_status, ledger_status
from photosynth.operations.view import NotKnownError
from photosynth.pool.statistics import PoolSnapshot, WorkerStats
from photosynth.quantities.instants import iso_utc
from photosynth.storage import StorageError
from photosynth.treasury.evidence.export import NoSuchStreamError
from photosynth.treasury.unknown_intervals import UnknownIntervals, unknown_intervals

log = structlog.get_logger()

VERSION = version("photosynth")
KEEP_PATIENCE_S = 5.0
"""How long a stop's answer waits for the disk to take that everything is stopped."""
DAY_MS = 86_400_000
HEALTH_AGE_S = 1.0
"""A node's answer about itself serves every question within so many seconds."""


class RunningSite:
    """The door to a running site; satisfies ``SiteView`` and the API's port for the evidence."""

    def __init__(self, site: Site, watch: NodeWatch) -> None:
        self._site, self._watch = site, watch
        self._health: NodeHealth | None = None
        self._health_s = 0.0
        self._health_turn = asyncio.Lock()
        self._since: dict[str, int] = {}
        self._books: Glance[tuple[LedgerStatus, EvidenceStatus, UnknownIntervals | None]] = Glance(site.database.place)
        self._stops = 0

    async def run(self) -> None:
        """Run the site and look at the fleet's nodes until cancelled; an unexpected error ends them all."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._site.run(), name="site")
            tasks.create_task(self._watch.run(), name="nodes")

    async def close(self) -> None:
        """End what runs here as a process in its own time, which is an action, and close the site with its audit."""
        try:
            await self._watch.close()
        finally:
            await self._site.close()

    def processes(self) -> list[str]:
        """The nodes whose processes run here, each with its process's id."""
        found = [(node.id, node.process) for node in self._watch.nodes()]
        return [f"{name} (process {process.pid})" for name, process in found if process is not None]

    async def status(self) -> Status:
        """Everything in one document."""
        site = self._site
        now_ms, wall_ms = site.clock.site_ms(), site.clock.wall_ms()
        snapshot, views, quote = site.pool.snapshot(), site.control.machines(), site.quote()
        health, nodes = await self._node_health(), self._watch.nodes()
        asset = DEMONSTRATION_ASSET if site.mining.node.demonstration else "BTC"
        ledger, evidence, unknown = await self._books.look(
            lambda: site.read(lambda tx: (ledger_status(tx, asset), evidence_status(tx), unknown_intervals(tx, now_ms - DAY_MS)))
        )
        tip_age_s = None if health is None or health.tip.height == 0 else max(0, wall_ms // 1000 - health.tip.time_s)
        return Status(
            time=iso_utc(now_ms),
            wall_time=iso_utc(wall_ms),
            running=True,
            version=VERSION,
            speed=site.clock.speed,
            chain=parts.chain_status(site.mining, health, site.pool.template, tip_age_s),
            site=parts.site_status(
                site.declared,
                site.controller,
                views,
                now_ms=now_ms,
                wall_ms=wall_ms,
                speed=site.clock.speed,
                replay=site.settings.replay,
                stopped=site.stopped,
            ),
            pool=parts.pool_status(snapshot),
            machines=parts.machines_status(views),
            models=parts.model_statuses(site.declared, views, quote),
            mainnet=parts.mainnet_outlook(quote, snapshot.hash_rate.hash_rate_hs),
            nodes=count_nodes(nodes),
            ledger=ledger,
            evidence=evidence,
            conditions=self._conditions(views, snapshot, health, nodes) + parts.unknown_conditions(unknown),
        )

    async def workers(self) -> WorkersDocument:
        """The pool's workers over the life of the state."""
        found = self._site.pool.snapshot().workers
        return WorkersDocument(running=True, workers=[worker_document(item, self._site.parties.get(item.name)) for item in found])

    async def machines(self) -> list[MachineDocument]:
        """Every machine, in the fleet file's order."""
        site = self._site
        workers = {item.name: item for item in site.pool.snapshot().workers}
        quote = site.quote()
        documents = []
        for spec, view in zip(site.declared.machine_specs(), site.control.machines(), strict=True):
            worker = workers.get(spec.worker)
            host, port = site.field.machines[spec.id]
            documents.append(
                MachineDocument(
                    id=spec.id,
                    group=spec.group,
                    model=spec.model.name,
                    party=spec.party,
                    driver=spec.driver,
                    address=f"{host}:{port}",
                    worker=spec.worker,
                    state=view.state,
                    power_w=view.power_w,
                    hash_rate_hs=None if view.hash_rate_hs is None else str(view.hash_rate_hs),
                    commanded_w=None if view.told is None else view.told.watts,
                    commanded_ms=None if view.told is None else view.told.at_ms,
                    commanded_result=None if view.told is None else view.told.result,
                    reason=view.reason or "no decision has been made yet",
                    temperature_c=view.temperature_c,
                    observed_ms=view.observed_ms,
                    state_since_ms=view.state_since_ms,
                    starts=view.starts,
                    accepted=0 if worker is None else worker.accepted,
                    rejected=0 if worker is None else sum(worker.rejected.values()),
                    last_share_wall_ms=None if worker is None else worker.last_share_wall_ms,
                    strike_cent_per_mwh=quote.strike_cent_per_mwh(spec.model.hash_rate_hs, spec.model.power_w),
                    conditions=parts.machine_conditions(view),
                )
            )
        return documents

    async def day(self, points: int = 288) -> list[DayPoint]:
        """The curve of the current market day so far: what is stored, and what waits to be."""
        site, now_ms = self._site, self._site.clock.site_ms()
        stored = await site.read(lambda tx: books.day_points(tx, now_ms, points))
        last_ms = stored[-1].time_ms if stored else 0
        return stored + [books.day_point(item) for item in site.controller.observations if item.time_ms > last_ms]

    async def blocks(self, limit: int = 100) -> list[BlockDocument]:
        """The site's own blocks, newest first."""
        return await self._site.read(lambda tx: books.block_documents(tx, limit))

    async def ledger(
        self, from_ms: int | None = None, to_ms: int | None = None, limit: int = 1000, before_id: int | None = None
    ) -> LedgerDocument:
        """Trial balance of a period (site time) and its postings, newest first."""
        return await self._site.read(lambda tx: books.ledger_document(tx, from_ms, to_ms, limit, before_id))

    def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
    ) -> AsyncIterator[bytes]:
        """The same as lines of JSON: a LedgerDocument without postings, then a PostingDocument a line."""
        return ledger_lines(self._site.read, from_ms, to_ms, limit, before_id=before_id, oldest_first=oldest_first)

    async def nodes(self) -> list[NodeDocument]:
        """Every node of the fleet, in the file's order."""
        return self._watch.nodes()

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        """The last lines of what a node's process said. Raises NotKnownError."""
        return await asyncio.to_thread(self._watch.log_lines, node_id, lines)

    async def restart_node(self, node_id: str, actor: str, reason: str) -> ActionDocument:
        """End a node's process in its own time; it is started anew. Raises NotKnownError."""
        site, before = self._site, self._watch.node(node_id)
        self._watch.needs_process(node_id)
        action = await site.audit.planned(actor, "restart_node", node_id, reason, "its process ends and is started anew")
        try:
            done = await self._watch.restart(node_id)
            after = await self._watch.started_again(node_id, None if before.process is None else before.process.pid)
        except BaseException as error:
            site.audit.finished(action, "failed", f"{type(error).__name__}: {error}", None, None)
            raise
        seen = "no process runs yet" if after is None else f"process {after} runs"
        site.audit.finished(action, "unverified" if after is None else "done", done, seen, after is not None)
        return books.action_document(await site.audit.row(action))

    async def trace(self, block_or_txid: str) -> TraceDocument:
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError."""
        facts = self._site.books.site
        return await self._site.read(lambda tx: books.trace_document(tx, block_or_txid, facts.meters, facts.network))

    async def actions(self, limit: int = 200, before_id: int | None = None, subject: str | None = None) -> list[ActionDocument]:
        """Every change to the world, newest first."""
        return await self._site.read(lambda tx: books.action_documents(tx, limit, before_id, subject))

    async def stop_mining(self, actor: str, reason: str) -> ActionDocument:
        """Everything off at once, also where nothing can be written down, and it stays off until resumed."""
        site = self._site
        self._stops += 1
        action = site.audit.noted(actor, "stop_mining", "site", reason, "every machine sleeps")
        keeping = asyncio.ensure_future(self._keep_stopped())
        try:
            report = await site.control.stop_all(actor, reason)
            kept, _ = await asyncio.wait({keeping}, timeout=KEEP_PATIENCE_S)
        except BaseException:
            site.audit.finished(action, "unverified", None, "cut off before everything was read back", None)
            raise
        unkept = keeping.result() if kept else "the disk is slow"
        answer = None if unkept is None else f"It holds while the system runs; a restart does not know of it yet: {unkept}"
        site.audit.finished(action, "unverified" if report.awake else "done", answer, report.text, not report.awake)
        return books.action_document(await site.audit.row(action))

    async def resume_mining(self, actor: str, reason: str) -> ActionDocument:
        """Let the dispatch decide again. A stop that comes before that is done outdoes it."""
        site = self._site
        was_stopped, stops = site.stopped, self._stops
        action = await site.audit.planned(actor, "resume_mining", "site", reason, "the dispatch decides again")
        try:
            if stops == self._stops:
                await site.set_stopped(False)
        except BaseException as error:
            if stops == self._stops:
                site.stopped = was_stopped
            site.audit.finished(action, "failed", f"it could not be written down: {error}", None, None)
            raise
        if stops != self._stops:
            site.audit.finished(action, "failed", "everything was stopped meanwhile, and stays so", None, None)
            return books.action_document(await site.audit.row(action))
        site.control.resume()
        # Nothing of the world is read back here: what the dispatch then tells machines are actions of their own.
        seen = "the dispatch decides again" if was_stopped else "mining was not stopped, so nothing changed"
        site.audit.finished(action, "done", None, seen, None)
        return books.action_document(await site.audit.row(action))

    async def lines(self, stream: str | None = None) -> AsyncIterator[bytes]:
        """The lines of an export of evidence, of all streams or of one, each without its line feed. Raises NotKnownError."""
        lines = evidence_lines(self._site.settings.state, stream)
        try:
            while (line := await asyncio.to_thread(next, lines, None)) is not None:
                yield line
        except NoSuchStreamError as error:
            raise NotKnownError(f"{error}.") from None

    async def _keep_stopped(self) -> str | None:
        """Remember a stop over restarts; why it cannot be remembered yet, None where it is."""
        try:
            await self._site.set_stopped(True)
        except StorageError as error:
            return str(error)
        except Exception as error:
            log.error("a stop could not be written down, by a mistake of the program", exc_info=error)
            return named(error)
        return None

    async def _node_health(self) -> NodeHealth | None:
        async with self._health_turn:
            if time.monotonic() - self._health_s > HEALTH_AGE_S:
                try:
                    self._health = await self._site.node.health()
                except NodeUnavailableError:
                    self._health = None
                self._health_s = time.monotonic()
            return self._health

    def _conditions(
        self, views: list[MachineView], snapshot: PoolSnapshot, health: NodeHealth | None, nodes: list[NodeDocument]
    ) -> list[Condition]:
        site = self._site
        system = parts.system_conditions(
            meters_fault=site.controller.fault,
            health=health,
            pool_fault=snapshot.condition,
            books_fault=site.keeper.fault,
            database_fault=self._books.fault,
            waiting=site.keeper.meter_wait.waiting,
            reconciled=site.keeper.reconciled,
            now_ms=site.clock.site_ms(),
        )
        demonstration, template, rate = site.mining.node.demonstration, site.pool.template, snapshot.hash_rate.hash_rate_hs
        if demonstration is not None and template is not None and rate is not None:
            usual_sat = site.quote().expected_sat(rate * demonstration.block_interval_s)
            system += parts.money_conditions(template, usual_sat, site.clock.site_ms())
        system += parts.control_conditions(site.controller.mistake, site.audit.fault, site.audit.waiting, site.clock.site_ms())
        others = [node for node in nodes if node.id != site.mining.node.id]
        system += parts.node_conditions(others, site.clock.site_ms())
        if site.clock.ended:
            system += parts.ended_conditions(site.settings.replay, site.settings.end_ms)
        self._since = {item.id: self._since.get(item.id, item.since_ms) for item in system}
        machines = [item for view in views for item in parts.machine_conditions(view)]
        return [item.model_copy(update={"since_ms": self._since[item.id]}) for item in system] + machines


def worker_document(item: WorkerStats, party: str | None) -> WorkerDocument:
    """One worker of the pool."""
    return WorkerDocument(
        name=item.name,
        party=party,
        scale=str(item.scale),
        connected=item.connections > 0,
        difficulty=item.difficulty,
        shares_accepted=item.accepted,
        rejected_by_cause=dict(item.rejected),
        work_hashes=str(item.work),
        represented_hashes=str(item.represented),
        last_share_wall_ms=item.last_share_wall_ms,
        user_agent=item.user_agent,
    )


class ChainDoor:
    """The API's door to the chain of a running site; satisfies ``api.chain_port.ChainPort``."""

    def __init__(self, node: BitcoinNode) -> None:
        self._node = node

    async def blocks(self, from_height: int) -> AsyncIterator[bytes]:
        """Serialised blocks of the active chain, from a height to the tip, in order.

        Raises NodeUnavailableError where a block cannot be had, or is no longer on the one given before.
        """
        node, height, before = self._node, from_height, b""
        while (block_hash := await node.block_hash(height)) is not None:
            raw = await node.block(block_hash)
            if raw is None:
                raise NodeUnavailableError(f"the node cannot give block {height} of its chain: it may be pruned")
            if before and raw[4:36] != before:
                raise NodeUnavailableError(f"the chain was reorganised at block {height} while it was read: read it again")
            yield raw
            height, before = height + 1, block_hash

    async def submit(self, raw: bytes) -> Verdict:
        """Hand in one serialised block."""
        return await self._node.submit_block(raw)
