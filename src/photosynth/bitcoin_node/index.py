"""The node's index (LMDB): the active chain by height, every logged block by hash, and the unspent outputs.

The consensus library has no such look-ups. The index follows the library's active chain block by block, each change in one
transaction, and can undo a block for a reorganisation. It may be thrown away: the block log rebuilds it. Commits are
atomic and ordered but the last one may be lost with the machine's power, which the start repairs from the log.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import lmdb

from photosynth.bitcoin.block import Block, Header
from photosynth.bitcoin.node import Coin, Tip
from photosynth.bitcoin.script import OP_RETURN
from photosynth.bitcoin.transaction import Transaction

FORMAT = b"1"
MAP_BYTES = 16 << 30
"""Address space, not disk or memory: the file grows as it is filled."""
MAX_SCRIPT_BYTES = 10_000
"""Longer scripts can never be spent (Bitcoin Core, ``CScript::IsUnspendable``), as those that begin with OP_RETURN."""

_PLACE = Struct("<IQ")
_COIN = Struct("<qIB")
_UNDO_BYTES = 36 + 32 + _COIN.size


@dataclass(frozen=True, slots=True)
class Entry:
    """A block that the log holds, on any branch: height, the offset of its record, and its header."""

    height: int
    offset: int
    header: Header


class IndexDamagedError(Exception):
    """The index contradicts a valid block: it has to be rebuilt. The message names the block or output."""


def spendable(script: bytes) -> bool:
    """Whether an output with this script can be spent at all and so is a coin."""
    return len(script) <= MAX_SCRIPT_BYTES and not script.startswith(bytes((OP_RETURN,)))


class Index:
    """The index, open: reads from any thread, writes from one. Raises lmdb.Error where the files are not usable.

    ``read_only`` is for an index that nobody has open: no file is made or changed, the one of its readers neither.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        if read_only:
            self._env = lmdb.open(str(folder), max_dbs=8, readonly=True, lock=False, create=False)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(str(folder), max_dbs=8, map_size=MAP_BYTES, metasync=False, mode=0o600)
        try:
            if not read_only:
                self._env.reader_check()
            create = not read_only
            self._meta = self._env.open_db(b"meta", create=create)
            self._heights = self._env.open_db(b"heights", create=create)
            self._blocks = self._env.open_db(b"blocks", create=create)
            self._outputs = self._env.open_db(b"outputs", create=create)
            self._scripts = self._env.open_db(b"scripts", create=create)
            self._undo = self._env.open_db(b"undo", create=create)
            if self.meta("format") is None and not read_only:
                with self.write() as batch:
                    batch.put_meta("format", FORMAT)
            elif self.meta("format") != FORMAT:
                raise lmdb.VersionMismatchError("the index has another format")
        except BaseException:
            self._env.close()
            raise

    def close(self) -> None:
        """Close the files; safe to call twice."""
        self._env.close()

    def sync(self) -> None:
        """Have everything committed so far on disk, the last commit included."""
        self._env.sync(True)

    @contextmanager
    def write(self) -> Iterator["Batch"]:
        """A batch of changes that becomes visible, and durable, as a whole or not at all."""
        with self._env.begin(write=True) as txn:
            yield Batch(self, txn)

    def meta(self, name: str) -> bytes | None:
        """A named value, None where it was never put."""
        with self._env.begin(db=self._meta) as txn:
            return _bytes_or_none(txn.get(name.encode()))

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
        assert entry is not None, "a block of the active chain is always entered before it is connected"
        return Tip(height, block_hash, entry.header.time_s)

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

    def last_headers(self, count: int) -> tuple[Tip, list[Header]]:
        """The tip and the headers of the last ``count`` blocks of the active chain, newest first, as of one moment."""
        found: list[Header] = []
        with self._env.begin() as txn, txn.cursor(self._heights) as cursor:
            tip = self._tip(txn)
            assert tip is not None, "a node's index has at least the genesis block"
            more = cursor.last()
            while more and len(found) < count:
                entry = _entry(txn.get(cursor.value(), db=self._blocks))
                assert entry is not None, "a block of the active chain is always entered before it is connected"
                found.append(entry.header)
                more = cursor.prev()
        return tip, found

    def coins(self, script: bytes) -> tuple[Coin, ...]:
        """The unspent outputs that pay exactly this script, in the order of height, txid and index."""
        prefix = hashlib.sha256(script).digest()
        found: list[Coin] = []
        with self._env.begin(db=self._scripts) as txn, txn.cursor() as cursor:
            more = cursor.set_range(prefix)
            while more and (key := bytes(cursor.key())).startswith(prefix):
                value_sat, height, coinbase = _COIN.unpack(cursor.value())
                found.append(Coin(key[32:64], int.from_bytes(key[64:], "big"), value_sat, height, bool(coinbase)))
                more = cursor.next()
        return tuple(sorted(found, key=lambda coin: (coin.height, coin.txid, coin.index)))


class Batch:
    """Changes to the index within one transaction."""

    def __init__(self, index: Index, txn: lmdb.Transaction) -> None:
        self._index = index
        self._txn = txn

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
        value = _PLACE.pack(entry.height, entry.offset) + entry.header.serialise()
        self._txn.put(block_hash, value, db=self._index._blocks)

    def connect(self, block_hash: bytes, height: int, block: Block) -> None:
        """Append a block to the active chain: spend what it spends and add what it makes. The block is a valid one.

        Raises IndexDamagedError where it does not follow on the tip or spends an output that the index does not have.
        """
        tip = self.tip()
        expected = (0, bytes(32)) if tip is None else (tip.height + 1, tip.hash)
        if (height, block.header.previous_hash) != expected:
            raise IndexDamagedError(f"block {block_hash[::-1].hex()} does not follow on the index's tip")
        self._txn.put(height.to_bytes(4, "big"), block_hash, db=self._index._heights)
        if height == 0:
            return  # the genesis block's output is no coin (Bitcoin Core, ConnectBlock)
        undo = bytearray()
        for transaction in block.transactions:
            if not transaction.is_coinbase:
                for spent in transaction.inputs:
                    undo += self._spend(spent.previous_txid + spent.previous_index.to_bytes(4, "big"))
            self._add(transaction, height)
        if undo:
            self._txn.put(height.to_bytes(4, "big"), bytes(undo), db=self._index._undo)

    def _add(self, transaction: Transaction, height: int) -> None:
        txid, coinbase = transaction.txid, transaction.is_coinbase
        for number, output in enumerate(transaction.outputs):
            if spendable(output.script):
                outpoint = txid + number.to_bytes(4, "big")
                coin = _COIN.pack(output.value_sat, height, coinbase)
                self._put_coin(outpoint, hashlib.sha256(output.script).digest(), coin)

    def _put_coin(self, outpoint: bytes, script_hash: bytes, coin: bytes) -> None:
        self._txn.put(outpoint, script_hash, db=self._index._outputs)
        self._txn.put(script_hash + outpoint, coin, db=self._index._scripts)

    def _spend(self, outpoint: bytes) -> bytes:
        script_hash = _bytes_or_none(self._txn.pop(outpoint, db=self._index._outputs))
        coin = script_hash and _bytes_or_none(self._txn.pop(script_hash + outpoint, db=self._index._scripts))
        if not script_hash or not coin:
            raise IndexDamagedError(f"an output of {outpoint[31::-1].hex()} is spent and not in the index")
        return outpoint + script_hash + coin

    def disconnect(self, block_hash: bytes, block: Block) -> None:
        """Take the tip off the active chain: remove what it made and restore what it spent.

        Raises IndexDamagedError where the block is not the tip.
        """
        tip = self.tip()
        if tip is None or tip.hash != block_hash:
            raise IndexDamagedError(f"block {block_hash[::-1].hex()} is not the index's tip")
        key = tip.height.to_bytes(4, "big")
        undo = bytes(self._txn.pop(key, db=self._index._undo) or b"")
        for at in range(0, len(undo), _UNDO_BYTES):
            record = undo[at : at + _UNDO_BYTES]
            self._put_coin(record[:36], record[36:68], record[68:])
        for transaction in block.transactions:
            txid = transaction.txid
            for number in range(len(transaction.outputs)):
                outpoint = txid + number.to_bytes(4, "big")
                script_hash = self._txn.pop(outpoint, db=self._index._outputs)
                if script_hash is not None:
                    self._txn.delete(bytes(script_hash) + outpoint, db=self._index._scripts)
        self._txn.delete(key, db=self._index._heights)


def _bytes_or_none(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


def _entry(value: bytes | memoryview | None) -> Entry | None:
    if value is None:
        return None
    height, offset = _PLACE.unpack_from(value)
    return Entry(height, offset, Header.parse(bytes(value[_PLACE.size :])))
