"""The door to a running site: what it gives of the chain is one chain."""

from typing import Any, cast

import pytest

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.operations.running import ChainDoor


def raw(previous: bytes, name: bytes) -> bytes:
    return bytes(4) + previous + name


class Node:
    """Two chains that share their first block; the second becomes the active one after so many reads."""

    def __init__(self, changes_after: int) -> None:
        one, two, three = (bytes([number]) * 32 for number in (1, 2, 3))
        self.blocks = {one: raw(bytes(32), b"one"), two: raw(one, b"two"), three: raw(two, b"three")}
        self.other = {2: b"\x22" * 32, 3: b"\x33" * 32}
        self.blocks |= {self.other[2]: raw(one, b"TWO"), self.other[3]: raw(self.other[2], b"THREE")}
        self.active = {1: one, 2: two, 3: three}
        self.left = changes_after

    async def block_hash(self, height: int) -> bytes | None:
        return self.active.get(height)

    async def block(self, block_hash: bytes) -> bytes | None:
        self.left -= 1
        if self.left == 0:
            self.active |= self.other
        return self.blocks.get(block_hash)


def names(node: Node) -> Any:
    return ChainDoor(cast(Any, node)).blocks(1)


async def test_a_chain_is_given_from_block_to_block() -> None:
    assert [block[36:] async for block in names(Node(9))] == [b"one", b"two", b"three"]
    assert [block[36:] async for block in names(Node(1))] == [b"one", b"TWO", b"THREE"]


async def test_a_reorganisation_meanwhile_is_told_and_no_mixture_given() -> None:
    with pytest.raises(NodeUnavailableError, match="reorganised at block 3 while it was read: read it again"):
        [block async for block in names(Node(2))]
