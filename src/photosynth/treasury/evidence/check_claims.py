"""Is every share paid once: the blocks whose accrual stands, which are one chain, never claim more than was accepted.

A block of another branch may claim the same shares, for only one of the two is ever paid. A row of old work is folded: it
is of a whole UTC day, or of all days together, there also of several workers. What rows are of so lies inside each other or
apart, so it is enough that no quarter hour, no day and not all of them, of one worker and of all, are claimed beyond what is
on record there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.treasury.attribution import DAY_MS, Span, span_of
from photosynth.treasury.evidence.check_work import WorkState
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.facts import AttributionFact

OTHERS = "(others)"
"""The worker of a row of all days that stands for several."""
Sums = dict[tuple[str, int], list[int]]


@dataclass(slots=True)
class ClaimState:
    """What is carried over: whose work each block pays, which blocks stand, and what those claim of which quarter hour.

    ``folded`` are what folded rows claim, by the start of their day, zero for all days together.
    """

    rows: dict[bytes, tuple[AttributionFact, ...]] = field(default_factory=dict)
    standing: set[bytes] = field(default_factory=set)
    quarters: dict[int, dict[tuple[int, str, int], list[int]]] = field(default_factory=dict)
    folded: dict[int, Sums] = field(default_factory=dict)

    def attribute(self, block_hash: bytes, facts: tuple[AttributionFact, ...]) -> set[int]:
        """Remember whose work a block pays; returns the starts that have to be checked by now."""
        self.rows[block_hash] = facts
        if block_hash in self.standing:
            self._add(facts, 1)
            return _starts(facts)
        return set()

    def follow(self, moves: list[tuple[bytes, bool]]) -> set[int]:
        """Blocks were accrued (True) or reversed, in this order; returns the starts that have to be checked by now."""
        touched: set[int] = set()
        for block_hash, enters in moves:
            facts = self.rows.get(block_hash, ())
            if enters:
                self.standing.add(block_hash)
                touched |= _starts(facts)
            else:
                self.standing.discard(block_hash)
            self._add(facts, 1 if enters else -1)
        moves.clear()
        return touched

    def _add(self, facts: tuple[AttributionFact, ...], sign: int) -> None:
        for fact in facts:
            if span_of(fact) is Span.QUARTER_HOUR:
                quarter = self.quarters.setdefault(fact.interval_start_ms, {})
                sums = quarter.setdefault((fact.round, fact.worker, fact.scale), [0, 0])
            else:
                sums = self.folded.setdefault(fact.interval_start_ms, {}).setdefault((fact.worker, fact.scale), [0, 0])
            sums[0] += sign * fact.shares
            sums[1] += sign * fact.work


def _starts(facts: tuple[AttributionFact, ...]) -> set[int]:
    """Quarter hours and days that rows are of; zero for all days together."""
    return {fact.interval_start_ms for fact in facts}


def check_claims(starts: set[int], work: WorkState, state: ClaimState) -> None:
    """No quarter hour, day, or all together may be claimed beyond what was accepted in it, in shares or in work.

    A quarter hour that has no record yet is looked at when it gets one; one that lies before the newest record must have one.
    """
    for start_ms in sorted(start_ms for start_ms in starts if start_ms <= work.newest_ms):
        accepted = work.accepted.get(start_ms, {})
        for key, (shares, hashes) in state.quarters.get(start_ms, {}).items():
            known = accepted.get(key, [0, 0])
            if shares > known[0] or hashes > known[1]:
                raise EvidenceError(
                    f"blocks claim {shares} shares of worker {key[1]} in round {key[0]}, but {known[0]} are on record there"
                )
        if start_ms in state.folded:
            _check_folded(start_ms, work, state)


def check_folded(work: WorkState, state: ClaimState) -> None:
    """The same for every day of a folded row, and for all days together where a row is of them; for the end of a file."""
    for start_ms in sorted(state.folded):
        _check_folded(start_ms, work, state)


def _check_folded(start_ms: int, work: WorkState, state: ClaimState) -> None:
    inside = state.folded if start_ms == 0 else {start_ms: state.folded[start_ms]}
    claimed: Sums = {}
    for rows in inside.values():
        _add_up(claimed, rows.items())
    on_record: Sums = {}
    for at in work.accepted if start_ms == 0 else range(start_ms, start_ms + DAY_MS, INTERVAL_MS):
        _add_up(claimed, _by_worker(state.quarters.get(at, {})))
        _add_up(on_record, _by_worker(work.accepted.get(at, {})))
    if start_ms == 0:
        _check_others(claimed, on_record)
    for key, (shares, hashes) in claimed.items():
        known = on_record.get(key, [0, 0])
        if shares > known[0] or hashes > known[1]:
            when = "in all" if start_ms == 0 else "on one day"
            raise EvidenceError(f"blocks claim {shares} shares of worker {key[0]} {when}, but {known[0]} are on record there")


def _check_others(claimed: Sums, on_record: Sums) -> None:
    """Where rows are of several workers, all workers together are held against all that was accepted, scale by scale."""
    for scale in [scale for worker, scale in claimed if worker == OTHERS]:
        shares, hashes = _of_scale(claimed, scale)
        known = _of_scale(on_record, scale)
        if shares > known[0] or hashes > known[1]:
            raise EvidenceError(f"blocks claim {shares} shares of all workers at scale {scale}, but {known[0]} are on record")
        del claimed[OTHERS, scale]


def _of_scale(sums: Sums, wanted: int) -> tuple[int, int]:
    rows = [row for (_, scale), row in sums.items() if scale == wanted]
    return sum(row[0] for row in rows), sum(row[1] for row in rows)


def _by_worker(rows: Mapping[tuple[int, str, int], list[int]]) -> Iterator[tuple[tuple[str, int], list[int]]]:
    return (((worker, scale), sums) for (_, worker, scale), sums in rows.items())


def _add_up(into: Sums, rows: Iterable[tuple[tuple[str, int], list[int]]]) -> None:
    for key, (shares, hashes) in rows:
        sums = into.setdefault(key, [0, 0])
        sums[0] += shares
        sums[1] += hashes
