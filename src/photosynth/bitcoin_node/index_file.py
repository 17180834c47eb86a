"""Whether an LMDB data file may be mapped: its pages are read and checked before LMDB follows them through memory.

LMDB trusts its file. A page beyond the file's end is a SIGBUS, a page of garbage a read or a jump anywhere: both end the
process without a word. So every page that can be reached is read with ``pread`` first, and whatever LMDB would follow
(numbers of pages, offsets and sizes of nodes, the list of free pages) must lie where it can. After a clean stop a seal
beside the file tells its checksum: then the bytes are compared instead, which also finds a changed value.
Source: LMDB 0.9, ``mdb.c`` (MDB_page, MDB_node, MDB_db, MDB_meta, on 64-bit machines).
"""

import json
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from photosynth.files.whole import WrongKindError, own_file, write_whole

_MAGIC = 0xBEEFC0DE
_VERSION = 1
_PAGE = Struct("=QHHHH")  # number, pad, flags, lower, upper
_META = Struct("=IIQQ48s48sQQ")  # magic, version, address, map size, free list, main tree, last page, transaction
_TREE = Struct("=IHHQQQQQ")  # page size or pad, flags, depth, branch, leaf and overflow pages, entries, root
_NODE = Struct("=HHHH")  # data size or child (low, middle), flags or child (high), key size
_BRANCH, _LEAF, _OVERFLOW, _IS_META = 0x01, 0x02, 0x04, 0x08
_KIND = 0x6F
"""The flags that say what a page is; the others are of a transaction under way."""
_BIG, _TREE_NODE = 0x01, 0x02
_NO_PAGE = (1 << 64) - 1
_MAX_DEPTH = 32
_PAGE_SIZES = {1 << power for power in range(9, 17)}
_CHUNK = 1 << 20


class FileDamagedError(Exception):
    """The file cannot be what LMDB wrote; the message says what is wrong with it."""


def check(path: Path) -> None:
    """Return where the file is missing, empty or sound.

    Raises FileDamagedError, OSError where it cannot be read, WrongKindError where its seal is no file.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        described = os.fstat(file)
        if not stat.S_ISREG(described.st_mode):
            raise FileDamagedError(f"{path} is not a file")
        if described.st_size == 0:
            return
        reader = _Reader(file, described.st_size)
        sealed = _sealed(path)
        if sealed is not None and sealed.get("transaction") == reader.transaction:
            if (sealed.get("bytes"), sealed.get("crc32")) != (described.st_size, _checksum(file)):
                raise FileDamagedError("its bytes are not those of the last clean stop")
        else:
            reader.check_trees()
    except FileDamagedError as error:
        raise FileDamagedError(f"{path} is damaged: {error}") from None
    finally:
        os.close(file)


def seal(path: Path) -> None:
    """Note a closed file's checksum beside it, for :func:`check` after a clean stop. Raises OSError, FileDamagedError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(file).st_size
        sealed = {"transaction": _Reader(file, size).transaction, "bytes": size, "crc32": _checksum(file)}
    finally:
        os.close(file)
    write_whole(_seal_of(path), json.dumps(sealed).encode(), durable=False)


def _seal_of(path: Path) -> Path:
    return path.with_name("closed.json")


def _sealed(path: Path) -> dict[str, object] | None:
    try:
        file = own_file(_seal_of(path), os.O_RDONLY)
    except WrongKindError:
        raise
    except OSError:
        return None
    try:
        found = json.loads(os.pread(file, 1000, 0))
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)
    return found if isinstance(found, dict) else None


def _checksum(file: int) -> int:
    value, offset = 0, 0
    while chunk := os.pread(file, _CHUNK, offset):
        value, offset = zlib.crc32(chunk, value), offset + len(chunk)
    return value


class _Reader:
    """Reads a file page by page; the newer of its two meta pages says what is in it."""

    def __init__(self, file: int, size: int) -> None:
        self._file = file
        start = os.pread(file, _PAGE.size + _META.size, 0)
        if len(start) < _PAGE.size + _META.size:
            raise FileDamagedError(f"{size} bytes do not hold a meta page")
        self._page_size = int(_TREE.unpack(_META.unpack_from(start, _PAGE.size)[4])[0])
        if self._page_size not in _PAGE_SIZES:
            raise FileDamagedError(f"pages of {self._page_size} bytes")
        self._pages = size // self._page_size
        newest = max((self._meta(number) for number in (0, 1)), key=lambda meta: meta[3])
        self._free, self._main, self._last, self.transaction = newest
        self._seen: set[int] = {0, 1}

    def _meta(self, number: int) -> tuple[bytes, bytes, int, int]:
        page = self._read(number, 1)
        magic, version, _, _, free, main, last, transaction = _META.unpack_from(page, _PAGE.size)
        if _PAGE.unpack_from(page)[2] & _KIND != _IS_META or magic != _MAGIC or version != _VERSION:
            raise FileDamagedError(f"page {number} is no meta page")
        return free, main, last, transaction

    def _read(self, number: int, count: int) -> bytes:
        if number + count > self._pages:
            raise FileDamagedError(f"page {number + count - 1} is beyond its end ({self._pages} pages)")
        page = os.pread(self._file, count * self._page_size, number * self._page_size)
        if len(page) < count * self._page_size:
            raise FileDamagedError(f"page {number} is cut off")
        return page

    def check_trees(self) -> None:
        """Follow everything that LMDB would. Raises FileDamagedError."""
        free: set[int] = set()
        for value in self._values(self._free):
            count = int.from_bytes(value[:8], "little")
            if len(value) != 8 * (count + 1):
                raise FileDamagedError("a list of free pages is not as long as it says")
            free.update(int.from_bytes(value[at : at + 8], "little") for at in range(8, len(value), 8))
        for value in self._values(self._main, trees=True):
            for _ in self._values(value):
                pass
        if free & self._seen or (free and not 1 < min(free) <= max(free) <= self._last):
            raise FileDamagedError("pages that are in use are said to be free")

    def _values(self, described: bytes, *, trees: bool = False) -> Iterator[bytes]:
        """The values of a tree's leaves (the free list's, or the main tree's, whose values describe trees)."""
        if len(described) != _TREE.size:
            raise FileDamagedError("a tree's description has the wrong size")
        _, _, depth, _, _, _, _, root = _TREE.unpack(described)
        if root == _NO_PAGE:
            return
        if not 0 < depth <= _MAX_DEPTH:
            raise FileDamagedError(f"a tree {depth} pages deep")
        pending = [(root, depth)]
        while pending:
            number, level = pending.pop()
            page = self._enter(number, 1)
            flags = _PAGE.unpack_from(page)[2] & _KIND
            if flags != (_LEAF if level == 1 else _BRANCH):
                raise FileDamagedError(f"page {number} is of another kind than its tree has there")
            nodes = self._nodes(number, page)
            if len(nodes) < (1 if level == 1 else 2):
                raise FileDamagedError(f"page {number} has fewer nodes than LMDB leaves on one")
            for node in nodes:
                low, middle, high, key_size = _NODE.unpack_from(page, node)
                if level > 1:
                    self._within(number, node + _NODE.size + key_size)
                    pending.append((low | middle << 16 | high << 32, level - 1))
                    continue
                size, data = low | middle << 16, node + _NODE.size + key_size
                if high & _BIG:
                    self._within(number, data + 8)
                    yield self._big(int.from_bytes(page[data : data + 8], "little"), size)
                else:
                    self._within(number, data + size)
                    if bool(high & _TREE_NODE) != trees or high & ~_TREE_NODE:
                        raise FileDamagedError(f"page {number} holds a value of a kind that is not used")
                    yield page[data : data + size]

    def _enter(self, number: int, count: int) -> bytes:
        """A page that nothing else may lead to."""
        if number > self._last or not self._seen.isdisjoint(range(number, number + count)):
            raise FileDamagedError(f"page {number} is led to twice, or was never used")
        page = self._read(number, count)
        self._seen.update(range(number, number + count))
        if _PAGE.unpack_from(page)[0] != number:
            raise FileDamagedError(f"page {number} calls itself another")
        return page

    def _nodes(self, number: int, page: bytes) -> memoryview:
        """The offsets of a page's nodes."""
        lower, upper = _PAGE.unpack_from(page)[3:]
        if not _PAGE.size <= lower <= upper <= self._page_size or lower % 2:
            raise FileDamagedError(f"page {number} has its nodes in the wrong place")
        offsets = memoryview(page)[_PAGE.size : lower].cast("H")
        if len(offsets) and (min(offsets) < upper or max(offsets) + _NODE.size > self._page_size):
            raise FileDamagedError(f"page {number} has a node in the wrong place")
        return offsets

    def _within(self, number: int, end: int) -> None:
        if end > self._page_size:
            raise FileDamagedError(f"page {number} has a node that goes on after its end")

    def _big(self, number: int, size: int) -> bytes:
        """A value on pages of its own."""
        count = (_PAGE.size + size - 1) // self._page_size + 1
        if number + count > self._pages:
            raise FileDamagedError(f"page {number} begins a value that goes on beyond its end")
        pages = self._enter(number, count)
        told = int.from_bytes(pages[12:16], "little")
        if _PAGE.unpack_from(pages)[2] & _KIND != _OVERFLOW or told < count:
            raise FileDamagedError(f"page {number} does not begin a value of {size} bytes")
        return pages[_PAGE.size : _PAGE.size + size]
