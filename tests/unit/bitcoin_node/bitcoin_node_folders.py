"""What tests do with a node's folder: copy it, damage its files, and ask the node what it makes of it."""

import os
import shutil
from pathlib import Path

from tests.unit.bitcoin_node.bitcoin_node_mining import ANYONE

from photosynth.bitcoin_node import EmbeddedNode

PIECE_BYTES = 1 << 18
ZEROS = bytes(PIECE_BYTES)


async def facts(node: EmbeddedNode) -> object:
    """What it answers of its chain."""
    return await node.tip(), await node.coins(ANYONE), [raw async for raw in node.blocks()]


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder, but not the megabytes of zeros that the consensus library keeps free at the end of its files."""
    shutil.copytree(source, target, copy_function=_copy_without_room)


def _copy_without_room(source: str, target: str) -> None:
    with Path(source).open("rb") as whole, Path(target).open("wb") as copy:
        while piece := whole.read(PIECE_BYTES):
            if piece == ZEROS[: len(piece)]:
                copy.seek(len(piece), os.SEEK_CUR)
            else:
                copy.write(piece)
        copy.truncate()


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)
