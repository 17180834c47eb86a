"""One process to a folder: an advisory lock that the system releases when its holder dies."""

import fcntl
import os
from pathlib import Path

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.files.whole import own_file, own_folder


class FolderInUseError(NodeUnavailableError):
    """Another process, or another node in this one, has the folder open."""


class FolderLock:
    """Holds a folder's lock file until closed; the folder is made where it is missing.

    Raises FolderInUseError where somebody else does, NodeUnavailableError where there can be no such file.
    """

    def __init__(self, folder: Path) -> None:
        try:
            own_folder(folder)
            self._file = own_file(folder / "lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise NodeUnavailableError(f"the Bitcoin node in {folder} cannot start: {error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise FolderInUseError(
                f"the Bitcoin node's folder {folder} is in use by process {holder}: stop that one, or use another folder"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let go of the folder; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
