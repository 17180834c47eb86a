"""Found blocks on their way from the pool to the books: a queue that is there before either."""

import asyncio
from collections import deque

from photosynth.pool.results import FoundBlock


class FoundBlocks:
    """Blocks that wait to be written down, in the order in which they came; satisfies ``pool.config.PoolEvents``."""

    def __init__(self) -> None:
        self.waiting: deque[FoundBlock] = deque()
        self.refused: deque[FoundBlock] = deque()
        """Those that the books refused, which are offered again."""
        self.came = asyncio.Event()

    def block_found(self, block: FoundBlock) -> None:
        """Take a found block from the pool; it was handed to the node before."""
        self.waiting.append(block)
        self.came.set()
