"""Opening a fleet: its database, time and audit, and each site's past, seen to belong together before anything runs."""

import asyncio
import contextlib
import time
from functools import partial
from typing import Any

import structlog

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.networks.grammar import Access
from photosynth.operations import consistency
from photosynth.operations.alerting.alerts import AlertService, open_alerts
from photosynth.operations.audit import AuditLog
from photosynth.operations.audit_spool import AuditSpool, finish_cut_off
from photosynth.operations.bitcoin_nodes import NodeChoice
from photosynth.operations.evidence_keys import open_identity
from photosynth.operations.fleet_look import FleetLook
from photosynth.operations.fleet_units import Units, chain_of
from photosynth.operations.incidents.watch import IncidentWatch, open_incidents
from photosynth.operations.manifest import check_parts, load_manifest, write_mark
from photosynth.operations.node_watch import NodeWatch
from photosynth.operations.noting import KeptManifest
from photosynth.operations.readers import Readers
from photosynth.operations.recording import RecordedPostings
from photosynth.operations.running_fleet import FATAL, FleetSettings, KeptTime, RunningFleet, WatchedNodes
from photosynth.operations.simulated_nodes import SimulatedNodes
from photosynth.operations.state import StateError
from photosynth.operations.supervisor import Supervisor, Unit
from photosynth.pool.share_log import ShareLog
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.sites.clock import RememberedTime, RunningClock
from photosynth.sites.configuration import fleet_facts, tariff_of
from photosynth.sites.day_notes import DayNotes
from photosynth.sites.heads import EvidenceHeads
from photosynth.sites.past import Past, read_past
from photosynth.sites.site import OperatedSite, SiteSettings
from photosynth.sites.stopping import StopSwitch
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury.evidence.envelope import BOOKS
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.fleet_books import FleetBooks

log = structlog.get_logger()


async def open_fleet(settings: FleetSettings) -> RunningFleet:
    """Open what is the whole fleet's, and see that the parts of its state belong together. Nothing runs yet.

    Raises StateError, StorageError, ShareLogError, SealError, OSError; then nothing is left open.
    """
    async with contextlib.AsyncExitStack() as held:
        return await _Opening(settings, held).fleet()


class _Opening:
    """What is opened so far, held by a stack that closes it in the reverse order."""

    def __init__(self, settings: FleetSettings, held: contextlib.AsyncExitStack) -> None:
        self.settings, self.state, self.held = settings, settings.state, held

    async def fleet(self) -> RunningFleet:
        settings, state, held = self.settings, self.state, self.held
        known = load_manifest(state)
        if known is None:
            raise StateError(f"{state.manifest} is missing: whose state this is cannot be told")
        check_parts(state, known)
        self.manifest = KeptManifest(state, known)
        self.run = DatabaseThread()
        held.callback(self.run.close)
        self.database = await self.run(lambda: Database(state.database))
        held.callback(self.database.close)
        readers = Readers(self.database)
        held.callback(readers.close)
        self.spool = AuditSpool(state.audit_spool, known.state)
        pasts, identities = await self.run(self._claim)
        logs = {name: await self._log(name, past) for name, past in pasts.items()}
        self.clock = self._clock(pasts, logs)
        self.audit = AuditLog(self.database, self.run, self.clock, self.spool)
        held.push_async_callback(self.audit.close)
        self.heads = EvidenceHeads()
        operated = [self._site(site, logs[site.name], pasts[site.name]) for site in settings.sites]
        books = FleetBooks(fleet_facts(settings.fleet), identities[BOOKS])
        made = Units(settings.fleet, state, self.manifest, self.database, self.run, books)
        nodes = made.nodes(settings.speed_milli)
        chains = made.chains(operated, nodes, self.clock)
        sites = {
            site.name: made.site(site, identities[site.name], chains[chain_of(site.mining.node)], nodes, len(operated))
            for site in operated
        }
        embedded = {
            node.id: NodeChoice({node.id: nodes[node.id]})
            for node in settings.fleet.nodes
            if node.run == "embedded" and node.id in nodes
        }
        models = self._simulated_nodes(next(iter(embedded.values()), None))
        watch = NodeWatch(
            settings.fleet.nodes,
            state.nodes,
            known.state,
            self.audit,
            embedded=embedded,
            simulated=None if models is None else partial(_spoken_to, models),
        )
        units: list[Unit[Any]] = [self._kept_time(), *nodes.values(), *(chain.books for chain in chains.values())]
        units += [] if models is None else [models]
        units += [unit for site in sites.values() for unit in site.every()]
        income = made.income(watch, self.clock)
        units += [] if income is None else [income]

        async def look() -> IncidentWatch:
            return await open_incidents(FleetLook(running), self.database, self.run)

        async def alert() -> AlertService:
            return await open_alerts(
                settings.fleet.alerts, watch=incidents.running, database=self.database, run=self.run, audit=self.audit
            )

        incidents = Unit("fleet", "incidents", look)
        alerts = Unit("fleet", "alerts", alert, needs=[incidents])
        recorded = RecordedPostings(books, self.database, self.run, self.clock, self.heads)
        supervisor = Supervisor([*units, _recorded(recorded), _watched(watch), incidents, alerts], fatal=FATAL)
        running = RunningFleet(
            settings=settings,
            manifest=self.manifest,
            clock=self.clock,
            database=self.database,
            readers=readers,
            audit=self.audit,
            nodes=nodes,
            chains=chains,
            sites=sites,
            watch=watch,
            incidents=incidents,
            alerts=alerts,
            recorded=recorded,
            supervisor=supervisor,
            held=held.pop_all(),
        )
        return running

    def _claim(self) -> tuple[dict[str, Past], dict[str, Identity]]:
        """On the database's thread: whose it is, what waits for it, what a kill cut off, each site's past, every key."""
        pasts, keys = {}, {}
        with self.database.begin() as tx:
            consistency.claim_database(tx, self.state, self.manifest.now)
            if booked := self.spool.book(tx):
                log.info("actions that waited for the database are booked", number=booked)
            finish_cut_off(tx)
            for site in self.settings.sites:
                pasts[site.name] = read_past(tx, site.name, tariff_of(site.mining.site).demand_period)
                keys[site.name] = open_identity(tx, self.state, site.name)
            keys[BOOKS] = open_identity(tx, self.state, BOOKS)
        self.spool.clear()
        self.manifest.database_made()
        return pasts, keys

    async def _log(self, site: str, past: Past) -> ShareLog:
        """A site's share log, which belongs to the rest of the state. Raises StateError, ShareLogError, OSError."""
        shares = self.state.site(site).shares

        def opened() -> ShareLog:
            shares.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return ShareLog(shares)

        share_log = await asyncio.to_thread(opened)
        self.held.push_async_callback(share_log.close)
        for repair in share_log.repairs:
            log.warning("the share log was repaired", site=site, what=repair)
        consistency.check_share_log(share_log.account, past.share_seq, self.state, site, self.manifest.now.sites[site])
        write_mark(shares, self.manifest.now)
        return share_log

    def _clock(self, pasts: dict[str, Past], logs: dict[str, ShareLog]) -> RunningClock:
        """The fleet's time goes on where the latest of its witnesses saw it: clock, shares, books."""
        settings, seen = self.settings, list[int]()
        remembered = RememberedTime.load(self.state.clock)
        if remembered is not None:
            seen.append(remembered.site_ms)
        for name, share_log in logs.items():
            account, last, began_ms = share_log.account, pasts[name].last_interval, self.manifest.now.sites[name].began_ms
            seen += [t.last_share_site_ms for t in account.totals.values() if t.last_share_site_ms is not None]
            seen += account.open_intervals()
            seen += [] if last is None else [last.start_ms + INTERVAL_MS]
            seen += [] if began_ms is None else [began_ms]
        if not seen:
            seen = [settings.sites[0].start_ms if settings.sites else time.time_ns() // 1_000_000]
        end_ms = next((site.end_ms for site in settings.sites), None)
        return RunningClock.starting_at(max(seen), settings.speed_milli, end_ms)

    def _site(self, settings: SiteSettings, share_log: ShareLog, past: Past) -> OperatedSite:
        name = settings.name
        began_ms = self.manifest.now.sites[name].began_ms
        return OperatedSite(
            settings=settings,
            files=self.state.site(name),
            clock=self.clock,
            database=self.database,
            run=self.run,
            audit=self.audit.at(name),
            heads=self.heads,
            log=share_log,
            began_ms=self.clock.site_ms() if began_ms is None else began_ms,
            stop=StopSwitch(self.state.site(name).stopped),
            notes=DayNotes(past.import_peak, past.machine_memory),
        )

    def _simulated_nodes(self, followed: NodeChoice | None) -> Unit[SimulatedNodes] | None:
        """The nodes that are models, all of them one part; None where there is none."""
        settings, begin = self.settings, self.settings.open_simulated
        declared = [node for node in settings.fleet.nodes if node.run == "simulated"]
        if begin is None or not declared:
            return None

        async def start() -> SimulatedNodes:
            return await begin(declared, self.state.nodes, self.clock, followed)

        return Unit("fleet", "simulated nodes", start)

    def _kept_time(self) -> Unit[KeptTime]:
        async def start() -> KeptTime:
            return KeptTime(self.clock, self.state)

        return Unit("fleet", "clock", start)


def _spoken_to(models: Unit[SimulatedNodes], node_id: str) -> Access:
    """How a node that is a model is spoken to. Raises NodeUnavailableError where it does not run."""
    if models.service is None:
        raise NodeUnavailableError(models.fault or "its model does not run yet")
    return models.service.access[node_id]


def _recorded(recorded: RecordedPostings) -> Unit[RecordedPostings]:
    async def start() -> RecordedPostings:
        return recorded

    return Unit("fleet", "evidence of postings", start)


def _watched(watch: NodeWatch) -> Unit[WatchedNodes]:
    async def start() -> WatchedNodes:
        return WatchedNodes(watch)

    return Unit("fleet", "nodes", start)
