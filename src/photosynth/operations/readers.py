"""Questions to the database, off the event loop, and never so many that a database which hangs fills the memory with them."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from photosynth.storage import Database, DatabaseThread, StorageError

T = TypeVar("T")

MOST_READING = 200
"""Questions to the database under way: of one that hangs each takes its time to fail, while pages ask for more."""


class Readers:
    """Asks a database on a thread of its own."""

    def __init__(self, database: Database) -> None:
        self._database, self._run = database, DatabaseThread()
        self._reading = 0

    async def read(self, call: Callable[[Connection], T]) -> T:
        """Run a reading call. Raises StorageError, also where too many wait already."""

        def reading() -> T:
            with self._database.read() as tx:
                return call(tx)

        if self._reading >= MOST_READING:
            raise StorageError("busy", self._database.place, f"{MOST_READING} questions wait for it already. Ask again later.")
        self._reading += 1
        try:
            return await self._run(reading)
        finally:
            self._reading -= 1

    def close(self) -> None:
        """End the thread."""
        self._run.close()
