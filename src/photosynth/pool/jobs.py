"""Jobs: a template with a coinbase of ours, ready to be sent, and the book of those that may still be answered.

A job's key is a number that never comes again in one log; it stands in the coinbase, behind the pool's mark and before the
extranonce, so no header belongs to two jobs. On the wire its id is ``key * 256 + alias`` in hexadecimal: an alias is the same
job told once more to one miner, whose difficulty changed in between.
"""

from dataclasses import dataclass, field

from photosynth.bitcoin.block import assemble_block, merkle_branch
from photosynth.bitcoin.coinbase import CoinbaseParts, build_coinbase, with_witness
from photosynth.bitcoin.node import Template
from photosynth.pool.config import CoinbasePlan, PoolConfig
from photosynth.pool.records import JobRecord
from photosynth.stratum.messages import encode_request
from photosynth.stratum.work import Job, notify_params

ALIASES = 256
KEY_BYTES = 4
MAX_STALE_JOBS = 64
MAX_SEEN = 1_000_000
"""Hashes of accepted shares that are kept to find duplicates, over all jobs (0.1 kB each); past them the oldest job goes."""


@dataclass(slots=True)
class PoolJob:
    """One job, its hashes seen so far, the cut up to which its coinbase claims, and what the log says of it."""

    key: int
    template: Template
    coinbase: CoinbaseParts
    branch: tuple[bytes, ...]
    time_s: int
    cut: int
    plan: CoinbasePlan
    created_s: float
    seen: set[bytes] = field(default_factory=set)
    record: JobRecord | None = None

    def notify_line(self, *, clean: bool, alias: int = 0) -> bytes:
        """The line that tells miners of it."""
        template = self.template
        job = Job(
            id=f"{self.key * ALIASES + alias:x}",
            previous_hash=template.previous_hash,
            coinbase_prefix=self.coinbase.prefix,
            coinbase_suffix=self.coinbase.suffix,
            branch=self.branch,
            version=template.version,
            bits=template.bits,
            time_s=self.time_s,
            clean=clean,
        )
        return encode_request(None, "mining.notify", notify_params(job))

    def block(self, header: bytes, extranonce: bytes) -> bytes:
        """The whole block that a header of this job solves."""
        coinbase = self.coinbase.with_extranonce(extranonce)
        if self.template.witness_commitment:
            coinbase = with_witness(coinbase)
        return assemble_block(header, coinbase, [transaction.raw for transaction in self.template.transactions])


class JobMaker:
    """Builds jobs; keeps the branch of the last template, whose hashing is the work in it."""

    def __init__(self, config: PoolConfig) -> None:
        self._config = config
        self._transactions: object = None
        self._branch: tuple[bytes, ...] = ()

    def make(self, key: int, template: Template, plan: CoinbasePlan, *, cut: int, wall_ms: int, now_s: float) -> PoolJob:
        """A job on a template. Raises ValueError where the plan asks for more than the template allows."""
        if not 0 <= plan.value_sat <= template.coinbase_value_sat:
            raise ValueError(f"a coinbase of {plan.value_sat} sat where {template.coinbase_value_sat} may be claimed")
        if self._transactions is not template.transactions:
            self._branch = tuple(merkle_branch([transaction.txid for transaction in template.transactions]))
            self._transactions = template.transactions
        coinbase = build_coinbase(
            template.height,
            [(plan.value_sat, plan.script)],
            template.witness_commitment,
            plan.commitment,
            self._config.extranonce1_size + self._config.extranonce2_size,
            tag=self._config.tag + self._config.mark + (key % (1 << 8 * KEY_BYTES)).to_bytes(KEY_BYTES, "big"),
        )
        time_s = max(template.min_time_s, wall_ms // 1000)
        return PoolJob(key, template, coinbase, self._branch, time_s, cut, plan, now_s)


class JobBook:
    """The jobs that miners may answer: those on the tip, for a while, and the last stale ones, only to test for blocks."""

    def __init__(self, lifetime_s: float, max_jobs: int) -> None:
        self._lifetime_s = lifetime_s
        self._max_jobs = max_jobs
        self._jobs: dict[int, PoolJob] = {}
        self._stale: dict[int, PoolJob] = {}
        self.current: PoolJob | None = None

    def add(self, job: PoolJob) -> bool:
        """Make a job the current one; True where it stands on another tip, so that all before it are stale."""
        clean = self.current is None or self.current.template.previous_hash != job.template.previous_hash
        if clean:
            for held in self._jobs.values():
                held.seen.clear()  # no share of theirs counts any more
            self._stale.update(self._jobs)
            self._jobs = {}
            for key in list(self._stale)[:-MAX_STALE_JOBS]:
                del self._stale[key]
        self._jobs[job.key] = job
        self.current = job
        oldest_s = job.created_s - self._lifetime_s
        seen = sum(len(held.seen) for held in self._jobs.values())
        for held in list(self._jobs.values()):
            if held is job or (held.created_s >= oldest_s and len(self._jobs) <= self._max_jobs and seen <= MAX_SEEN):
                break
            seen -= len(held.seen)
            del self._jobs[held.key]
        return clean

    def find(self, key: int) -> tuple[PoolJob | None, bool]:
        """The job of a key, and whether it is stale."""
        job = self._jobs.get(key)
        return (job, False) if job is not None else (self._stale.get(key), True)

    def keys(self) -> set[int]:
        """The keys of all jobs that may still matter."""
        return {*self._jobs, *self._stale}

    @property
    def crowded(self) -> bool:
        """Whether the current job has so many shares that it is time for the next."""
        return self.current is not None and len(self.current.seen) > MAX_SEEN // 4
