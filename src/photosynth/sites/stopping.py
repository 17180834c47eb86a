"""The operator's stop of one site: it holds at once, and over restarts, whatever the database does.

A file in the site's folder is all of it: while it is there, the site is switched off. It is empty, so that a full disk takes it
where it still has room for a name, and it is removed where there is room for nothing. A kill leaves it there or not there, and
nothing beside it.
"""

import asyncio
import contextlib
import errno
import os
import threading
from pathlib import Path

from photosynth.files.whole import own_file, sync_folder
from photosynth.sites.switched_off import switched_off
from photosynth.storage.errors import StorageError


class StopSwitch:
    """Whether everything of a site is switched off by an operator. ``mark`` is the file that says so; raises OSError."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark
        self.stopped = switched_off(mark)
        self._kept: bool | None = self.stopped
        self._turn = threading.Lock()

    @property
    def kept(self) -> bool:
        """Whether the next start would find it as it is now."""
        return self._kept == self.stopped

    async def set(self, stopped: bool) -> None:
        """Switch everything off, or on again, and remember it over restarts.

        It holds at once. Raises StorageError where it cannot be written down now; :meth:`try_to_keep` tries that again.
        """
        self.stopped = stopped
        await asyncio.to_thread(self._keep)

    async def try_to_keep(self) -> None:
        """Write down what is not written yet, if that can be."""
        if not self.kept:
            with contextlib.suppress(StorageError):
                await asyncio.to_thread(self._keep)

    def _keep(self) -> None:
        """One at a time, and each what is wanted by then: so what is written last is what was wanted last."""
        with self._turn:
            stopped = self.stopped
            if stopped == self._kept:
                return
            self._kept = None  # of what fails in the middle nobody knows how far it came
            try:
                if stopped:
                    os.close(own_file(self._mark, os.O_WRONLY | os.O_CREAT))
                else:
                    self._mark.unlink(missing_ok=True)
                sync_folder(self._mark.parent)
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                said = f"it cannot be written: {error.strerror or error}. See that its disk has room and is healthy."
                raise StorageError("full" if full else "unavailable", self._mark, said) from error
            self._kept = stopped
