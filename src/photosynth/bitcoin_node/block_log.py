"""Our own append-only log of raw blocks: what makes an accepted block survive ``kill -9``.

The consensus library writes its databases when it is closed and has no call to flush them, so a block counts as accepted
only once this log holds it on disk. The file starts with eight bytes of magic and four that name the network; then one
record after the other: length and CRC-32 (both 32 bits, little-endian; the CRC covers the length too), then the raw block.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from photosynth.files.whole import own_file, sync_folder, write_whole

_HEAD = Struct("<II")
_MAGIC = b"PSBLOCK1"
MAX_RECORD = 4_000_000
"""Bytes of the largest block that consensus allows (Bitcoin Core, ``MAX_BLOCK_SERIALIZED_SIZE``)."""
START = len(_MAGIC) + 4
"""Offset of the first record."""

_sync = getattr(os, "fdatasync", os.fsync)


class BlockLogError(Exception):
    """The log's file is not one, or a record in it does not match its checksum; the message names file and offset."""


@dataclass(frozen=True, slots=True)
class Record:
    """One logged block: where its record starts, where the next one starts, and the raw block."""

    offset: int
    end: int
    raw: bytes


def _checksum(raw: bytes) -> int:
    return zlib.crc32(raw, zlib.crc32(len(raw).to_bytes(4, "little")))


def read_record(file: int, path: Path, offset: int) -> bytes:
    """The raw block whose record starts at an offset of an open log. Raises BlockLogError where it is damaged."""
    record = _record_at(file, offset)
    if record is None:
        raise BlockLogError(f"{path} is damaged at byte {offset}: the record there does not match its checksum")
    return record.raw


def _record_at(file: int, offset: int) -> Record | None:
    head = os.pread(file, _HEAD.size, offset)
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if not 0 < length <= MAX_RECORD:
        return None
    raw = os.pread(file, length, offset + _HEAD.size)
    if len(raw) < length or _checksum(raw) != checksum:
        return None
    return Record(offset, offset + _HEAD.size + length, raw)


class BlockLog:
    """The log, open for one writer; :meth:`read` may be called from any thread.

    ``network`` are four bytes, so that the log of one chain is never replayed into another.
    Raises BlockLogError where the file is something else, OSError where it cannot be opened.
    """

    def __init__(self, path: Path, network: bytes) -> None:
        self.path = path
        self._file = own_file(path, os.O_RDWR | os.O_CREAT)
        try:
            self._open(_MAGIC + network)
        except BaseException:
            os.close(self._file)
            raise

    def _open(self, magic: bytes) -> None:
        found = os.pread(self._file, START, 0)
        if len(found) < START and magic.startswith(found):
            # Nothing was ever logged: a new file, or one that a crash left with half a first line.
            os.ftruncate(self._file, 0)
            self._write(magic, 0)
            sync_folder(self.path.parent)
        elif found != magic:
            raise BlockLogError(f"{self.path} is not a block log of this chain: move it away, or use another folder")
        self._end = os.fstat(self._file).st_size
        _sync(self._file)

    def _write(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written

    @property
    def end(self) -> int:
        """Offset at which the next record will start."""
        return self._end

    def append(self, raw: bytes) -> Record:
        """Write a record at the end; it is durable after :meth:`sync`.

        Raises OSError where the disk takes no more: then nothing of it is left in the file.
        """
        if not 0 < len(raw) <= MAX_RECORD:
            raise ValueError(f"a block has 1 to {MAX_RECORD} bytes, not {len(raw)}")
        offset = self._end
        data = _HEAD.pack(len(raw), _checksum(raw)) + raw
        try:
            self._write(data, offset)
        except OSError:
            os.ftruncate(self._file, offset)
            raise
        self._end = offset + len(data)
        return Record(offset, self._end, raw)

    def sync(self) -> None:
        """Return once everything appended is on disk. After an OSError from here the file's tail is not to be trusted."""
        _sync(self._file)

    def truncate(self, offset: int) -> None:
        """Take back every record from an offset on (a record's start)."""
        os.ftruncate(self._file, offset)
        self._end = offset

    def read(self, offset: int) -> bytes:
        """The raw block whose record starts at an offset. Raises BlockLogError where it is damaged."""
        return read_record(self._file, self.path, offset)

    def _record_at(self, offset: int) -> Record | None:
        return _record_at(self._file, offset)

    def records(self, offset: int = START) -> Iterator[Record]:
        """Every whole record from an offset on, up to the first that is torn or damaged."""
        while (record := self._record_at(offset)) is not None:
            yield record
            offset = record.end

    def cut_torn_tail(self, offset: int) -> int:
        """Cut off what follows the last whole record, looking from an offset on, and return how many bytes that was.

        The bytes are kept beside the log, in a file whose name ends in ``.cut``, for someone to look at.
        """
        good = max(offset, START)
        for record in self.records(good):
            good = record.end
        torn = self._end - good
        if torn > 0:
            kept = self.path.with_name(self.path.name + ".cut")
            write_whole(kept, os.pread(self._file, torn, good))
            self.truncate(good)
            self.sync()
        return max(torn, 0)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
