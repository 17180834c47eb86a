"""What a start remembers for the one after it: that it was begun, and the consensus database that it could not use."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from photosynth.files.whole import WrongKindError, own_file

MOST_ATTEMPTS = 2


class StartAttempt:
    """Counts the starts of a folder that ended without a word.

    The consensus library ends the whole process where a database of its own breaks in its hands: the next start would do the
    same.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "starting"
        self._before = 0
        self._counted = False

    @property
    def failed_before(self) -> bool:
        """Whether too many of them did, as :meth:`begun` found."""
        return self._before >= MOST_ATTEMPTS

    def begun(self) -> None:
        """Count this start until it ends. Raises OSError where that cannot be written, WrongKindError where it is no file."""
        with os.fdopen(own_file(self._path, os.O_RDWR | os.O_CREAT), "r+b") as file:
            self._counted = True
            with suppress(ValueError):
                self._before = int(file.read(4) or b"0")
            file.seek(0)
            file.write(b"%d" % (0 if self.failed_before else self._before + 1))
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def ended(self) -> None:
        """Forget it: the start came to its end, good or with an error that says something."""
        if self._counted:
            with suppress(OSError):  # one start too many is counted then
                self._path.unlink(missing_ok=True)


def set_aside(folder: Path) -> None:
    """Keep a consensus database that cannot be used beside its place until :func:`discard_aside`: it may hold the only copy of
    a block. One that is there already is the older and the fuller, and stays."""
    if _is_there(_aside(folder)):
        shutil.rmtree(folder)
    else:
        folder.rename(_aside(folder))


def discard_aside(folder: Path) -> None:
    """Remove what :func:`set_aside` kept, once everything is there again."""
    if _is_there(_aside(folder)):
        shutil.rmtree(_aside(folder))


def _is_there(folder: Path) -> bool:
    """Whether there is such a folder. Raises WrongKindError where it is something else."""
    if folder.exists() and not folder.is_dir():
        raise WrongKindError(folder, "folder")
    return folder.exists()


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".damaged")
