"""One mining site as its services share it: what was declared, what it kept, and the places where they meet."""

import socket
from dataclasses import dataclass, field

from photosynth.actions import ActionSink
from photosynth.energy.coin_market import CoinMarket, CoinQuote
from photosynth.energy.market import Market
from photosynth.fleet import MiningSite, Site
from photosynth.pool.share_log import ShareLog
from photosynth.sites.clock import RunningClock
from photosynth.sites.day_notes import DayNotes
from photosynth.sites.field import OpenField
from photosynth.sites.files import SiteFiles
from photosynth.sites.found_blocks import FoundBlocks
from photosynth.sites.guarded_meters import GuardedMeters
from photosynth.sites.heads import EvidenceHeads
from photosynth.sites.stopping import StopSwitch
from photosynth.sites.work import Work
from photosynth.storage import Database, Runner


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """What one run of a site is given beyond its fleet file. ``end_ms`` and ``replay`` are a recorded day's."""

    mining: MiningSite
    market: Market
    coin_market: CoinMarket
    open_field: OpenField
    pool_listener: socket.socket
    """Listens already; whoever connects waits until the pool serves."""
    start_ms: int
    end_ms: int | None = None
    replay: str | None = None

    @property
    def name(self) -> str:
        """The site's name in the fleet file."""
        return self.mining.site.name


@dataclass(frozen=True, slots=True)
class OperatedSite:
    """Everything that the services of one site share, all of it there before the first of them."""

    settings: SiteSettings
    files: SiteFiles
    clock: RunningClock
    database: Database
    run: Runner
    audit: ActionSink
    heads: EvidenceHeads
    log: ShareLog
    began_ms: int
    """Site time of its first start."""
    stop: StopSwitch
    notes: DayNotes
    found: FoundBlocks = field(default_factory=FoundBlocks)
    meters: GuardedMeters = field(default_factory=GuardedMeters)
    work: Work = field(default_factory=Work)

    @property
    def mining(self) -> MiningSite:
        """The site with what the rest of its fleet file gives it."""
        return self.settings.mining

    @property
    def declared(self) -> Site:
        """The site as the fleet file declares it."""
        return self.settings.mining.site

    @property
    def name(self) -> str:
        """Its name, which is also that of its stream of evidence."""
        return self.settings.name

    @property
    def pool_address(self) -> tuple[str, int]:
        """Host and port where machines find the pool, also before it serves."""
        host, port, *_ = self.settings.pool_listener.getsockname()
        return str(host), int(port)

    def quote(self) -> CoinQuote:
        """What mining is paid with now."""
        quote = self.settings.coin_market.at(self.clock.site_ms())
        assert quote is not None, "a site's coin market has a quote for every instant of its run"
        return quote

    def found_block(self, block_hash: bytes) -> bool:
        """Whether its pool found a block, which it knows before the node does; its log tells what it found before."""
        return self.work.found(block_hash) or block_hash in self.log.account.claims
