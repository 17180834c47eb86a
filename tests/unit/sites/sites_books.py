"""A bookkeeper for tests: everything that its books and its meters do not decide is made here."""

from dataclasses import dataclass, field
from typing import cast

from tests.unit.clock_and_audit import START_MS
from tests.unit.sites.sites_fakes import QUOTE, FakeMarket

from photosynth.energy.coin_market import DeclaredCoinMarket
from photosynth.energy.import_peak import ImportPeak
from photosynth.pool.results import IntervalWork
from photosynth.pool.share_log import ShareLog
from photosynth.sites.bookkeeper import Bookkeeper
from photosynth.sites.clock import RunningClock
from photosynth.sites.day_notes import DayNotes
from photosynth.sites.found_blocks import FoundBlocks
from photosynth.sites.heads import EvidenceHeads
from photosynth.sites.meter_wait import MeterWait
from photosynth.storage import Database, Runner
from photosynth.treasury import SiteBooks


@dataclass
class QuietLog:
    """The share log of a pool in which nobody works; ``checkpoints`` are those that it was told of."""

    checkpoints: list[int] = field(default_factory=list)

    async def interval_work(self, start_ms: int) -> IntervalWork:
        return IntervalWork(start_ms, (), {}, {}, {}, 7)

    def checkpoint(self, seq: int) -> None:
        self.checkpoints.append(seq)


def bookkeeper(
    database: Database, run: Runner, books: SiteBooks, meter_wait: MeterWait, clock: RunningClock, *, log: QuietLog | None = None
) -> Bookkeeper:
    """A bookkeeper that begins at START_MS, of a site whose machines nobody has reached yet, in its first life."""
    return Bookkeeper(
        database=database,
        run=run,
        books=books,
        heads=EvidenceHeads(),
        found=FoundBlocks(),
        log=cast(ShareLog, log or QuietLog()),
        meter_wait=meter_wait,
        notes=DayNotes(ImportPeak(), None),
        market=FakeMarket(),
        coin_market=DeclaredCoinMarket(QUOTE),
        clock=clock,
        parties={},
        next_start_ms=START_MS,
        wall_start_ms=START_MS,
        closed=lambda _record, _last_seq: None,
    )
