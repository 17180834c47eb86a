"""A quarter hour without fault, held against everything at once; any that is not so beyond doubt is left to the careful way.

Nothing is remembered before all of it holds, so one that is left leaves no trace. Every rule stands in the modules of
the careful way (``check_*``), which also say what is wrong; here it is only seen that nothing is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from typing import Any, TypeVar

from photosynth.quantities.instants import INTERVAL_S
from photosynth.quantities.work import TWO_256, work_of_target
from photosynth.treasury.evidence.body import BEST_HEADERS
from photosynth.treasury.evidence.canonical import parse_canonical
from photosynth.treasury.evidence.check_work import LEAST, MOST, Quarter, in_order
from photosynth.treasury.evidence.coinbases import JobCoinbases
from photosynth.treasury.evidence.parsing import parse_coin
from photosynth.treasury.evidence.quick_blocks import Blocks, DoubtError, commitment_of
from photosynth.treasury.evidence.quick_energy import Meters, allocation_of, expected_postings
from photosynth.treasury.evidence.quick_headers import HeaderRows, read_rows
from photosynth.treasury.evidence.reading import count, maybe, octets, row, rows, target, text
from photosynth.treasury.evidence.state import FileState, SiteState
from photosynth.treasury.evidence.typed import Job, QuarterHour
from photosynth.treasury.facts import SiteFacts
from photosynth.treasury.mining.energy import interval_key

T = TypeVar("T")
_LEAST, _MOST, _LISTED = LEAST * TWO_256, MOST * TWO_256, (BEST_HEADERS - 1) * TWO_256
MOST_KEPT = 64
"""So many different lists of workers, targets and the like are kept read; records repeat those of the record before."""

MOST_SUMS = 4096
"""So many different pairs of shares and work are kept to be remembered once, where many rows have the same."""

LONGEST_KEPT = 16 * 1024
"""What is longer, in bytes or characters, is read each time: a line may have megabytes."""


@dataclass(slots=True)
class _Work:
    """What a record's work comes to."""

    accepted: Quarter = field(default_factory=dict)
    shares: int = 0
    rejected: int = 0
    work: int = 0
    represented: int = 0
    estimated: int = 0
    better: int = 0
    headers: int = 0
    anchored: int = -1
    seen: list[tuple[bytes, list[bytes]]] = field(default_factory=list)
    parents: set[bytes] = field(default_factory=set)


Parts = list[tuple[int, int, int, int]]
"""The work of one scale: round, accepted shares, their target and their work."""


class QuickQuarterHours:
    """Takes quarter hours of a site, and keeps read what one repeats of another."""

    def __init__(self, site: SiteState) -> None:
        self._site = site
        self._facts: SiteFacts | None = None
        self._meters = Meters((), 1, None)
        self._kept: dict[tuple[str, Any], Any] = {}
        self._sums: dict[tuple[int, int], tuple[int, int]] = {}

    def take(self, record: QuarterHour, file: FileState) -> bool:
        """Take a quarter hour that holds; False where that is not certain, and then nothing is changed. Never raises."""
        # The file has these for each site: were it kept here, both would wait for the collector of circles, which is off.
        try:
            self._take(record, file)
        except (ValueError, ArithmeticError):
            return False
        return True

    def _take(self, record: QuarterHour, file: FileState) -> None:
        site = self._site
        if site.facts is not self._facts:
            self._facts, self._meters = site.facts, Meters.of(site.facts)
        state = site.energy
        start_s = record.start_utc_s
        start_ms = start_s * 1000
        if (
            state.waived
            or start_s != state.next_start_s
            or start_s - INTERVAL_S in state.hours.by_start
            or record.duration_s != INTERVAL_S
            or start_s % INTERVAL_S
            or record.wall_end_ms < record.wall_start_ms
            or record.speed_milli <= 0
        ):
            raise DoubtError
        energies = self._meters.energies(record.meters, state.register_ends, record.residual_j)
        allocation = None if energies is None else allocation_of(energies, record.allocation)
        if energies is None or allocation is None:
            raise DoubtError
        self._read("coin", bytes(record.coin), _coin)
        work = self._check_work(record, file)
        blocks = Blocks(site, start_ms, work.accepted, file.blocks)
        for block in record.blocks:
            blocks.anchored = max(blocks.anchored, file.committed(site.name, *blocks.block(block)))
        # Without the books nobody asks for postings.
        expected: list[bytes] | None = []
        if not file.partial:
            expected = expected_postings(
                site.name, start_ms, record.wall_end_ms, energies, allocation, record.prices, site.facts.export_limit_w
            )
        if expected is None:
            raise DoubtError
        blocks.check_claims()

        state.go_on(start_s + INTERVAL_S)
        for reading in record.meters:
            state.register_ends[reading.id] = reading.register_end_j
            if reading.signature is None:
                state.unsigned = True
        state.count(energies, allocation)
        self._remember(work, start_ms)
        blocks.remember()
        file.ask_for(interval_key(site.name, start_ms), expected)
        site.count(start_ms, work.shares, energies.mining_j)

    def _read(self, kind: str, key: Any, read: Callable[[Any], T]) -> T:
        """What is read of some bytes or texts, once while records repeat them."""
        known: T | None = self._kept.get((kind, key))
        if known is None:
            known = read(key)
            if (len(key) if type(key) is bytes else sum(map(len, key))) <= LONGEST_KEPT:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[kind, key] = known
        return known

    def _check_work(self, record: QuarterHour, file: FileState) -> _Work:
        found = _Work()
        scales = self._rows(record, found)
        for _, _, shares in record.rejected:
            found.rejected += shares
        jobs = [_job(job) for job in record.jobs]
        listed = {}
        for best in record.best:
            listed[_big(best.scale)] = best.headers
        if len(listed) != len(record.best) or not listed.keys() <= scales.keys():
            raise DoubtError
        for scale, parts in scales.items():
            shares, work = sum([part[1] for part in parts]), sum([part[3] for part in parts])
            found.shares += shares
            found.work += work
            found.represented += work * scale
            if shares or scale in listed:
                headers = read_rows(bytes(listed[scale]), jobs) if scale in listed else None
                if headers is None or len(headers.hashes) != min(BEST_HEADERS, shares):
                    raise DoubtError
                self._check_best(headers, parts, work, found, file)
        names = found.seen[0][1] if len(found.seen) == 1 else [name for _, mine in found.seen for name in mine]
        if len(set(names)) != found.headers:
            raise DoubtError
        return found

    def _rows(self, record: QuarterHour, found: _Work) -> dict[int, Parts]:
        """The rows of work by their scale, each worker, round and target once."""
        workers = self._read("workers", bytes(record.workers), _workers)
        targets = self._read("targets", bytes(record.targets), _targets)
        scales: dict[int, Parts] = {}
        totals: Quarter = {}
        sums, last = self._sums, 0
        places, roots = set(), []
        for at, round_, target_at, accepted, root in record.work:
            if at >= len(workers) or target_at >= len(targets):
                raise DoubtError
            worker, scale = workers[at]
            loose, each = targets[target_at]
            work = accepted * each
            if scale in scales:
                scales[scale].append((round_, accepted, loose, work))
            else:
                scales[scale] = [(round_, accepted, loose, work)]
            places.add((at, round_, target_at))
            roots.append(root)
            # What is remembered for good is there once: rows that follow each other are mostly of one round, with equal sums.
            last = last if last == round_ else round_
            key, both = (last, worker, scale), (accepted, work)
            if key in totals:
                before = totals[key]
                both = (before[0] + accepted, before[1] + work)
            totals[key] = sums.setdefault(both, both)
        found.accepted = in_order(totals)
        if len(sums) > MOST_SUMS:
            sums.clear()
        if len(places) != len(roots) or not _are_roots(roots):
            raise DoubtError
        return scales

    def _check_best(self, headers: HeaderRows, parts: Parts, work: int, found: _Work, file: FileState) -> None:
        hashes, highest = headers.hashes, headers.highest
        if highest > max([loose for _, accepted, loose, _ in parts if accepted]):
            raise DoubtError
        rounds = {part[0] for part in parts}
        by_parent = headers.by_parent()
        for parent, mine in by_parent.items():
            if not self._site.work.seen.holds_none(parent, mine):
                raise DoubtError
            found.seen.append((parent, mine))
        for job, coinbase, parents in headers.used:
            height, root = coinbase.height, coinbase.commitment
            if height is None or height not in rounds or root is None:
                raise DoubtError
            if not coinbase.pays_only(self._site.facts.payout_script):
                raise DoubtError
            found.anchored = max(found.anchored, file.committed(self._site.name, job.commitment, root))
            if height > 1:
                found.parents.update(by_parent if len(headers.used) == 1 else parents)
        found.headers += len(hashes)
        if len(hashes) < BEST_HEADERS:
            found.estimated += work
            return
        as_low = sum([of_part * (loose if loose < highest else highest) for _, _, loose, of_part in parts])
        if as_low > _MOST:
            raise DoubtError
        found.better += as_low < _LEAST
        found.estimated += work * _LISTED // max(1, as_low)

    def _remember(self, found: _Work, start_ms: int) -> None:
        state = self._site.work
        state.accepted[start_ms] = found.accepted
        state.newest_ms = start_ms
        state.shares += found.shares
        state.rejected += found.rejected
        state.work += found.work
        state.represented += found.represented
        state.estimated_work += found.estimated
        state.better_than_listed += found.better
        state.headers += found.headers
        state.anchored_by_work = max(state.anchored_by_work, found.anchored)
        for parent, hashes in found.seen:
            state.seen.add(parent, hashes)
        state.parents |= found.parents


def _coin(raw: bytes) -> bool:
    """Whether it is a coin's price, or null. Raises ValueError."""
    parse_coin(_value(raw))
    return True


def _workers(raw: bytes) -> list[tuple[str, int]]:
    """Name and scale of workers, each pair once. Raises ValueError."""
    found = []
    for entry in rows(_value(raw), "workers"):
        name, party, scale = row(entry, 3, "a worker")
        maybe(text, party, "a party")
        found.append((intern(text(name, "a worker")), count(scale, "a scale")))
    if len(set(found)) != len(found):
        raise DoubtError
    return found


def _targets(raw: bytes) -> list[tuple[int, int]]:
    """Targets, each once, and the work of a share. Raises ValueError."""
    found = [target(value, "a target") for value in rows(_value(raw), "targets")]
    if len(set(found)) != len(found):
        raise DoubtError
    return [(loose, work_of_target(loose)) for loose in found]


def _value(raw: bytes) -> Any:
    """The value of a member. Raises ValueError where it is not canonical."""
    return parse_canonical(b'{"a":%b}' % raw)["a"]


def _are_roots(texts: list[str]) -> bool:
    """Whether each is 32 bytes. Raises ValueError where they are no hexadecimal at all."""
    together = "".join(texts)
    return bytes.fromhex(together).hex() == together and set(map(len, texts)) <= {64}


def _job(job: Job) -> JobCoinbases:
    branch = tuple([octets(sibling, "a branch", 32) for sibling in job.branch])
    return JobCoinbases(octets(job.prefix, "prefix"), octets(job.suffix, "suffix"), branch, commitment_of(job.commitment))


@lru_cache(maxsize=MOST_KEPT)
def _big(value: int | str) -> int:
    """A number that is not negative and may be written as text. Raises ValueError where it is not as it must be."""
    return count(value, "a number")
