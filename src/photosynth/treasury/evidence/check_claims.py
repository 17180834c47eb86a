"""Is every share paid once: the blocks whose accrual stands, which are one chain, never claim more than was accepted.

A block of another branch may claim the same shares, for only one of the two is ever paid. A row of old work is folded: it
is of a whole UTC day, or of all days together, there also of several workers. What rows are of so lies inside each other or
apart, so it is enough that no quarter hour, no day and not all of them, of one worker and of all, are claimed beyond what is
on record there. Sums are kept, so that a block costs what its own rows cost, however many came before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from photosynth.treasury.evidence.check_work import Quarter, Tally, WorkState
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.facts import AttributionFact
from photosynth.treasury.mining.attribution import DAY_MS, span_of

OTHERS = "(others)"
"""The worker of a row of all days that stands for several."""
Claims = tuple[tuple[int, Quarter], ...]
"""What rows claim by the start of their time; those of several rounds have round 0."""


@dataclass(slots=True)
class ClaimState:
    """What is carried over: whose work each block pays, and what those that stand claim of which time.

    ``quarters`` are quarter hours, ``spans`` days by their start and all of them together at zero; what is claimed of a quarter
    hour is in its spans as soon as it is on record. ``folded`` are the spans that rows were of.
    """

    rows: dict[bytes, Claims] = field(default_factory=dict)
    quarters: dict[int, Quarter] = field(default_factory=dict)
    spans: dict[int, Tally] = field(default_factory=dict)
    folded: set[int] = field(default_factory=set)
    _later: list[tuple[int, Quarter, int]] = field(default_factory=list)
    """What is in no span yet: as long as no row was folded nobody asks for those, and most files have none."""
    _own: set[int] = field(default_factory=set)
    """Quarter hours whose dict is nobody else's, and is changed where it stands."""

    def enter(self, claims: Claims, work: WorkState) -> None:
        """A block stands. Raises EvidenceError where more is claimed by now than was accepted."""
        self._move(claims, 1, work)
        for start_ms, rows in claims:
            if start_ms <= work.newest_ms:
                self._check(start_ms, rows, work)

    def leave(self, claims: Claims, work: WorkState) -> None:
        """A block stands no longer."""
        self._move(claims, -1, work)

    def settle(self, start_ms: int, work: WorkState) -> None:
        """A quarter hour is on record now, which blocks may have claimed before. Raises EvidenceError as :meth:`enter`."""
        rows = self.quarters.get(start_ms)
        if rows:
            self._add_up(start_ms, dict(rows) if start_ms in self._own else rows, 1)
            self._check(start_ms, rows, work)

    def check_spans(self, work: WorkState) -> None:
        """Every day of a folded row, and all days together where a row is of them; for the end of a file."""
        for span in sorted(self.folded):
            self._catch_up()
            for worker, scale in self.spans[span].by_worker:
                self._check_span(span, worker, scale, work)

    def _move(self, claims: Claims, sign: int, work: WorkState) -> None:
        for start_ms, rows in claims:
            folded = sum([not key[0] for key in rows])
            rounds = {key: sums for key, sums in rows.items() if key[0]} if folded else rows
            if rounds:
                # Most quarter hours are claimed by one block; they share its rows.
                if start_ms not in self.quarters and sign == 1 and not folded:
                    self.quarters[start_ms] = rows
                else:
                    self._add_to_quarter(start_ms, rounds, sign)
                if start_ms <= work.newest_ms:
                    self._add_up(start_ms, rounds, sign)
            if folded:
                self.folded.add(start_ms)
                self._add_up(start_ms, {key: sums for key, sums in rows.items() if not key[0]}, sign)

    def _add_to_quarter(self, start_ms: int, rows: Quarter, sign: int) -> None:
        if start_ms not in self._own:
            self._own.add(start_ms)
            self.quarters[start_ms] = dict(self.quarters.get(start_ms, {}))
        known = self.quarters[start_ms]
        for key, (shares, hashes) in rows.items():
            before = known.get(key, (0, 0))
            known[key] = (before[0] + sign * shares, before[1] + sign * hashes)

    def _add_up(self, start_ms: int, rows: Quarter, sign: int) -> None:
        """Rows that nobody changes any more, or takes away again."""
        self._later.append((start_ms, rows, sign))

    def _catch_up(self) -> None:
        """All that is claimed is in its spans."""
        for start_ms, rows, sign in self._later:
            for span in _spans(start_ms):
                tally = self.spans.setdefault(span, Tally())
                for (_, worker, scale), (shares, hashes) in rows.items():
                    tally.add(worker, scale, sign * shares, sign * hashes)
        self._later.clear()

    def _check(self, start_ms: int, rows: Quarter, work: WorkState) -> None:
        claimed, accepted = self.quarters.get(start_ms), work.accepted.get(start_ms, {})
        if claimed is not accepted:
            _check_quarter({key: self.quarters[start_ms][key] for key in rows if key[0]}, accepted)
        if not self.folded:
            return
        self._catch_up()
        for span in _spans(start_ms):
            if span in self.folded:
                for _, worker, scale in rows:
                    self._check_span(span, worker, scale, work)

    def _check_span(self, span: int, worker: str, scale: int, work: WorkState) -> None:
        claimed, on_record = self.spans[span], work.accepted_in(span)
        if not span and claimed.by_worker.get((OTHERS, scale), (0, 0)) != (0, 0):
            shares, hashes = claimed.by_scale[scale]
            known = on_record.by_scale.get(scale, (0, 0))
            if shares > known[0] or hashes > known[1]:
                raise EvidenceError(f"blocks claim {shares} shares of all workers at scale {scale}, but {known[0]} are on record")
            if worker == OTHERS:
                return
        shares, hashes = claimed.by_worker.get((worker, scale), (0, 0))
        known = on_record.by_worker.get((worker, scale), (0, 0))
        if shares > known[0] or hashes > known[1]:
            when = "on one day" if span else "in all"
            raise EvidenceError(f"blocks claim {shares} shares of worker {worker} {when}, but {known[0]} are on record there")


def _spans(start_ms: int) -> set[int]:
    """The day that a time lies in, and all of them."""
    return {0, start_ms - start_ms % DAY_MS}


def _check_quarter(claimed: Quarter, accepted: Quarter) -> None:
    for key, (shares, hashes) in claimed.items():
        known = accepted.get(key, (0, 0))
        if shares > known[0] or hashes > known[1]:
            raise EvidenceError(
                f"blocks claim {shares} shares of worker {key[1]} in round {key[0]}, but {known[0]} are on record there"
            )


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


def check_alone(claims: Claims, work: WorkState) -> None:
    """Also a block that does not stand claims nothing that was never accepted. Raises EvidenceError.

    A quarter hour that has no record yet is looked at when it gets one and the block stands; one that lies before the newest
    record must have one.
    """
    ClaimState().enter(claims, work)
