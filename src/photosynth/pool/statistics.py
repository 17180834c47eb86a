"""What the pool shows of itself: totals, and hash rates estimated from the last minutes' shares with their error."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from photosynth.pool.accounting import MINUTE_MS, WorkAccount
from photosynth.pool.connection import Connection
from photosynth.pool.records import is_worker
from photosynth.quantities.work import difficulty_of_target, work_of_target

WINDOW_MINUTES = 15


@dataclass(frozen=True, slots=True)
class HashRate:
    """Represented hashes per site second over a window, with the estimate's relative standard error.

    None where no share came. ``shares`` is how many it rests on; the error is 1/sqrt(shares) where all weigh the same.
    """

    hash_rate_hs: int | None
    standard_error: float | None
    shares: int
    window_s: int


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """One worker, cumulative over the life of the log. ``connections`` is how many mine for it now."""

    name: str
    scale: int
    connections: int
    target: int | None
    difficulty: float | None
    accepted: int
    rejected: dict[str, int]
    work: int
    represented: int
    last_share_wall_ms: int | None
    last_share_site_ms: int | None
    user_agent: str | None
    hash_rate: HashRate


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """The pool at a moment. Totals are cumulative over the life of the log; ``condition`` is None where all is well."""

    listen: str
    connections: int
    workers: tuple[WorkerStats, ...]
    accepted: int
    rejected: dict[str, int]
    blocks_found: int
    work: int
    represented: int
    unclaimed_represented: int
    hash_rate: HashRate
    height: int | None
    job_age_s: float | None
    last_seq: int
    open_intervals_ms: tuple[int, ...]
    condition: str | None


class _Sum:
    """Shares of different weights: how many, their represented hashes, and the squares that the error needs."""

    __slots__ = ("represented", "shares", "squares")

    def __init__(self) -> None:
        self.shares = self.represented = self.squares = 0

    def add(self, count: int, represented_each: int) -> None:
        self.shares += count
        self.represented += count * represented_each
        self.squares += count * represented_each * represented_each

    def rate(self, window_s: int) -> HashRate:
        if not self.shares or not self.represented:
            return HashRate(None, None, 0, window_s)
        # The variance of a sum of Poisson counts is the sum of the squared weights; equal weights give 1/sqrt(shares).
        error = math.sqrt(self.squares / (self.represented * self.represented))
        return HashRate(self.represented // window_s, error, self.shares, window_s)


def _refused(connections: list[Connection]) -> dict[str, int]:
    """What was refused on connections that are open, by cause."""
    refused: dict[str, int] = {}
    for connection in connections:
        for cause, count in connection.refusals.items():
            refused[cause] = refused.get(cause, 0) + count
    return refused


def describe(
    account: WorkAccount,
    connections: Iterable[Connection],
    *,
    listen: str,
    scale_of: Callable[[str], int],
    site_ms: int,
    started_site_ms: int,
    height: int | None,
    job_age_s: float | None,
    condition: str | None,
) -> PoolSnapshot:
    """The pool at a moment of site time, from its account and its connections.

    Hash rates are over the last quarter hour, or since the start where that is shorter.
    """
    from_ms = site_ms - WINDOW_MINUTES * MINUTE_MS
    from_ms -= from_ms % MINUTE_MS
    window_s = max(1, (site_ms - max(from_ms, started_site_ms)) // 1000)
    from_ms = max(from_ms, started_site_ms - started_site_ms % MINUTE_MS)
    everybody, each = _Sum(), dict[str, _Sum]()
    for minute, counts in account.minutes.items():
        if minute * MINUTE_MS >= from_ms:
            for (worker, target, scale), count in counts.items():
                represented_each = work_of_target(target) * scale
                everybody.add(count.shares, represented_each)
                each.setdefault(worker, _Sum()).add(count.shares, represented_each)
    connected: dict[str, list[Connection]] = {}
    number = 0
    for connection in connections:
        number += 1
        for worker in connection.session.workers:
            connected.setdefault(worker, []).append(connection)
    workers: list[WorkerStats] = []
    rejected: dict[str, int] = {}
    accepted = work = represented = 0
    for name in sorted({*account.totals, *connected}):
        totals = account.totals.get(name)
        if totals is not None:
            accepted += totals.accepted
            work += totals.work
            represented += totals.represented
            for cause, refused in totals.rejected.items():
                rejected[cause] = rejected.get(cause, 0) + refused
        if not is_worker(name):
            continue
        mine = connected.get(name, [])
        newest = mine[-1].difficulty.target if mine else None
        agent = next((c.session.user_agent for c in reversed(mine) if c.session.user_agent), None)
        if totals is not None and agent is not None:
            totals.user_agent = agent
        workers.append(
            WorkerStats(
                name=name,
                scale=scale_of(name),
                connections=len(mine),
                target=newest,
                difficulty=None if newest is None else difficulty_of_target(newest),
                accepted=totals.accepted if totals else 0,
                rejected=dict(totals.rejected) if totals else _refused(mine),
                work=totals.work if totals else 0,
                represented=totals.represented if totals else 0,
                last_share_wall_ms=totals.last_share_wall_ms if totals else None,
                last_share_site_ms=totals.last_share_site_ms if totals else None,
                user_agent=agent or (totals.user_agent if totals else None),
                hash_rate=each.get(name, _Sum()).rate(window_s),
            )
        )
    return PoolSnapshot(
        listen=listen,
        connections=number,
        workers=tuple(workers),
        accepted=accepted,
        rejected=rejected,
        blocks_found=account.blocks_found,
        work=work,
        represented=represented,
        unclaimed_represented=account.unclaimed_represented,
        hash_rate=everybody.rate(window_s),
        height=height,
        job_age_s=job_age_s,
        last_seq=account.last_seq,
        open_intervals_ms=account.open_intervals(),
        condition=condition,
    )
