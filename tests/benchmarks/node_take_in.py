"""The part of ``node_import.py`` that is measured: a process that gives the embedded node the blocks of a file, and ends.

    python tests/benchmarks/node_take_in.py FILE FOLDER

The file is one such as bitcoind imports and begins with the genesis block.
"""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from photosynth.bitcoin_node import open_node


def blocks_of(path: Path) -> Iterator[bytes]:
    """The raw blocks of the file."""
    with path.open("rb") as file:
        while head := file.read(8):
            yield file.read(int.from_bytes(head[4:], "little"))


async def take_in(path: Path, folder: Path) -> None:
    """Give the node every block, one answer after the other, and close it."""
    node = await open_node(folder)
    blocks = blocks_of(path)
    next(blocks)
    for raw in blocks:
        verdict = await node.submit_block(raw)
        if not verdict.accepted:
            raise SystemExit(f"a block was refused: {verdict.reason}")
    await node.close()


if __name__ == "__main__":
    asyncio.run(take_in(Path(sys.argv[1]), Path(sys.argv[2])))
