"""What the API needs of the chain: its blocks as bytes, and a place to hand blocks in."""

from collections.abc import AsyncIterator
from typing import Protocol

from photosynth.bitcoin.node import Verdict


class ChainPort(Protocol):
    """The door through which whole blocks leave and enter. Raises NodeUnavailableError where the node cannot answer."""

    def blocks(self, from_height: int) -> AsyncIterator[bytes]:
        """Serialised blocks of the active chain, from a height to the tip, in order."""
        ...

    async def submit(self, raw: bytes) -> Verdict:
        """Hand in one serialised block; the verdict carries bitcoind's reason (BIP22)."""
        ...
