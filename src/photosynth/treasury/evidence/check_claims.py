"""Is every share paid once: the blocks whose accrual stands, which are one chain, never claim more than was accepted.

A block of another branch may claim the same shares, for only one of the two is ever paid. A row of old work is folded: it
is of a whole UTC day, or of all days together, there also of several workers. What rows are of so lies inside each other or
apart, so it is enough that no quarter hour, no day and not all of them, of one worker and of all, are claimed beyond what is
on record there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.treasury.attribution import DAY_MS, span_of
from photosynth.treasury.evidence.check_work import Quarter, Sums, WorkState, add_up, by_worker
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.facts import AttributionFact

K = TypeVar("K")
OTHERS = "(others)"
"""The worker of a row of all days that stands for several."""
Claims = tuple[tuple[int, Quarter], ...]
"""What rows claim by the start of their time; those of several rounds have round 0."""


@dataclass(slots=True)
class ClaimState:
    """What is carried over: whose work each block pays, which blocks stand, and what those claim of which quarter hour.

    ``folded`` are what folded rows claim, by the start of their day, zero for all days together.
    """

    rows: dict[bytes, Claims] = field(default_factory=dict)
    standing: set[bytes] = field(default_factory=set)
    quarters: dict[int, Quarter] = field(default_factory=dict)
    folded: dict[int, Sums] = field(default_factory=dict)

    def attribute(self, block_hash: bytes, claims: Claims) -> set[int]:
        """Remember whose work a block pays; returns the starts that have to be checked by now."""
        self.rows[block_hash] = claims
        if block_hash in self.standing:
            self._add(claims, 1)
            return _starts(claims)
        return set()

    def follow(self, moves: list[tuple[bytes, bool]]) -> set[int]:
        """Blocks were accrued (True) or reversed, in this order; returns the starts that have to be checked by now."""
        touched: set[int] = set()
        for block_hash, enters in moves:
            claims = self.rows.get(block_hash, ())
            if enters:
                self.standing.add(block_hash)
                touched |= _starts(claims)
            else:
                self.standing.discard(block_hash)
            self._add(claims, 1 if enters else -1)
        moves.clear()
        return touched

    def _add(self, claims: Claims, sign: int) -> None:
        for start_ms, rows in claims:
            rounds = {key: sums for key, sums in rows.items() if key[0]}
            if rounds:
                known = self.quarters.get(start_ms)
                # Most quarter hours are claimed by one block; they share its rows.
                alone = known is None and sign == 1 and len(rounds) == len(rows)
                self.quarters[start_ms] = rows if alone else _added(known or {}, rounds, sign)
            if len(rounds) < len(rows):
                folded = {(worker, scale): sums for (round_, worker, scale), sums in rows.items() if not round_}
                self.folded[start_ms] = _added(self.folded.get(start_ms, {}), folded, sign)


def _added(known: dict[K, tuple[int, int]], rows: dict[K, tuple[int, int]], sign: int) -> dict[K, tuple[int, int]]:
    found = dict(known)
    for key, (shares, hashes) in rows.items():
        before = found.get(key, (0, 0))
        found[key] = (before[0] + sign * shares, before[1] + sign * hashes)
    return found


def claims_of(facts: Iterable[AttributionFact], accepted: Mapping[int, Quarter]) -> Claims:
    """What the rows of an attribution claim. Raises ValueError where a row is of no time that there is.

    What is all that was accepted in a quarter hour is the dict that says so: a year has tens of thousands.
    """
    found: dict[int, Quarter] = {}
    for fact in facts:
        span_of(fact)
        rows = found.setdefault(fact.interval_start_ms, {})
        key = (fact.round, fact.worker, fact.scale)
        shares, hashes = rows.get(key, (0, 0))
        rows[key] = (shares + fact.shares, hashes + fact.work)
    return tuple((start_ms, shared(start_ms, rows, accepted)) for start_ms, rows in found.items())


def shared(start_ms: int, rows: Quarter, accepted: Mapping[int, Quarter]) -> Quarter:
    """The rows, as the very dict of what was accepted where they are the same, in the same order too: what is refused first."""
    known = accepted.get(start_ms)
    return known if known is not None and known == rows and list(known) == list(rows) else rows


def _starts(claims: Claims) -> set[int]:
    """Quarter hours and days that rows are of; zero for all days together."""
    return {start_ms for start_ms, _ in claims}


def check_claims(starts: set[int], work: WorkState, state: ClaimState) -> None:
    """No quarter hour, day, or all together may be claimed beyond what was accepted in it, in shares or in work.

    A quarter hour that has no record yet is looked at when it gets one; one that lies before the newest record must have one.
    """
    for start_ms in sorted(start_ms for start_ms in starts if start_ms <= work.newest_ms):
        accepted = work.accepted.get(start_ms, {})
        for key, (shares, hashes) in state.quarters.get(start_ms, {}).items():
            known = accepted.get(key, (0, 0))
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
        add_up(claimed, rows.items())
    in_day = range(start_ms, start_ms + DAY_MS, INTERVAL_MS)
    # In the order of time: what is refused is the first that is too much.
    for at in sorted(state.quarters.keys() & work.accepted.keys()) if start_ms == 0 else in_day:
        add_up(claimed, by_worker(state.quarters.get(at, {})))
    on_record = work.accepted_in(start_ms)
    if start_ms == 0:
        _check_others(claimed, on_record)
    for key, (shares, hashes) in claimed.items():
        known = on_record.get(key, (0, 0))
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
