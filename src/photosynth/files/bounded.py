"""Files that somebody else names: read up to a bound, and never waited for."""

import os
import stat
from pathlib import Path


def read_file(path: Path, most_bytes: int) -> bytes:
    """The first bytes of a file, ``most_bytes`` at most.

    Raises OSError, also where it is no file: a pipe that nobody writes to would be waited for, for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is no file")
        return file.read(most_bytes)
