"""CPU and memory of a fleet of two sites and ten nodes, all its processes, with one console page open in Chromium.

Run: `.venv/bin/python tests/benchmarks/footprint.py [seconds]`. The fleet is `examples/operator.yaml` with eight more nodes
beside its two. The limits are 30 % of one core and 400 MB. Memory is the proportional set size (PSS), which counts shared
pages once.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.functional.running_site import EXAMPLES, RunningSite
from tests.process_tree import cpu_seconds, memory_mb, tree

CHROMIUM = "/usr/bin/chromium"
SETTLE_S = 15
MORE_NODES = 8


def fleet_of_ten(folder: Path) -> Path:
    """The operator's fleet with more nodes beside its own."""
    path = folder / "fleet.yaml"
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    more = "".join(
        f"  - {{id: more-{n}, network: bitcoin, chain: regtest, role: full, run: simulated}}\n" for n in range(MORE_NODES)
    )
    before, key, after = (EXAMPLES / "operator.yaml").read_text().partition("\nnodes:\n")
    path.write_text(before + key + more + after)
    return path


def main() -> None:
    """Start a site, open a page, and print what a minute costs."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = RunningSite(Path(folder) / "state", fleet=fleet_of_ten(Path(folder) / "fleet"))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            site.start()
            browser.new_page().goto(site.url)
            time.sleep(SETTLE_S)
            assert site.process is not None
            pids = tree(site.process.pid)
            before, began = cpu_seconds(pids), time.monotonic()
            time.sleep(seconds)
            share = (cpu_seconds(pids) - before) / (time.monotonic() - began)
            memory = sum(memory_mb(pid) for pid in pids)
            status = site.get("status")
            machines = sum(part["machines"]["running"] for part in status["sites"])
            nodes = sum(status["nodes"].values())
            print(f"{len(pids)} processes, {machines} machines running, {nodes} nodes, one page open, {seconds:.0f} s")
            print(f"CPU {share:.1%} of one core (limit 30 %), memory {memory:.0f} MB (limit 400 MB)")
        finally:
            browser.close()
            site.end()


if __name__ == "__main__":
    main()
