"""A year without a block: how the share log's unclaimed work, its snapshots and the event loop's part in them grow.

Prints rows, bytes of a snapshot, the CPU time of the event loop's part (the frozen view), the longest that the loop did not
come round while a snapshot was taken and, as control, in as long a time without one, and what opening takes.

    python tests/benchmarks/share_log_year.py [days of 102 machines] [days of 5,000 guests] [shares that no books took]

In the end a log of shares alone, as it grows while the books cannot be written: what opening takes, in CPU and memory.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from photosynth.pool.accounting import WorkAccount
from photosynth.pool.records import KIND_GROUP, KIND_JOB, JobRecord, ShareRecord, frame, packed_body, share_body
from photosynth.pool.segments import create_segment, open_segments
from photosynth.pool.share_log import ShareLog
from photosynth.pool.snapshots import freeze, write_snapshot
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


UNBOOKED = """
import re, sys, time
from pathlib import Path
from photosynth.pool.segments import open_segments

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before_mb, started = peak_mb(), time.process_time()
found = open_segments(Path(sys.argv[1])).account.last_seq
print(f"  {found:,} shares opened in {time.process_time() - started:.2f} s of CPU, with {peak_mb() - before_mb:.0f} MB at most")
"""
"""Opens a log in a process of its own, whose highest memory is the opening's."""


def unbooked(shares: int) -> None:
    """Ten a second of 102 machines in one segment, with a job every 30 seconds as long as 1,000 of them last."""
    with tempfile.TemporaryDirectory() as folder:
        write_snapshot(Path(folder) / "00000001.state", freeze(WorkAccount(), 1))
        segment = create_segment(Path(folder), 1, 0)
        with segment.path.open("ab") as file:
            for number, (worker, scale) in enumerate(machines(0)):
                file.write(frame(packed_body(KIND_GROUP, number, worker, 1, 1 << 240, scale)))
            for seq in range(1, shares + 1):
                if seq % max(300, shares // 1_000) == 0:
                    job = JobRecord(seq, 1, bytes(32), bytes(120), bytes(120), (), seq - 1, 0, 12, START_MS, 0, bytes(32))
                    file.write(frame(packed_body(KIND_JOB, job)))
                share = ShareRecord("", 1, 0, 0, START_MS + 100 * seq, 0, 1, seq.to_bytes(80, "little"), bytes(12))
                file.write(frame(share_body(seq, share, seq % 102)))
        print(f"{segment.path.stat().st_size / 1e6:.0f} MB that no books took", flush=True)
        subprocess.run([sys.executable, "-c", UNBOOKED, folder], check=True)


def machines(_: int) -> list[tuple[str, int]]:
    return [(f"bc1qoperatorsaddressofsomelength.hall-{n:03d}", 10**9) for n in range(102)]


def guests(day: int) -> list[tuple[str, int]]:
    """5,000 at a time; a hundred of them leave every day and others come, until the pool has as many as it keeps."""
    first = min(day * 100, 5_000)
    return [(f"bc1qsomeguestsaddressofsomelength{n:05d}.rig", 1) for n in range(first, first + 5_000)]


async def main() -> None:
    counts = [int(text) for text in sys.argv[1:4]] + [365, 30, 1_000_000][len(sys.argv) - 1 :]
    await run("102 machines", counts[0], machines)
    await run("5,000 guests", counts[1], guests)
    unbooked(counts[2])


if __name__ == "__main__":
    asyncio.run(main())
