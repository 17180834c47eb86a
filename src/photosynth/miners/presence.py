"""Whether a machine answers: one that misses twice has left, and one that leaves again and again is named."""

from collections import deque
from typing import Literal

from photosynth.miners.conditions import Conditions

Miss = Literal["unreachable", "talks_nonsense", "driver_fault"]

MISSES_TO_LEAVE = 2
DROPS_TO_NAME = 2
DAY_MS = 86_400_000


class Presence:
    """One machine's answers. Times are site milliseconds; ``misses`` is how many calls in a row it did not answer."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self.unreachable = False
        self.misses = 0
        self._left: deque[int] = deque(maxlen=8)

    def miss(self, error: str, why: Miss, answered_ms: int | None, now_ms: int) -> bool:
        """A call was not answered, which last was at ``answered_ms``. Whether the machine is not there."""
        self.misses += 1
        if why == "talks_nonsense":
            self._conditions.show("talks_nonsense", error, now_ms)
        if self.misses < MISSES_TO_LEAVE:
            return False
        if not self.unreachable and why == "unreachable":
            self._left.append(now_ms)
        self.unreachable = True
        if why == "unreachable":
            last = "never" if answered_ms is None else f"{(now_ms - answered_ms) // 1000} s ago"
            self._conditions.show("unreachable", f"{error}; last answer {last}", now_ms)
        recent = [left for left in self._left if now_ms - left < DAY_MS]
        if len(recent) >= DROPS_TO_NAME:
            self._conditions.show("drops_out", f"left {len(recent)} times within a day, the last time: {error}", now_ms)
        return True

    def answer(self, now_ms: int) -> bool:
        """It answered. Whether it comes back by that."""
        returned, self.unreachable, self.misses = self.unreachable, False, 0
        self._conditions.clear("unreachable", "talks_nonsense")
        if "drops_out" in self._conditions and (not self._left or now_ms - self._left[-1] >= DAY_MS):
            self._conditions.clear("drops_out")
        return returned
