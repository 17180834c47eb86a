"""A site in operation: everything opened in the order in which one thing needs another, run together, and closed again."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.energy.coin_market import CoinMarket, CoinQuote
from photosynth.energy.market import Market
from photosynth.fleet import MiningSite
from photosynth.miners.control import MinerControl
from photosynth.miners.luxos import LuxosMachine
from photosynth.operations import consistency
from photosynth.operations.audit import AuditLog
from photosynth.operations.bookkeeping import Bookkeeper, Ledgers, coin_fact
from photosynth.operations.clock import RememberedTime, RunningClock
from photosynth.operations.configuration import (
    Pace,
    demonstration_target,
    dispatch_policy,
    fleet_facts,
    machine_model,
    meter_specs,
    pool_config,
    site_facts,
    tariff_of,
)
from photosynth.operations.controller import Controller
from photosynth.operations.evidence_keys import open_identity
from photosynth.operations.field import Field, OpenField
from photosynth.operations.guarded_meters import GuardedMeters
from photosynth.operations.late_readings import LateReadings
from photosynth.operations.manifest import Seen, check_parts, completed, load_manifest, write_mark
from photosynth.operations.meter_wait import MeterWait
from photosynth.operations.node_choice import open_bitcoin_node
from photosynth.operations.past import Past, read_past
from photosynth.operations.reward import Reward
from photosynth.operations.state import StateError, StateFolder
from photosynth.operations.summaries import STOPPED
from photosynth.pool.results import FoundBlock
from photosynth.pool.server import Pool
from photosynth.pool.share_log import ShareLog
from photosynth.quantities.instants import INTERVAL_MS, interval_start_ms
from photosynth.storage import Database, DatabaseThread, StorageError
from photosynth.storage.meta import put_meta
from photosynth.treasury.coinbase import ChainBooks
from photosynth.treasury.evidence.envelope import BOOKS
from photosynth.treasury.evidence.lines import EvidenceRecord, newest_line
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.facts import CoinFact
from photosynth.treasury.fleet_books import FleetBooks
from photosynth.treasury.glance import followed_top
from photosynth.treasury.parties import PAYOUT_WALLET
from photosynth.treasury.site_books import SiteBooks

log = structlog.get_logger()
T = TypeVar("T")

POLL_S = 2.0
PENDING_POLL_S = 0.5
REMEMBER_S = 1.0
FOLLOW_AT_START_S = 2.0
MOST_READING = 200
"""Questions to the database under way: of one that hangs each takes its time to fail, while pages ask for more."""


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """What one run of a site is given beyond its fleet file."""

    mining: MiningSite
    state: StateFolder
    speed_milli: int
    start_ms: int
    market: Market
    coin_market: CoinMarket
    open_field: OpenField
    pool_listener: socket.socket
    """Listens already; whoever connects waits until the pool serves."""
    end_ms: int | None = None
    replay: str | None = None


class Site:
    """Everything of one running site. Use :meth:`start`, then :meth:`run` until cancelled, then :meth:`close`."""

    def __init__(self, settings: SiteSettings) -> None:
        self.settings = settings
        self.mining = settings.mining
        self.declared = settings.mining.site
        self.parties = self.declared.party_of_worker()
        self._closing = contextlib.AsyncExitStack()
        self.stopped = False
        self._stopped_kept: bool | None = False
        self._keeping = asyncio.Lock()
        self._reading = 0
        self.clock: RunningClock
        self.database: Database
        self.run_database: DatabaseThread
        self.node: BitcoinNode
        self.pool: Pool
        self.control: MinerControl
        self.controller: Controller
        self.keeper: Bookkeeper
        self.books: SiteBooks
        self.audit: AuditLog
        self.field: Field
        self.meters: GuardedMeters

    async def start(self) -> None:
        """Open everything. What was opened is closed again where something fails.

        Raises StateError where the parts of the state do not belong together, StorageError, NodeUnavailableError,
        ShareLogError, OSError (a port in use), and what the field raises.
        """
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise

    async def run(self) -> None:
        """Control, poll and keep the books until cancelled; an unexpected error ends them all."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.controller.run(), name="control")
            tasks.create_task(self._poll(), name="poll")
            tasks.create_task(self.keeper.follow_chain(), name="chain")
            tasks.create_task(self.keeper.record_blocks(), name="blocks")
            tasks.create_task(self.keeper.close_intervals(), name="intervals")
            tasks.create_task(self._late_readings.keep_asking(), name="late readings")
            tasks.create_task(self._remember(), name="clock")

    async def close(self) -> None:
        """Close everything in the reverse order; safe to call twice."""
        await self._closing.aclose()

    @property
    def state_id(self) -> str:
        """What tells this state from every other."""
        return self._manifest.state

    @property
    def embedded_nodes(self) -> dict[str, BitcoinNode]:
        """The nodes inside this program by their names; none where the site mines on somebody else's."""
        return {self.mining.node.id: self.node} if self.mining.node.run == "embedded" else {}

    def quote(self) -> CoinQuote:
        """What mining is paid with now."""
        quote = self.settings.coin_market.at(self.clock.site_ms())
        assert quote is not None, "a site's coin market has a quote for every instant of its run"
        return quote

    async def set_stopped(self, stopped: bool) -> None:
        """Switch everything off, or on again, and remember it over restarts.

        It holds at once. Raises StorageError where it cannot be written down now; that is tried again every second.
        """
        self.stopped = stopped
        await self._keep_stopped()

    async def _keep_stopped(self) -> None:
        async with self._keeping:  # what is written last must be what was wanted last
            stopped = self.stopped
            if stopped == self._stopped_kept:
                return

            def write() -> None:
                with self.database.begin() as tx:
                    put_meta(tx, STOPPED, stopped)

            self._stopped_kept = None  # whoever ceases to wait does not know what was written
            await self.run_database(write)
            self._stopped_kept = stopped

    async def _try_to_keep_stopped(self) -> None:
        with contextlib.suppress(StorageError):
            await self._keep_stopped()

    async def read(self, call: Callable[[Connection], T]) -> T:
        """Run a reading call on the database off the event loop. Raises StorageError, also where too many wait already."""

        def reading() -> T:
            with self.database.read() as tx:
                return call(tx)

        if self._reading >= MOST_READING:
            raise StorageError("busy", self.database.place, f"{MOST_READING} questions wait for it already. Ask again later.")
        self._reading += 1
        try:
            return await self.run_readers(reading)
        finally:
            self._reading -= 1

    async def _open(self) -> None:
        settings, mining, state = self.settings, self.mining, self.settings.state
        manifest = load_manifest(state)
        if manifest is None:
            raise StateError(f"{state.manifest} is missing: whose state this is cannot be told")
        check_parts(state, manifest)
        self._manifest = manifest
        self.run_database, self.run_readers = DatabaseThread(), DatabaseThread()
        self._closing.callback(self.run_readers.close)
        self._closing.callback(self.run_database.close)
        self.database = await self.run_database(lambda: Database(state.database))
        self._closing.callback(self.database.close)
        await self.run_database(lambda: consistency.claim_database(self.database, state, manifest))
        past = await self.run_database(lambda: read_past(self.database, tariff_of(mining.site).demand_period))
        self.stopped = self._stopped_kept = past.stopped
        share_log = await asyncio.to_thread(ShareLog, state.shares)
        self._closing.push_async_callback(share_log.close)
        for repair in share_log.repairs:
            log.warning("the share log was repaired", what=repair)
        consistency.check_share_log(share_log.account, past.share_seq, state, manifest)
        write_mark(state.shares, manifest)
        self.clock = self._clock(past, share_log)
        pace = Pace(settings.speed_milli)
        self.node = await open_bitcoin_node(mining, state, demonstration_target(mining, pace))
        self._closing.push_async_callback(self.node.close)
        if manifest.embedded:
            await consistency.check_chain(self.node, await self.read(followed_top), state)
            write_mark(state.chain, manifest)
        await self._open_books(past, share_log)
        share_log.checkpoint(past.share_seq)  # which rewrites the log: only now is it sure that all of this belongs together
        self._manifest = completed(state, manifest)
        self._open_pool(share_log, pace)
        self._closing.push_async_callback(self.pool.close)
        await self.pool.recover()
        await self.pool.start(settings.pool_listener)
        self.audit = AuditLog(self.database, self.run_database, self.clock)
        self._closing.push_async_callback(self.audit.close)
        self.field = await settings.open_field(self.clock, self.pool.address)
        self._closing.push_async_callback(self.field.close)
        self.meters = GuardedMeters(self.field.meters)
        self._open_control(past)
        self._closing.push_async_callback(self._note_end)
        self._closing.push_async_callback(self.keeper.save)
        self._closing.push_async_callback(self._try_to_keep_stopped)
        self._closing.callback(self._remember_now)
        self._closing.push_async_callback(self.control.close)

    def _clock(self, past: Past, share_log: ShareLog) -> RunningClock:
        """Site time goes on where the latest of its witnesses saw it: clock, shares, books."""
        settings = self.settings
        remembered = RememberedTime.load(settings.state.clock)
        shares = [t.last_share_site_ms for t in share_log.account.totals.values() if t.last_share_site_ms is not None]
        seen = [settings.start_ms, *shares]
        if remembered is not None:
            seen.append(remembered.site_ms)
        if past.last_interval_ms is not None:
            seen.append(past.last_interval_ms + INTERVAL_MS)
        return RunningClock.starting_at(max(seen), settings.speed_milli, settings.end_ms)

    async def _open_books(self, past: Past, share_log: ShareLog) -> None:
        genesis_hash = await self.node.block_hash(0)
        if genesis_hash is None:
            raise NodeUnavailableError("the Bitcoin node knows no genesis block; let it finish its start and try again")
        facts = site_facts(self.mining, genesis_hash)
        fleet = fleet_facts(self.mining, genesis_hash)
        of_site, of_books = await self.run_database(lambda: self._identities(facts.site))
        self.books = SiteBooks(facts, of_site, FleetBooks(fleet, of_books))
        chain = ChainBooks(
            facts.payout_script,
            fleet.recognition,
            self._coin_fact_at,
            clock=self.clock,
            chain_name=facts.network,
            wallet=PAYOUT_WALLET,
            party=facts.operator,
        )
        self._ledgers = Ledgers(self.database, self.run_database, self.books, chain)

        def open_books() -> bytes:
            with self.database.begin() as tx:
                return self.books.open(tx)

        self._first_head = await self.run_database(open_books)
        # A long chain that is new to the books is followed while the site runs.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FOLLOW_AT_START_S):
                await chain.follow(self.node, self.database, self.run_database)
        last = past.last_interval_ms
        # Before the first is closed, shares of an earlier start belong to theirs, whatever the fleet file says by now.
        first = min([interval_start_ms(self.settings.start_ms), *share_log.account.open_intervals()])
        self._next_start_ms = first if last is None else last + INTERVAL_MS
        self._wall_start_ms = self.clock.wall_ms() if past.last_wall_end_ms is None else past.last_wall_end_ms

    def _identities(self, site: str) -> tuple[Identity, Identity]:
        """The keys of the site's evidence and of the books'."""
        with self.database.begin() as tx:
            return open_identity(tx, self.settings.state, site), open_identity(tx, self.settings.state, BOOKS)

    def _open_pool(self, share_log: ShareLog, pace: Pace) -> None:
        mining, settings, limits = self.mining, self.settings, self.declared.pool.limits
        scales = mining.site.scale_of_worker(settings.speed_milli)
        demonstration = mining.node.demonstration is not None
        policy = Reward(mining.wallet.output_script(), self.quote if demonstration else None, self._head)
        config = pool_config(mining, pace)
        if "connections" in limits.model_fields_set and config.max_connections < limits.connections:
            log.warning(
                "the system allows too few open files for the pool's connections; raise `ulimit -Hn`",
                wanted=limits.connections,
                possible=config.max_connections,
            )
        self._early: list[FoundBlock] = []
        self.pool = Pool(config, self.node, self.clock, policy, lambda worker: scales.get(worker, 1), share_log, self)

    def block_found(self, block: FoundBlock) -> None:
        """Hear of a found block from the pool; those of the recovery come before there is a bookkeeper."""
        if hasattr(self, "keeper"):
            self.keeper.block_found(block)
        else:
            self._early.append(block)

    def _head(self) -> bytes:
        return self.keeper.head if hasattr(self, "keeper") else self._first_head

    def _open_control(self, past: Past) -> None:
        declared, settings = self.declared, self.settings
        specs = declared.machine_specs()
        models = {model.id: machine_model(model) for model in declared.machines.models}
        workers = {spec.id: spec.worker for spec in specs}
        totals = self.pool.log.account.totals

        def shares_of(machine: str) -> int | None:
            found = totals.get(workers[machine])
            return 0 if found is None else found.accepted

        self.control = MinerControl(
            [LuxosMachine(spec.id, *self.field.machines[spec.id], self.clock.site_ms) for spec in specs],
            {spec.id: models[spec.model.id] for spec in specs},
            self.clock,
            self.audit,
            poll_s=POLL_S,
            shares_of=shares_of,
        )
        if past.machine_memory is not None:
            self.control.remember(past.machine_memory)
        self.control.stopped = self.stopped
        self.controller = Controller(
            specs=meter_specs(declared),
            meters=self.meters,
            sources=self.meters,
            market=settings.market,
            coin_market=settings.coin_market,
            control=self.control,
            parties={spec.id: spec.party for spec in specs},
            policy=lambda: dispatch_policy(declared, stopped=self.stopped),
            audit=self.audit,
            clock=self.clock,
            import_peak=past.import_peak,
            speed_milli=self.clock.time.speed_milli,
        )
        self.keeper = Bookkeeper(
            ledgers=self._ledgers,
            node=self.node,
            pool=self.pool,
            meter_wait=MeterWait(
                self.meters,
                [meter.id for meter in declared.meters],
                self.clock,
                speed_milli=settings.speed_milli,
                grace_s=self.mining.fleet.ledger.meter_grace_s,
            ),
            controller=self.controller,
            market=settings.market,
            coin_market=settings.coin_market,
            clock=self.clock,
            parties=self.parties,
            machine_memory=self.control.memory,
            next_start_ms=self._next_start_ms,
            wall_start_ms=self._wall_start_ms,
            head=self._first_head,
            closed=self._note_closed,
        )
        self._late_readings = LateReadings(
            self.meters, self.clock, self.database, self.run_database, self.books, self._note_corrected
        )
        for block in self._early:
            self.keeper.block_found(block)

    def _coin_fact_at(self, site_ms: int) -> CoinFact | None:
        quote = self.settings.coin_market.at(site_ms)
        return None if quote is None else coin_fact(quote)

    def _note_closed(self, record: EvidenceRecord, share_seq: int) -> None:
        """Note in the manifest how far a closed quarter hour has brought evidence and share log."""
        before = self._manifest.seen
        seen = Seen(record.id, record.root.hex(), max(share_seq, 0 if before is None else before.share_seq))
        self._manifest = consistency.note_seen(self.settings.state, self._manifest, seen)

    def _note_corrected(self, record: EvidenceRecord) -> None:
        """Late readings have brought the evidence further."""
        self.keeper.head = record.root
        self._note_closed(record, 0)
        self.pool.refresh()

    async def _note_end(self) -> None:
        """The same at the end, with the last entry of the share log."""
        record = None
        with contextlib.suppress(StorageError):  # the older note is true as well
            record = await self.read(newest_line)
        if record is not None:
            self._note_closed(record, self.pool.log.account.last_seq)

    async def _poll(self) -> None:
        """Read every machine every ``POLL_S``, and in between those whose command waits for its proof."""
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            await self.control.poll_once()
            while loop.time() < began_s + POLL_S:
                await asyncio.sleep(min(PENDING_POLL_S, max(0.05, began_s + POLL_S - loop.time())))
                await self.control.poll_once(only_pending=True)

    async def _remember(self) -> None:
        while True:
            self._remember_now()
            await self._try_to_keep_stopped()
            await asyncio.sleep(REMEMBER_S)

    def _remember_now(self) -> None:
        """Note the time; a full disk is no reason to stop, the shares and the books tell the time too."""
        with contextlib.suppress(OSError):
            RememberedTime(self.clock.site_ms(), self.clock.wall_ms()).save(self.settings.state.clock)
