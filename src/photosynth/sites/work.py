"""Whether there is work for a site's machines: without a pool that has a node, what they draw would be for nothing."""

import asyncio
from collections.abc import Callable

UNOPENED = "the site's pool is not open yet"


class Work:
    """``why_none`` says why there is no work, None where there is."""

    def __init__(self) -> None:
        self.why_none: str | None = UNOPENED
        self._there = asyncio.Event()
        self._found: Callable[[bytes], bool] = _nothing

    def begins(self, found: Callable[[bytes], bool]) -> None:
        """The pool serves; ``found`` tells whether it found a block."""
        self.why_none, self._found = None, found
        self._there.set()

    def ends(self, why: str) -> None:
        """The pool is closed."""
        self.why_none, self._found = why, _nothing
        self._there.clear()

    def found(self, block_hash: bytes) -> bool:
        """Whether the pool that serves found a block, also one that its node has not answered to yet."""
        return self._found(block_hash)

    async def there(self) -> None:
        """Wait until there is work."""
        await self._there.wait()


def _nothing(_: bytes) -> bool:
    return False
