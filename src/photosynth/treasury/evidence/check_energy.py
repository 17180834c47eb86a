"""Does a quarter hour's energy hold: time and registers go on, sums, allocation and residual are as the rules say."""

from dataclasses import dataclass, field

from photosynth.quantities.balance import Allocation, Energies, allocate
from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury.evidence.open_hours import OpenHours
from photosynth.treasury.evidence.parsing import parse_allocation, parse_meter
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.facts import MeterFact, SiteFacts
from photosynth.treasury.mining import energy


@dataclass(slots=True)
class EnergyState:
    """What is carried from one quarter hour to the next: where time and registers stood, and sums for the report.

    ``hours`` are the quarter hours whose energy is unknown, until later readings make it known, and after.
    """

    next_start_s: int | None = None
    register_ends: dict[str, int] = field(default_factory=dict)
    gaps: int = 0
    waived: bool = False
    unknown_intervals: int = 0
    not_good: int = 0
    unsigned: bool = False
    own_mining_j: int = 0
    grid_mining_j: int = 0
    mining_j: int = 0
    residual_j: int = 0
    corrections: int = 0
    hours: OpenHours = field(default_factory=OpenHours)

    def waive(self) -> None:
        """A configuration says that what follows does not go on where the last quarter hour ended."""
        self.waived = True

    def go_on(self, next_start_s: int) -> None:
        """A quarter hour is over: the next one starts then."""
        self.next_start_s = next_start_s

    def count(self, energies: Energies, allocation: Allocation, sign: int = 1) -> None:
        """Add a quarter hour to the sums, or take it away."""
        self.residual_j += sign * energies.residual_j
        self.own_mining_j += sign * allocation.own_mining_j
        self.grid_mining_j += sign * allocation.grid_mining_j
        self.mining_j += sign * energies.mining_j


@dataclass(frozen=True, slots=True)
class CheckedTime:
    """When a quarter hour was: its start in site milliseconds, the wall time of its end, whether it goes on directly."""

    start_ms: int
    wall_end_ms: int
    joined: bool


def check_time(m: Members, state: EnergyState) -> CheckedTime:
    """Quarter hours follow each other without overlap; a gap has a configuration of its own before it."""
    start_s, duration_s = m.integer("start_utc_s"), m.integer("duration_s")
    wall_start_ms, wall_end_ms = m.integer("wall_start_ms"), m.integer("wall_end_ms")
    if m.integer("speed_milli") <= 0:
        raise EvidenceError("its speed is not positive")
    if duration_s != INTERVAL_S or start_s % INTERVAL_S:
        raise EvidenceError("it is not a whole quarter hour")
    if wall_end_ms < wall_start_ms:
        raise EvidenceError("it ends before it begins, by the wall clock")
    if state.next_start_s is not None:
        if start_s < state.next_start_s:
            raise EvidenceError("its quarter hour lies before the end of the one before")
        if start_s > state.next_start_s and not state.waived:
            raise EvidenceError("a quarter hour is missing before it")
    joined = start_s == state.next_start_s and not state.waived
    state.gaps += state.next_start_s is not None and start_s > state.next_start_s
    state.go_on(start_s + duration_s)
    return CheckedTime(start_s * 1000, wall_end_ms, joined)


@dataclass(frozen=True, slots=True)
class CheckedEnergy:
    """The meters of a quarter hour as they are listed, its energies (None: unknown), and where its registers had to start."""

    facts: list[MeterFact]
    energies: Energies | None
    ends_before: dict[str, int]


def check_energy(m: Members, site: SiteFacts, state: EnergyState) -> CheckedEnergy:
    """Registers, residual and allocation of a quarter hour."""
    facts = [parse_meter(entry) for entry in m.rows("meters")]
    if sorted(fact.id for fact in facts) != sorted(meter.id for meter in site.meters):
        raise EvidenceError("its meters are not those that the site names, each of them once")
    lacking = [fact.id for fact in facts if fact.register_start_j is None or fact.register_end_j is None]
    before = {name: state.register_ends[name] for name in lacking if name in state.register_ends}
    _check_registers(facts, state)
    estimate_j = m.maybe_integer("curtailed_estimate_j")
    if estimate_j is not None and estimate_j < 0:
        raise EvidenceError("its estimate of curtailed energy is negative")
    state.not_good += any(fact.quality != "good" for fact in facts)
    state.unsigned = state.unsigned or any(fact.signature is None for fact in facts)
    found = energy.energies(site.meters, facts)
    allocation = check_balance(m, site, facts, found)
    if found is None or allocation is None:
        state.unknown_intervals += 1
        return CheckedEnergy(facts, None, before)
    state.count(found, allocation)
    return CheckedEnergy(facts, found, before)


def check_balance(m: Members, site: SiteFacts, facts: list[MeterFact], found: Energies | None) -> Allocation | None:
    """Residual and allocation are those of the energies of all meters, both null where these are unknown."""
    residual_j, allocation = m.maybe_integer("residual_j"), parse_allocation(m.take("allocation"))
    if found is None:
        if residual_j is not None or allocation is not None:
            raise EvidenceError("it allocates energy although a register is unknown")
        return None
    if residual_j != found.residual_j:
        raise EvidenceError(f"its residual is {residual_j} J, but its registers leave {found.residual_j} J")
    if allocation != allocate(found):
        raise EvidenceError("its allocation does not follow from its registers by the rule factory-first-1")
    bound_j = energy.residual_bound_j(site.meters, facts)
    good = all(fact.quality == "good" for fact in facts)
    if good and bound_j is not None and abs(found.residual_j) > bound_j:
        raise EvidenceError(f"its meters differ by {abs(found.residual_j)} J; their classes explain {bound_j} J at most")
    return allocation


def _check_registers(facts: list[MeterFact], state: EnergyState) -> None:
    for fact in facts:
        known = state.register_ends.get(fact.id)
        start = fact.register_start_j
        if known is not None and start is not None and start != known and not state.waived:
            raise EvidenceError(f"meter {fact.id} begins at {start} J, but the quarter hour before left it at {known} J")
        # After an unknown reading only a known one is compared again.
        state.register_ends.pop(fact.id, None)
        if fact.register_end_j is not None:
            state.register_ends[fact.id] = fact.register_end_j
    state.waived = False
