"""The view of a running fleet: documents from its sites, its nodes and its books, and the writes, audited."""

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import version

import structlog

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError, Verdict
from photosynth.documents import (
    ActionDocument,
    BlockDocument,
    Condition,
    DayPoint,
    LedgerDocument,
    MachineDocument,
    NodeDocument,
    Status,
    TraceDocument,
    WorkersDocument,
)
from photosynth.documents.status import EvidenceStatus, LedgerStatus
from photosynth.operations import book_documents as books
from photosynth.operations import status as parts
from photosynth.operations.evidence_door import evidence_lines
from photosynth.operations.glance import Glance
from photosynth.operations.ledger_lines import ledger_lines
from photosynth.operations.running_fleet import RunningFleet
from photosynth.operations.site_door import SiteDoor
from photosynth.operations.summaries import count_nodes, evidence_status, ledger_status
from photosynth.quantities.instants import iso_utc
from photosynth.sites.configuration import DEMONSTRATION_ASSET, site_facts
from photosynth.treasury.suspense import Unexplained, unexplained
from photosynth.treasury.unknown_intervals import UnknownIntervals, unknown_intervals

log = structlog.get_logger()

VERSION = version("photosynth")
DAY_MS = 86_400_000


_OfBooks = tuple[LedgerStatus, EvidenceStatus, list[UnknownIntervals], list[Unexplained]]


class RunningView:
    """The door to a running fleet; satisfies ``SiteView`` and the API's port for the evidence."""

    def __init__(self, fleet: RunningFleet) -> None:
        self._fleet = fleet
        self._sites = [SiteDoor(fleet, units, fleet.chains[units.chain]) for units in fleet.sites.values()]
        self._since: dict[str, int] = {}
        self._books: Glance[_OfBooks] = Glance(fleet.database.place)

    @property
    def _site(self) -> SiteDoor:
        return self._sites[0]

    def processes(self) -> list[str]:
        """The nodes whose processes run here, each with its process's id."""
        found = [(node.id, node.process) for node in self._fleet.watch.nodes()]
        return [f"{name} (process {process.pid})" for name, process in found if process is not None]

    async def status(self) -> Status:
        """Everything in one document."""
        fleet, door = self._fleet, self._site
        site, now_ms = door.site, fleet.clock.site_ms()
        snapshot, views, quote = door.snapshot(), door.views(), site.quote()
        health, nodes = await door.health(), fleet.watch.nodes()
        asset = DEMONSTRATION_ASSET if site.mining.node.demonstration else "BTC"
        since_ms = now_ms - DAY_MS

        async def look() -> _OfBooks:
            return await fleet.readers.read(
                lambda tx: (
                    ledger_status(tx, door.units.chain, asset),
                    evidence_status(tx, door.name),
                    unknown_intervals(tx, door.name, since_ms),
                    unexplained(tx),
                )
            )

        ledger, evidence, unknown, strange = await self._books.look(look)
        conditions = door.conditions(views, snapshot, health) + self._fleet_conditions(nodes)
        self._since = {item.id: self._since.get(item.id, item.since_ms) for item in conditions}
        return Status(
            time=iso_utc(now_ms),
            wall_time=iso_utc(fleet.clock.wall_ms()),
            running=True,
            version=VERSION,
            speed=fleet.clock.speed,
            chain=door.chain_status(health),
            site=door.site_status(views),
            pool=parts.pool_status(snapshot),
            machines=parts.machines_status(views, len(site.declared.machine_specs())),
            models=parts.model_statuses(site.declared, views, quote),
            mainnet=parts.mainnet_outlook(quote, snapshot.hash_rate.hash_rate_hs),
            nodes=count_nodes(nodes),
            ledger=ledger,
            evidence=evidence,
            conditions=[item.model_copy(update={"since_ms": self._since[item.id]}) for item in conditions]
            + [item for view in views for item in parts.machine_conditions(view)]
            + parts.unknown_conditions(unknown)
            + parts.unexplained_conditions(strange),
        )

    async def workers(self) -> WorkersDocument:
        """The pool's workers over the life of the state."""
        return WorkersDocument(running=True, workers=[worker for site in self._sites for worker in site.workers()])

    async def machines(self) -> list[MachineDocument]:
        """Every machine, in the fleet file's order."""
        return [machine for site in self._sites for machine in site.machines()]

    async def day(self, points: int = 288) -> list[DayPoint]:
        """The curve of the current market day so far: what is stored, and what waits to be."""
        return await self._site.day(points)

    async def blocks(self, limit: int = 100) -> list[BlockDocument]:
        """The site's own blocks, newest first."""
        return await self._fleet.readers.read(lambda tx: books.block_documents(tx, None, limit))

    async def ledger(
        self, from_ms: int | None = None, to_ms: int | None = None, limit: int = 1000, before_id: int | None = None
    ) -> LedgerDocument:
        """Trial balance of a period (site time) and its postings, newest first."""
        return await self._fleet.readers.read(
            lambda tx: books.ledger_document(tx, None, from_ms, to_ms, limit=limit, before_id=before_id)
        )

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
        return ledger_lines(self._fleet.readers.read, None, from_ms, to_ms, limit, before_id=before_id, oldest_first=oldest_first)

    async def nodes(self) -> list[NodeDocument]:
        """Every node of the fleet, in the file's order."""
        return self._fleet.watch.nodes()

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        """The last lines of what a node's process said. Raises NotKnownError."""
        return await asyncio.to_thread(self._fleet.watch.log_lines, node_id, lines)

    async def restart_node(self, node_id: str, actor: str, reason: str) -> ActionDocument:
        """End a node's process in its own time; it is started anew. Raises NotKnownError."""
        watch, audit = self._fleet.watch, self._fleet.audit
        before = watch.node(node_id)
        watch.needs_process(node_id)
        action = await audit.planned(actor, "restart_node", node_id, reason, "its process ends and is started anew")
        try:
            done = await watch.restart(node_id)
            after = await watch.started_again(node_id, None if before.process is None else before.process.pid)
        except BaseException as error:
            audit.finished(action, "failed", f"{type(error).__name__}: {error}", None, None)
            raise
        seen = "no process runs yet" if after is None else f"process {after} runs"
        audit.finished(action, "unverified" if after is None else "done", done, seen, after is not None)
        return books.action_document(await audit.row(action))

    async def trace(self, block_or_txid: str) -> TraceDocument:
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError."""
        meters = {site.name: site_facts(site.site.mining, b"").meters for site in self._sites}
        return await self._fleet.readers.read(
            lambda tx: books.trace_document(tx, None, block_or_txid, lambda site: meters.get(site, ()))
        )

    async def actions(self, limit: int = 200, before_id: int | None = None, subject: str | None = None) -> list[ActionDocument]:
        """Every change to the world, newest first."""
        return await self._fleet.readers.read(lambda tx: books.action_documents(tx, None, limit, before_id, subject))

    async def stop_mining(self, actor: str, reason: str) -> ActionDocument:
        """Everything off at once, also where nothing can be written down, and it stays off until resumed."""
        audit = self._fleet.audit
        action = audit.noted(actor, "stop_mining", "site", reason, "every machine sleeps")
        try:
            stopped = await asyncio.gather(*(site.stop(actor, reason) for site in self._sites))
        except BaseException:
            audit.finished(action, "unverified", None, "cut off before everything was read back", None)
            raise
        unkept = "; ".join(dict.fromkeys(item.unkept for item in stopped if item.unkept is not None))
        answer = f"It holds while the system runs; a restart does not know of it yet: {unkept}" if unkept else None
        proven = all(item.proven for item in stopped)
        texts = [item.text for item in stopped]
        if len(texts) > 1:
            texts = [f"{site.name}: {text}" for site, text in zip(self._sites, texts, strict=True)]
        audit.finished(action, "done" if proven else "unverified", answer, "; ".join(texts), proven)
        return books.action_document(await audit.row(action))

    async def resume_mining(self, actor: str, reason: str) -> ActionDocument:
        """Let the dispatch decide again. A stop that comes before that is done outdoes it."""
        audit, stops = self._fleet.audit, [(site, site.stops) for site in self._sites]
        action = await audit.planned(actor, "resume_mining", "site", reason, "the dispatch decides again")
        try:
            seen = [await site.resume(before) for site, before in stops]
        except BaseException as error:
            audit.finished(action, "failed", f"it could not be written down: {error}", None, None)
            raise
        if any(item is None for item in seen):
            audit.finished(action, "failed", "everything was stopped meanwhile, and stays so", None, None)
        else:
            audit.finished(action, "done", None, "; ".join(dict.fromkeys(item for item in seen if item)), None)
        return books.action_document(await audit.row(action))

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of an evidence export, header first and closing line last, each without its line feed."""
        fleet = self._fleet
        lines = evidence_lines(
            fleet.database.place, self._site.name, fleet.identities[self._site.name], fleet.settings.state.root
        )
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            yield line

    def _fleet_conditions(self, nodes: list[NodeDocument]) -> list[Condition]:
        fleet, now_ms = self._fleet, self._fleet.clock.site_ms()
        found = parts.audit_conditions(fleet.audit.fault, fleet.audit.waiting, now_ms)
        found += parts.database_conditions(self._books.fault, now_ms)
        mined_on = {name for site in self._sites for name in site.site.declared.pool.node}
        found += parts.node_conditions([node for node in nodes if node.id not in mined_on], now_ms)
        of_sites = {f"site:{site.name}" for site in self._sites}
        found += parts.trouble_conditions([item for item in fleet.supervisor.troubles() if item.scope not in of_sites], now_ms)
        if fleet.clock.ended and fleet.settings.sites:
            found += parts.ended_conditions(fleet.settings.sites[0].replay, fleet.settings.sites[0].end_ms)
        return found


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
