"""Work, accounted exactly: totals per worker, open intervals, our blocks and what they pay, and the last hour's minutes.

A pure state machine over the share log's entries. The pool applies an entry once it is durable; a restart applies the
same entries in the same order and gets the same state.
"""

import heapq
from dataclasses import dataclass, field

import msgspec

from photosynth.pool.records import ClaimRecord, JobRecord, RejectRecord, ShareRecord, WorkerTotals
from photosynth.pool.results import Attribution, BestHeader, IntervalWork, JobParts, WorkEntry
from photosynth.pool.unclaimed import FINAL, WORK_BITS, Key, Piece, Rows, Unclaimed, attribute_work
from photosynth.quantities.instants import interval_start_ms
from photosynth.quantities.work import TWO_256, work_of_target
from photosynth.stratum.work import double_sha256

BEST_HEADERS = 32
MINUTE_MS = 60_000
MAX_TALLIES = 50_000

GroupKey = tuple[str, int, int, int]
"""Worker, round, target, scale."""


class RunningRoot:
    """A Bitcoin Merkle root over hashes that come one by one, in memory that grows with the logarithm of their number."""

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: list[bytes | None] = []

    def add(self, leaf: bytes) -> None:
        """Append one 32-byte hash."""
        levels = self._levels
        for at, left in enumerate(levels):
            if left is None:
                levels[at] = leaf
                return
            levels[at] = None
            leaf = double_sha256(left + leaf)
        levels.append(leaf)

    def root(self) -> bytes:
        """The root over the hashes so far, an odd one paired with itself; 32 zero bytes over none."""
        carried: bytes | None = None
        for at, left in enumerate(self._levels):
            last = at == len(self._levels) - 1
            if carried is None:
                if left is not None:
                    carried = left if last else double_sha256(left + left)
            elif left is not None:
                carried = double_sha256(left + carried)
            else:
                carried = double_sha256(carried + carried)
        return carried or bytes(32)


@dataclass(slots=True)
class _Group:
    accepted: int = 0
    minutes: list[int] = field(default_factory=lambda: [0] * 15)
    root: RunningRoot = field(default_factory=RunningRoot)


@dataclass(slots=True)
class _Best:
    """The lowest headers so far: a heap by negative hash, so that the highest of them is on top."""

    heap: list[tuple[int, int, bytes, int, bytes]] = field(default_factory=list)
    bound: int = TWO_256
    """Only a hash below this number is among the lowest."""

    def take(self, number: int, seq: int, share: ShareRecord) -> None:
        """Take a header whose hash is below the bound."""
        row = (-number, seq, share.header, share.job, share.extranonce)
        if len(self.heap) < BEST_HEADERS:
            heapq.heappush(self.heap, row)
        else:
            heapq.heapreplace(self.heap, row)
        if len(self.heap) == BEST_HEADERS:
            self.bound = -self.heap[0][0]


@dataclass(slots=True)
class _Interval:
    groups: dict[GroupKey, _Group] = field(default_factory=dict)
    rejected: dict[tuple[str, int], int] = field(default_factory=dict)
    best: dict[int, _Best] = field(default_factory=dict)
    last_seq: int = 0


class Count(msgspec.Struct, gc=False):
    """How many shares, in a place that is looked up once for many."""

    shares: int = 0


class _Tally:
    """Where the next share of one worker, round, target and scale is counted: found once a minute, not for every share."""

    __slots__ = (
        "best",
        "count",
        "group",
        "held",
        "interval",
        "minute",
        "minute_of_interval",
        "represented",
        "row",
        "rows",
        "totals",
        "work",
    )

    def __init__(self, work: int, scale: int, totals: WorkerTotals) -> None:
        self.work = work
        self.represented = work * scale
        self.held = (work << WORK_BITS) + 1
        self.totals = totals
        self.minute = self.minute_of_interval = -1
        self.rows: Rows = {}
        self.row: Key = (0, 0, "", 0)
        self.count = Count()
        self.interval: _Interval | None = None
        self.group = _Group()
        self.best = _Best()


class WorkAccount:
    """Everything that follows from the entries of the share log, in their order.

    ``checkpoint_seq``: entries up to it belong to intervals that the books hold already; they count towards totals and
    claims, and no longer towards intervals. ``claims`` are our blocks that are not final, of every branch; ``top`` is the
    highest of them in the chain, as far as the pool knows it (empty: none), and ``tip_height`` that of the chain.
    """

    def __init__(self) -> None:
        self.last_seq = 0
        self.checkpoint_seq = 0
        self.totals: dict[str, WorkerTotals] = {}
        self.blocks_found = 0
        self.unclaimed = Unclaimed()
        self.claims: dict[bytes, ClaimRecord] = {}
        self.counted: set[bytes] = set()
        self.top = b""
        self.tip_height = 0
        self.jobs: dict[int, JobRecord] = {}
        self.minutes: dict[int, dict[tuple[str, int, int], Count]] = {}
        self._intervals: dict[int, _Interval] = {}
        self._tallies: dict[GroupKey, _Tally] = {}

    # Entries, in the order of the log.

    def apply_share(self, seq: int, share: ShareRecord, share_hash: bytes) -> None:
        """Account one durable share."""
        self.last_seq = seq
        worker, target, scale, site_ms = share.worker, share.target, share.scale, share.site_ms
        key = (worker, share.round, target, scale)
        tally = self._tallies.get(key)
        if tally is None:
            if len(self._tallies) >= MAX_TALLIES:
                self._tallies.clear()
            tally = self._tallies[key] = _Tally(work_of_target(target), scale, self.totals_of(worker))
        minute = site_ms // MINUTE_MS
        if tally.minute != minute or tally.rows is not self.unclaimed.rows:
            self._aim(tally, key, minute)
        share_work, represented = tally.work, tally.represented
        totals = tally.totals
        if totals.scale != scale:
            totals.scale = scale
        totals.accepted += 1
        totals.work += share_work
        totals.represented += represented
        totals.last_share_site_ms = site_ms
        totals.last_share_wall_ms = share.wall_ms
        tally.rows[tally.row] += tally.held
        tally.count.shares += 1
        if seq <= self.checkpoint_seq:
            return
        interval = tally.interval
        if interval is None:
            interval = self._enter_interval(tally, key, minute)
        interval.last_seq = seq
        group = tally.group
        group.accepted += 1
        group.minutes[tally.minute_of_interval] += 1
        group.root.add(share_hash)
        number = int.from_bytes(share_hash, "little")
        if number < tally.best.bound:
            tally.best.take(number, seq, share)

    def _aim(self, tally: _Tally, key: GroupKey, minute: int) -> None:
        """Find where a tally's shares of this minute and this job's cut belong."""
        worker, round_, target, scale = key
        tally.minute, tally.rows, tally.interval = minute, self.unclaimed.rows, None
        tally.row = (interval_start_ms(minute * MINUTE_MS), round_, worker, scale)
        counts = self.minutes.get(minute)
        if counts is None:
            counts = self.minutes[minute] = {}
            for old in [m for m in self.minutes if m < minute - 60]:
                del self.minutes[old]
        tally.count = counts.setdefault((worker, target, scale), Count())
        tally.rows.setdefault(tally.row, 0)

    def _enter_interval(self, tally: _Tally, key: GroupKey, minute: int) -> _Interval:
        start_ms = interval_start_ms(minute * MINUTE_MS)
        interval = tally.interval = self._interval(start_ms)
        tally.minute_of_interval = minute - start_ms // MINUTE_MS
        group = interval.groups.get(key)
        if group is None:
            group = interval.groups[key] = _Group()
        tally.group = group
        best = interval.best.get(key[3])
        if best is None:
            best = interval.best[key[3]] = _Best()
        tally.best = best
        return interval

    def apply_reject(self, seq: int, reject: RejectRecord) -> None:
        """Account refused shares."""
        self.last_seq = seq
        rejected = self.totals_of(reject.worker).rejected
        rejected[reject.cause] = rejected.get(reject.cause, 0) + reject.count
        if seq > self.checkpoint_seq:
            interval = self._interval(interval_start_ms(reject.site_ms))
            interval.last_seq = seq
            key = (reject.worker, reject.code)
            interval.rejected[key] = interval.rejected.get(key, 0) + reject.count

    def apply_job(self, job: JobRecord) -> None:
        """Know a job, so that its shares and blocks can be traced to it."""
        self.jobs[job.key] = job
        self.tip_height = job.height - 1

    def mark_cut(self, cut: int | None = None) -> int:
        """Work after the present (or given) sequence number is the next job's; returns the cut."""
        cut = self.last_seq if cut is None else cut
        self.unclaimed.cut(cut)
        return cut

    def apply_claim(self, claim: ClaimRecord) -> None:
        """Know a block of ours that is in the chain or may enter it: while it is there, it pays the work up to its cut."""
        self.claims.setdefault(claim.block_hash, claim)
        if claim.accepted:
            self._count(claim)

    def apply_top(self, block_hash: bytes) -> list[ClaimRecord]:
        """The chain's highest block of ours is this one (empty: none). Returns those that are in it for the first time."""
        self.top = block_hash
        return [claim for claim in self.branch(block_hash) if self._count(claim)]

    def _count(self, claim: ClaimRecord) -> bool:
        """Whether a block counts as found from now on, and did not before."""
        if claim.block_hash in self.counted:
            return False
        self.counted.add(claim.block_hash)
        self.blocks_found += 1
        return True

    def apply_checkpoint(self, seq: int) -> None:
        """The books hold everything up to here: forget the intervals that lie before."""
        self.checkpoint_seq = max(self.checkpoint_seq, seq)
        for start_ms in [s for s, interval in self._intervals.items() if interval.last_seq <= seq]:
            del self._intervals[start_ms]
        self._tallies.clear()

    def take_totals(self, totals: dict[str, WorkerTotals]) -> None:
        """Go on from totals that were kept elsewhere."""
        self.totals = totals
        self._tallies.clear()

    def fold(self, worker: str, into: str) -> None:
        """Count a worker's totals under another name from now on; its unclaimed work keeps its own.

        Not an entry of the log: after a restart the totals have both names again until they are folded once more.
        """
        totals = self.totals.pop(worker, None)
        if totals is None:
            return
        held = self.totals_of(into)
        held.accepted += totals.accepted
        held.work += totals.work
        held.represented += totals.represented
        held.last_share_site_ms = max(held.last_share_site_ms or 0, totals.last_share_site_ms or 0)
        held.last_share_wall_ms = max(held.last_share_wall_ms or 0, totals.last_share_wall_ms or 0)
        for cause, refused in totals.rejected.items():
            held.rejected[cause] = held.rejected.get(cause, 0) + refused
        self._tallies.clear()

    # Questions.

    def totals_of(self, worker: str) -> WorkerTotals:
        """A worker's totals, new ones where it was never seen."""
        totals = self.totals.get(worker)
        if totals is None:
            totals = self.totals[worker] = WorkerTotals()
        return totals

    def branch(self, block_hash: bytes) -> list[ClaimRecord]:
        """A block of ours and those below it on its branch, as far as they are not final, the highest first."""
        found = []
        while (claim := self.claims.get(block_hash)) is not None:
            found.append(claim)
            block_hash = claim.parent
        return found

    def cut_of(self, block_hash: bytes) -> int:
        """Up to where shares are paid on the branch that ends with a block of ours (empty: with none)."""
        claim = self.claims.get(block_hash)
        return self.unclaimed.floor if claim is None else max(claim.cut, self.unclaimed.floor)

    def work_of(self, claim: ClaimRecord) -> list[Piece]:
        """The work that a block pays; :func:`attribute_work` says whose it is, on any thread."""
        return self.unclaimed.between(claim.base, claim.cut)

    def attribution(self, claim: ClaimRecord) -> tuple[Attribution, ...]:
        """Whose work a block pays."""
        return attribute_work(self.work_of(claim))

    @property
    def unclaimed_represented(self) -> int:
        """Represented hashes that no block of ours in the chain pays."""
        return self.unclaimed.represented_after(self.cut_of(self.top))

    def final(self, confirmations: int = FINAL) -> int:
        """Up to where shares are paid for good: by blocks that lie so deep in the chain, and that the books hold."""
        deep = self.tip_height - confirmations
        booked = (c.cut for c in self.branch(self.top) if c.height <= deep and c.seq <= self.checkpoint_seq)
        return max(booked, default=self.unclaimed.floor)

    def open_intervals(self) -> tuple[int, ...]:
        """Starts of the intervals that hold work and were not checkpointed, in order."""
        return tuple(sorted(self._intervals))

    def interval_work(self, start_ms: int) -> IntervalWork:
        """What an interval holds; empty where nothing was handed in. Asking again gives the same until a checkpoint."""
        interval = self._intervals.get(start_ms)
        # Site time never runs backwards along the log, so all entries before the next interval's are this one's or older.
        last_seq = max((i.last_seq for s, i in self._intervals.items() if s <= start_ms), default=self.checkpoint_seq)
        if interval is None:
            return IntervalWork(start_ms, (), {}, {}, {}, last_seq)
        entries = []
        for (worker, round_, target, scale), group in sorted(interval.groups.items()):
            group_work = work_of_target(target) * group.accepted
            entries.append(
                WorkEntry(
                    worker,
                    round_,
                    target,
                    scale,
                    group.accepted,
                    group_work,
                    group_work * scale,
                    group.root.root(),
                    tuple(group.minutes),
                )
            )
        best: dict[int, tuple[BestHeader, ...]] = {}
        jobs: dict[int, JobParts] = {}
        for scale, lowest in sorted(interval.best.items()):
            rows = sorted(lowest.heap, key=lambda row: (-row[0], row[1]))
            best[scale] = tuple(BestHeader(header, job, extranonce) for _, _, header, job, extranonce in rows)
            for _, _, _, key, _ in rows:
                if key not in jobs and key in self.jobs:
                    job = self.jobs[key]
                    jobs[key] = JobParts(job.prefix, job.suffix, job.branch)
        return IntervalWork(start_ms, tuple(entries), dict(sorted(interval.rejected.items())), best, jobs, last_seq)

    def jobs_in_use(self) -> set[int]:
        """Keys of the jobs that open intervals' best headers rest on."""
        return {row[3] for interval in self._intervals.values() for best in interval.best.values() for row in best.heap}

    def forget_jobs(self, keep: set[int]) -> None:
        """Drop every job that is neither in use nor to be kept."""
        needed = keep | self.jobs_in_use()
        self.jobs = {key: job for key, job in self.jobs.items() if key in needed}

    def forget_claims(self) -> None:
        """Drop our blocks that are final, and those of other branches that lie or part from the chain as deep."""
        deep, floor = self.tip_height - FINAL, self.unclaimed.floor
        active = {claim.block_hash for claim in self.branch(self.top)}
        for name, claim in list(self.claims.items()):
            old = claim.height <= deep or claim.base < floor
            if old and claim.seq <= self.checkpoint_seq and (claim.cut <= floor or name not in active):
                del self.claims[name]
                self.counted.discard(name)

    def _interval(self, start_ms: int) -> _Interval:
        interval = self._intervals.get(start_ms)
        if interval is None:
            interval = self._intervals[start_ms] = _Interval()
        return interval
