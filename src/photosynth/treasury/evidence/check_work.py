"""Does a quarter hour's work hold: its lowest headers really hash as low as so much work would, and pay us."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from photosynth.quantities.work import TWO_256
from photosynth.treasury.evidence.body import BEST_HEADERS
from photosynth.treasury.evidence.check_headers import Asked, HeaderState, check_headers
from photosynth.treasury.evidence.coinbases import JobCoinbases
from photosynth.treasury.evidence.heads import Commitment
from photosynth.treasury.evidence.parsing import parse_commitment, parse_work
from photosynth.treasury.evidence.reading import EvidenceError, Members, octets, rows
from photosynth.treasury.facts import WorkFact
from photosynth.treasury.mining.attribution import DAY_MS

Committed = Callable[[Commitment, bytes], int]
"""The place in the file that a commitment binds."""

LEAST, MOST = 8, 80
"""Bounds of how many listed shares hash as low as the highest of 32 best headers, by expectation. For honest shares of one
target it follows a gamma distribution of shape 32 (mean 32, standard deviation 5.7), of several targets a narrower one:
outside these bounds lies less than one honest record in a thousand million. Above it shares were invented. Below it they were
left out, or a miner handed in only what met a harder target of its own, as some machines do: that is no fault."""

Quarter = dict[tuple[int, str, int], tuple[int, int]]
"""Shares and work of a quarter hour by round, worker and scale. Several places hold one such dict, so none changes it."""


@dataclass(slots=True)
class Tally:
    """Shares and work added up, by worker and scale, and by scale alone."""

    by_worker: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    by_scale: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, worker: str, scale: int, shares: int, hashes: int) -> None:
        """Add shares and work; negative ones take them away."""
        before = self.by_worker.get((worker, scale), (0, 0))
        self.by_worker[worker, scale] = (before[0] + shares, before[1] + hashes)
        before = self.by_scale.get(scale, (0, 0))
        self.by_scale[scale] = (before[0] + shares, before[1] + hashes)


NOTHING = Tally()


@dataclass(slots=True)
class WorkState(HeaderState):
    """What is carried over: accepted shares and work by quarter hour, what best headers need, and sums for the report."""

    accepted: dict[int, Quarter] = field(default_factory=dict)
    newest_ms: int = -1
    shares: int = 0
    rejected: int = 0
    work: int = 0
    represented: int = 0
    estimated_work: int = 0
    better_than_listed: int = 0
    _tallies: dict[int, Tally] = field(default_factory=dict)
    _tallied: int = 0

    def accepted_in(self, start_ms: int) -> Tally:
        """What was accepted in the day (UTC) that starts then, in all days for zero. Nobody changes it.

        Each quarter hour is added once, when somebody asks: a file may ask as often as it has blocks.
        """
        for at in list(islice(reversed(self.accepted), len(self.accepted) - self._tallied)):
            rows = self.accepted[at]
            for span in {0, at - at % DAY_MS}:
                tally = self._tallies.setdefault(span, Tally())
                for (_, worker, scale), (shares, hashes) in rows.items():
                    tally.add(worker, scale, shares, hashes)
        self._tallied = len(self.accepted)
        return self._tallies.get(start_ms, NOTHING)


def check_work(m: Members, payout_script: bytes, start_ms: int, state: WorkState, committed: Committed) -> int:
    """Check a quarter hour's work against its best headers, remember it for the blocks that claim it; returns accepted shares."""
    work, rejected = parse_work(m)
    jobs = [_job(entry) for entry in m.rows("jobs")]
    by_scale: dict[int, list[WorkFact]] = {}
    totals: Quarter = {}
    state.newest_ms = start_ms
    for fact in work:
        by_scale.setdefault(fact.scale, []).append(fact)
        key = (fact.round, fact.worker, fact.scale)
        shares, hashes = totals.get(key, (0, 0))
        totals[key] = (shares + fact.accepted, hashes + fact.work)
        state.work += fact.work
        state.represented += fact.represented
        state.shares += fact.accepted
    state.accepted[start_ms] = in_order(totals)
    state.rejected += sum(fact.shares for fact in rejected)
    listed = {}
    for entry in m.rows("best"):
        best = Members(entry, "best headers")
        scale = best.count("scale")
        if scale in listed:
            raise EvidenceError(f"best headers are listed twice for the scale {scale}")
        listed[scale] = best.rows("headers")
        best.finish()
    if not listed.keys() <= by_scale.keys():
        raise EvidenceError("it lists best headers of a scale without work")
    for scale, facts in by_scale.items():
        asked = Asked(0, {fact.round for fact in facts}, jobs, payout_script, committed)
        _check_best(listed.get(scale, []), facts, asked, state)
    return sum(fact.accepted for fact in work)


def _check_best(entries: list[Any], work: list[WorkFact], asked: Asked, state: WorkState) -> None:
    accepted = sum(fact.accepted for fact in work)
    if len(entries) != min(BEST_HEADERS, accepted):
        raise EvidenceError(f"{accepted} accepted shares have {min(BEST_HEADERS, accepted)} best headers, not {len(entries)}")
    if not entries:
        return
    loosest = max(fact.target for fact in work if fact.accepted)
    highest = check_headers(entries, replace(asked, loosest=loosest), state)
    claimed = sum(fact.work for fact in work)
    if len(entries) < BEST_HEADERS:
        state.estimated_work += claimed
        return
    as_low = expected_as_low(work, highest)
    if as_low > MOST * TWO_256:
        raise EvidenceError("its best headers are too few for so much work: shares are listed that nobody hashed")
    state.better_than_listed += as_low < LEAST * TWO_256
    state.estimated_work += claimed * (BEST_HEADERS - 1) * TWO_256 // max(1, as_low)


def in_order(totals: Quarter) -> Quarter:
    """The same in the order of an attribution's rows."""
    return dict(sorted(totals.items()))


def expected_as_low(work: Iterable[WorkFact], highest: int) -> int:
    """How many of the listed shares hash as low as a header by expectation, times 2^256.

    A share of a target below the header is as low for certain, any other one with the chance of header / target.
    """
    return sum(fact.work * min(highest, fact.target) for fact in work)


def _job(value: Any) -> JobCoinbases:
    m = Members(value, "a job")
    job = JobCoinbases(
        m.octets("prefix"),
        m.octets("suffix"),
        tuple(octets(entry, "a branch", 32) for entry in rows(m.take("branch"), "a branch")),
        parse_commitment(m.take("commitment")),
    )
    m.finish()
    return job
