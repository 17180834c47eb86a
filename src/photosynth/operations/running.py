"""The view of a running fleet: documents from its sites, its nodes and its books, and the writes, audited."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

import structlog

from photosynth.documents import (
    ActionDocument,
    AlertTestDocument,
    BlockDocument,
    Condition,
    DayPoint,
    IncidentDocument,
    IncidentsStatus,
    LedgerDocument,
    MachineDocument,
    NodeDocument,
    SitePart,
    Status,
    TraceDocument,
    WorkersDocument,
)
from photosynth.documents.status import EvidenceStatus, LedgerStatus
from photosynth.operations import book_documents as books
from photosynth.operations import conditions as wrong
from photosynth.operations import status as parts
from photosynth.operations.evidence_door import UnrecordedError, evidence_lines
from photosynth.operations.glance import Glance
from photosynth.operations.incident_documents import incident_documents
from photosynth.operations.income_pages import income_lines, income_page
from photosynth.operations.ledger_lines import ledger_lines
from photosynth.operations.running_fleet import RunningFleet
from photosynth.operations.site_door import SiteDoor
from photosynth.operations.summaries import count_nodes, evidence_status, ledger_status
from photosynth.operations.view import IncomePage, NotKnownError, RefusedError, chosen_sites, known_network, known_site
from photosynth.quantities.instants import iso_utc
from photosynth.sites.configuration import asset_of, site_facts
from photosynth.treasury.evidence.export import NoEvidenceError
from photosynth.treasury.income import Misfit, misfits
from photosynth.treasury.mining.unknown_intervals import UnknownIntervals, unknown_intervals
from photosynth.treasury.suspense import Unexplained, unexplained

log = structlog.get_logger()

VERSION = version("photosynth")
DAY_MS = 86_400_000


_OfBooks = tuple[LedgerStatus, EvidenceStatus, list[UnknownIntervals], list[Unexplained], list[Misfit]]


class RunningView:
    """The door to a running fleet; satisfies ``FleetView`` and the API's port for the evidence."""

    def __init__(self, fleet: RunningFleet) -> None:
        self._fleet = fleet
        self._sites = {name: SiteDoor(fleet, units, fleet.chains[units.chain]) for name, units in fleet.sites.items()}
        self._since: dict[str, dict[str, int]] = {}
        self._books: Glance[_OfBooks] = Glance(fleet.database.place)
        self._books_of: dict[str, Glance[LedgerStatus]] = {name: Glance(fleet.database.place) for name in self._sites}

    def processes(self) -> list[str]:
        """The nodes whose processes run here, each with its process's id."""
        found = [(node.id, node.process) for node in self._fleet.watch.nodes()]
        return [f"{name} (process {process.pid})" for name, process in found if process is not None]

    async def status(self, site: str | None = None) -> Status:
        """Everything in one document; of a site its part and its books, with what is the whole fleet's."""
        doors = self._doors(site)
        fleet, now_ms = self._fleet, self._fleet.clock.site_ms()
        chain = next(iter(fleet.chains), None)
        asset = asset_of(fleet.settings.fleet)

        async def look() -> _OfBooks:
            return await fleet.readers.read(
                lambda tx: (
                    ledger_status(tx, chain, asset),
                    evidence_status(tx),
                    unknown_intervals(tx, None, now_ms - DAY_MS),
                    unexplained(tx),
                    misfits(tx),
                )
            )

        ledger, evidence, unknown, strange, unfit = await self._books.look(look)
        nodes, watched = fleet.watch.nodes(), fleet.incidents.service
        sites = await asyncio.gather(*(self._part(door, [item for item in unknown if item.site == door.name]) for door in doors))
        if site is not None:
            ledger = await self._books_of[site].look(
                lambda: fleet.readers.read(lambda tx: ledger_status(tx, doors[0].units.chain, asset, site))
            )
        conditions = self._fleet_conditions(nodes) + wrong.unexplained_conditions(strange) + wrong.misfit_conditions(unfit)
        return Status(
            time=iso_utc(now_ms),
            wall_time=iso_utc(fleet.clock.wall_ms()),
            running=True,
            version=VERSION,
            speed=fleet.clock.speed,
            sites=list(sites),
            nodes=count_nodes(nodes),
            ledger=ledger,
            evidence=evidence,
            incidents=IncidentsStatus(open=None if watched is None else watched.incidents.open(site)),
            conditions=conditions,
        )

    async def _part(self, door: SiteDoor, unknown: list[UnknownIntervals]) -> SitePart:
        """One site of the status."""
        site, snapshot, views, quote = door.site, door.snapshot(), door.views(), door.site.quote()
        health = await door.health()
        found = self._since_first_seen(door.name, door.conditions(snapshot, health))
        return SitePart(
            name=door.name,
            site=door.site_status(views),
            pool=parts.pool_status(snapshot),
            chain=door.chain_status(health),
            machines=parts.machines_status(views, len(site.declared.machine_specs())),
            models=parts.model_statuses(site.declared, views, quote),
            mainnet=parts.mainnet_outlook(quote, snapshot.hash_rate.hash_rate_hs),
            conditions=found
            + [item for view in views for item in wrong.machine_conditions(view)]
            + wrong.unknown_conditions(unknown),
        )

    async def workers(self, site: str | None = None) -> WorkersDocument:
        """The pools' workers over the life of the state."""
        return WorkersDocument(running=True, workers=[worker for door in self._doors(site) for worker in door.workers()])

    async def machines(self, site: str | None = None) -> list[MachineDocument]:
        """Every machine, in the fleet file's order."""
        return [machine for door in self._doors(site) for machine in door.machines()]

    async def day(self, points: int = 288, site: str | None = None) -> list[DayPoint]:
        """The curve of a site's current market day so far: what is stored, and what waits to be."""
        doors = self._doors(site)
        return await doors[0].day(points) if doors else []

    async def blocks(self, limit: int = 100, site: str | None = None) -> list[BlockDocument]:
        """Blocks that our pools found, newest first."""
        site = known_site(list(self._sites), site)
        return await self._fleet.readers.read(lambda tx: books.block_documents(tx, site, limit))

    async def ledger(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
        site: str | None = None,
    ) -> LedgerDocument:
        """Trial balance of a period (the fleet's time) and its postings, newest first."""
        site = known_site(list(self._sites), site)
        return await self._fleet.readers.read(
            lambda tx: books.ledger_document(tx, site, from_ms, to_ms, limit=limit, before_id=before_id)
        )

    def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
        site: str | None = None,
    ) -> AsyncIterator[bytes]:
        """The same as lines of JSON: a LedgerDocument without postings, then a PostingDocument a line."""
        site = known_site(list(self._sites), site)
        return ledger_lines(self._fleet.readers.read, site, from_ms, to_ms, limit, before_id=before_id, oldest_first=oldest_first)

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> IncomePage:
        """What networks paid, newest first, of all or of one: so much of it, from where the page before says."""
        known_network(network)
        return await self._fleet.readers.read(lambda tx: income_page(tx, network, limit, cursor))

    def income_lines(self, network: str | None = None) -> AsyncIterator[bytes]:
        """All of it as lines of JSON, an IncomeDocument each."""
        return income_lines(self._fleet.readers.read, known_network(network))

    async def incidents(
        self, site: str | None = None, *, resolved: bool = False, limit: int = 1000, before_id: int | None = None
    ) -> list[IncidentDocument]:
        """Incidents newest first: those that are not over, and the others too where ``resolved``."""
        site = known_site(list(self._sites), site)
        return await self._fleet.readers.read(
            lambda tx: incident_documents(tx, site, resolved=resolved, limit=limit, before_id=before_id)
        )

    async def acknowledge(self, incident_id: int, by: str) -> ActionDocument:
        """Somebody takes an incident on. Raises NotKnownError, and RefusedError where it is over."""
        watch, audit = self._fleet.incidents.running, self._fleet.audit
        incident = await watch.one(incident_id)
        if incident.state == "resolved":
            raise RefusedError(
                f"Incident {incident_id} ({incident.subject}: {incident.summary}) is over: nobody has to take it on."
            )
        told = (incident.subject, incident.summary, f"incident {incident_id} is taken on: it wakes nobody any more")
        action = await audit.planned(by, "acknowledge_incident", *told, site=incident.site)
        try:
            after, unkept = await watch.acknowledge(incident_id, by)
        except ValueError:
            audit.finished(action, "failed", "it was over meanwhile", None, None)
            return books.action_document(await audit.row(action))
        except BaseException as error:
            audit.finished(action, "failed", f"{type(error).__name__}: {error}", None, None)
            raise
        answer = None if unkept is None else f"It holds while the system runs; a restart does not know of it yet: {unkept}"
        audit.finished(action, "done", answer, f"{after.state}, by {after.acknowledged_by}", unkept is None)
        return books.action_document(await audit.row(action))

    async def test_alerts(self, actor: str) -> list[AlertTestDocument]:
        """Send a message to every target of alerts and say what came of it; empty where there is none."""
        return await self._fleet.alerts.running.test(actor)

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

    async def trace(self, block_or_txid: str, site: str | None = None) -> TraceDocument:
        """The satoshis of a block (height, hash or coinbase txid). Raises NotKnownError."""
        site = known_site(list(self._sites), site)
        meters = {door.name: site_facts(door.site.mining, b"").meters for door in self._sites.values()}
        return await self._fleet.readers.read(
            lambda tx: books.trace_document(tx, site, block_or_txid, lambda name: meters.get(name, ()))
        )

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None, site: str | None = None
    ) -> list[ActionDocument]:
        """Every change to the world, newest first."""
        site = known_site(list(self._sites), site)
        return await self._fleet.readers.read(lambda tx: books.action_documents(tx, site, limit, before_id, subject))

    async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Everything off at once, also where nothing can be written down, and it stays off until resumed."""
        doors, audit = self._switched(site), self._fleet.audit
        action = audit.noted(actor, "stop_mining", *_told(doors, reason, "every machine sleeps"), site=_whose(doors))
        try:
            stopped = await asyncio.gather(*(door.stop(actor, reason) for door in doors))
        except BaseException:
            audit.finished(action, "unverified", None, "cut off before everything was read back", None)
            raise
        unkept = "; ".join(dict.fromkeys(item.unkept for item in stopped if item.unkept is not None))
        answer = f"It holds while the system runs; a restart does not know of it yet: {unkept}" if unkept else None
        proven = all(item.proven for item in stopped)
        text = _by_site(doors, [item.text for item in stopped])
        audit.finished(action, "done" if proven else "unverified", answer, text, proven)
        return books.action_document(await audit.row(action))

    async def resume_mining(self, actor: str, reason: str, site: str | None = None) -> ActionDocument:
        """Let the dispatch decide again. A stop that comes before that is done outdoes it."""
        doors, audit = self._switched(site), self._fleet.audit
        stops = [door.stops for door in doors]
        told = _told(doors, reason, "the dispatch decides again")
        action = await audit.planned(actor, "resume_mining", *told, site=_whose(doors))
        try:
            seen = [await door.resume(before) for door, before in zip(doors, stops, strict=True)]
        except BaseException as error:
            audit.finished(action, "failed", f"it could not be written down: {error}", None, None)
            raise
        if any(item is None for item in seen):
            answer = "everything was stopped meanwhile, and stays so"
            text = None if all(item is None for item in seen) else _by_site(doors, [item or answer for item in seen])
            audit.finished(action, "failed", answer, text, None)
        else:
            audit.finished(action, "done", None, _by_site(doors, [item or "" for item in seen]), None)
        return books.action_document(await audit.row(action))

    async def lines(self, site: str | None = None) -> AsyncIterator[bytes]:
        """The lines of an export of evidence, of all streams or of one site's, each without its line feed.

        Raises NotKnownError where there is no such evidence, or none yet.
        """
        line: bytes | None = None
        try:
            while line is None:
                await self._fleet.recorded.record()
                lines = evidence_lines(self._fleet.settings.state, site)
                # A quarter hour may be closed just in between.
                with contextlib.suppress(UnrecordedError):
                    line = await asyncio.to_thread(next, lines, None)
            while line is not None:
                yield line
                line = await asyncio.to_thread(next, lines, None)
        except NoEvidenceError as error:
            raise NotKnownError(f"{error}.") from None

    def _doors(self, site: str | None) -> list[SiteDoor]:
        """One site, or all. Raises NotKnownError."""
        known_site(list(self._sites), site)
        return [door for name, door in self._sites.items() if site in (None, name)]

    def _switched(self, site: str | None) -> list[SiteDoor]:
        """The sites that a stop or a resume is for. Raises NotKnownError where there is none."""
        return [self._sites[name] for name in chosen_sites(list(self._sites), site)]

    def _fleet_conditions(self, nodes: list[NodeDocument]) -> list[Condition]:
        """What is wrong with the whole fleet's parts, and with nodes but for a pool's only one, of which its site tells."""
        fleet, now_ms = self._fleet, self._fleet.clock.site_ms()
        found = wrong.audit_conditions(fleet.audit.fault, fleet.audit.waiting, now_ms)
        found += wrong.database_conditions(self._books.fault, now_ms)
        found += wrong.alert_conditions(fleet.undelivered, now_ms) + wrong.overflow_conditions(fleet.left_out, now_ms)
        named = [door.site.declared.pool.node for door in self._sites.values()]
        told = {names[0] for names in named if len(names) == 1}
        found += wrong.node_conditions([node for node in nodes if node.id not in told], now_ms)
        for chain in (chain for chain in fleet.chains.values() if not chain.mined):
            if (followed := chain.books.service) is not None:
                found += wrong.chain_conditions(chain.name, followed.fault, followed.reconciled, now_ms)
        of_sites = {f"site:{name}" for name in self._sites}
        found += wrong.trouble_conditions([item for item in fleet.supervisor.troubles() if item.scope not in of_sites], now_ms)
        if fleet.clock.ended and fleet.settings.sites:
            found += wrong.ended_conditions(fleet.settings.sites[0].replay, fleet.settings.sites[0].end_ms)
        return self._since_first_seen("", found)

    def _since_first_seen(self, scope: str, found: list[Condition]) -> list[Condition]:
        since = self._since.get(scope, {})
        self._since[scope] = {item.id: since.get(item.id, item.since_ms) for item in found}
        return [item.model_copy(update={"since_ms": self._since[scope][item.id]}) for item in found]


def _whose(doors: list[SiteDoor]) -> str | None:
    """The one site that an action is at; None where it is at several."""
    return doors[0].name if len(doors) == 1 else None


def _told(doors: list[SiteDoor], reason: str, request: str) -> tuple[str, str, str]:
    """Subject, reason and request of what is done to sites."""
    return ("site" if len(doors) == 1 else "every site"), reason, request


def _by_site(doors: list[SiteDoor], texts: list[str]) -> str:
    """What is said of each site: a line each, where there are several."""
    if len(doors) == 1:
        return texts[0]
    return "\n".join(f"{door.name}: {text}" for door, text in zip(doors, texts, strict=True))
