"""The node's index (LMDB): the active chain by height, every logged block by hash, and the unspent outputs.

The consensus library has no such look-ups. The index follows the library's active chain block by block, each change in one
transaction, and can undo a block for a reorganisation. It may be thrown away: the block log rebuilds it. Commits are
atomic and ordered but the last one may be lost with the machine's power, which the start repairs from the log.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

import lmdb

from photosynth.bitcoin.node import Tip
from photosynth.bitcoin_node.coins import Coins, IndexDamagedError
from photosynth.bitcoin_node.index_file import FileDamagedError, check, seal
from photosynth.files.whole import own_folder

if TYPE_CHECKING:
    from photosynth.bitcoin.block import Header
    from photosynth.bitcoin.outline import TransactionOutline

FORMAT = b"2"
MAP_BYTES = 16 << 30
"""Address space, not disk or memory: the file grows as it is filled."""

_PLACE = Struct("<IQ")
_HEADER_BYTES = 80


@dataclass(frozen=True, slots=True)
class Entry:
    """A block that the log holds, on any branch: height, the offset of its record, and its header as serialised."""

    height: int
    offset: int
    raw_header: bytes

    @property
    def header(self) -> "Header":
        """The header, read."""
        from photosynth.bitcoin.block import Header  # not for those who ask for the tip alone

        return Header.parse(self.raw_header)

    @property
    def time_s(self) -> int:
        """The time in the header, in seconds since the epoch."""
        return int.from_bytes(self.raw_header[68:72], "little")


class Index:
    """The index, open: reads from any thread, writes from one; its folder must be nobody else's meanwhile.

    ``read_only`` is for an index that nobody has open: no file is made or changed.
    Raises IndexDamagedError where the files are not usable, lmdb.Error or OSError where they cannot be opened.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self._file = folder / "data.mdb"
        try:
            if not read_only:
                own_folder(folder)
            check(self._file)
            if not read_only:
                # Of no use to one process alone, and made anew; a damaged one is mapped like the data.
                (folder / "lock.mdb").unlink(missing_ok=True)
            self._open(folder, read_only)
        except (
            FileDamagedError,
            lmdb.InvalidError,
            lmdb.CorruptedError,
            lmdb.PageNotFoundError,
            lmdb.VersionMismatchError,
        ) as error:
            raise IndexDamagedError(str(error)) from error

    def _open(self, folder: Path, read_only: bool) -> None:
        if read_only:
            self._env = lmdb.open(str(folder), max_dbs=8, readonly=True, lock=False, create=False)
        else:
            self._env = lmdb.open(str(folder), max_dbs=8, map_size=MAP_BYTES, metasync=False, mode=0o600)
        try:
            create = not read_only
            self._meta = self._env.open_db(b"meta", create=create)
            self._heights = self._env.open_db(b"heights", create=create)
            self._blocks = self._env.open_db(b"blocks", create=create)
            self._undo = self._env.open_db(b"undo", create=create)
            self.coins = Coins(self._env, create=create)
            if self.meta("format") is None and not read_only:
                with self.write() as batch:
                    batch.put_meta("format", FORMAT)
            elif self.meta("format") != FORMAT:
                raise IndexDamagedError("the index has another format")
            tip = self.tip()
            if tip is not None and tip.height != self.coins_height:
                self.coins.forget()
        except BaseException:
            self._env.close()
            raise

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._env.close()

    def seal(self) -> None:
        """Have everything committed so far on disk, the last commit included, and close with a checksum for the next start."""
        self._env.sync(True)
        self._env.close()
        with suppress(FileDamagedError, OSError):  # it is only checked the longer way then
            seal(self._file)

    @contextmanager
    def write(self) -> Iterator["Batch"]:
        """A batch of changes that becomes visible, and durable, as a whole or not at all.

        The coins are the exception: a batch that fails after it changed some leaves them forgotten, and only opening the
        index again, or :meth:`begin_coins_again`, brings them back.
        """
        txn = self._env.begin(write=True)
        batch = Batch(self, txn)
        try:
            yield batch
            if batch.wrote_coins:
                self.coins.commit(txn)
            else:
                txn.commit()
        except BaseException:
            if batch.changed_coins:
                self.coins.forget()
            txn.abort()
            raise

    @property
    def coins_height(self) -> int:
        """Up to which block of the active chain the coins are in the file."""
        return self.number("coins_height") or 0

    def begin_coins_again(self) -> None:
        """Take the coins as the file has them, and connect the blocks after :attr:`coins_height` by ``Batch.connect_coins``."""
        self.coins.begin_again()

    def meta(self, name: str) -> bytes | None:
        """A named value, None where it was never put."""
        with self._env.begin(db=self._meta) as txn:
            return _bytes_or_none(txn.get(name.encode()))

    def number(self, name: str) -> int | None:
        """A named whole number, None where it was never put. Raises IndexDamagedError where it is none."""
        value = self.meta(name)
        if value is None:
            return None
        if not value.isdigit() or len(value) > 20:
            raise IndexDamagedError(f"{name} is no number")
        return int(value)

    def hash_of_record(self, offset: int) -> bytes | None:
        """The hash of the block whose record starts at an offset of the log, None where none does: a search through all."""
        with self._env.begin(db=self._blocks) as txn, txn.cursor() as cursor:
            for key, value in cursor:
                if (entry := _entry(value)) is not None and entry.offset == offset:
                    return bytes(key)
        return None

    def entry(self, block_hash: bytes) -> Entry | None:
        """A block of any branch, None where the log does not hold it."""
        with self._env.begin(db=self._blocks) as txn:
            return _entry(txn.get(block_hash))

    def tip(self) -> Tip | None:
        """The best block of the active chain, None in an empty index."""
        with self._env.begin() as txn:
            return self._tip(txn)

    def _tip(self, txn: lmdb.Transaction) -> Tip | None:
        with txn.cursor(self._heights) as cursor:
            if not cursor.last():
                return None
            height, block_hash = int.from_bytes(cursor.key(), "big"), bytes(cursor.value())
        entry = _entry(txn.get(block_hash, db=self._blocks))
        if entry is None:
            raise IndexDamagedError(f"block {block_hash[::-1].hex()} of the active chain is not entered")
        return Tip(height, block_hash, entry.time_s)

    def hash_at(self, height: int) -> bytes | None:
        """The hash at a height of the active chain, None where it has none."""
        with self._env.begin() as txn:
            return self._hash_at(txn, height)

    def _hash_at(self, txn: lmdb.Transaction, height: int) -> bytes | None:
        if not 0 <= height < 1 << 32:
            return None
        return _bytes_or_none(txn.get(height.to_bytes(4, "big"), db=self._heights))

    def hashes(self, from_height: int) -> list[bytes]:
        """The hashes of the active chain from a height to the tip, as of one moment."""
        with self._env.begin(db=self._heights) as txn, txn.cursor() as cursor:
            if not cursor.set_range(max(0, from_height).to_bytes(4, "big")):
                return []
            return [bytes(value) for value in cursor.iternext(keys=False)]

    def last_headers(self, count: int) -> "tuple[Tip, list[Header]]":
        """The tip and the headers of the last ``count`` blocks of the active chain, newest first, as of one moment."""
        found: list[Header] = []
        with self._env.begin() as txn, txn.cursor(self._heights) as cursor:
            tip = self._tip(txn)
            assert tip is not None, "a node's index has at least the genesis block"
            more = cursor.last()
            while more and len(found) < count:
                entry = _entry(txn.get(cursor.value(), db=self._blocks))
                if entry is None:
                    raise IndexDamagedError(f"block {bytes(cursor.value())[::-1].hex()} of the active chain is not entered")
                found.append(entry.header)
                more = cursor.prev()
        return tip, found


class Batch:
    """Changes to the index within one transaction."""

    def __init__(self, index: Index, txn: lmdb.Transaction) -> None:
        self._index = index
        self._txn = txn
        self.changed_coins = False
        self.wrote_coins = False

    def tip(self) -> Tip | None:
        """The best block with the changes made so far, None in an empty index."""
        return self._index._tip(self._txn)

    def hash_at(self, height: int) -> bytes | None:
        """The hash at a height of the active chain with the changes made so far, None where it has none."""
        return self._index._hash_at(self._txn, height)

    def entry(self, block_hash: bytes) -> Entry | None:
        """A block of any branch with the changes made so far, None where the log does not hold it."""
        return _entry(self._txn.get(block_hash, db=self._index._blocks))

    def put_meta(self, name: str, value: bytes) -> None:
        """Set a named value."""
        self._txn.put(name.encode(), value, db=self._index._meta)

    def enter(self, block_hash: bytes, entry: Entry) -> None:
        """Note where the log holds a block."""
        value = _PLACE.pack(entry.height, entry.offset) + entry.raw_header
        self._txn.put(block_hash, value, db=self._index._blocks)

    def connect(self, block_hash: bytes, height: int, header: bytes, transactions: "Sequence[TransactionOutline]") -> None:
        """Append a block to the active chain: spend what it spends and add what it makes. The block is a valid one.

        Raises IndexDamagedError where it does not follow on the tip or spends an output that the index does not have.
        """
        tip = self.tip()
        expected = (0, bytes(32)) if tip is None else (tip.height + 1, tip.hash)
        if (height, header[4:36]) != expected:
            raise IndexDamagedError(f"block {block_hash[::-1].hex()} does not follow on the index's tip")
        self._txn.put(height.to_bytes(4, "big"), block_hash, db=self._index._heights)
        if undo := self.connect_coins(height, transactions):
            self._txn.put(height.to_bytes(4, "big"), undo, db=self._index._undo)

    def connect_coins(self, height: int, transactions: "Sequence[TransactionOutline]") -> bytes:
        """Change the coins alone, by a block that is in the active chain already; return what undoes it."""
        if height == 0:
            return b""  # the genesis block's output is no coin (Bitcoin Core, ConnectBlock)
        self.changed_coins = True
        return self._index.coins.connect(self._txn, transactions, height)

    def disconnect(self, block_hash: bytes, transactions: "Sequence[TransactionOutline]") -> None:
        """Take the tip off the active chain: remove what it made and restore what it spent.

        Raises IndexDamagedError where the block is not the tip.
        """
        tip = self.tip()
        if tip is None or tip.hash != block_hash:
            raise IndexDamagedError(f"block {block_hash[::-1].hex()} is not the index's tip")
        key = tip.height.to_bytes(4, "big")
        undo = bytes(self._txn.pop(key, db=self._index._undo) or b"")
        self.changed_coins = True
        self._index.coins.disconnect(self._txn, transactions, undo)
        self._txn.delete(key, db=self._index._heights)

    def write_coins(self) -> None:
        """Have all coins in the file with this batch, up to its tip; the batch's last change."""
        tip = self.tip()
        if tip is not None and self._index.coins.whole:
            self._index.coins.write(self._txn)
            self.put_meta("coins_height", str(tip.height).encode())
            self.changed_coins = self.wrote_coins = True


def _bytes_or_none(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


def _entry(value: bytes | memoryview | None) -> Entry | None:
    if value is None:
        return None
    if len(value) != _PLACE.size + _HEADER_BYTES:
        raise IndexDamagedError(f"the entry of a block has {len(value)} bytes")
    height, offset = _PLACE.unpack_from(value)
    return Entry(height, offset, bytes(value[_PLACE.size :]))
