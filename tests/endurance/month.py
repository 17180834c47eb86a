"""A month of an operator's fleet at 3,600 times real time, and what grows: `python tests/endurance/month.py [days [folder]]`.

Thirty days without. The fleet is `examples/operator.yaml`: two sites, two nodes. Every simulated day the processes' memory, the
files of the state and the rows of its tables are written down. At the end stands what each grew by in a day, over the second
half of the time, beside what is declared: rows that are kept for good grow with the quarter hours and blocks that they tell
of, and with nothing else; what is bounded does not grow.
"""

import contextlib
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.functional.running_site import EXAMPLES, RunningSite
from tests.process_tree import cpu_seconds, memory_mb, tree

SPEED = 3600
DAY_S = 86_400 / SPEED


def main() -> None:
    """Run the days, and print what grew."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as folder:
        state = Path(sys.argv[2] if len(sys.argv) > 2 else folder) / "state"
        site = RunningSite(state, "--speed", str(SPEED), fleet=EXAMPLES / "operator.yaml")
        try:
            site.start()
            seen = [look(site)]
            for day in range(1, days + 1):
                time.sleep(max(0.0, site.started_s + day * DAY_S - time.monotonic()))
                seen.append(look(site))
                print(f"day {day}: {written(seen[-2], seen[-1])}", flush=True)
            site.stop()
        finally:
            site.end()
    half = len(seen) // 2
    print(f"\na day's growth over the last {len(seen) - 1 - half} days, and where it came to:")
    for what in sorted(seen[-1]):
        print(f"{what:40} {(seen[-1][what] - seen[half][what]) / (len(seen) - 1 - half):12.1f} {seen[-1][what]:12.1f}")


def look(site: RunningSite) -> Counter[str]:
    """Memory, files and rows by what they are."""
    assert site.process is not None
    pids = tree(site.process.pid)
    found = Counter[str]({"memory MB": sum(memory_mb(pid) for pid in pids), "CPU s": cpu_seconds(pids)})
    found["open files"] = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
    for path in site.state.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                place = path.relative_to(site.state).parts
                found["kB " + "/".join(place[:3] if len(place) > 3 else place[:-1] or place)] += path.stat().st_size // 1000
    with contextlib.closing(sqlite3.connect(f"file:{site.state / 'photosynth.sqlite3'}?mode=ro", uri=True)) as raw:
        for (table,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            found[f"rows {table}"] = raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    for part in site.get("status")["sites"]:
        found[f"blocks found {part['name']}"] = part["pool"]["blocks_found"]
    return found


def written(before: Counter[str], now: Counter[str]) -> str:
    """A line of what matters of one day."""
    tables = ("intervals", "blocks", "postings", "evidence", "actions")
    grown = [f"{now[f'rows {table}'] - before[f'rows {table}']} {table}" for table in tables]
    cpu_s = now["CPU s"] - before["CPU s"]
    return ", ".join([f"{now['memory MB']:.0f} MB", f"{now['open files']} open files", f"{cpu_s:.0f} CPU s", *grown])


if __name__ == "__main__":
    main()
