"""The pool's link to its node: templates become jobs, solved blocks are submitted, accepted ones claim their work.

Submitting comes before everything else. While a submission is under way, or its verdict never came, new jobs leave out the
work that its block would claim, so no work is ever claimed by two blocks; such a block is then looked for in the chain.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError, Template, Verdict
from photosynth.bitcoin.wire import FormatError
from photosynth.pool.config import CoinbasePolicy, PoolConfig, PoolEvents
from photosynth.pool.jobs import JobBook, JobMaker, PoolJob
from photosynth.pool.records import ClaimRecord, JobRecord
from photosynth.pool.results import Attribution, FoundBlock
from photosynth.pool.share_log import ShareLog
from photosynth.pool.shares import Candidate
from photosynth.quantities.instants import Clock

FIRST_RETRY_S, LAST_RETRY_S = 0.25, 5.0
VERDICT_PATIENCE_S = 1.0
"""How long a solving share's answer waits for the node's verdict."""
EAGER_REFRESH_S = 0.25
"""How often a job that claims nothing is renewed, where there is work that it could claim by then."""
QUIET_REFRESH_S = 30.0
"""Without new work to claim, jobs are renewed this often only, for their time."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A header of ours that meets its template's target, who found it, and when."""

    job: PoolJob
    candidate: Candidate
    worker: str
    site_ms: int
    wall_ms: int


class ChainLink:
    """Follows a node; ``on_job`` is called with every new job and whether it makes the ones before stale."""

    def __init__(
        self,
        config: PoolConfig,
        node: BitcoinNode,
        clock: Clock,
        *,
        policy: CoinbasePolicy,
        log: ShareLog,
        events: PoolEvents,
        on_job: Callable[[PoolJob, bool], None],
    ) -> None:
        self._config = config
        self._node = node
        self._clock = clock
        self._policy = policy
        self._log = log
        self._events = events
        self._on_job = on_job
        self._maker = JobMaker(config)
        self.book = JobBook(config.job_lifetime_s, config.max_jobs)
        self._node_condition: str | None = None
        self._submit_condition: str | None = None
        self._template: Template | None = None
        self._in_flight: dict[bytes, int] = {}
        self._solved: dict[bytes, None] = {}
        # Cuts of blocks whose verdict never came, until the chain was searched for them.
        self._unresolved: dict[bytes, int] = {}
        self._quiet_since: tuple[int, float] = (-1, 0.0)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def condition(self) -> str | None:
        """What is wrong between pool and node, None where nothing is."""
        return self._node_condition or self._submit_condition

    def start(self) -> None:
        """Begin to follow the node."""
        self._spawn(self._follow(), "pool-templates")
        self._spawn(self._refresh_forever(), "pool-refresh")

    async def close(self) -> None:
        """Stop following; submissions under way are given a moment to get their verdict."""
        submitting = {task for task in self._tasks if task.get_name() == "pool-submit"}
        if submitting:
            await asyncio.wait(submitting, timeout=VERDICT_PATIENCE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Jobs.

    def refresh(self) -> None:
        """Make a new job on the present template now: a new commitment, or new work to claim."""
        if self._template is None or self._node_condition is not None:
            return
        loop = asyncio.get_running_loop()
        account, template = self._log.account, self._template
        cut = account.mark_cut()
        claimed = max([*self._in_flight.values(), *self._unresolved.values()], default=0)
        unclaimed = account.unclaimed_after(claimed) if claimed else account.unclaimed_represented
        plan = self._policy.plan(template, unclaimed)
        wall_ms = self._clock.wall_ms()
        job = self._maker.make(self._log.next_job, template, plan, cut=cut, wall_ms=wall_ms, now_s=loop.time())
        clean = self.book.add(job)
        self._log.append_job(
            JobRecord(
                job.key,
                template.height,
                template.previous_hash,
                job.coinbase.prefix,
                job.coinbase.suffix,
                job.branch,
                cut,
                plan.value_sat,
                self._config.extranonce1_size + self._config.extranonce2_size,
                self._clock.site_ms(),
                wall_ms,
                template.target.to_bytes(32, "big"),
            )
        )
        self._quiet_since = (account.last_seq, loop.time())
        self._on_job(job, clean)

    async def _follow(self) -> None:
        long_poll_id: str | None = None
        retry_s = FIRST_RETRY_S
        while True:
            try:
                template = await self._node.template(long_poll_id)
                if self._unresolved:
                    await self.recover()
            except NodeUnavailableError as error:
                self._node_condition = f"no new jobs: {error}"
                long_poll_id = None
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
                continue
            retry_s = FIRST_RETRY_S
            if template.long_poll_id == long_poll_id and self._node_condition is None:
                await asyncio.sleep(0.1)  # a node that does not wait is not asked in a circle
                continue
            long_poll_id = template.long_poll_id
            self._node_condition = None
            # Firmware tells rolled bits as set, added or changed ones; where the job has none of them, these are the same.
            self._template = replace(template, version=template.version & ~self._config.version_mask)
            self.refresh()

    async def _refresh_forever(self) -> None:
        while True:
            await asyncio.sleep(
                min(self._config.refresh_s, EAGER_REFRESH_S) if self._claims_nothing() else self._config.refresh_s
            )
            seq, since_s = self._quiet_since
            quiet = seq == self._log.account.last_seq
            if not quiet or asyncio.get_running_loop().time() - since_s >= max(QUIET_REFRESH_S, self._config.refresh_s):
                self.refresh()

    def _claims_nothing(self) -> bool:
        """Whether the present job leaves unclaimed what its block could pay, as the first one of a fresh pool does."""
        job = self.book.current
        return job is not None and job.plan.value_sat == 0 and job.template.coinbase_value_sat > 0

    def live_jobs(self) -> set[int]:
        """Keys of the jobs that shares or blocks may still refer to; all of them while a verdict is missing."""
        return self.book.keys() | (set(self._log.account.jobs) if self._unresolved else set())

    # Blocks.

    def solves(self, job: PoolJob, candidate: Candidate) -> bool:
        """Whether a header meets its template's target and was not submitted before."""
        return candidate.number <= job.template.target and candidate.hash not in self._solved

    def submit(self, solution: Solution, afterwards: Callable[[bool], None]) -> None:
        """Submit a block at once; ``afterwards`` is called with whether it is known to be accepted, before the claim.

        A verdict that takes longer than a second is not waited for by the share.
        """
        self._solved[solution.candidate.hash] = None
        if len(self._solved) > 1024:
            del self._solved[next(iter(self._solved))]
        self._in_flight[solution.candidate.hash] = solution.job.cut
        raw = solution.job.block(solution.candidate.header, solution.candidate.extranonce)
        submission = asyncio.get_running_loop().create_task(self._submit_until_answered(raw), name="pool-submit")
        self._spawn(self._after_submit(solution, raw, submission, afterwards), "pool-submit")

    async def _submit_until_answered(self, raw: bytes) -> Verdict | None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._config.submit_timeout_s
        retry_s = 0.1
        while True:
            try:
                async with asyncio.timeout_at(until_s):
                    verdict = await self._node.submit_block(raw)
                self._submit_condition = None
                return verdict
            except TimeoutError:
                return None
            except NodeUnavailableError as error:
                self._submit_condition = f"a solved block waits for the node: {error}"
                if loop.time() + retry_s > until_s:
                    return None
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)

    async def _after_submit(
        self,
        solution: Solution,
        raw: bytes,
        submission: asyncio.Task[Verdict | None],
        afterwards: Callable[[bool], None],
    ) -> None:
        block_hash = solution.candidate.hash
        try:
            done, _ = await asyncio.wait({submission}, timeout=VERDICT_PATIENCE_S)
            if not done:
                afterwards(False)
            verdict = await submission
            accepted = verdict is not None and verdict.accepted
            if verdict is not None and verdict.reason == "duplicate":
                accepted = await self._is_active(block_hash, solution.job.cut)
            if done:
                afterwards(accepted)
            if verdict is None:
                self._unresolved[block_hash] = solution.job.cut
                return
            attribution: tuple[Attribution, ...] = ()
            if accepted:
                attribution = self._claim(block_hash, solution)
            self._tell(solution, raw, verdict, attribution)
        finally:
            submission.cancel()
            self._in_flight.pop(block_hash, None)

    async def _is_active(self, block_hash: bytes, cut: int) -> bool:
        try:
            return await self._node.height_of(block_hash) is not None
        except NodeUnavailableError:
            self._unresolved[block_hash] = cut
            return False

    def _claim(self, block_hash: bytes, solution: Solution) -> tuple[Attribution, ...]:
        account, job = self._log.account, solution.job
        if block_hash in account.claims:
            return account.claims[block_hash][1]
        claim = ClaimRecord(
            block_hash,
            job.key,
            job.template.height,
            job.cut,
            job.plan.value_sat,
            solution.worker,
            solution.site_ms,
            solution.wall_ms,
            account.last_seq,
            job.template.target.to_bytes(32, "big"),
        )
        attribution = account.apply_claim(claim)
        self._log.append_claim(claim)
        return attribution

    def _tell(self, solution: Solution, raw: bytes, verdict: Verdict, attribution: tuple[Attribution, ...]) -> None:
        job = solution.job
        self._events.block_found(
            FoundBlock(
                height=job.template.height,
                hash=solution.candidate.hash,
                raw=raw,
                verdict=verdict,
                worker=solution.worker,
                job_id=job.key,
                target=job.template.target,
                cut=job.cut,
                value_sat=job.plan.value_sat,
                site_ms=solution.site_ms,
                wall_ms=solution.wall_ms,
                attribution=attribution,
            )
        )

    # After a restart, or where a verdict was lost.

    async def recover(self) -> int:
        """Tell again of every logged claim, and claim blocks of logged jobs that the chain holds unclaimed.

        Returns how many were claimed now. Raises NodeUnavailableError.
        """
        account, searched = self._log.account, list(self._unresolved)
        for claim, attribution in list(account.claims.values()):
            raw = await self._node.block(claim.block_hash)
            if raw is not None:
                self._tell_recovered(claim, raw, attribution)
        by_height: dict[int, list[JobRecord]] = {}
        for job in account.jobs.values():
            by_height.setdefault(job.height, []).append(job)
        claimed = 0
        for height in sorted(by_height):
            block_hash = await self._node.block_hash(height)
            if block_hash is None or block_hash in account.claims or block_hash in self._in_flight:
                continue
            raw = await self._node.block(block_hash)
            job_found = None if raw is None else _our_job(raw, by_height[height])
            if raw is None or job_found is None:
                continue
            claim = ClaimRecord(
                block_hash,
                job_found.key,
                height,
                job_found.cut,
                job_found.value_sat,
                "",
                job_found.site_ms,
                job_found.wall_ms,
                account.last_seq,
                job_found.target,
            )
            attribution = account.apply_claim(claim)
            self._log.append_claim(claim)
            claimed += 1
            self._tell_recovered(claim, raw, attribution)
        for block_hash in searched:
            self._unresolved.pop(block_hash, None)
        return claimed

    def _tell_recovered(self, claim: ClaimRecord, raw: bytes, attribution: tuple[Attribution, ...]) -> None:
        self._events.block_found(
            FoundBlock(
                height=claim.height,
                hash=claim.block_hash,
                raw=raw,
                verdict=Verdict(None),
                worker=claim.worker,
                job_id=claim.job,
                target=int.from_bytes(claim.target, "big"),
                cut=claim.cut,
                value_sat=claim.value_sat,
                site_ms=claim.site_ms,
                wall_ms=claim.wall_ms,
                attribution=attribution,
                recovered=True,
            )
        )

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._node_condition = f"a bug stopped {task.get_name()}: {error!r}"
            task.get_loop().call_exception_handler({"message": self._node_condition, "exception": error, "task": task})


def _our_job(raw: bytes, jobs: list[JobRecord]) -> JobRecord | None:
    """The job whose coinbase a block holds, None where it is somebody else's block."""
    try:
        coinbase = Block.parse(raw).transactions[0].serialise(witness=False)
    except (FormatError, IndexError):
        return None
    for job in jobs:
        size = len(job.prefix) + job.extranonce_size + len(job.suffix)
        if len(coinbase) == size and coinbase.startswith(job.prefix) and coinbase.endswith(job.suffix):
            return job
    return None
