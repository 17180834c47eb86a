"""kill -9 at random moments: every block that the embedded node reported as accepted is in the chain at the next start.

A child process (this file, run as a script) mines as fast as it can and reports each verdict through a pipe; it is
killed, and a copy of what it left is opened and compared. The child's next run starts from what the kill left.
PHOTOSYNTH_KILLS says how many times, PHOTOSYNTH_KILL_SEED from where the moments are drawn, PHOTOSYNTH_KILL_CHAIN the
folder of a stopped node whose chain to start from (a copy of it; its blocks must all pay OP_TRUE).
"""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.unit.bitcoin_node.bitcoin_node_mining import ANYONE, block_of_template, hash_of, make_block

from photosynth.bitcoin_node import open_node

KILLS = int(os.environ.get("PHOTOSYNTH_KILLS", "10"))
SEED = int(os.environ.get("PHOTOSYNTH_KILL_SEED", str(time.time_ns())))
MOST_BLOCKS_PER_LIFE = 300
ROOT = Path(__file__).parents[2]


async def mine_for_ever(folder: Path) -> None:
    """Report ``accepted HASH`` and ``side HASH`` as soon as, and only when, the node has answered."""
    node = await open_node(folder)
    print("started", flush=True)
    while True:
        template = await node.template()
        raw = block_of_template(template)
        if not (await node.submit_block(raw)).accepted:
            raise AssertionError("a good block was refused")
        print("accepted", hash_of(raw).hex(), flush=True)
        if template.height % 7 == 0:
            side = make_block(template.previous_hash, template.height, time_s=template.time_s, tag=b"side")
            if (await node.submit_block(side)).reason != "inconclusive":
                raise AssertionError("a side branch became the chain")
            print("side", hash_of(side).hex(), flush=True)


def run_and_kill(folder: Path, chance: random.Random) -> list[tuple[str, bytes]]:
    """What the child reported before it was killed."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdout is not None
        lines = iter(child.stdout.readline, "")
        assert any(line == "started\n" for line in lines), "the child did not start"
        reports = [next(lines) for _ in range(chance.randrange(1, MOST_BLOCKS_PER_LIFE))]
        time.sleep(chance.random() * 0.01)  # any moment within the handling of some block
        child.kill()
        reports += [line for line in lines if line.endswith("\n")]
    return [(kind, bytes.fromhex(text)) for kind, text in (line.split() for line in reports)]


@pytest.mark.functional
async def test_no_accepted_block_is_lost_by_a_kill(tmp_path: Path) -> None:
    print(f"PHOTOSYNTH_KILL_SEED={SEED}")
    chance = random.Random(SEED)
    if chain := os.environ.get("PHOTOSYNTH_KILL_CHAIN"):
        shutil.copytree(chain, tmp_path / "running")
    reported: list[tuple[str, bytes]] = []
    for life in range(KILLS):
        reported += await asyncio.to_thread(run_and_kill, tmp_path / "running", chance)
        left = tmp_path / f"left-{life}"
        shutil.copytree(tmp_path / "running", left)
        began = time.monotonic()
        node = await open_node(left)
        seconds, report, tip = time.monotonic() - began, node.start_report, await node.tip()
        print(f"kill {life}: height {tip.height}, replayed {report.replayed}, started in {seconds:.3f} s")
        assert report.rebuilt == (), "a kill damages nothing"
        assert report.replayed < 2 * MOST_BLOCKS_PER_LIFE
        for kind, block_hash in reported:
            assert await node.block(block_hash) is not None
            assert (await node.height_of(block_hash) is not None) == (kind == "accepted")
        coins = await node.coins(ANYONE)
        assert [coin.height for coin in coins] == list(range(1, tip.height + 1))
        assert (await node.submit_block(block_of_template(await node.template()))).accepted
        await node.close()
        shutil.rmtree(left)


if __name__ == "__main__":
    asyncio.run(mine_for_ever(Path(sys.argv[1])))
