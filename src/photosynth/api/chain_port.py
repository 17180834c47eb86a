"""What the API needs of the chains: their blocks as bytes, and a place to hand blocks in."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from photosynth.bitcoin.node import Verdict


class BlockTaker(Protocol):
    """A node that blocks are handed to. Raises NodeUnavailableError where it cannot answer."""

    async def submit_block(self, raw: bytes) -> Verdict:
        """Hand in one serialised block; the verdict carries bitcoind's reason (BIP22)."""
        ...


class ChainPort(Protocol):
    """The door through which whole blocks leave and enter, of a node by its name or of the fleet's first Bitcoin node.

    Raises NotKnownError for a node that there is not, or that cannot do this, and NodeUnavailableError where it cannot answer.
    """

    def blocks(self, from_height: int, node: str | None = None) -> AsyncIterator[bytes]:
        """Serialised blocks of the node's active chain, from a height to the tip, in order."""
        ...

    def taking(self, node: str | None = None) -> AbstractAsyncContextManager[BlockTaker]:
        """The node, to hand blocks in."""
        ...
