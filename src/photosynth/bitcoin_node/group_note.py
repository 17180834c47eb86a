"""A durable note beside the block log: up to where the log was on disk, and whether a group of records was begun from there on.

Records of a group reach the disk in any order, so after a loss of power whole ones, and their marks, may follow a torn one:
the bytes alone do not tell that from damage to blocks which were answered for. The note does. It is written in place, in one
piece far smaller than a sector, and bears the mark of the log that it speaks of; one that is damaged, or of another log, says
nothing.
"""

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from photosynth.files.whole import own_file, sync_folder

_NOTE = Struct("<8s8sQB")
_MAGIC = b"PSGROUP1"
_CHECKSUM_BYTES = 4

_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True)
class Noted:
    """What a note says: the log was on disk up to an offset, a record's start; ``group`` tells of one begun there."""

    offset: int
    group: bool


class GroupNote:
    """The note on the log with a mark (eight bytes). Its file is made by the first :meth:`write`."""

    def __init__(self, path: Path, mark: bytes) -> None:
        self._path = path
        self._mark = mark
        self._file = -1

    def read(self) -> Noted | None:
        """What the note says, None where there is none, or none that can be trusted. Raises OSError where it cannot be read."""
        try:
            file = own_file(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            found = os.pread(file, _NOTE.size + _CHECKSUM_BYTES, 0)
        finally:
            os.close(file)
        content, checksum = found[: _NOTE.size], found[_NOTE.size :]
        if checksum != zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little"):
            return None
        magic, mark, offset, group = _NOTE.unpack(content)
        return Noted(offset, group == 1) if (magic, mark) == (_MAGIC, self._mark) else None

    def write(self, noted: Noted) -> None:
        """Have it say this, on disk. Raises OSError: then it may say this, what it said before, or nothing."""
        first = self._file < 0
        if first:
            self._file = own_file(self._path, os.O_WRONLY | os.O_CREAT)
        content = _NOTE.pack(_MAGIC, self._mark, noted.offset, noted.group)
        content += zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little")
        if os.pwrite(self._file, content, 0) < len(content):
            raise OSError(f"{self._path} was not written whole")
        _sync(self._file)
        if first:  # the name may be of a process that was killed before it was on disk
            sync_folder(self._path.parent)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
