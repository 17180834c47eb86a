"""What a scrape of `/metrics` costs: of the default fleet as it runs, and of a fleet of 1,000 nodes that answer.

Run: `.venv/bin/python tests/benchmarks/metrics_scrape.py [rounds]`. Of the running fleet it is the processor time of its own
process in spans with a scrape a second, and with a hundred a second, less that in spans between without any; of 1,000 nodes the
time to make their documents and the page. The limit is what Prometheus asks for by default, a scrape every 15 s, within 1 % of a
core; a hundred a second may take half a core.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.browser.fake_fleet import FakeFleet
from tests.functional.running_site import EXAMPLES, RunningSite
from tests.unit.clock_and_audit import RememberingAudit

from photosynth.api import scrape
from photosynth.api.scrape import Scrape
from photosynth.documents import NodeDocument
from photosynth.fleet import Node
from photosynth.networks.grammar import Report
from photosynth.operations.node_watch import NodeWatch

LIMIT_MS = 150
SPAN_S = 10
EACH_S, FLOOD_S = scrape.KEPT_S + 0.02, 0.01
SETTLE_S = 20
NODES = 1000
PAGES = 30


@dataclass
class Measured:
    """What scrapes of a running fleet cost its own process."""

    scrape_ms: float
    answer_ms: float
    size: int
    hundred_a_second: float


def running_fleet(rounds: int) -> Measured:
    """Processor time of a scrape of the default fleet, the median time of an answer, and what a hundred a second take."""
    with tempfile.TemporaryDirectory() as folder:
        site = RunningSite(Path(folder) / "state", fleet=EXAMPLES / "operator.yaml")
        try:
            site.start()
            assert site.process is not None
            process = psutil.Process(site.process.pid)
            time.sleep(SETTLE_S)
            spent, scrapes, waits, size = {0.0: 0.0, EACH_S: 0.0, FLOOD_S: 0.0}, dict[float, int](), list[float](), 0
            with httpx2.Client() as http:
                for pause_s in (EACH_S, 0.0, FLOOD_S) * rounds:
                    before, end_s = sum(process.cpu_times()[:2]), time.monotonic() + SPAN_S
                    while (now_s := time.monotonic()) < end_s:
                        if pause_s:
                            size = len(http.get(f"{site.url}/metrics").content)
                            scrapes[pause_s] = scrapes.get(pause_s, 0) + 1
                        if pause_s == EACH_S:
                            waits.append(time.monotonic() - now_s)
                        time.sleep(max(0.0, (pause_s or EACH_S) - (time.monotonic() - now_s)))
                    spent[pause_s] += sum(process.cpu_times()[:2]) - before
            print(f"{scrapes[FLOOD_S] / SPAN_S / rounds:.0f} scrapes a second were reached where a hundred were wanted")
            each_ms = (spent[EACH_S] - spent[0.0]) / scrapes[EACH_S] * 1000
            hundred = (spent[FLOOD_S] - spent[0.0]) / SPAN_S / rounds
            return Measured(each_ms, sorted(waits)[len(waits) // 2] * 1000, size, hundred)
        finally:
            site.end()


class WatchedNodes(FakeFleet):
    """No site, and the nodes of a watch."""

    def watch(self, folder: Path) -> None:
        """Make a watch of many nodes that have all answered."""
        nodes = [
            Node.model_validate(
                {
                    "id": f"node-{number}",
                    "network": "bitcoin",
                    "chain": "main",
                    "role": "full",
                    "run": "external",
                    "endpoints": {"rpc": f"http://127.0.0.1:{10_000 + number}"},
                    "credentials": {"cookie_file": str(folder / "cookie")},
                }
            )
            for number in range(NODES)
        ]
        self.watched = NodeWatch(nodes, folder, "benchmark", RememberingAudit())
        for number, watched in enumerate(self.watched._watched.values()):
            self.watched._take(watched, Report(time.time_ns() // 1_000_000, None, 900_000 + number % 3, 12, "/Satoshi:30.0.0/"))

    async def nodes(self) -> list[NodeDocument]:
        """As the watch says them."""
        return self.watched.nodes()


async def many_nodes_ms() -> tuple[Sequence[float], int, float]:
    """Processor time of each page, milliseconds; the page's bytes, and the longest that the event loop stood still."""
    view = WatchedNodes()
    with tempfile.TemporaryDirectory() as folder:
        view.watch(Path(folder))
        now_s = [0.0]
        made = Scrape(view, monotonic=lambda: now_s[0])
        spent, size, longest_s = list[float](), 0, 0.0
        stop = asyncio.Event()

        async def heartbeat() -> None:
            nonlocal longest_s
            while not stop.is_set():
                before_s = time.monotonic()
                await asyncio.sleep(0)
                longest_s = max(longest_s, time.monotonic() - before_s)

        for _ in range(PAGES):
            now_s[0] += scrape.KEPT_S + 1
            before_s = time.process_time()
            size = len((await made.page("application/openmetrics-text"))[0])
            spent.append((time.process_time() - before_s) * 1000)
        beating = asyncio.ensure_future(heartbeat())
        for _ in range(3):
            now_s[0] += scrape.KEPT_S + 1
            await made.page("")
        stop.set()
        await beating
        return sorted(spent), size, longest_s * 1000


def main() -> None:
    """Measure both, and say whether each is within the limit."""
    spent, size, longest_ms = asyncio.run(many_nodes_ms())
    median = spent[len(spent) // 2]
    span = f"{spent[0]:.0f} to {spent[-1]:.0f}; limit {LIMIT_MS} ms"
    print(f"{NODES} nodes: {median:.0f} ms of processor a scrape ({span}), {size / 1e6:.2f} MB")
    print(f"the event loop stood still for {longest_ms:.0f} ms at most")
    found = running_fleet(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    print(f"default fleet: {found.scrape_ms:.1f} ms of processor a scrape (limit {LIMIT_MS} ms)")
    print(f"answered in {found.answer_ms:.0f} ms (median), {found.size / 1e3:.0f} kB")
    print(f"a hundred scrapes a second: {found.hundred_a_second:.1%} of a core (limit 50 %)")


if __name__ == "__main__":
    main()
