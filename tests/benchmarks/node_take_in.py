"""The part of ``node_import.py`` that is measured: a process that gives the embedded node the blocks of a file, and ends.

    python tests/benchmarks/node_take_in.py FILE FOLDER

The file is one such as bitcoind imports and begins with the genesis block.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from photosynth.bitcoin_node import open_node
from photosynth.bitcoin_node.importing import submit_all


def blocks_of(path: Path) -> Iterator[bytes]:
    """The raw blocks of the file."""
    with path.open("rb") as file:
        while head := file.read(8):
            yield file.read(int.from_bytes(head[4:], "little"))


async def blocks_after_the_first(path: Path) -> AsyncIterator[bytes]:
    """Those that the node has not got."""
    for number, raw in enumerate(blocks_of(path)):
        if number:
            yield raw


async def take_in(path: Path, folder: Path) -> None:
    """Give the node every block as ``photosynth chain import`` does, and close it."""
    node = await open_node(folder)
    async for verdict in submit_all(node, blocks_after_the_first(path)):
        if not verdict.accepted:
            raise SystemExit(f"a block was refused: {verdict.reason}")
    await node.close()


if __name__ == "__main__":
    asyncio.run(take_in(Path(sys.argv[1]), Path(sys.argv[2])))
