"""The pool's link to its node: templates become jobs, solved blocks are submitted, and each pays the work of its job.

Submitting comes before everything else. A job claims the shares up to its cut that no block of ours below it pays, on the
branch that it extends (:mod:`photosynth.pool.unclaimed` has the whole rule). So what a block pays is known when its job is
made and never changes; which blocks are in the chain is looked up with every new tip.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError, Template, Verdict
from photosynth.pool.config import CoinbasePolicy, PoolConfig, PoolEvents
from photosynth.pool.jobs import JobBook, JobMaker, PoolJob
from photosynth.pool.own_blocks import OwnBlocks, claim_of, found_block
from photosynth.pool.records import JobRecord
from photosynth.pool.share_log import ShareLog
from photosynth.pool.shares import Candidate
from photosynth.quantities.instants import Clock

FIRST_RETRY_S, LAST_RETRY_S = 0.25, 5.0
VERDICT_PATIENCE_S = 1.0
"""How long a solving share's answer waits for the node's verdict."""
NOTHING_NEW_S = 0.1
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
        self._solved: dict[bytes, None] = {}
        self._own = OwnBlocks(node, log, events)
        self._parent = b""
        self._quiet_since: tuple[int, float] = (-1, 0.0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: tuple[asyncio.Task[None], ...] = ()

    @property
    def condition(self) -> str | None:
        """What is wrong between pool and node, None where nothing is."""
        return self._node_condition or self._submit_condition

    def start(self) -> None:
        """Begin to follow the node."""
        self._following = (
            self._spawn(self._follow(), "pool-templates"),
            self._spawn(self._refresh_forever(), "pool-refresh"),
        )

    async def ended(self) -> None:
        """Wait until a mistake of ours ends the following of the node, and raise it."""
        await asyncio.gather(*self._following)

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
        cut, base = account.mark_cut(), account.cut_of(self._parent)
        plan = self._policy.plan(template, account.unclaimed.represented_after(base))
        wall_ms = self._clock.wall_ms()
        job = self._maker.make(self._log.next_job, template, plan, cut=cut, wall_ms=wall_ms, now_s=loop.time())
        job.record = JobRecord(
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
            base,
            self._parent,
        )
        clean = self.book.add(job)
        self._log.append_job(job.record)
        self._quiet_since = (account.last_seq, loop.time())
        self._on_job(job, clean)

    async def _follow(self) -> None:
        long_poll_id: str | None = None
        retry_s = FIRST_RETRY_S
        while True:
            try:
                template = await self._node.template(long_poll_id)
                taken = template.long_poll_id != long_poll_id and await self.take(template)
            except NodeUnavailableError as error:
                self._node_condition = f"no new jobs: {error}"
                long_poll_id = None
                await asyncio.sleep(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
                continue
            retry_s = FIRST_RETRY_S
            if taken:
                long_poll_id = template.long_poll_id
            else:  # the chain has another tip by now; and a node that does not wait is not asked in a circle
                await asyncio.sleep(NOTHING_NEW_S)

    async def take(self, template: Template) -> bool:
        """Work on a template from now on, on top of the blocks of ours below it; False where the chain has another tip.

        Raises NodeUnavailableError.
        """
        parent: bytes | None = self._parent
        if self._template is None or template.previous_hash != self._template.previous_hash:
            parent = await self._own.below(template.previous_hash, template.height - 1)
        if parent is None:
            return False
        self._node_condition = None
        # Firmware tells rolled bits as set, added or changed ones; where the job has none of them, these are the same.
        self._template = replace(template, version=template.version & ~self._config.version_mask)
        self._parent = parent
        self.refresh()
        return True

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
        """Keys of the jobs that shares or blocks may still refer to."""
        return self.book.keys() | self._own.jobs()

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
        record = solution.job.record
        assert record is not None, "a job that is sent to miners was logged"
        claim = msgspec.structs.replace(
            claim_of(record, solution.candidate.hash, self._log.account.last_seq),
            worker=solution.worker,
            site_ms=solution.site_ms,
            wall_ms=solution.wall_ms,
        )
        self._own.submitted(claim)
        try:
            done, _ = await asyncio.wait({submission}, timeout=VERDICT_PATIENCE_S)
            if not done:
                afterwards(False)
            verdict = await submission
            if verdict is not None and verdict.reason == "duplicate":
                verdict = await self._resolved(claim.block_hash)
            if done:
                afterwards(verdict is not None and verdict.accepted)
            if verdict is None:
                await self._own.without_verdict(found_block(claim, raw, Verdict(None)), claim)
            else:
                await self._own.decided(found_block(claim, raw, verdict), claim)
        finally:
            submission.cancel()

    async def _resolved(self, block_hash: bytes) -> Verdict | None:
        """What a node means that knows a block already: in the chain, beside it, or not to be learnt now."""
        try:
            return Verdict(None) if await self._own.is_active(block_hash) else Verdict("duplicate")
        except NodeUnavailableError:
            return None

    def found(self, block_hash: bytes) -> bool:
        """Whether a block is ours, as :meth:`OwnBlocks.found`."""
        return self._own.found(block_hash)

    async def recover(self) -> int:
        """Tell again of every block of ours that is not final, and find those that a crash left unlogged.

        Returns how many were found now. Raises NodeUnavailableError.
        """
        return await self._own.recover()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._node_condition = f"a bug stopped {task.get_name()}: {error!r}"
            task.get_loop().call_exception_handler({"message": self._node_condition, "exception": error, "task": task})
