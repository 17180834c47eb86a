"""The unspent outputs: those of the last blocks in memory, all others in the index's file, and both together when asked.

Most outputs are spent soon, and LMDB writes whole pages: written block by block, a chain's coins cost thirty times their size.
So a block changes memory alone, and the file gets many blocks' changes at once, sorted. What memory had when the process ended is
computed again from the blocks since then, which the log has.
"""

import hashlib
import threading
from collections.abc import Iterable, Sequence
from itertools import repeat
from struct import Struct
from typing import TYPE_CHECKING

import lmdb

from photosynth.bitcoin.node import Coin
from photosynth.bitcoin.script import OP_RETURN

if TYPE_CHECKING:
    from photosynth.bitcoin.outline import TransactionOutline

MAX_SCRIPT_BYTES = 10_000
"""Longer scripts can never be spent (Bitcoin Core, ``CScript::IsUnspendable``), as those that begin with OP_RETURN."""
MOST_PENDING = 100_000
"""Changes in memory before they are written: some 30 MB, and a second of work at the start after a crash."""
OUTPOINT_BYTES = 36
_COIN = Struct("<32sqIB")
"""A coin as it is kept: SHA-256 of its script, satoshis, height, whether a coinbase made it."""
_HASH_BYTES = 32
_RETURN = bytes((OP_RETURN,))


class IndexDamagedError(Exception):
    """The index contradicts itself or a valid block: it has to be rebuilt. The message names what is wrong."""


def spendable(script: bytes) -> bool:
    """Whether an output with this script can be spent at all and so is a coin."""
    return len(script) <= MAX_SCRIPT_BYTES and script[:1] != _RETURN


class Coins:
    """The coins of the active chain; one thread changes them, any may ask.

    ``outputs`` maps an outpoint (36 bytes as serialised) to its coin, ``scripts`` has a key of script hash and outpoint for each.
    """

    def __init__(self, env: lmdb.Environment, *, create: bool = True) -> None:
        self._env = env
        self._outputs = env.open_db(b"outputs", create=create)
        self._scripts = env.open_db(b"scripts", create=create)
        self._lock = threading.Lock()
        self._added: dict[bytes, bytes] = {}
        self._spent: dict[bytes, bytes] = {}
        self._whole = True

    @property
    def whole(self) -> bool:
        """Whether memory and file together are the chain's coins."""
        return self._whole

    @property
    def pending(self) -> int:
        """How many changes are in memory alone."""
        return len(self._added) + len(self._spent)

    def forget(self) -> None:
        """Drop what is in memory: it is no longer what the chain says, and must be computed again from the file."""
        with self._lock:
            self._added, self._spent, self._whole = {}, {}, False

    def begin_again(self) -> None:
        """Start from the file alone, before the blocks since it are connected again."""
        with self._lock:
            self._added, self._spent, self._whole = {}, {}, True

    def connect(self, txn: lmdb.Transaction, transactions: "Sequence[TransactionOutline]", height: int) -> bytes:
        """Spend what a block spends and add what it makes; return what undoes it.

        Raises IndexDamagedError where it spends an output that is not there; then the coins are to be forgotten.
        """
        if not self._whole:
            raise IndexDamagedError("the coins are not known until the chain goes on")
        added, sha256 = self._added, hashlib.sha256
        undo: list[bytes] = []
        by_coinbase, by_others = (height.to_bytes(4, "little") + flag for flag in (b"\x01", b"\x00"))
        for place, (txid, spent, made) in enumerate(transactions):
            if place:
                for outpoint in spent:
                    undo.append(outpoint)
                    undo.append(added.pop(outpoint, b"") or self._take(txn, outpoint))
            end = by_others if place else by_coinbase
            for number, (value, script) in enumerate(made):
                if script[:1] != _RETURN and len(script) <= MAX_SCRIPT_BYTES:
                    added[txid + number.to_bytes(4, "little")] = sha256(script).digest() + value + end
        return b"".join(undo)

    def disconnect(self, txn: lmdb.Transaction, transactions: "Iterable[TransactionOutline]", undo: bytes) -> None:
        """Take a block's changes back, with what :meth:`connect` returned for it."""
        size = OUTPOINT_BYTES + _COIN.size
        if len(undo) % size:
            raise IndexDamagedError(f"what undoes a block has {len(undo)} bytes")
        for at in range(0, len(undo), size):
            self._added[undo[at : at + OUTPOINT_BYTES]] = undo[at + OUTPOINT_BYTES : at + size]
        for txid, _, made in transactions:
            for number, (_, script) in enumerate(made):
                outpoint = txid + number.to_bytes(4, "little")
                if spendable(script) and not self._added.pop(outpoint, b""):
                    self._take(txn, outpoint)

    def _take(self, txn: lmdb.Transaction, outpoint: bytes) -> bytes:
        """Spend a coin of the file."""
        coin = None if outpoint in self._spent else txn.get(outpoint, db=self._outputs)
        if coin is None:
            raise IndexDamagedError(f"an output of {outpoint[31::-1].hex()} is spent and not in the index")
        self._spent[outpoint] = kept = bytes(coin)
        return kept

    def write(self, txn: lmdb.Transaction) -> None:
        """Put what is in memory into a transaction; :meth:`committing` ends it."""
        for outpoint in sorted(self._spent):
            txn.delete(outpoint, db=self._outputs)
            txn.delete(self._spent[outpoint][:_HASH_BYTES] + outpoint, db=self._scripts)
        added = self._added
        # One pair at a time: two hundred thousand at once would have the garbage collector go through all that is there.
        with txn.cursor(self._outputs) as cursor:
            cursor.putmulti((outpoint, added[outpoint]) for outpoint in sorted(added))
        with txn.cursor(self._scripts) as cursor:
            keys = sorted([coin[:_HASH_BYTES] + outpoint for outpoint, coin in added.items()])
            cursor.putmulti(zip(keys, repeat(b""), strict=False))

    def commit(self, txn: lmdb.Transaction) -> None:
        """Commit a transaction that has what is in memory: nobody who asks meanwhile sees it twice or not at all."""
        with self._lock:
            txn.commit()
            self._added, self._spent = {}, {}

    def at(self, outpoint: bytes) -> Coin | None:
        """The unspent output at a place (36 bytes as serialised), None where there is none."""
        with self._lock:
            if not self._whole:
                raise IndexDamagedError("the coins are not known until the chain goes on")
            added, spent, txn = self._added.get(outpoint), outpoint in self._spent, self._env.begin()
        with txn:
            coin = added or (None if spent else txn.get(outpoint, db=self._outputs))
            return None if coin is None else _coin(outpoint, bytes(coin))

    def of(self, script: bytes) -> tuple[Coin, ...]:
        """The unspent outputs that pay exactly this script, in the order of height, txid and index."""
        script_hash = hashlib.sha256(script).digest()
        with self._lock:
            if not self._whole:
                raise IndexDamagedError("the coins are not known until the chain goes on")
            added, spent = list(self._added.items()), set(self._spent)
            txn = self._env.begin()
        with txn:
            found = [_coin(outpoint, coin) for outpoint, coin in added if coin.startswith(script_hash)]
            found += [_coin(outpoint, coin) for outpoint, coin in self._filed(txn, script_hash) if outpoint not in spent]
        return tuple(sorted(found, key=lambda coin: (coin.height, coin.txid, coin.index)))

    def _filed(self, txn: lmdb.Transaction, script_hash: bytes) -> Iterable[tuple[bytes, bytes]]:
        with txn.cursor(self._scripts) as cursor:
            more = cursor.set_range(script_hash)
            while more and (key := bytes(cursor.key())).startswith(script_hash):
                outpoint = key[_HASH_BYTES:]
                coin = txn.get(outpoint, db=self._outputs)
                if coin is None:
                    raise IndexDamagedError(f"a coin of {outpoint[31::-1].hex()} is not in the index")
                yield outpoint, bytes(coin)
                more = cursor.next()


def _coin(outpoint: bytes, coin: bytes) -> Coin:
    if (len(outpoint), len(coin)) != (OUTPOINT_BYTES, _COIN.size):
        raise IndexDamagedError(f"a coin has a key of {len(outpoint)} and a value of {len(coin)} bytes")
    _, value_sat, height, coinbase = _COIN.unpack(coin)
    return Coin(outpoint[:32], int.from_bytes(outpoint[32:], "little"), value_sat, height, bool(coinbase))
