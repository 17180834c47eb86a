"""CPU seconds of a backtested year, four strategies and the ledger: `python tests/benchmarks/backtest_year.py`.

    python tests/benchmarks/backtest_year.py [--data DIR] [--year 2024] [--days 366] [--against SRC]

Runs the example site over a year's recorded days in a process of its own. ``--against`` names the ``src`` folder of another
version: it runs the same days beside, and the two reports have to be the same bytes. Without recorded days it says so.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("PHOTOSYNTH_DATA", ROOT.parent / "shared" / "data"))
RUN = """
import resource, sys
sys.argv = ["photosynth", *sys.argv[1:]]
from photosynth.cli import main
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{used.ru_utime + used.ru_stime:.2f} {used.ru_maxrss // 1024}", file=sys.stderr)
"""


def run(source: Path, first: date, last: date, data: Path) -> tuple[float, int, str]:
    """CPU seconds of user and system, megabytes at the most, and the digest of the JSON report."""
    span = ["--from", first.isoformat(), "--to", last.isoformat(), "--data", str(data), "--json"]
    command = [sys.executable, "-c", RUN, "backtest", str(ROOT / "examples" / "backnang.yaml"), *span]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    json.loads(done.stdout)
    seconds, megabytes = done.stderr.split()[-2:]
    return float(seconds), int(megabytes), hashlib.sha256(done.stdout.encode()).hexdigest()


def main() -> None:
    """Print what a year costs, and beside which other version."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--year", type=int, default=2024)
    options.add_argument("--days", type=int, default=0, help="so many days from January on; by default all of them")
    options.add_argument("--against", type=Path, help="the src folder of another version")
    given = options.parse_args()
    first = date(given.year, 1, 1)
    last = first + timedelta(days=given.days - 1) if given.days else date(given.year, 12, 31)
    if not (given.data / f"de_hourly_price_load_renewables_{given.year}.csv").exists():
        print(f"no recorded days of {given.year} in {given.data}; name their folder with --data")
        return
    seconds, megabytes, digest = run(ROOT / "src", first, last, given.data)
    days = (last - first).days + 1
    print(f"backtest of {days} days, four strategies, with ledger: {seconds:.1f} CPU s, {megabytes} MB (limit for a year: 30 s)")
    if given.against is not None:
        before, _, other = run(given.against, first, last, given.data)
        same = "the same bytes" if other == digest else "ANOTHER REPORT"
        print(f"the other version: {before:.1f} CPU s, {before / seconds:.1f} times as much; {same}")


if __name__ == "__main__":
    main()
