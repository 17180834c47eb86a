"""Whether there is work for a site's machines: without a pool that has a node, what they draw would be for nothing."""

import asyncio

UNOPENED = "the site's pool is not open yet"


class Work:
    """``why_none`` says why there is no work, None where there is."""

    def __init__(self) -> None:
        self.why_none: str | None = UNOPENED
        self._there = asyncio.Event()

    def begins(self) -> None:
        """The pool serves."""
        self.why_none = None
        self._there.set()

    def ends(self, why: str) -> None:
        """The pool is closed."""
        self.why_none = why
        self._there.clear()

    async def there(self) -> None:
        """Wait until there is work."""
        await self._there.wait()
