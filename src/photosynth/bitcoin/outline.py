"""What a block does to the coins, read in one pass that builds no objects: ids, outputs spent, outputs made, and its end.

For blocks that a consensus library has decoded: only what the walk needs is looked at. :mod:`photosynth.bitcoin.block` reads
every field and refuses what is malformed, and takes five times as long. Source: BIP144, Bitcoin Core ``serialize.h``.
"""

from hashlib import sha256

from photosynth.bitcoin.block import HEADER_BYTES
from photosynth.bitcoin.wire import FormatError

TransactionOutline = tuple[bytes, list[bytes], list[tuple[bytes, bytes]]]
"""A transaction's id in internal order; the outpoints of its inputs (txid and index, 36 bytes as serialised); its outputs, each
the value as serialised (eight bytes, little-endian satoshis) and the script. Without names, for a block has thousands."""


def outline_of(raw: bytes) -> list[TransactionOutline]:
    """The outlines of a block's transactions, the coinbase first.

    Raises FormatError where the block ends before or after the bytes do.
    """
    try:
        found, end = _walk(raw)
    except IndexError:
        end = len(raw) + 1
    if end > len(raw):
        raise FormatError("block", len(raw), "it is cut off")
    if end < len(raw):
        raise FormatError("block", end, f"{len(raw) - end} bytes follow the end")
    return found


def _walk(raw: bytes) -> tuple[list[TransactionOutline], int]:
    """The outlines, and where the block ends. Every turn of a loop reads a byte further on, so no count can make it long."""
    at = HEADER_BYTES
    found: list[TransactionOutline] = []
    count = raw[at]
    at += 1
    if count >= 0xFD:
        count, at = _long(raw, at)
    for _ in range(count):
        outline, at = _transaction(raw, at)
        found.append(outline)
    return found, at


def _transaction(raw: bytes, start: int) -> tuple[TransactionOutline, int]:
    at = start + 4
    has_witness = raw[at] == 0 and raw[at + 1] != 0
    if has_witness:
        at += 2
    body = at
    inputs = raw[at]
    at += 1
    if inputs >= 0xFD:
        inputs, at = _long(raw, at)
    spent: list[bytes] = []
    for _ in range(inputs):
        spent.append(raw[at : at + 36])
        length = raw[at + 36]
        at += 37
        if length >= 0xFD:
            length, at = _long(raw, at)
        at += length + 4
    outputs = raw[at]
    at += 1
    if outputs >= 0xFD:
        outputs, at = _long(raw, at)
    made: list[tuple[bytes, bytes]] = []
    for _ in range(outputs):
        value, length = raw[at : at + 8], raw[at + 8]
        at += 9
        if length >= 0xFD:
            length, at = _long(raw, at)
        end = at + length
        made.append((value, raw[at:end]))
        at = end
    if has_witness:
        end, at = at, _after_witness(raw, at, inputs)
        hashed = raw[start : start + 4] + raw[body:end] + raw[at : at + 4]
        at += 4
    else:
        at += 4
        hashed = raw[start:at]
    return (sha256(sha256(hashed).digest()).digest(), spent, made), at


def _after_witness(raw: bytes, at: int, inputs: int) -> int:
    for _ in range(inputs):
        items = raw[at]
        at += 1
        if items >= 0xFD:
            items, at = _long(raw, at)
        for _ in range(items):
            length = raw[at]
            at += 1
            if length >= 0xFD:
                length, at = _long(raw, at)
            at += length
    return at


def _long(raw: bytes, at: int) -> tuple[int, int]:
    """A compact size whose first byte, just before the place, says that 2, 4 or 8 follow; and the place after it."""
    end = at + (2 << (raw[at - 1] - 0xFD))
    return int.from_bytes(raw[at:end], "little"), end
