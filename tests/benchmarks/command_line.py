"""CPU seconds (user and system) of the command line beside Python itself and beside the library that it is made with.

Run: `python tests/benchmarks/command_line.py`; each figure is the best of ten. Figures go into docs/benchmarks.md with this
command.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.functional.running_site import RunningSite

RUNS = 10
PEERS = {"python -c pass": ("-c", "pass"), "python -c 'import typer'": ("-c", "import typer")}
LIMITS_S = {"--help": 0.15, "status, stopped": 0.3}


def children_s() -> float:
    """CPU seconds of every child that has ended."""
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_s(*arguments: str) -> float:
    """CPU seconds of one interpreter with these arguments, the best of some runs."""
    best = float("inf")
    for _ in range(RUNS):
        before = children_s()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True, env={**os.environ, "LC_ALL": "C"})
        best = min(best, children_s() - before)
    return best


def main() -> None:
    """Measure against one site, stopped and running."""
    with tempfile.TemporaryDirectory() as folder:
        site = RunningSite(Path(folder) / "state", "--speed", "300")
        status = ("-m", "photosynth", "status", "--state", str(site.state))
        try:
            site.start()
            site.wait_for(lambda: int(site.get("status")["evidence"]["records"]) > 0, "a closed quarter hour")
            site.stop()
            found = {name: cpu_s(*arguments) for name, arguments in PEERS.items()}
            found["--help"] = cpu_s("-m", "photosynth", "--help")
            found["status, stopped"] = cpu_s(*status)
            site.start()
            found["status, running"] = cpu_s(*status)
        finally:
            site.end()
    peer_s = found["python -c 'import typer'"]
    for name, seconds in found.items():
        limit = f" (limit {LIMITS_S[name]} s)" if name in LIMITS_S else ""
        print(f"{name}: {seconds:.3f} s of CPU, {seconds / peer_s:.1f} times importing typer{limit}")


if __name__ == "__main__":
    main()
