"""Seconds from `photosynth up` to its first page and to its first block, cold and warm.

Run: `make bench-start`. Figures go into docs/benchmarks.md with this command.
"""

import sys
import tempfile
from pathlib import Path

import httpx2

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.functional.running_site import RunningSite


def _first_page(site: RunningSite) -> float:
    return site.wait_for(lambda: httpx2.get(site.url, timeout=5).status_code == 200, "the first page")


def main() -> None:
    """Start a fresh site and the same site again, and print what a user waits for."""
    with tempfile.TemporaryDirectory() as folder:
        site = RunningSite(Path(folder) / "state")
        try:
            site.start()
            page = _first_page(site)
            block = site.wait_for(lambda: int(site.part()["chain"]["height"]) > 0, "the first block")
            print(f"cold start: first page {page:.2f} s, first block {block:.2f} s")
            print(f"stop: {site.stop():.2f} s")
            height = 0
            site.start()
            page = _first_page(site)
            height = int(site.part()["chain"]["height"])
            block = site.wait_for(lambda: int(site.part()["chain"]["height"]) > height, "the next block")
            print(f"warm start: first page {page:.2f} s (limit 5 s), next block {block:.2f} s")
            print(f"stop: {site.stop():.2f} s")
        finally:
            site.end()


if __name__ == "__main__":
    main()
