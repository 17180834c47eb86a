"""Seconds to start the embedded node after kill -9 on a long chain, and what a block costs there.

    python tests/benchmarks/node_start.py [--blocks 20000] [--rebuild]

Mines the chain anew at regtest's difficulty, is killed in a child process, and opens what is left. ``--rebuild`` also times
the start with the consensus database thrown away. The ratio of the throughputs compares the whole path of a block (log,
consensus, index, two syncs) with the consensus library's ``process_block`` alone on the same blocks.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.unit.bitcoin_node.bitcoin_node_mining import block_of_template  # noqa: E402

from photosynth.bitcoin_node import open_node  # noqa: E402
from photosynth.bitcoin_node.kernel import Kernel  # noqa: E402

LAST = 1_000


async def feel_lag(lags: list[float]) -> None:
    """Note how late the event loop wakes a task that asked for five milliseconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        lags.append(loop.time() - due)


async def mine(folder: Path, blocks: int) -> None:
    """Mine so many blocks, say how long the last thousand submissions took, and die without a word to the node."""
    node = await open_node(folder)
    spent: list[float] = []
    lags: list[float] = []
    for number in range(blocks):
        raw = block_of_template(await node.template())
        if number == max(0, blocks - LAST):
            lagging = asyncio.create_task(feel_lag(lags))
        began = time.perf_counter()
        verdict = await node.submit_block(raw)
        spent.append(time.perf_counter() - began)
        if not verdict.accepted:
            raise SystemExit(f"a block was refused: {verdict.reason}")
    lagging.cancel()
    last, lags = sorted(spent[-LAST:]), sorted(lags)
    print(
        f"submit_block, last {len(last)} of {blocks}: mean {1000 * sum(last) / len(last):.2f} ms,"
        f" p99 {1000 * last[len(last) * 99 // 100]:.2f} ms, most {1000 * last[-1]:.2f} ms (the library's reopening)"
    )
    print(f"loop lag meanwhile: p99 {1000 * lags[len(lags) * 99 // 100]:.2f} ms, most {1000 * lags[-1]:.2f} ms")
    print(f"submit_block, all: {blocks / sum(spent):.0f} blocks/s", flush=True)
    os.kill(os.getpid(), 9)


async def start(folder: Path, what: str) -> list[bytes]:
    """Open the node, say how long it took, and return the chain."""
    began = time.perf_counter()
    node = await open_node(folder)
    template = await node.template()
    seconds = time.perf_counter() - began
    report = node.start_report
    print(f"{what}: {seconds:.3f} s to a template at height {template.height}, {report.replayed} blocks replayed")
    began = time.perf_counter()
    chain = [raw async for raw in node.blocks()]
    print(f"export of {len(chain)} blocks: {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    await node.close()
    print(f"close: {1000 * (time.perf_counter() - began):.0f} ms")
    return chain


def library_alone(folder: Path, chain: list[bytes]) -> float:
    """Blocks per second of the consensus library, reopened as the node does."""
    kernel = Kernel(folder, "regtest")
    began = time.perf_counter()
    for number, raw in enumerate(chain, 1):
        if kernel.submit(raw).reason is not None:
            raise SystemExit("the library refused a block that it had accepted")
        if number % 200 == 0:
            kernel.close()
            kernel.open()
    rate = len(chain) / (time.perf_counter() - began)
    kernel.close()
    return rate


def main() -> None:
    """Parse the arguments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=20_130)
    parser.add_argument("--rebuild", action="store_true", help="also with the consensus database thrown away")
    parser.add_argument("--mine-in", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.mine_in:
        asyncio.run(mine(arguments.mine_in, arguments.blocks))
        return
    with tempfile.TemporaryDirectory(prefix="photosynth-node-") as name:
        folder = Path(name) / "node"
        command = [sys.executable, __file__, "--blocks", str(arguments.blocks), "--mine-in", str(folder)]
        subprocess.run(command, check=False)
        chain = asyncio.run(start(folder, "start after kill -9"))
        asyncio.run(start(folder, "start after a clean stop"))
        began = time.perf_counter()
        rate = library_alone(Path(name) / "library", chain)
        print(f"process_block alone, reopened every 200: {rate:.0f} blocks/s ({time.perf_counter() - began:.1f} s)")
        if arguments.rebuild:
            shutil.rmtree(folder / "kernel")
            asyncio.run(start(folder, "start without the consensus database"))


if __name__ == "__main__":
    main()
