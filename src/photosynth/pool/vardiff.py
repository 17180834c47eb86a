"""Variable difficulty: how hard a connection's shares are, so that they come at a steady pace.

Decided by a timer, not only by shares, so that it also steps down when a curtailed machine hashes less. A change needs a
deviation that shrinks with the time looked at (100 % after 15 s to 15 % at 300 s) and that chance does not explain
(three standard deviations). Difficulties are dyadic, with eight steps to a doubling: few different ones, and exact targets.
"""

import math

BANDS = ((300.0, 0.15), (120.0, 0.30), (60.0, 0.45), (30.0, 0.70), (15.0, 1.00))
"""(seconds looked at, deviation that then counts)."""
SURPRISE = 3.0
"""Standard deviations that chance must be excluded by: it is asked again every few seconds."""
BURST_SHARES = 16
BURST_FACTOR = 4.0
PATIENCE_INTERVALS = 4.0
"""Share intervals without a share until the first step down: at the right difficulty that happens once in 55."""
STEPS_DOWN = (1.5, 2.0, 3.0)
MAX_UNSEEN_FALL = 32.0
"""How far the difficulty falls below the last that brought a share: a sleeping machine wakes as strong as it was."""


def dyadic(difficulty: float) -> float:
    """The nearest difficulty below of the form (8 to 15) x 2^n / 8."""
    mantissa, exponent = math.frexp(difficulty)
    return math.ldexp(math.floor(mantissa * 16) / 16, exponent)


def dyadic_above(difficulty: float) -> float:
    """The nearest difficulty of that form that is not below."""
    below = dyadic(difficulty)
    return below if below == difficulty else dyadic(below * 1.13)  # a step is 1/8 at most


class Vardiff:
    """One connection's difficulty. Times are seconds of any steady clock; ``share_interval_s`` is what is aimed at."""

    __slots__ = ("_best_known", "_interval_s", "_max", "_min", "_quiet_steps", "_shares", "_since_s", "difficulty")

    def __init__(
        self, difficulty: float, now_s: float, *, share_interval_s: float, min_difficulty: float, max_difficulty: float
    ) -> None:
        self._interval_s = share_interval_s
        self._min = dyadic_above(min_difficulty)
        self._max = max_difficulty
        self._best_known: float | None = None
        self._quiet_steps = 0
        self.difficulty = self._bounded(difficulty)
        self._restart(now_s)

    def suggest(self, difficulty: float, now_s: float) -> float:
        """Take a miner's suggestion; returns the difficulty that then holds."""
        self.difficulty = self._bounded(difficulty)
        self._best_known = None
        self._restart(now_s)
        return self.difficulty

    def share(self, difficulty: float, now_s: float) -> bool:
        """Count an accepted share of this difficulty; True says that :meth:`check` should be asked at once."""
        self._shares += difficulty / self.difficulty
        self._best_known = self.difficulty
        self._quiet_steps = 0
        elapsed_s = now_s - self._since_s
        return self._shares >= BURST_SHARES and self._shares * self._interval_s > BURST_FACTOR * elapsed_s

    def check(self, now_s: float) -> float | None:
        """The new difficulty where it should change, else None. Ask every few seconds."""
        elapsed_s = max(now_s - self._since_s, 1e-3)
        expected = elapsed_s / self._interval_s
        ratio = self._shares / expected
        if self._shares >= BURST_SHARES and ratio > BURST_FACTOR:
            return self._change(self.difficulty * ratio, now_s)
        if self._shares == 0:
            if expected < PATIENCE_INTERVALS:
                return None
            step = STEPS_DOWN[min(self._quiet_steps, len(STEPS_DOWN) - 1)]
            lowest = self._min if self._best_known is None else self._best_known / MAX_UNSEEN_FALL
            changed = self._change(max(self.difficulty / step, min(lowest, self.difficulty)), now_s)
            self._quiet_steps += 1
            return changed
        for seconds, deviation in BANDS:
            if elapsed_s >= seconds:
                # The square root of a Poisson count has a standard deviation of one half, whatever the rate. And a rate
                # rises without bound but falls to nothing only: halving weighs as much as doubling.
                surprise = 2 * abs(math.sqrt(self._shares) - math.sqrt(expected))
                if surprise > SURPRISE and max(ratio, 1 / ratio) - 1 > deviation:
                    return self._change(self.difficulty * ratio, now_s)
                if seconds == BANDS[0][0]:
                    self._restart(now_s)
                return None
        return None

    def _change(self, difficulty: float, now_s: float) -> float | None:
        before, self.difficulty = self.difficulty, self._bounded(difficulty)
        self._restart(now_s)
        return None if self.difficulty == before else self.difficulty

    def _restart(self, now_s: float) -> None:
        self._since_s = now_s
        self._shares = 0.0

    def _bounded(self, difficulty: float) -> float:
        return dyadic(min(max(difficulty, self._min), self._max))
