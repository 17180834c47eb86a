"""The books at a glance, for a status that also answers while the database is away: then as last seen, and saying so."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from photosynth.storage import StorageError
from photosynth.storage.address import Place

T = TypeVar("T")

PATIENCE_S = 2.0
"""A status waits so long; a database at hand answers within some milliseconds, and commands give a status five seconds."""


class Glance(Generic[T]):
    """Asks one question again and again, never twice at a time; ``fault`` says why the last answer is an older one."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._asking: asyncio.Future[T] | None = None
        self._seen: list[T] = []
        self.fault: str | None = None

    async def look(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer now, or the one before where none comes. Raises StorageError where there never was one."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(ask())
            self._asking.add_done_callback(_heard)
        asking = self._asking
        try:
            async with asyncio.timeout(PATIENCE_S):
                self._seen = [await asyncio.shield(asking)]
            self.fault = None
        except (TimeoutError, StorageError) as error:
            away = StorageError("unavailable", self._place, f"does not answer within {PATIENCE_S:g} s.")
            self.fault = str(away if isinstance(error, TimeoutError) else error)
            if not self._seen:
                raise away if isinstance(error, TimeoutError) else error from None
        finally:
            if asking.done() and self._asking is asking:
                self._asking = None
        return self._seen[0]


def _heard(asked: "asyncio.Future[T]") -> None:
    """Whoever asked may have ceased to wait: an error that nobody hears of is no mistake then."""
    if not asked.cancelled():
        asked.exception()
