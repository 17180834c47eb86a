"""kill -9 of two sites at 300 times real time, at random moments: `python tests/endurance/kills.py [kills [seed]]`, 50 without.

Each life is killed up to twenty seconds after a share of each site was answered true: in start-up's mending, in a quarter hour's
end, in a reorganisation's middle, wherever it comes. After the last, what lies on disk is held against what was answered.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.functional.kills import Kills
from tests.functional.running_site import RunningSite

TWO_SITES = Path(__file__).parents[1] / "functional" / "fleets" / "two-sites.yaml"
LONGEST_S = 20.0


def main() -> None:
    """Kill, count, and judge."""
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    moments, began = random.Random(seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        kills = Kills(RunningSite(Path(folder) / "state", "--speed", "300", fleet=TWO_SITES), ("south", "north"))
        try:
            for turn in range(turns):
                after_s = moments.uniform(0, LONGEST_S)
                kills.one(after_s)
                print(f"{turn + 1} of {turns}: killed after {after_s:.1f} s; answered so far {dict(kills.answered)}", flush=True)
            kills.last()
        finally:
            kills.site.end()
        for name, counts in kills.judge().items():
            print(name, counts)
    print(f"{turns} kills with seed {seed}: nothing lost, nothing doubled, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
