"""The books of one site in operation: its evidence opened, its found blocks and quarter hours written down."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from photosynth.quantities.instants import INTERVAL_MS, interval_start_ms
from photosynth.sites.bookkeeper import Bookkeeper
from photosynth.sites.configuration import site_facts
from photosynth.sites.late_readings import LateReadings
from photosynth.sites.meter_wait import MeterWait
from photosynth.sites.past import LastInterval, booked_shares, last_interval
from photosynth.sites.site import OperatedSite
from photosynth.storage import StorageError
from photosynth.treasury.evidence.lines import EvidenceRecord, newest_line
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.fleet_books import FleetBooks
from photosynth.treasury.mining.site_books import SiteBooks

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Noted:
    """Who is told how far a site's evidence and share log have come, and that its first start has made every part."""

    made: Callable[[], None]
    closed: Callable[[EvidenceRecord, int], None]


class KeptBooks:
    """The bookkeeper of a site at work; made by :func:`open_books`."""

    def __init__(self, site: OperatedSite, keeper: Bookkeeper, noted: Noted) -> None:
        self._site, self.keeper, self._noted = site, keeper, noted
        self._late = LateReadings(site.meters, site.clock, site.database, site.run, keeper.books, self._corrected)

    async def run(self) -> None:
        """Write down what happens until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.record_blocks(), name="blocks")
            tasks.create_task(self.keeper.close_intervals(), name="intervals")
            tasks.create_task(self._late.keep_asking(), name="late readings")

    def _corrected(self, record: EvidenceRecord) -> None:
        """Late readings have brought the evidence further."""
        self._site.heads.moved(record)
        self._noted.closed(record, 0)

    async def close(self) -> None:
        """Write down what waits, and note how far it came."""
        await self.keeper.save()
        site = self._site

        def newest() -> EvidenceRecord | None:
            with site.database.read() as tx:
                return newest_line(tx)

        try:
            record = await site.run(newest)
        except StorageError as error:
            log.warning(
                "how far the evidence came is not noted; the older note is true as well", site=site.name, error=str(error)
            )
            return
        if record is not None:
            self._noted.closed(record, site.log.account.last_seq)


async def open_books(site: OperatedSite, genesis_hash: bytes, fleet: FleetBooks, identity: Identity, noted: Noted) -> KeptBooks:
    """Open the evidence and go on where it stands. Raises TreasuryError, SealError, StorageError, OSError."""
    books = SiteBooks(site_facts(site.mining, genesis_hash), identity, fleet)

    def begin() -> tuple[EvidenceRecord | None, LastInterval | None, int]:
        with site.database.begin() as tx:
            books.open(tx)
            return newest_line(tx), last_interval(tx, site.name), booked_shares(tx, site.name)

    newest, last, share_seq = await site.run(begin)
    site.log.checkpoint(share_seq)  # which rewrites the log: only now is it sure that all of this belongs together
    noted.made()
    assert newest is not None, "books that are open have a line"
    site.heads.moved(newest)
    # Before the first is closed, shares of an earlier start belong to theirs.
    first_ms = min([interval_start_ms(site.began_ms), *site.log.account.open_intervals()])
    keeper = Bookkeeper(
        database=site.database,
        run=site.run,
        books=books,
        heads=site.heads,
        found=site.found,
        log=site.log,
        meter_wait=MeterWait(
            site.meters,
            [meter.id for meter in site.declared.meters],
            site.clock,
            site=site.name,
            speed_milli=site.clock.time.speed_milli,
            grace_s=site.mining.fleet.ledger.meter_grace_s,
        ),
        notes=site.notes,
        market=site.settings.market,
        coin_market=site.settings.coin_market,
        clock=site.clock,
        parties=site.declared.party_of_worker(),
        next_start_ms=first_ms if last is None else last.start_ms + INTERVAL_MS,
        wall_start_ms=site.clock.wall_ms() if last is None else last.wall_end_ms,
        closed=noted.closed,
    )
    return KeptBooks(site, keeper, noted)
