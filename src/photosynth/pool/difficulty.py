"""What a connection's shares are judged by: its difficulty now, and the one that each job was sent with.

A job keeps the difficulty that it was sent with, so that no share is refused that was hashed for one; a changed one goes out
before the next job and holds from there on.
"""

from collections.abc import Callable, Sequence

from photosynth.pool.allowance import Allowance
from photosynth.pool.config import PoolConfig
from photosynth.pool.jobs import ALIASES
from photosynth.pool.vardiff import Vardiff
from photosynth.quantities.work import target_of_difficulty
from photosynth.stratum.messages import encode_request

MAX_STEPS = 64
EASY_SHARES = 128
"""Shares at once that a connection may hand in at an easier difficulty than its present one, on jobs from before."""


class Difficulty:
    """One connection's. ``now`` is any steady clock in seconds; each method that says so tells whether a new job is due."""

    __slots__ = ("_config", "_easy_allowance", "_now", "_steps", "_suggested", "_vardiff", "_wire", "came_from")

    def __init__(self, config: PoolConfig, now: Callable[[], float]) -> None:
        self._config = config
        self._now = now
        self._vardiff: Vardiff | None = None
        self._suggested: float | None = None
        # The targets in force, as (first job id on the wire, (difficulty, target)), oldest first.
        self._steps: list[tuple[int, tuple[float, int]]] = []
        self._wire = -1
        self._easy_allowance: Allowance | None = None
        self.came_from: list[Vardiff] = []
        """What was remembered of its workers and it goes on from."""

    def begin(self, remembered: Sequence[Vardiff]) -> None:
        """Start where its workers were last, else at the miner's own suggestion or the pool's start."""
        config, now_s = self._config, self._now()
        if remembered:
            self._vardiff = remembered[0].resumed(now_s)
            self.came_from.append(remembered[0])
            for another in remembered[1:]:
                self.also_for(another)
            if self._suggested is not None:
                self._vardiff.suggest(self._suggested, now_s)
            return
        self._vardiff = Vardiff(
            config.start_difficulty if self._suggested is None else self._suggested,
            now_s,
            share_interval_s=config.share_interval_s,
            min_difficulty=config.min_difficulty,
            max_difficulty=config.max_difficulty,
        )

    def also_for(self, remembered: Vardiff | None) -> bool:
        """It mines for one more worker, whose shares are no cheaper than they were; whether a new job is due."""
        if remembered is None or self._vardiff is None or any(remembered is one for one in self.came_from):
            return False
        self.came_from.append(remembered)
        return self._vardiff.join(remembered, self._now())

    def to_remember(self) -> Vardiff | None:
        """What its workers go on from when they come back, None where no share was brought."""
        return None if self._vardiff is None else self._vardiff.paused(self._now())

    def suggest(self, difficulty: float) -> bool:
        """The miner would like this one; whether a new job is due."""
        if self._vardiff is None:
            self._suggested = difficulty
            return False
        return self._vardiff.suggest(difficulty, self._now())

    def check(self, now_s: float) -> bool:
        """Look at the clock; whether a new job is due."""
        return self._vardiff is not None and self._vardiff.check(now_s) is not None

    def good(self, difficulty: float) -> bool:
        """Count an accepted share; whether a new job is due, as for a burst."""
        vardiff, now_s = self._vardiff, self._now()
        if difficulty < self._steps[-1][1][0]:
            if self._easy_allowance is None:
                self._easy_allowance = Allowance(1 / self._config.share_interval_s, EASY_SHARES)
            self._easy_allowance.spend(1, now_s)
        return vardiff is not None and vardiff.share(difficulty, now_s) and vardiff.check(now_s) is not None

    def sent(self, wire: int) -> bytes:
        """A job goes out under this id: what has to go before it, where the difficulty changed."""
        if self._vardiff is None:
            return b""
        self._wire = wire
        difficulty = self._vardiff.difficulty
        if self._steps and self._steps[-1][1][0] == difficulty:
            return b""
        self._steps.append((wire, (difficulty, target_of_difficulty(difficulty))))
        if len(self._steps) > MAX_STEPS:
            del self._steps[0]
        return encode_request(None, "mining.set_difficulty", [difficulty])

    def next_alias(self, job_key: int) -> int | None:
        """The next alias under which a job can be sent again; None where they are used up."""
        alias = self._wire % ALIASES + 1 if self._wire // ALIASES == job_key else 1
        return alias if alias < ALIASES else None

    def in_force(self, wire: int) -> tuple[float, int] | None:
        """The difficulty and target that a job id is judged by, None where it was never sent.

        A job keeps those that it was sent with; where they are easier than the present ones, only for some shares, for a
        miner that stays with an old job would else hand in as many as it likes.
        """
        if wire > self._wire:
            return None
        newest = self._steps[-1]
        if newest[0] <= wire:
            return newest[1]
        for first, step in reversed(self._steps):
            if first <= wire:
                used_up = self._easy_allowance is not None and self._easy_allowance.wait_s(self._now()) > 0
                return newest[1] if used_up and step[1] > newest[1][1] else step
        return None

    @property
    def begun(self) -> bool:
        """Whether the miner may be sent jobs."""
        return self._vardiff is not None

    @property
    def target(self) -> int | None:
        """The target of the newest job."""
        return self._steps[-1][1][1] if self._steps else None
