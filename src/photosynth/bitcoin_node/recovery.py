"""What a start remembers for the one after it: that it was begun, and the consensus database that it could not use."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

MOST_ATTEMPTS = 2


class StartAttempt:
    """Counts the starts of a folder that ended without a word.

    The consensus library ends the whole process where a database of its own breaks in its hands: the next start would do the
    same.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "starting"
        try:
            self._before = int(self._file.read_bytes()[:4] or b"0")
        except (OSError, ValueError):
            self._before = 0

    @property
    def failed_before(self) -> bool:
        """Whether too many of them did."""
        return self._before >= MOST_ATTEMPTS

    def begun(self) -> None:
        """Count this start until it ends. Raises OSError where that cannot be written."""
        with self._file.open("wb") as file:
            file.write(b"%d" % (0 if self.failed_before else self._before + 1))
            file.flush()
            os.fsync(file.fileno())

    def ended(self) -> None:
        """Forget it: the start came to its end, good or with an error that says something."""
        with suppress(OSError):  # one start too many is counted then
            self._file.unlink(missing_ok=True)


def set_aside(folder: Path) -> None:
    """Keep a consensus database that cannot be used beside its place until :func:`discard_aside`: it may hold the only copy of
    a block. One that is there already is the older and the fuller, and stays."""
    aside = _aside(folder)
    if aside.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(aside)


def discard_aside(folder: Path) -> None:
    """Remove what :func:`set_aside` kept, once everything is there again."""
    if _aside(folder).exists():
        shutil.rmtree(_aside(folder))


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".damaged")
