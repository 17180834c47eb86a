"""Quarter hours whose energy is unknown: what is known of their registers by now, so that later readings can be held against it.

There are few of them, and everything else about quarter hours is forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from photosynth.quantities.balance import Allocation, Energies
from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.facts import MeterFact, PriceFact
from photosynth.treasury.journal import Posting


@dataclass(slots=True)
class Bounds:
    """What a late register must say at the start and the end of its quarter hour, as far as other readings tell."""

    start_j: int | None
    end_j: int | None


@dataclass(slots=True)
class OpenHour:
    """A quarter hour that was closed without some registers. ``joined``: it goes on directly from the one before."""

    start_s: int
    seq: int
    joined: bool
    meters: dict[str, MeterFact]
    bounds: dict[str, Bounds]
    prices: PriceFact | None
    corrections: int = 0
    counted: tuple[Energies, Allocation] | None = None
    posted: tuple[Posting, ...] = ()
    first_id: int | None = None
    """The id of the first of ``posted`` in the journal, None until the books have them."""


@dataclass(slots=True)
class OpenHours:
    """All of a site's, by their start in seconds."""

    by_start: dict[int, OpenHour] = field(default_factory=dict)

    def begin(self, hour: OpenHour, ends_before: dict[str, int]) -> None:
        """A quarter hour was closed without some registers."""
        for fact in hour.meters.values():
            if fact.register_start_j is None or fact.register_end_j is None:
                known = ends_before.get(fact.id) if hour.joined else None
                start_j = known if fact.register_start_j is None else fact.register_start_j
                hour.bounds[fact.id] = Bounds(start_j, fact.register_end_j)
        self.by_start[hour.start_s] = hour

    def follow(self, start_s: int, facts: Iterable[MeterFact]) -> None:
        """A quarter hour goes on directly from the one before, whose late registers must end where its own begin."""
        before = self.by_start.get(start_s - INTERVAL_S)
        if before is None:
            return
        for fact in facts:
            bounds = before.bounds.get(fact.id)
            if bounds is not None and bounds.end_j is None:
                bounds.end_j = fact.register_start_j

    def correct(self, hour: OpenHour, late: Iterable[MeterFact]) -> None:
        """Put late registers into their quarter hour. Raises EvidenceError where others contradict them."""
        before = self.by_start.get(hour.start_s - INTERVAL_S) if hour.joined else None
        after = self.by_start.get(hour.start_s + INTERVAL_S)
        for fact in late:
            bounds = hour.bounds.get(fact.id)
            if bounds is None:
                raise EvidenceError(f"meter {fact.id} lacked no register in that quarter hour")
            start_j, end_j = fact.register_start_j, fact.register_end_j
            if start_j is None or end_j is None or fact.quality == "unknown":
                raise EvidenceError(f"a late reading of meter {fact.id} is unknown still")
            if bounds.start_j not in (None, start_j) or bounds.end_j not in (None, end_j):
                raise EvidenceError(f"the late registers of meter {fact.id} contradict those beside them")
            hour.meters[fact.id] = fact
            if before is not None and fact.id in before.bounds and before.bounds[fact.id].end_j is None:
                before.bounds[fact.id].end_j = start_j
            if after is not None and after.joined and fact.id in after.bounds and after.bounds[fact.id].start_j is None:
                after.bounds[fact.id].start_j = end_j
