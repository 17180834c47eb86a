"""The bookkeeper of one site: blocks that its pool found, and quarter hours into journal and evidence as they end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import Connection

from photosynth.energy.coin_market import CoinMarket, CoinQuote
from photosynth.energy.market import Market
from photosynth.energy.meters import IntervalReading
from photosynth.energy.prices import Prices
from photosynth.pool.results import FoundBlock, IntervalWork
from photosynth.pool.share_log import ShareLog
from photosynth.quantities.instants import INTERVAL_MS, INTERVAL_S
from photosynth.sites.clock import RunningClock
from photosynth.sites.day_notes import DayNotes
from photosynth.sites.found_blocks import FoundBlocks
from photosynth.sites.heads import EvidenceHeads
from photosynth.sites.meter_wait import MeterWait
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.meta import put_meta
from photosynth.storage.observations import DayObservation, keep_observations
from photosynth.storage.scopes import of_site
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
from photosynth.treasury.mining.energy import role_energies
from photosynth.treasury.mining.site_books import SiteBooks

log = structlog.get_logger()

RETRY_S = 1.0
MOST_UNWRITTEN_POINTS = 60
"""Points of the day's curve that a quarter hour which waits for its meters holds in memory."""
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
class Bookkeeper:
    """Writes down what happened on one site; nothing that it writes is ever taken back.

    ``next_start_ms`` is the first quarter hour that is not closed yet. Faults of meters and disk, and what the books refuse,
    are conditions that name it, and are retried: what cannot be written now is still in the share log, in the meters' memory
    or in a queue. A block that the books refuse holds up neither other blocks nor quarter hours.
    """

    database: Database
    run: Runner
    books: SiteBooks
    heads: EvidenceHeads
    found: FoundBlocks
    log: ShareLog
    meter_wait: MeterWait
    notes: DayNotes
    market: Market
    coin_market: CoinMarket
    clock: RunningClock
    parties: dict[str, str]
    next_start_ms: int
    wall_start_ms: int
    closed: Callable[[EvidenceRecord, int], None]
    """Called off the event loop with the newest line of evidence and the share log's last entry in it, once committed."""
    _recording: asyncio.Lock = field(default_factory=asyncio.Lock)
    _faults: dict[str, str] = field(default_factory=dict)

    @property
    def _site(self) -> str:
        return self.books.site.site

    @property
    def fault(self) -> str | None:
        """Why something cannot be written down now, None where everything is."""
        return next(iter(self._faults.values()), None)

    async def record_blocks(self) -> None:
        """Write down found blocks with the work that they claim, for ever."""
        while True:
            await self.found.came.wait()
            self.found.came.clear()
            if not await self._record_found() or self.found.refused:
                self.found.came.set()
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
            if len(self.notes.observations) >= MOST_UNWRITTEN_POINTS:
                await self.save()
            await self.meter_wait.pause()
            return False
        if not await self._record_found():
            return False  # a quarter hour's record holds its blocks: they come first
        work = await self.log.interval_work(start)
        wall_end_ms = max(self.wall_start_ms, self.meter_wait.ended_wall_ms(start))
        facts = self._facts(start, wall_end_ms, registers, work)
        observations, memory = self.notes.observations.copy(), self.notes.machine_memory()

        def commit() -> EvidenceRecord:
            with self.database.begin() as tx:
                _write_notes(tx, self._site, observations, start + INTERVAL_MS, memory)
                put_meta(tx, of_site(self._site), SHARE_SEQ, work.last_seq)
                record = self.books.close_interval(tx, facts)
            self.closed(record, work.last_seq)
            return record

        record = await self.run(commit)
        del self.notes.observations[: len(observations)]
        self._well("notes")
        self.next_start_ms, self.wall_start_ms = start + INTERVAL_MS, wall_end_ms
        self.log.checkpoint(work.last_seq)
        self.heads.moved(record)
        self.notes.forget_curtailed(self.next_start_ms)
        import_j = role_energies(self.books.site.meters, facts.meters)["import"]
        if import_j is not None:
            self.notes.import_peak.count(start, import_j // INTERVAL_S)
        return True

    async def save(self) -> None:
        """Write down what waits: found blocks, the day's curve, what was learnt of machines; for the end."""
        await self._record_found()
        observations, memory = self.notes.observations.copy(), self.notes.machine_memory()
        now_ms = self.clock.site_ms()
        try:
            await self._write(lambda tx: _write_notes(tx, self._site, observations, now_ms, memory))
        except (StorageError, TreasuryError) as error:
            self._faulty("notes", error)
        else:
            self._well("notes")
            del self.notes.observations[: len(observations)]

    async def _record_found(self) -> bool:
        """Write down the found blocks that wait, in their order; False where the disk did not take them all.

        Those that the books refuse are kept, and offered again with every call.
        """
        async with self._recording:
            waiting, refused = self.found.waiting, self.found.refused
            waiting.extendleft(reversed(refused))
            refused.clear()
            fault: Exception | None = None
            while waiting:
                try:
                    await self._write(partial(self._record, waiting[0], self.coin_market.at(waiting[0].site_ms)))
                except StorageError as error:
                    self._faulty("blocks", error)
                    return False
                except TreasuryError as error:
                    fault = error
                    refused.append(waiting[0])
                waiting.popleft()
            if fault is None:
                self._well("blocks")
            else:
                self._faulty("blocks", fault)
        return True

    def _record(self, block: FoundBlock, quote: CoinQuote | None, tx: Connection) -> None:
        """On the database's thread: a block that waited long claims much."""
        self.books.record_found_block(tx, self._block_fact(block, quote))

    async def _write(self, call: Callable[[Connection], object]) -> None:
        def commit() -> None:
            with self.database.begin() as tx:
                call(tx)

        await self.run(commit)

    def _faulty(self, what: str, error: Exception) -> None:
        if what not in self._faults:
            log.warning("the books have to wait", site=self._site, what=what, error=str(error))
        self._faults[what] = str(error)

    def _well(self, what: str) -> None:
        if self._faults.pop(what, None) is not None:
            log.info("the books go on", site=self._site, what=what)

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
            meters=tuple(_meter_fact(meter.id, registers.get(meter.id)) for meter in self.books.site.meters),
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
            curtailed_estimate_j=self.notes.curtailed_estimate_j(start_ms),
        )


def _write_notes(tx: Connection, site: str, observations: list[DayObservation], now_ms: int, memory: object) -> None:
    """The day's curve, and what was learnt of the machines."""
    keep_observations(tx, site, observations, now_ms)
    put_meta(tx, of_site(site), MACHINE_MEMORY, memory)


def _meter_fact(meter_id: str, reading: IntervalReading | None) -> MeterFact:
    if reading is None or reading.quality == "unknown":  # whatever figures stand beside that word are none
        return MeterFact(meter_id, None, None, "unknown")
    return MeterFact(meter_id, reading.start_j, reading.end_j, reading.quality)
