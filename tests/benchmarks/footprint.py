"""CPU and memory of a running site, all its processes together, with one console page open in Chromium.

Run: `.venv/bin/python tests/benchmarks/footprint.py [seconds]`. The limits are 40 % of one core and 500 MB.
Linux only: it reads /proc. Memory is the proportional set size (PSS), which counts shared pages once.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.functional.running_site import RunningSite

CHROMIUM = "/usr/bin/chromium"
SETTLE_S = 15


def children(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Proportional set size of a process in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    return 0.0


def main() -> None:
    """Start a site, open a page, and print what a minute costs."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = RunningSite(Path(folder) / "state")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            site.start()
            browser.new_page().goto(site.url)
            time.sleep(SETTLE_S)
            assert site.process is not None
            pids = children(site.process.pid)
            before, began = cpu_seconds(pids), time.monotonic()
            time.sleep(seconds)
            share = (cpu_seconds(pids) - before) / (time.monotonic() - began)
            memory = sum(memory_mb(pid) for pid in pids)
            status = site.get("status")
            running = status["sites"][0]["machines"]["running"]
            print(f"{len(pids)} processes, {running} machines running, one page open, {seconds:.0f} s")
            print(f"CPU {share:.1%} of one core (limit 40 %), memory {memory:.0f} MB (limit 500 MB)")
        finally:
            browser.close()
            site.end()


if __name__ == "__main__":
    main()
