"""Does a quarter hour's work hold: its lowest headers really hash as low as so much work would, and pay us."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from photosynth.quantities.work import TWO_256
from photosynth.treasury.attribution import DAY_MS
from photosynth.treasury.evidence.body import BEST_HEADERS
from photosynth.treasury.evidence.check_headers import Asked, HeaderState, check_headers
from photosynth.treasury.evidence.coinbases import JobCoinbases
from photosynth.treasury.evidence.parsing import parse_work
from photosynth.treasury.evidence.reading import EvidenceError, Members, octets, rows
from photosynth.treasury.facts import SiteFacts, WorkFact

LEAST, MOST = 8, 80
"""Bounds of how many listed shares hash as low as the highest of 32 best headers, by expectation. For honest shares of one
target it follows a gamma distribution of shape 32 (mean 32, standard deviation 5.7), of several targets a narrower one:
outside these bounds lies less than one honest record in a thousand million. Above it shares were invented. Below it they were
left out, or a miner handed in only what met a harder target of its own, as some machines do: that is no fault."""

Quarter = dict[tuple[int, str, int], tuple[int, int]]
"""Shares and work of a quarter hour by round, worker and scale. Several places hold one such dict, so none changes it."""

Sums = dict[tuple[str, int], tuple[int, int]]
"""Shares and work by worker and scale."""


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
    _sums: dict[int, Sums] = field(default_factory=dict)
    _summed: int = 0

    def accepted_in(self, start_ms: int) -> Sums:
        """What was accepted in the day (UTC) that starts then, in all days for zero. Nobody changes it.

        Each quarter hour is added once, when somebody asks: a file may ask as often as it has blocks.
        """
        for at in list(islice(reversed(self.accepted), len(self.accepted) - self._summed)):
            rows = self.accepted[at]
            for span in {0, at - at % DAY_MS}:
                add_up(self._sums.setdefault(span, {}), by_worker(rows))
        self._summed = len(self.accepted)
        return self._sums.get(start_ms, {})


def check_work(m: Members, site: SiteFacts, start_ms: int, state: WorkState) -> int:
    """Check a record's work against its best headers, remember it for the blocks that claim it; returns accepted shares."""
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
        _check_best(listed.get(scale, []), facts, jobs, site, state)
    return sum(fact.accepted for fact in work)


def _check_best(entries: list[Any], work: list[WorkFact], jobs: list[JobCoinbases], site: SiteFacts, state: WorkState) -> None:
    accepted = sum(fact.accepted for fact in work)
    if len(entries) != min(BEST_HEADERS, accepted):
        raise EvidenceError(f"{accepted} accepted shares have {min(BEST_HEADERS, accepted)} best headers, not {len(entries)}")
    if not entries:
        return
    loosest = max(fact.target for fact in work if fact.accepted)
    rounds = {fact.round for fact in work}
    highest = check_headers(entries, Asked(loosest, rounds, jobs, site.payout_script), state)
    claimed = sum(fact.work for fact in work)
    if len(entries) < BEST_HEADERS:
        state.estimated_work += claimed
        return
    as_low = expected_as_low(work, highest)
    if as_low > MOST * TWO_256:
        raise EvidenceError("its best headers are too few for so much work: shares are listed that nobody hashed")
    state.better_than_listed += as_low < LEAST * TWO_256
    state.estimated_work += claimed * (BEST_HEADERS - 1) * TWO_256 // max(1, as_low)


def by_worker(rows: Quarter) -> Iterator[tuple[tuple[str, int], tuple[int, int]]]:
    """A quarter hour's rows, whatever their rounds."""
    return (((worker, scale), sums) for (_, worker, scale), sums in rows.items())


def add_up(into: Sums, rows: Iterable[tuple[tuple[str, int], tuple[int, int]]]) -> None:
    """Add rows to sums."""
    for key, (shares, hashes) in rows:
        before = into.get(key, (0, 0))
        into[key] = (before[0] + shares, before[1] + hashes)


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
    )
    m.finish()
    return job
