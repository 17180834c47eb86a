"""The books of one site in operation: its evidence opened, its found blocks and quarter hours written down."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from photosynth.quantities.instants import INTERVAL_MS, interval_start_ms
from photosynth.sites.bookkeeper import Bookkeeper
from photosynth.sites.configuration import site_facts
from photosynth.sites.meter_wait import MeterWait
from photosynth.sites.past import LastInterval, booked_shares, last_interval
from photosynth.sites.site import OperatedSite
from photosynth.storage import StorageError
from photosynth.treasury.books import Books
from photosynth.treasury.evidence.lines import EvidenceRecord, last_line
from photosynth.treasury.evidence.seal import Identity

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Noted:
    """Who is told how far a site's evidence and share log have come, and that its first start has made every part."""

    made: Callable[[], None]
    closed: Callable[[EvidenceRecord, int], None]


class SiteBooks:
    """The bookkeeper of a site at work; made by :func:`open_books`."""

    def __init__(self, site: OperatedSite, keeper: Bookkeeper, noted: Noted) -> None:
        self._site, self.keeper, self._noted = site, keeper, noted

    async def run(self) -> None:
        """Write down what happens until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keeper.record_blocks(), name="blocks")
            tasks.create_task(self.keeper.close_intervals(), name="intervals")

    async def close(self) -> None:
        """Write down what waits, and note how far it came."""
        await self.keeper.save()
        site = self._site

        def newest() -> EvidenceRecord | None:
            with site.database.read() as tx:
                return last_line(tx, site.name)

        try:
            record = await site.run(newest)
        except StorageError as error:
            log.warning(
                "how far the evidence came is not noted; the older note is true as well", site=site.name, error=str(error)
            )
            return
        if record is not None:
            self._noted.closed(record, site.log.account.last_seq)


async def open_books(site: OperatedSite, genesis_hash: bytes, identity: Identity, noted: Noted) -> SiteBooks:
    """Open the evidence and go on where it stands. Raises TreasuryError, SealError, StorageError, OSError."""
    books = Books(site_facts(site.mining, genesis_hash), identity)

    def begin() -> tuple[bytes, LastInterval | None, int]:
        with site.database.begin() as tx:
            return books.open(tx), last_interval(tx, site.name), booked_shares(tx, site.name)

    head, last, share_seq = await site.run(begin)
    site.log.checkpoint(share_seq)  # which rewrites the log: only now is it sure that all of this belongs together
    noted.made()
    site.heads.moved(site.name, head)
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
    return SiteBooks(site, keeper, noted)
