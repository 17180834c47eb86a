"""What the process that answers says of itself: processor time, memory, and how late its event loop is."""

import asyncio
import time
from bisect import bisect_left
from dataclasses import dataclass, field

import psutil

LAG_EVERY_S = 0.25
LAG_LIMITS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(slots=True)
class LoopLag:
    """A histogram of seconds by which timers of the event loop were late; :meth:`watch` fills it."""

    sum_s: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(LAG_LIMITS_S) + 1))

    def note(self, late_s: float) -> None:
        """One timer was so late."""
        self.sum_s += max(0.0, late_s)
        self.counts[bisect_left(LAG_LIMITS_S, late_s)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Upper limits in seconds, each with how many timers were no later."""
        found, total = [], 0
        for limit, count in zip((*map(str, LAG_LIMITS_S), "+Inf"), self.counts, strict=True):
            total += count
            found.append((limit, float(total)))
        return found

    async def watch(self) -> None:
        """Set timers until cancelled."""
        while True:
            due_s = time.monotonic() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self.note(time.monotonic() - due_s)


@dataclass(frozen=True, slots=True)
class OwnProcess:
    """This process now."""

    cpu_s: float
    resident_bytes: int
    started_s: float
    lag: LoopLag


def own_process(lag: LoopLag) -> OwnProcess:
    """Ask the operating system, which every one that we run on tells."""
    process = psutil.Process()
    with process.oneshot():
        times = process.cpu_times()
        return OwnProcess(times.user + times.system, process.memory_info().rss, process.create_time(), lag)
