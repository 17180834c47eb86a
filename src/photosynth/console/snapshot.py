"""What was seen of a fleet in one look: the whole status, and the parts of one site or of all that open pages need."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from photosynth.documents import (
    ActionDocument,
    BlockDocument,
    Condition,
    DayPoint,
    IncidentDocument,
    MachineDocument,
    NodeDocument,
    SitePart,
    Status,
    WorkersDocument,
)
from photosynth.quantities.instants import MARKET_ZONE


@dataclass(frozen=True)
class Snapshot:
    """What was seen; parts that no open page needs stay as they were. ``error`` is why the last look failed.

    ``site`` is the site whose machines, blocks, actions and so on these are; None: those of all.
    """

    status: Status | None = None
    site: str | None = None
    machines: tuple[MachineDocument, ...] = ()
    nodes: tuple[NodeDocument, ...] = ()
    day: tuple[DayPoint, ...] = ()
    blocks: tuple[BlockDocument, ...] = ()
    workers: WorkersDocument | None = None
    actions: tuple[ActionDocument, ...] = ()
    incidents: tuple[IncidentDocument, ...] = ()
    """Of the whole fleet: all that are not over, and the newest of the others."""
    seen_s: float = 0.0
    error: str | None = None

    @property
    def parts(self) -> tuple[SitePart, ...]:
        """The sites that the page is of: the chosen one, or all."""
        sites = () if self.status is None else tuple(self.status.sites)
        return sites if self.site is None else tuple(part for part in sites if part.name == self.site)

    @property
    def part(self) -> SitePart | None:
        """The one site that the page is of, also where the fleet has no other; None where there are several or none."""
        parts = self.parts
        return parts[0] if len(parts) == 1 else None

    @property
    def several(self) -> bool:
        """Whether what is shown may belong to one site or to another, so that its site must be named."""
        return len(self.parts) > 1

    @property
    def conditions(self) -> tuple[tuple[str | None, Condition], ...]:
        """What is wrong with the fleet itself (None) and at the sites that the page is of, with their names."""
        own = () if self.status is None else self.status.conditions
        return (*((None, found) for found in own), *((part.name, found) for part in self.parts for found in part.conditions))

    @property
    def zone(self) -> ZoneInfo:
        """Where the clocks hang: at the first site that the page is of, or of the market where the fleet has none."""
        return ZoneInfo(self.parts[0].site.zone) if self.parts else MARKET_ZONE

    @property
    def time_ms(self) -> int:
        """The fleet's time, 0 where nothing was seen. Simulated sites share it."""
        if self.status is None:
            return 0
        if self.parts:
            return self.parts[0].site.time_ms
        return int(datetime.fromisoformat(self.status.time).timestamp() * 1000)

    @property
    def wall_ms(self) -> int:
        """The machine's own time then, as it was told; 0 where nothing was seen."""
        return 0 if self.status is None else int(datetime.fromisoformat(self.status.wall_time).timestamp() * 1000)

    def age_ms(self, now_s: float, wall_s: float) -> int | None:
        """How old it is: since the look, or since the time that was told then, whichever is longer; None for nothing.

        ``now_s`` is of the monotonic clock, ``wall_s`` of the machine's.
        """
        if self.status is None:
            return None
        told_s = self.wall_ms / 1000
        return max(0, int(max(now_s - self.seen_s, wall_s - told_s - 1) * 1000))  # it tells whole seconds
