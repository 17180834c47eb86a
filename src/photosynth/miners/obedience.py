"""What a machine was proven to obey: being switched off, a power limit, both or neither; and how it is worked around.

One that ignores limits is switched only. One that ignores *off* is a fixed load, tried again rarely; what it draws is
lowered as far as it takes limits. What is said of it is what reading back showed, never what that might mean.
"""

from dataclasses import dataclass
from typing import Literal

from photosynth.miners.conditions import Conditions
from photosynth.miners.machine import Instant, Watts, Words

Regulation = Literal["steps", "on_off", "none"]

PROOFS_TO_NAME = 2
"""Commands in a row that must fail to show before a machine is worked around."""
FIRST_RETEST_MS = 1_800_000
LONGEST_RETEST_MS = 21_600_000
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Proof:
    """What it ignored last, in words, and the site time since when it ignores that."""

    text: Words
    since_ms: Instant


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was proven of a machine so far, with the proof of what it ignores."""

    regulation: Regulation
    fixed_power_w: Watts | None
    next_test_ms: Instant
    regulate_again_ms: Instant | None
    off: Proof | None
    limit: Proof | None


class Obedience:
    """One machine's record. Times are site milliseconds, powers watts."""

    def __init__(self, conditions: Conditions, best: Literal["steps", "on_off"] = "steps") -> None:
        self._conditions = conditions
        self.best = best
        """What its driver can do at most."""
        self.regulation: Regulation = best
        self.fixed_power_w: int | None = None
        self.next_test_ms = 0
        self._deaf = self._ignored = self._retests = 0
        self._off: Proof | None = None
        self._limit: Proof | None = None
        self._regulate_again_ms: int | None = None

    @property
    def takes_limits(self) -> bool:
        """Whether nothing yet speaks against its obeying a power limit."""
        return self.best == "steps" and self._ignored == 0

    def obeyed_off(self) -> None:
        """It sleeps, or was seen asleep: whatever was said of its being switched off does not hold any more."""
        if self._off is None:
            return
        self._deaf = self._retests = 0
        if self._limit is not None:  # it did nothing at all and does something again: a limit is worth a try, too
            self._limit, self._ignored = None, PROOFS_TO_NAME - 1
        self._off, self.regulation = None, self.best
        self._say()

    def obeyed_limit(self, wanted_on: bool) -> None:
        """It runs at the power that it was told. One that ignored *off* is used again where it is wanted on."""
        if self.regulation == "on_off":
            return  # it runs at the one power that it has
        self._ignored, self._limit = 0, None
        if self.regulation == "none" and wanted_on:
            self.regulation, self._deaf = self.best, PROOFS_TO_NAME - 1
        self._say()

    def ignored_off(self, now_ms: int, power_w: int | None, evidence: str) -> None:
        """It was told to sleep and stayed awake."""
        self._deaf += 1
        self._off = _again(self._off, evidence, now_ms)
        if self._deaf >= PROOFS_TO_NAME or self.regulation != self.best:
            self._give_up(now_ms, power_w)
        self._say()

    def ignored_limit(self, now_ms: int, power_w: int | None, evidence: str) -> None:
        """It was told a power, runs, and stayed elsewhere."""
        self._ignored += 1
        if self.regulation == "none":
            self._limit = _again(self._limit, evidence, now_ms)
            self._give_up(now_ms, power_w)
        elif self._ignored >= PROOFS_TO_NAME and self.regulation == "steps":
            self._limit = _again(self._limit, evidence, now_ms)
            self.regulation, self.fixed_power_w = "on_off", power_w
            self._regulate_again_ms = now_ms + DAY_MS
        self._say()

    def look(self, now_ms: int, power_w: int | None) -> None:
        """A quiet moment: a fixed load's power is noted, and one that ignored limits is given another chance a day later."""
        if self.regulation == "none":
            self.fixed_power_w = power_w if power_w is not None else self.fixed_power_w
        if self._regulate_again_ms is not None and now_ms >= self._regulate_again_ms:
            self._regulate_again_ms = None
            self.regulation, self._ignored = self.best, PROOFS_TO_NAME - 1

    def memory(self) -> Learnt:
        """What outlives a restart."""
        next_test_ms = self.next_test_ms if self.regulation == "none" else 0
        return Learnt(
            self.regulation,
            self.fixed_power_w,
            next_test_ms,
            self._regulate_again_ms,
            self._off,
            self._limit,
        )

    def remember(self, learnt: Learnt, now_ms: int) -> None:
        """Take up what an earlier life's :meth:`memory` gave; no test is put off for longer than one may be."""
        self.fixed_power_w = learnt.fixed_power_w
        off = learnt.off
        limit = learnt.limit if self.best == "steps" else None  # its driver may be another one now
        unproven = (learnt.regulation == "none" and off is None) or (learnt.regulation == "on_off" and limit is None)
        self.regulation = self.best if unproven or learnt.regulation == "steps" else learnt.regulation
        self.next_test_ms = min(learnt.next_test_ms, now_ms + LONGEST_RETEST_MS)
        if learnt.regulate_again_ms is not None:
            self._regulate_again_ms = min(learnt.regulate_again_ms, now_ms + DAY_MS)
        self._off, self._limit = off, limit
        self._deaf = PROOFS_TO_NAME if self.regulation == "none" else PROOFS_TO_NAME - 1 if off is not None else 0
        self._ignored = 0 if limit is None else PROOFS_TO_NAME
        self._say()

    def _give_up(self, now_ms: int, power_w: int | None) -> None:
        self.regulation, self.fixed_power_w, self._regulate_again_ms = "none", power_w, None
        self.next_test_ms = now_ms + min(FIRST_RETEST_MS << self._retests, LONGEST_RETEST_MS)
        self._retests = min(self._retests + 1, 8)

    def _say(self) -> None:
        off, limit = self._off, self._limit
        both = None
        if off is not None and limit is not None:
            both = Proof(f"{off.text}; {limit.text}", max(off.since_ms, limit.since_ms))
        found = {
            "says_ok_does_nothing": both,
            "stays_awake": off if limit is None else None,
            "ignores_power_limit": limit if off is None else None,
        }
        for kind, proof in found.items():
            if proof is None:
                self._conditions.clear(kind)
            else:
                self._conditions.show(kind, proof.text, proof.since_ms)


def _again(before: Proof | None, text: str, now_ms: int) -> Proof:
    return Proof(text, now_ms if before is None else before.since_ms)
