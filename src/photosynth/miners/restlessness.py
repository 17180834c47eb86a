"""A machine that does not stay as it was told: asleep, proven, it wakes by itself, or it falls asleep while it shall mine.

The first time it is told again at once. After that it is let be for longer and longer, so that neither its relays nor the
audit wear out, and counts meanwhile as what it draws. That ends when it has stayed as it was told for a while.
"""

from photosynth.miners.conditions import Conditions
from photosynth.miners.machine import MachineReading
from photosynth.miners.patience import LONGEST_PATIENCE_MS, patience_ms
from photosynth.miners.verification import describe

TIMES_TO_NAME = 2
CALM_MS = 2 * LONGEST_PATIENCE_MS
"""A machine that leaves its state more rarely is told twelve times a day at most."""


class Restlessness:
    """One machine's record. Until ``wait_until_ms`` (site time) it is not told again what it did not stay at."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self.wait_until_ms = 0
        self._times = self._last_ms = 0

    def look(self, reading: MachineReading, *, as_told: bool, moved: bool) -> None:
        """Judge a reading; ``moved`` says that it left the state of the one before, and that nobody here told it to."""
        now_ms = reading.at_ms
        if as_told:
            self.wait_until_ms = 0
            if self._times and now_ms - self._last_ms >= CALM_MS:
                self._times = 0
                self._conditions.clear("does_not_stay")
        elif moved:
            self._times += 1
            self._last_ms = now_ms
            if self._times >= TIMES_TO_NAME:
                wait_ms = patience_ms(self._times - TIMES_TO_NAME)
                self.wait_until_ms = now_ms + wait_ms
                evidence = f"{self._times} times, the last time it {describe(reading)}; told again after {wait_ms // 1000} s"
                self._conditions.show("does_not_stay", evidence, now_ms)
