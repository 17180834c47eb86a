"""Our own append-only log of raw blocks: what makes an accepted block survive ``kill -9``.

The consensus library writes its databases when it is closed and has no call to flush them, so a block counts as accepted
only once this log holds it on disk. The file's head is a magic, four bytes that name the network, the file's mark, and a
CRC-32 of these; then one record after the other: the mark, length and CRC-32 (both 32 bits, little-endian; the CRC covers the
length too), then the raw block.

The mark is eight bytes drawn when the file was made, which nobody who makes blocks can know. So the records after a
damaged one are found again, and a torn tail, which a crash may leave and which is cut off, is told from damage in the middle,
after which nothing is: a record is begun only when the one before it is on disk, so what is torn holds one mark at most.
Several records that share one :meth:`BlockLog.sync` are a group, of which a note beside the file tells (``group_note.py``).
"""

import os
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from photosynth.bitcoin_node.group_note import GroupNote, Noted
from photosynth.files.whole import own_file, sync_folder, write_whole

_RECORD = Struct("<8sII")
_FILE = Struct("<8s4s8sI")
_MAGIC = b"PSBLOCK1"
_MARK_AT = 12
MARK_BYTES = 8
MAX_RECORD = 4_000_000
"""Bytes of the largest block that consensus allows (Bitcoin Core, ``MAX_BLOCK_SERIALIZED_SIZE``)."""
HEAD_BYTES = _RECORD.size
START = _FILE.size
"""Offset of the first record."""
_CHUNK = 1 << 20

_sync = getattr(os, "fdatasync", os.fsync)


class BlockLogError(Exception):
    """The log's file is not one, or a record in it does not match its checksum; the message names file and offset."""


@dataclass(frozen=True, slots=True)
class Record:
    """One logged block: where its record starts, where the next one starts, and the raw block."""

    offset: int
    end: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes from an offset to an end that are no whole record, and the whole record after them, None where none is left."""

    offset: int
    end: int
    following: Record | None


def _head(magic: bytes, mark: bytes) -> bytes:
    named = magic + mark
    return named + zlib.crc32(named).to_bytes(4, "little")


def _checksum(raw: bytes) -> int:
    return zlib.crc32(raw, zlib.crc32(len(raw).to_bytes(4, "little")))


def read_record(file: int, path: Path, offset: int) -> bytes:
    """The raw block whose record starts at an offset of an open log. Raises BlockLogError where it is damaged."""
    record = _record_at(file, offset)
    if record is None:
        raise BlockLogError(f"{path} is damaged at byte {offset}: the record there does not match its checksum")
    return record.raw


def _record_at(file: int, offset: int) -> Record | None:
    """The whole record at an offset; its mark may be damaged, since the record before says that it starts here."""
    head = os.pread(file, HEAD_BYTES, offset)
    if len(head) < HEAD_BYTES:
        return None
    _, length, checksum = _RECORD.unpack(head)
    if not 0 < length <= MAX_RECORD:
        return None
    raw = os.pread(file, length, offset + HEAD_BYTES)
    if len(raw) < length or _checksum(raw) != checksum:
        return None
    return Record(offset, offset + HEAD_BYTES + length, raw)


class BlockLog:
    """The log, open for one writer; :meth:`read` may be called from any thread.

    ``network`` are four bytes, so that the log of one chain is never replayed into another.
    Raises BlockLogError where the file is something else, OSError where it cannot be opened.
    """

    def __init__(self, path: Path, network: bytes) -> None:
        self.path = path
        self._file = own_file(path, os.O_RDWR | os.O_CREAT)
        try:
            self._mark = self._open(_MAGIC + network)
            self._note = GroupNote(path.with_name(path.name + ".group"), self._mark)
            self._end = os.fstat(self._file).st_size
            _sync(self._file)
        except BaseException:
            os.close(self._file)
            raise

    def _open(self, magic: bytes) -> bytes:
        """The file's mark, after its head was checked, made, or mended from the first record, which repeats the mark."""
        found = os.pread(self._file, START + MARK_BYTES, 0)
        head, repeated = found[:START], found[START:]
        if len(found) < START:
            if not (magic.startswith(found) or found.startswith(magic)):
                raise self._not_ours()
            # Nothing was ever logged: a new file, or one that a crash left with half a head.
            os.ftruncate(self._file, 0)
            mark = secrets.token_bytes(MARK_BYTES)
            self._write(_head(magic, mark), 0)
            sync_folder(self.path.parent)
            return mark
        mark = head[_MARK_AT : _MARK_AT + MARK_BYTES]
        if head == _head(magic, mark):
            return mark
        if head == _head(head[:_MARK_AT], mark):
            raise self._not_ours()  # a sound head, of another chain
        # Another chain's head differs in all four bytes of the network at least.
        if len(repeated) < MARK_BYTES or sum(a != b for a, b in zip(head, _head(magic, repeated), strict=True)) > 3:
            raise self._not_ours()
        self._write(_head(magic, repeated), 0)
        return repeated

    def _not_ours(self) -> BlockLogError:
        return BlockLogError(f"{self.path} is not a block log of this chain: move it away, or use another folder")

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
        """Write a record at the end; it is durable after :meth:`sync`, which has to come before the next one, unless in a group.

        Raises OSError where the disk takes no more: then nothing of it is left in the file.
        """
        if not 0 < len(raw) <= MAX_RECORD:
            raise ValueError(f"a block has 1 to {MAX_RECORD} bytes, not {len(raw)}")
        offset = self._end
        data = self._data(raw)
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

    def begin_group(self) -> None:
        """Have it noted that several records follow before the next sync; everything before them must be on disk.

        After an OSError from here nothing may be appended until :meth:`settle_group`.
        """
        self._note.write(Noted(self._end, group=True))

    def end_group(self) -> None:
        """Return once the group is on disk, and that it is as well. After an OSError from here neither is certain."""
        self.sync()
        self._note.write(Noted(self._end, group=False))

    def settle_group(self) -> None:
        """End the group that a crash left begun, once its torn tail was cut off and what is left was read. Raises OSError."""
        noted = self._note.read()
        if noted is not None and noted.group:
            self.end_group()

    def truncate(self, offset: int) -> None:
        """Take back every record from an offset on (a record's start)."""
        os.ftruncate(self._file, offset)
        self._end = offset

    def read(self, offset: int) -> bytes:
        """The raw block whose record starts at an offset. Raises BlockLogError where it is damaged."""
        return read_record(self._file, self.path, offset)

    def _data(self, raw: bytes) -> bytes:
        return _RECORD.pack(self._mark, len(raw), _checksum(raw)) + raw

    def _record_at(self, offset: int) -> Record | None:
        return _record_at(self._file, offset)

    def records(self, offset: int = START) -> Iterator[Record | Damage]:
        """Every whole record from an offset on (a record's start), and what lies between them where that is damaged."""
        while offset < self._end:
            record = self._record_at(offset)
            if record is not None:
                yield record
                offset = record.end
                continue
            whole = (found for at in self._marks(offset + 1) if (found := self._record_at(at)) is not None)
            following = next(whole, None)
            end = self._end if following is None else following.offset
            yield Damage(offset, end, following)
            offset = end

    def _marks(self, offset: int) -> Iterator[int]:
        """The offsets, from one on, at which the file's mark stands."""
        while chunk := os.pread(self._file, _CHUNK + MARK_BYTES - 1, offset):
            at = chunk.find(self._mark)
            while at >= 0:
                yield offset + at
                at = chunk.find(self._mark, at + 1)
            offset += _CHUNK

    def bytes_of(self, damage: Damage) -> bytes:
        """The damaged block's bytes as they stand there, if the damage is one record's and leaves its place as it was."""
        size = max(0, damage.end - damage.offset - HEAD_BYTES)
        return os.pread(self._file, size, damage.offset + HEAD_BYTES)

    def fits(self, damage: Damage, blocks: list[bytes]) -> bool:
        """Whether the records of these blocks take exactly the place of the damage."""
        return sum(HEAD_BYTES + len(raw) for raw in blocks) == damage.end - damage.offset

    def mend(self, damage: Damage, blocks: list[bytes]) -> list[Record]:
        """Write whole records of these blocks, which must fit, in the place of the damage. Raises OSError."""
        if not self.fits(damage, blocks):
            raise ValueError("the blocks do not take the place of what is damaged")
        self._write(b"".join(map(self._data, blocks)), damage.offset)
        self.sync()
        mended: list[Record] = []
        offset = damage.offset
        for raw in blocks:
            mended.append(Record(offset, offset + HEAD_BYTES + len(raw), raw))
            offset = mended[-1].end
        return mended

    def cut_torn_tail(self, offset: int) -> int:
        """Cut off what was being written when it all stopped, and return how many bytes that was.

        Looks from an offset on, up to which everything is known to have been whole: what is damaged before it is left as it is.
        One record is cut, and nothing that holds a second one's mark; only where a group is noted to have been begun, all of
        it from its first damage on. The bytes that are cut are kept beside the log, in a file whose name ends in ``.cut``, for
        someone to look at.
        """
        noted = self._note.read()
        if noted is not None and noted.offset > self._end:
            # Of a log that was longer, before somebody shortened it: no offset of this one.
            noted = Noted(START, group=False)
            self._note.write(noted)
        if noted is not None:
            offset = max(offset, noted.offset)
        damages = (part for part in self.records(max(offset, START)) if isinstance(part, Damage))
        torn = next(damages, None) if noted is not None and noted.group else self._torn(list(damages))
        if torn is None:
            return 0
        size = self._end - torn.offset
        write_whole(self.path.with_name(self.path.name + ".cut"), os.pread(self._file, size, torn.offset))
        self.truncate(torn.offset)
        self.sync()
        return size

    def _torn(self, damages: list[Damage]) -> Damage | None:
        """The last of the damages if it is a record that was being written while all before it was on disk."""
        if not damages or (last := damages[-1]).following is not None:
            return None
        if last.end - last.offset > HEAD_BYTES + MAX_RECORD or next(self._marks(last.offset + 1), None) is not None:
            return None
        return last

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._note.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
