"""A year without a block: how the share log's unclaimed work, its snapshots and the event loop's part in them grow.

Prints rows, bytes of a snapshot, the CPU time of the event loop's part (the frozen view), the longest that the loop did not
come round while a snapshot was taken and, as control, in as long a time without one, and what opening takes.

    python tests/benchmarks/share_log_year.py [days of 102 machines] [days of 5,000 guests]
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from photosynth.pool.records import JobRecord
from photosynth.pool.segments import open_segments
from photosynth.pool.share_log import ShareLog
from photosynth.pool.snapshots import freeze
from photosynth.pool.unclaimed import WORK_BITS, count_rows
from photosynth.quantities.instants import INTERVAL_MS

START_MS = 1_767_225_600_000
QUARTERS_A_DAY = 96
SNAPSHOT_EVERY, OFTEN_DAYS = 8, 7
"""Quarter hours between snapshots in the first days, later a day: a running site takes one every quarter hour, which only
makes each of them less work."""
SHARES_A_QUARTER = 90
WORK = 1 << 50
REPORT_DAYS = (1, 7, 14, 30, 66, 100, 200, 365)


class Lag:
    """The longest time that the event loop did not come round."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._task = asyncio.get_running_loop().create_task(self._beat())

    async def _beat(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self.worst_s = max(self.worst_s, now - last)
            last = now

    async def end(self) -> float:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.worst_s


def quarter(log: ShareLog, number: int, workers: Iterable[tuple[str, int]]) -> None:
    """A quarter hour's work: each worker in two or three rounds, as ten minutes a block make them."""
    account, start_ms = log.account, START_MS + number * INTERVAL_MS
    rounds = sorted({(number * 15 + minute) // 10 for minute in range(15)})
    rows = account.unclaimed.rows
    for worker, scale in workers:
        totals = account.totals_of(worker)
        totals.accepted += SHARES_A_QUARTER
        totals.work += SHARES_A_QUARTER * WORK
        totals.last_share_site_ms = start_ms
        for round_ in rounds:
            row = (start_ms, 800_000 + round_, worker, scale)
            rows[row] = rows.get(row, 0) + SHARES_A_QUARTER // len(rounds) * ((WORK << WORK_BITS) + 1)
            account.last_seq += SHARES_A_QUARTER // len(rounds)
    cut = account.mark_cut()
    log.append_job(
        JobRecord(number + 1, 800_000 + rounds[-1], bytes(32), bytes(120), bytes(120), (), cut, 0, 12, start_ms, 0, bytes(32))
    )


@dataclass
class Worst:
    """The longest of each, in seconds: CPU of the frozen view, waits of the loop with a snapshot and without one."""

    frozen_s: float = 0.0
    with_s: float = 0.0
    without_s: float = 0.0

    async def snapshot(self, log: ShareLog) -> None:
        """Take one, and let the loop run as long without one."""
        started = time.thread_time()
        freeze(log.account, 1)
        self.frozen_s = max(self.frozen_s, time.thread_time() - started)
        lag, started = Lag(), time.perf_counter()
        log.checkpoint(log.account.last_seq)
        await log.settle()
        took_s = time.perf_counter() - started
        self.with_s = max(self.with_s, await lag.end())
        lag = Lag()
        await asyncio.sleep(took_s)
        self.without_s = max(self.without_s, await lag.end())


async def run(name: str, days: int, workers_of_day: Callable[[int], list[tuple[str, int]]]) -> None:
    print(f"{name}, {days} days")
    print("  day       rows    snapshot   CPU of the frozen view   longest wait of the loop (without a snapshot)   opening, CPU")
    with tempfile.TemporaryDirectory() as folder:
        log, worst = ShareLog(Path(folder)), Worst()
        log.live_jobs = lambda: set(sorted(log.account.jobs)[-20:])
        for number in range(days * QUARTERS_A_DAY):
            day, rest = divmod(number + 1, QUARTERS_A_DAY)
            quarter(log, number, workers_of_day(number // QUARTERS_A_DAY))
            if rest == 0 or (rest % SNAPSHOT_EVERY == 0 and day < OFTEN_DAYS):
                await worst.snapshot(log)
            if rest == 0 and (day in REPORT_DAYS or day == days):
                size = max(path.stat().st_size for path in Path(folder).glob("*.state"))
                rows = count_rows(log.account.unclaimed.sealed())
                print(
                    f"{day:5} {rows:10,} {size / 1e6:8.2f} MB {worst.frozen_s * 1000:21.1f} ms {worst.with_s * 1000:21.1f} ms "
                    f"({worst.without_s * 1000:.1f} ms) {await opening(log, Path(folder)):30.2f} s",
                    flush=True,
                )
        await log.close()


async def opening(log: ShareLog, folder: Path) -> float:
    """Seconds of CPU that a start needs for the log as it is on the disk."""
    await log.flush()
    started = time.process_time()
    open_segments(folder)
    return time.process_time() - started


def machines(_: int) -> list[tuple[str, int]]:
    return [(f"bc1qoperatorsaddressofsomelength.hall-{n:03d}", 10**9) for n in range(102)]


def guests(day: int) -> list[tuple[str, int]]:
    """5,000 at a time; a hundred of them leave every day and others come, until the pool has as many as it keeps."""
    first = min(day * 100, 5_000)
    return [(f"bc1qsomeguestsaddressofsomelength{n:05d}.rig", 1) for n in range(first, first + 5_000)]


async def main() -> None:
    days = [int(text) for text in sys.argv[1:3]] + [365, 30][len(sys.argv) - 1 :]
    await run("102 machines", days[0], machines)
    await run("5,000 guests", days[1], guests)


if __name__ == "__main__":
    asyncio.run(main())
