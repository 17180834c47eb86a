"""Registers that come late: meters are asked again for the quarter hours that were closed without them, for a day.

Meters keep what they latched for days, so that what they tell when they are back is as exact as what they would have told in
time. Each quarter hour is corrected once, as soon as no register of it is missing.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from photosynth.energy.meters import MeterError, Meters
from photosynth.quantities.instants import Clock, iso_utc
from photosynth.storage import Database, Runner, StorageError
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.facts import CorrectionFacts, MeterFact
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.mining.site_books import SiteBooks
from photosynth.treasury.mining.unknown_intervals import OpenInterval, open_intervals

log = structlog.get_logger()

ASK_S = 60.0
"""Wall seconds between two rounds of questions."""
KEPT_MS = 86_400_000
"""Site time for which meters are asked for a quarter hour that they lacked; what is older stays unknown."""


@dataclass(slots=True)
class LateReadings:
    """Corrects a site's quarter hours when their meters tell what they lacked.

    ``corrected`` is told of the newest line of evidence after each correction.
    """

    meters: Meters
    clock: Clock
    database: Database
    run: Runner
    books: SiteBooks
    corrected: Callable[[EvidenceRecord], None]

    async def keep_asking(self) -> None:
        """Ask now and then, for ever."""
        while True:
            await asyncio.sleep(ASK_S)
            await self.ask()

    async def ask(self) -> int:
        """Ask for every quarter hour of the last day that lacks registers; how many were corrected."""
        since_ms, number = self.clock.site_ms() - KEPT_MS, 0
        try:
            for interval in await self.run(lambda: self._open_since(since_ms)):
                number += await self._ask_for(interval)
        except (MeterError, StorageError) as error:
            log.info("late readings have to wait", why=str(error))
        return number

    def _open_since(self, since_ms: int) -> list[OpenInterval]:
        with self.database.read() as tx:
            return open_intervals(tx, self.books.site.site, since_ms)

    async def _ask_for(self, interval: OpenInterval) -> bool:
        found = await self.meters.profile(interval.start_ms) or {}
        readings = {name: found[name] for name in interval.meters if name in found and found[name].quality != "unknown"}
        if readings.keys() != set(interval.meters):
            return False
        late = tuple(MeterFact(name, each.start_j, each.end_j, each.quality) for name, each in sorted(readings.items()))
        facts = CorrectionFacts(interval.start_ms, self.clock.wall_ms(), late)
        try:
            record = await self.run(lambda: self._correct(facts))
        except TreasuryError as error:
            log.warning("late readings are refused", start=iso_utc(interval.start_ms), why=str(error))
            return False
        if record is None:
            return False
        log.info("late readings complete a quarter hour", start=iso_utc(interval.start_ms), meters=sorted(readings))
        self.corrected(record)
        return True

    def _correct(self, facts: CorrectionFacts) -> EvidenceRecord | None:
        with self.database.begin() as tx:
            return self.books.correct_interval(tx, facts)
