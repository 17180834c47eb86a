"""Bookkeeping: blocks into the journal as the chain has them, quarter hours into journal and evidence as they end."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.energy.coin_market import CoinMarket, CoinQuote
from photosynth.energy.market import Market
from photosynth.energy.meters import IntervalReading
from photosynth.energy.prices import Prices
from photosynth.operations.clock import RunningClock
from photosynth.operations.controller import Controller
from photosynth.operations.meter_wait import MeterWait
from photosynth.pool.results import FoundBlock, IntervalWork
from photosynth.pool.server import Pool
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.meta import put_meta
from photosynth.storage.observations import DayObservation, keep_observations
from photosynth.treasury.coinbase import ChainBooks
from photosynth.treasury.energy import role_energies
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.facts import (
    AttributionFact,
    BestFact,
    BlockFact,
    CoinFact,
    IntervalFacts,
    JobFact,
    MeterFact,
    PriceFact,
    RejectedFact,
    WorkFact,
)
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.site_books import SiteBooks

log = structlog.get_logger()

RETRY_S = 1.0
MOST_UNWRITTEN_POINTS = 60
"""Points of the day's curve that a quarter hour which waits for its meters holds in memory."""
TIP_POLL_S = 5.0
RECONCILE_EVERY_S = 10.0
MACHINE_MEMORY = "machine_memory"
SHARE_SEQ = "share_seq"
"""Up to here the share log's work is in closed quarter hours; the log is told again at the next start."""


def coin_fact(quote: CoinQuote) -> CoinFact:
    """A quote in the words of the books."""
    return CoinFact(quote.price_cent_per_btc, quote.source, quote.as_of_ms, quote.target, quote.reward_sat)


def price_fact(prices: Prices) -> PriceFact:
    """A quarter hour's prices in the words of the books."""
    beside_spot = {name: cents for name, cents in prices.import_components.items() if name != "spot"}
    return PriceFact(
        spot_cent_per_mwh=prices.spot_cent_per_mwh,
        import_components=beside_spot,
        export_premium_cent_per_mwh=prices.premium_cent_per_mwh,
        export_fee_cent_per_mwh=prices.marketing_fee_cent_per_mwh,
        source=prices.source,
        published_ms=prices.published_ms,
    )


@dataclass(slots=True)
class Ledgers:
    """Everything that is written to: the database with its thread, the books, and their view of the chain."""

    database: Database
    run: Runner
    books: SiteBooks
    chain: ChainBooks


@dataclass(slots=True)
class Bookkeeper:
    """Writes down what happened; nothing that it writes is ever taken back.

    ``next_start_ms`` is the first quarter hour that is not closed yet. Faults of node, meters and disk, and what the books
    refuse, are conditions that name it, and are retried: what cannot be written now is still in the chain, in the share log,
    in the meters' memory or in a queue here. A block that the books refuse holds up neither other blocks nor quarter hours.
    """

    ledgers: Ledgers
    node: BitcoinNode
    pool: Pool
    meter_wait: MeterWait
    controller: Controller
    market: Market
    coin_market: CoinMarket
    clock: RunningClock
    parties: dict[str, str]
    machine_memory: Callable[[], object]
    next_start_ms: int
    wall_start_ms: int
    head: bytes
    closed: Callable[[EvidenceRecord, int], None]
    """Called off the event loop with the newest line of evidence and the share log's last entry in it, once committed."""
    reconciled: bool | None = None
    _found: deque[FoundBlock] = field(default_factory=deque)
    _refused: deque[FoundBlock] = field(default_factory=deque)
    _found_something: asyncio.Event = field(default_factory=asyncio.Event)
    _recording: asyncio.Lock = field(default_factory=asyncio.Lock)
    _faults: dict[str, str] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """Why something cannot be written down now, None where everything is."""
        return next(iter(self._faults.values()), None)

    def block_found(self, block: FoundBlock) -> None:
        """Take a found block from the pool; it was handed to the node before."""
        self._found.append(block)
        self._found_something.set()

    async def follow_chain(self) -> None:
        """Keep the journal at the node's tip for ever, and hold it against the node's coins now and then."""
        loop = asyncio.get_running_loop()
        known, reconciled, reconciled_s = b"", b"", 0.0
        while True:
            try:
                tip = await self.node.wait_for_tip(known, TIP_POLL_S)
                if tip.hash != known:
                    followed = await self.ledgers.chain.follow(self.node, self.ledgers.database, self.ledgers.run)
                    known = followed.tip.hash
                if reconciled != known and loop.time() - reconciled_s > RECONCILE_EVERY_S:
                    reconciled, reconciled_s = known, loop.time()
                    await self._reconcile()
                self._well("chain")
            except (NodeUnavailableError, StorageError, TreasuryError) as error:
                self._faulty("chain", error)
                await asyncio.sleep(RETRY_S)

    async def record_blocks(self) -> None:
        """Write down found blocks with the work that they claim, for ever."""
        while True:
            await self._found_something.wait()
            self._found_something.clear()
            if not await self._record_found() or self._refused:
                self._found_something.set()
                await asyncio.sleep(RETRY_S)

    async def close_intervals(self) -> None:
        """Close every quarter hour when it ends, for ever."""
        while True:
            await asyncio.sleep(min(1.0, self.clock.wall_seconds_until(self.next_start_ms + INTERVAL_MS)))
            if self.clock.site_ms() < self.next_start_ms + INTERVAL_MS:
                continue
            try:
                await self.close_interval()
            except (StorageError, TreasuryError, OSError) as error:
                self._faulty("quarter hours", error)
                await asyncio.sleep(RETRY_S)
            else:
                self._well("quarter hours")

    async def close_interval(self) -> bool:
        """Close the first open quarter hour if its meters have latched it or their grace has passed; whether it is closed."""
        start = self.next_start_ms
        registers = await self.meter_wait.registers(start)
        if registers is None:
            if len(self.controller.observations) >= MOST_UNWRITTEN_POINTS:
                await self.save()
            await self.meter_wait.pause()
            return False
        if not await self._record_found():
            return False  # a quarter hour's record holds its blocks: they come first
        work = await self.pool.close_interval(start)
        wall_end_ms = max(self.wall_start_ms, self.meter_wait.ended_wall_ms(start))
        facts = self._facts(start, wall_end_ms, registers, work)
        observations, memory = self.controller.observations.copy(), self.machine_memory()

        def commit() -> EvidenceRecord:
            with self.ledgers.database.begin() as tx:
                _write_notes(tx, observations, start + INTERVAL_MS, memory)
                put_meta(tx, SHARE_SEQ, work.last_seq)
                record = self.ledgers.books.close_interval(tx, facts)
            self.closed(record, work.last_seq)
            return record

        record = await self.ledgers.run(commit)
        del self.controller.observations[: len(observations)]
        self._well("notes")
        self.head = record.root
        self.next_start_ms, self.wall_start_ms = start + INTERVAL_MS, wall_end_ms
        self.pool.log.checkpoint(work.last_seq)
        self.pool.refresh()
        self.controller.forget_curtailed(self.next_start_ms)
        import_j = role_energies(self.ledgers.books.site.meters, facts.meters)["import"]
        if import_j is not None:
            self.controller.import_peak.count(start, import_j // INTERVAL_S)
        return True

    async def save(self) -> None:
        """Write down what waits: found blocks, the day's curve, what was learnt of machines; for the end."""
        await self._record_found()
        observations, memory = self.controller.observations.copy(), self.machine_memory()
        now_ms = self.clock.site_ms()
        try:
            await self._write(lambda tx: _write_notes(tx, observations, now_ms, memory))
        except (StorageError, TreasuryError) as error:
            self._faulty("notes", error)
        else:
            self._well("notes")
            del self.controller.observations[: len(observations)]

    async def _reconcile(self) -> None:
        result = await self.ledgers.chain.reconcile(self.node, self.ledgers.database, self.ledgers.run)
        if self.reconciled is not False and not result.agrees:
            log.error(
                "journal and chain disagree",
                height=result.height,
                journal_sat=result.journal_sat,
                chain_sat=result.chain_sat,
                missing=result.missing[:5],
                unknown=result.unknown[:5],
            )
        self.reconciled = result.agrees

    async def _record_found(self) -> bool:
        """Write down the found blocks that wait, in their order; False where the disk did not take them all.

        Those that the books refuse are kept, and offered again with every call.
        """
        async with self._recording:
            self._found.extendleft(reversed(self._refused))
            self._refused.clear()
            fault: Exception | None = None
            while self._found:
                try:
                    await self._write(partial(self._record, self._found[0], self.coin_market.at(self._found[0].site_ms)))
                except StorageError as error:
                    self._faulty("blocks", error)
                    return False
                except TreasuryError as error:
                    fault = error
                    self._refused.append(self._found[0])
                self._found.popleft()
            if fault is None:
                self._well("blocks")
            else:
                self._faulty("blocks", fault)
        return True

    def _record(self, block: FoundBlock, quote: CoinQuote | None, tx: Connection) -> None:
        """On the database's thread: a block that waited long claims much."""
        self.ledgers.books.record_found_block(tx, self._block_fact(block, quote))

    async def _write(self, call: Callable[[Connection], object]) -> None:
        def commit() -> None:
            with self.ledgers.database.begin() as tx:
                call(tx)

        await self.ledgers.run(commit)

    def _faulty(self, what: str, error: Exception) -> None:
        if what not in self._faults:
            log.warning("the books have to wait", what=what, error=str(error))
        self._faults[what] = str(error)

    def _well(self, what: str) -> None:
        if self._faults.pop(what, None) is not None:
            log.info("the books go on", what=what)

    def _block_fact(self, block: FoundBlock, quote: CoinQuote | None) -> BlockFact:
        return BlockFact(
            raw=block.raw,
            accepted=block.verdict.accepted,
            worker=block.worker or None,
            target=block.target,
            site_ms=block.site_ms,
            wall_ms=block.wall_ms,
            coin=None if quote is None else coin_fact(quote),
            attribution=tuple(
                AttributionFact(
                    interval_start_ms=item.interval_start_ms,
                    round=item.round,
                    worker=item.worker,
                    scale=item.scale,
                    shares=item.shares,
                    work=item.work,
                    represented=item.represented,
                    party=self.parties.get(item.worker),
                )
                for item in block.attribution
            ),
        )

    def _facts(self, start_ms: int, wall_end_ms: int, registers: dict[str, IntervalReading], work: IntervalWork) -> IntervalFacts:
        prices, quote = self.market.prices(start_ms), self.coin_market.at(start_ms)
        return IntervalFacts(
            start_ms=start_ms,
            wall_start_ms=self.wall_start_ms,
            wall_end_ms=wall_end_ms,
            speed_milli=self.clock.time.speed_milli,
            meters=tuple(_meter_fact(meter.id, registers.get(meter.id)) for meter in self.ledgers.books.site.meters),
            prices=None if prices is None else price_fact(prices),
            coin=None if quote is None else coin_fact(quote),
            work=tuple(
                WorkFact(e.worker, self.parties.get(e.worker), e.round, e.target, e.scale, e.accepted, e.share_root)
                for e in work.entries
            ),
            rejected=tuple(RejectedFact(worker, str(code), count) for (worker, code), count in sorted(work.rejected.items())),
            best=tuple(
                BestFact(scale, item.header, str(item.job), item.extranonce)
                for scale, items in sorted(work.best.items())
                for item in items
            ),
            jobs={str(key): JobFact(parts.prefix, parts.suffix, parts.branch) for key, parts in sorted(work.jobs.items())},
            curtailed_estimate_j=self.controller.curtailed_estimate_j(start_ms),
        )


def _write_notes(tx: Connection, observations: list[DayObservation], now_ms: int, memory: object) -> None:
    """The day's curve, and what was learnt of the machines."""
    keep_observations(tx, observations, now_ms)
    put_meta(tx, MACHINE_MEMORY, memory)


def _meter_fact(meter_id: str, reading: IntervalReading | None) -> MeterFact:
    if reading is None or reading.quality == "unknown":  # whatever figures stand beside that word are none
        return MeterFact(meter_id, None, None, "unknown")
    return MeterFact(meter_id, reading.start_j, reading.end_j, reading.quality)
