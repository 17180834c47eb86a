"""Files that are either the old or the new one, whole, whatever happens in between.

The new content goes into a file beside the old one, whose name nobody can foresee and which must not be there yet (O_EXCL): a
link that somebody laid in its way is never followed. Renaming replaces the old name itself, a link too.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PRIVATE = 0o600
_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{16}\.new")


def write_whole(path: Path, content: bytes, *, mode: int = PRIVATE, durable: bool = True) -> None:
    """Replace a file's content; readers never see half of it.

    ``durable`` has content and name on disk before it returns. ``mode`` is cut by the process's umask. Raises OSError: then
    the old file is as it was.
    """
    with whole_file(path, mode=mode, durable=durable) as file:
        file.write(content)


@contextmanager
def whole_file(path: Path, *, mode: int = PRIVATE, durable: bool = True) -> Iterator[IO[bytes]]:
    """The same for content that comes in pieces: what is written appears at the end of the block, or not at all."""
    beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}.new")
    descriptor = own_file(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


class WrongKindError(OSError):
    """Something else lies where a file, or a folder, belongs; the message names it and says what to do."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(errno.EINVAL, f"it is not a {kind}: move it away", str(path))
        self._said = f"{path} is not a {kind}: move it away"

    def __str__(self) -> str:
        return self._said


def own_file(path: Path, flags: int, mode: int = PRIVATE) -> int:
    """A descriptor of a file that is no link, and that children do not inherit.

    Never waits, as opening a pipe would. Raises WrongKindError where it is a folder, a pipe or a device; OSError, ELOOP for a
    link.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ENXIO):  # the latter for a pipe that nobody reads, and for a socket
            raise WrongKindError(path, "file") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise WrongKindError(path, "file")
    return descriptor


def own_folder(path: Path) -> None:
    """Make a folder, and those above it, where it is missing. Raises WrongKindError where something else lies there, OSError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        in_the_way = next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), path)
        raise WrongKindError(in_the_way, "folder") from None


def sync_folder(folder: Path) -> None:
    """Make new and removed names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that is being written, or was when its process was killed."""
    return _UNFINISHED.fullmatch(path.name) is not None


def forget_unfinished(folder: Path) -> None:
    """Remove what a kill in the middle of writing left in a folder; only for whoever alone writes there."""
    for path in folder.iterdir():
        if is_unfinished(path):
            path.unlink(missing_ok=True)
