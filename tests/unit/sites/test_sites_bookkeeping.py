"""Bookkeeping in trouble: what cannot be written is a condition that names it, is kept, and is written as soon as it can be."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest_asyncio
from sqlalchemy import Connection
from tests.unit.clock_and_audit import START_MS
from tests.unit.sites.sites_books import QuietLog, bookkeeper
from tests.unit.sites.sites_fakes import QUARTER_MS
from tests.unit.treasury.treasury_site import (
    METERS,
    OTHER,
    SITE,
    books_of,
    make_block,
    open_database,
)

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import Verdict
from photosynth.energy.meters import IntervalReading, Meters
from photosynth.pool import unclaimed
from photosynth.pool.results import FoundBlock
from photosynth.sites.clock import RunningClock
from photosynth.sites.meter_wait import MeterWait
from photosynth.storage import DatabaseThread
from photosynth.storage.observations import DayObservation, day_observations
from photosynth.treasury import EvidenceRecord, SiteBooks
from photosynth.treasury.chain import COINBASE_MATURITY
from photosynth.treasury.evidence import check_claims
from photosynth.treasury.facts import IntervalFacts
from photosynth.treasury.glance import evidence_state
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.mining import attribution
from photosynth.treasury.mining.blocks import read_blocks


class MovableClock:
    """A site's clock that stands where it is put."""

    time = SimpleNamespace(speed_milli=1000)

    def __init__(self) -> None:
        self.now_ms = START_MS + QUARTER_MS

    def site_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return self.now_ms

    def wall_seconds_until(self, site_ms: int) -> float:
        return max(0.0, (site_ms - self.now_ms) / 1000)


@dataclass
class LatchedMeters:
    """Meters that have every quarter hour."""

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading]:
        return {name: IntervalReading(10**7, 10**7, "good") for name in METERS}


class RefusingBooks(SiteBooks):
    """Books that refuse a quarter hour, until they do not."""

    refusing = False

    def close_interval(self, tx: Connection, facts: IntervalFacts) -> EvidenceRecord:
        if self.refusing:
            raise TreasuryError("the quarter hour is refused by a test")
        return super().close_interval(tx, facts)


class Desk:
    """A bookkeeper with everything around it."""

    def __init__(self, folder: Path) -> None:
        self.database = open_database(folder)
        self.run = DatabaseThread()
        self.books = cast(RefusingBooks, books_of(SITE, kind=RefusingBooks))
        with self.database.begin() as tx:
            self.books.open(tx)
        self.clock, self.log = MovableClock(), QuietLog()
        clock = cast(RunningClock, self.clock)
        wait = MeterWait(cast(Meters, LatchedMeters()), METERS, clock, site="here", speed_milli=1000, grace_s=60)
        self.keeper = bookkeeper(self.database, self.run, self.books, wait, clock, log=self.log)
        self.notes = self.keeper.notes

    def found(self, height: int, script: bytes = SITE.payout_script) -> bytes:
        """Offer a block that pays a script."""
        raw = make_block(bytes(32), height, 5000, script=script)
        block_hash = Block.parse(raw).hash
        self.keeper.found.block_found(
            FoundBlock(height, block_hash, raw, Verdict(None), "w", 1, 1 << 250, 0, 5000, self.clock.site_ms(), 0, ())
        )
        return block_hash

    def heights(self) -> list[int]:
        with self.database.read() as tx:
            return sorted(block.height for block in read_blocks(tx, None))

    def points(self) -> list[int]:
        with self.database.read() as tx:
            return [point.time_ms for point in day_observations(tx, SITE.site, 0, 1 << 62, 100)]

    def records(self) -> int:
        with self.database.read() as tx:
            return evidence_state(tx).records


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.run.close()
    desk.database.close()


async def test_a_quarter_hour_that_the_books_refuse_keeps_its_curve(desk: Desk) -> None:
    desk.notes.observations += [DayObservation(START_MS + n) for n in range(3)]
    desk.books.refusing = True
    closing = asyncio.create_task(desk.keeper.close_intervals())
    while desk.keeper.fault is None:
        await asyncio.sleep(0.01)
    closing.cancel()
    assert "refused by a test" in desk.keeper.fault
    assert [point.time_ms for point in desk.notes.observations] == [START_MS + n for n in range(3)]
    assert desk.log.checkpoints == []
    desk.books.refusing = False
    assert await desk.keeper.close_interval()
    assert desk.points() == [START_MS + n for n in range(3)]
    assert desk.notes.observations == []
    assert desk.log.checkpoints == [7]


async def test_a_block_that_the_books_refuse_is_named_and_holds_up_nothing(desk: Desk) -> None:
    desk.found(1)
    desk.found(2, script=OTHER)
    desk.found(3)
    recording = asyncio.create_task(desk.keeper.record_blocks())
    while desk.heights() != [1, 3] or desk.keeper.fault is None:
        assert not recording.done(), "an error of the books ended their keeping"
        await asyncio.sleep(0.01)
    assert "does not pay the payout script" in str(desk.keeper.fault)
    assert await desk.keeper.close_interval()
    assert desk.records() == 1
    assert "does not pay the payout script" in str(desk.keeper.fault), "it is offered again, and still refused"
    await desk.keeper.save()
    recording.cancel()
    assert [block.height for block in desk.keeper.found.refused] == [2]


async def test_what_cannot_be_split_is_the_books_word_for_it(desk: Desk) -> None:
    desk.found(1)
    block = desk.keeper.found.waiting[0]
    desk.keeper.found.waiting[0] = FoundBlock(
        block.height, block.hash, block.raw[:-1], block.verdict, "w", 1, 1 << 250, 0, 5000, START_MS, 0, ()
    )
    desk.found(2)
    assert await desk.keeper._record_found()
    assert desk.heights() == [2]
    assert "cannot be read" in str(desk.keeper.fault)


def test_the_pool_and_the_books_mean_the_same_by_folded_rows() -> None:
    assert (unclaimed.DAY_MS, unclaimed.OTHERS) == (attribution.DAY_MS, check_claims.OTHERS)
    assert unclaimed.FINAL == COINBASE_MATURITY
