"""The operator's stop of one site: it holds at once, and is remembered over restarts as soon as that can be written down."""

import asyncio
import contextlib

from photosynth.sites.switched_off import STOPPED
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.meta import put_meta
from photosynth.storage.scopes import of_site


class StopSwitch:
    """Whether everything of a site is switched off by an operator."""

    def __init__(self, site: str, database: Database, run: Runner, *, stopped: bool) -> None:
        self._site, self._database, self._run = site, database, run
        self.stopped = stopped
        self._kept: bool | None = stopped
        self._keeping = asyncio.Lock()

    async def set(self, stopped: bool) -> None:
        """Switch everything off, or on again, and remember it over restarts.

        It holds at once. Raises StorageError where it cannot be written down now; :meth:`try_to_keep` tries that again.
        """
        self.stopped = stopped
        await self._keep()

    async def try_to_keep(self) -> None:
        """Write down what is not written yet, if that can be."""
        with contextlib.suppress(StorageError):
            await self._keep()

    async def _keep(self) -> None:
        async with self._keeping:  # what is written last must be what was wanted last
            stopped = self.stopped
            if stopped == self._kept:
                return

            def write() -> None:
                with self._database.begin() as tx:
                    put_meta(tx, of_site(self._site), STOPPED, stopped)

            self._kept = None  # whoever ceases to wait does not know what was written
            await self._run(write)
            self._kept = stopped
