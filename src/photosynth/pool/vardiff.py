"""Variable difficulty: how hard a connection's shares are, so that they come at a steady pace.

Decided by a timer, not only by shares, so that it also steps down when a curtailed machine hashes less. A change needs a
deviation that shrinks with the time looked at (100 % after 15 s to 15 % at 300 s) and that chance does not explain
(three standard deviations). Difficulties are powers of two: exact targets, and few different ones whatever miners suggest,
for every one is a line of its own in the books. A worker that comes back goes on where it was, so that dialling again
brings no more easy shares than staying does.
"""

import math
from copy import copy

BANDS = ((300.0, 0.15), (120.0, 0.30), (60.0, 0.45), (30.0, 0.70), (15.0, 1.00))
"""(seconds looked at, deviation that then counts)."""
SURPRISE = 3.0
"""Standard deviations that chance must be excluded by: it is asked again every few seconds."""
BURST_SHARES = 16
BURST_FACTOR = 4.0
PATIENCE_INTERVALS = 4.0
"""Share intervals without a share until the first step down: at the right difficulty that happens once in 55."""
STEPS_DOWN = (2.0, 2.0, 4.0)
MAX_UNSEEN_FALL = 32.0
"""How far the difficulty falls below the last that brought a share: a sleeping machine wakes as strong as it was. And how far
a miner's suggestion may lie below what the pace of its shares has shown."""
SUGGESTION_S = 60.0
"""A worker's suggestion is taken so often at most; in between the difficulty follows its shares."""
_SQRT_HALF = math.sqrt(0.5)


def rounded(difficulty: float) -> float:
    """The nearest power of two, by ratio."""
    mantissa, exponent = math.frexp(difficulty)  # the mantissa is from one half up to one
    return math.ldexp(1.0, exponent if mantissa >= _SQRT_HALF else exponent - 1)


def _power_below(difficulty: float) -> float:
    return math.ldexp(0.5, math.frexp(difficulty)[1])


def _power_above(difficulty: float) -> float:
    below = _power_below(difficulty)
    return below if below == difficulty else 2 * below


class Vardiff:
    """One connection's difficulty. Times are seconds of any steady clock; ``share_interval_s`` is what is aimed at."""

    __slots__ = (
        "_best_known",
        "_interval_s",
        "_max",
        "_min",
        "_quiet_steps",
        "_shares",
        "_shown",
        "_since_s",
        "_suggested_s",
        "difficulty",
    )

    def __init__(
        self, difficulty: float, now_s: float, *, share_interval_s: float, min_difficulty: float, max_difficulty: float
    ) -> None:
        self._interval_s = share_interval_s
        self._min = _power_above(min_difficulty)
        self._max = max(self._min, _power_below(max_difficulty))
        self._best_known: float | None = None
        """What the last share was brought at."""
        self._shown: float | None = None
        """What the pace of shares decided last."""
        self._quiet_steps = 0
        self._suggested_s = -math.inf
        self.difficulty = self._bounded(difficulty)
        self._since_s = now_s
        self._shares = 0.0

    def suggest(self, difficulty: float, now_s: float) -> bool:
        """Take a miner's suggestion, once a minute and within what its shares have shown; whether it changed anything."""
        if now_s - self._suggested_s < SUGGESTION_S:
            return False
        self._suggested_s = now_s
        lowest = 0.0 if self._shown is None else self._shown / MAX_UNSEEN_FALL
        wanted = self._bounded(max(difficulty, lowest))
        return wanted != self.difficulty and self._change(wanted, now_s) is not None

    def paused(self, now_s: float) -> "Vardiff | None":
        """What is kept of it while its worker is away; None where no share was brought. Shares stand for no more than that."""
        known = max(self._best_known or 0.0, self._shown or 0.0)
        if not known:
            return None
        kept = copy(self)
        if kept.difficulty > known:
            kept.difficulty = known
            kept._restart(now_s)
        kept._since_s -= now_s
        return kept

    def resumed(self, now_s: float) -> "Vardiff":
        """A paused one for a connection that begins; the time between does not count."""
        again = copy(self)
        again._since_s += now_s
        return again

    def join(self, paused: "Vardiff", now_s: float) -> bool:
        """Go on as this one and a paused one at once: as hard as either, with the shares of both; whether it is harder now."""
        before = self.difficulty
        counted = self._shares * before + paused._shares * paused.difficulty
        self.difficulty = max(before, paused.difficulty)
        self._shares = counted / self.difficulty
        self._since_s = min(self._since_s, now_s + paused._since_s)
        self._suggested_s = max(self._suggested_s, paused._suggested_s)
        self._shown = max(self._shown or 0.0, paused._shown or 0.0) or None
        return self.difficulty != before

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
            return self._follow(ratio, now_s)
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
                    return self._follow(ratio, now_s)
                return self._follow(1.0, now_s) if seconds == BANDS[0][0] else None
        return None

    def _follow(self, ratio: float, now_s: float) -> float | None:
        """Go where the pace of shares shows."""
        changed = self._change(self.difficulty * ratio, now_s)
        self._shown = self.difficulty
        return changed

    def _change(self, difficulty: float, now_s: float) -> float | None:
        before, self.difficulty = self.difficulty, self._bounded(difficulty)
        self._restart(now_s)
        return None if self.difficulty == before else self.difficulty

    def _restart(self, now_s: float) -> None:
        self._since_s = now_s
        self._shares = 0.0

    def _bounded(self, difficulty: float) -> float:
        return min(max(rounded(difficulty), self._min), self._max)
