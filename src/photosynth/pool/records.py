"""The share log's records as values, and as bytes.

A record is a length (4 bytes), the CRC-32 of what follows (4 bytes), and a body whose first byte says its kind; integers
are little-endian. Shares are packed by hand, for they are many; the rest is MessagePack.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

MAX_BODY = 4 * 1024 * 1024
"""Bytes of one record. What is longer is neither written nor read, so nothing is written that could not be opened."""
FRAME = struct.Struct("<II")
_SHARE = struct.Struct("<BQQQQIB80s")
"""Kind, seq, site_ms, wall_ms, job, group, extranonce length, header."""

KIND_SEGMENT, KIND_JOB, KIND_GROUP, KIND_SHARE, KIND_REJECT, KIND_CLAIM, KIND_TOP = range(1, 8)


class RecordError(ValueError):
    """Bytes that are not a record of the share log."""


class ShareRecord(msgspec.Struct, gc=False):
    """One accepted share: who, when (site and wall), at which target and scale, on which job, and the header itself."""

    worker: str
    round: int
    target: int
    scale: int
    site_ms: int
    wall_ms: int
    job: int
    header: bytes
    extranonce: bytes


class JobRecord(msgspec.Struct, frozen=True, array_like=True):
    """A job as it was handed out: its coinbase around the extranonce, its branch, the cut up to which it claims.

    ``target`` is what a block had to meet, 32 bytes, most significant first. ``base`` is the cut past which it claims,
    that of ``parent``: the highest block of ours on the branch that it extends (empty where there is none).
    """

    key: int
    height: int
    previous_hash: bytes
    prefix: bytes
    suffix: bytes
    branch: tuple[bytes, ...]
    cut: int
    value_sat: int
    extranonce_size: int
    site_ms: int
    wall_ms: int
    target: bytes
    base: int = 0
    parent: bytes = b""


class RejectRecord(msgspec.Struct, frozen=True, array_like=True):
    """Shares of one worker that were refused for one cause (a name) with one code, around one moment of site time."""

    worker: str
    cause: str
    code: int
    count: int
    site_ms: int


class ClaimRecord(msgspec.Struct, frozen=True, array_like=True):
    """A block of ours that the node has or may have: it pays the work past ``base`` up to ``cut`` while it is in the chain.

    ``seq`` is the log's place then; ``target``, ``base`` and ``parent`` are those of its :class:`JobRecord`. Where it was
    not ``accepted``, it counts as found when it is first seen in the chain.
    """

    block_hash: bytes
    job: int
    height: int
    cut: int
    value_sat: int
    worker: str
    site_ms: int
    wall_ms: int
    seq: int
    target: bytes
    base: int = 0
    parent: bytes = b""
    accepted: bool = True


class WorkerTotals(msgspec.Struct, array_like=True, gc=False):
    """One worker over the life of the log. Hashes are counted in integers of any size."""

    scale: int = 1
    accepted: int = 0
    work: int = 0
    represented: int = 0
    rejected: dict[str, int] = msgspec.field(default_factory=dict)
    last_share_site_ms: int | None = None
    last_share_wall_ms: int | None = None
    user_agent: str | None = None


def frame(body: bytes) -> bytes:
    """A record around its body. Raises RecordError where it is longer than one may be."""
    if len(body) > MAX_BODY:
        raise RecordError(f"a record of {len(body)} bytes, where {MAX_BODY} can be read again")
    return FRAME.pack(len(body), zlib.crc32(body)) + body


def share_body(seq: int, share: ShareRecord, group: int) -> bytes:
    """The body of a share; ``group`` stands for worker, round, target and scale, told by a group record before."""
    return (
        _SHARE.pack(KIND_SHARE, seq, share.site_ms, share.wall_ms, share.job, group, len(share.extranonce), share.header)
        + share.extranonce
    )


def parse_share(body: bytes, groups: dict[int, tuple[str, int, int, int]]) -> tuple[int, ShareRecord]:
    """The inverse of :func:`share_body`. Raises RecordError."""
    if len(body) < _SHARE.size:
        raise RecordError("a share is too short")
    _, seq, site_ms, wall_ms, job, group, size, header = _SHARE.unpack_from(body)
    extranonce = body[_SHARE.size :]
    if len(extranonce) != size or group not in groups:
        raise RecordError("a share does not fit its group or length")
    worker, round_, target, scale = groups[group]
    return seq, ShareRecord(worker, round_, target, scale, site_ms, wall_ms, job, header, extranonce)


def packed_body(kind: int, *values: Any) -> bytes:
    """The body of any other record: its kind, then its values as a MessagePack array. Integers may have any size."""
    return bytes([kind]) + msgspec.msgpack.encode(_widen(values))


def unpack_body(body: bytes) -> list[Any]:
    """The values of :func:`packed_body`. Raises RecordError."""
    try:
        values: list[Any] = msgspec.msgpack.decode(body[1:], ext_hook=_big)
    except (msgspec.DecodeError, ValueError) as error:
        raise RecordError(str(error)) from None
    return values


def read_records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Every whole record from where a file stands, as (offset past its end from there, body), held one at a time.

    Stops silently before the first bad one.
    """
    end = 0
    while len(head := file.read(FRAME.size)) == FRAME.size:
        size, checksum = FRAME.unpack(head)
        if not 0 < size <= MAX_BODY:
            return
        body = file.read(size)
        if len(body) < size or zlib.crc32(body) != checksum:
            return
        end += FRAME.size + size
        yield end, body


_BIG = 1
_NEGATIVE_LIMIT, _POSITIVE_LIMIT = -(1 << 63), 1 << 64


def _widen(value: Any) -> Any:
    """Replace integers that MessagePack has no room for, and structs, by what it has."""
    if isinstance(value, int) and not _NEGATIVE_LIMIT <= value < _POSITIVE_LIMIT:
        return msgspec.msgpack.Ext(_BIG, value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True))
    if isinstance(value, list | tuple):
        return [_widen(item) for item in value]
    if isinstance(value, dict):
        return {key: _widen(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        return [_widen(item) for item in msgspec.structs.astuple(value)]
    return value


def _big(code: int, data: memoryview) -> int:
    if code != _BIG:
        raise RecordError(f"an extension that is not known: {code}")
    return int.from_bytes(bytes(data), "little", signed=True)


def is_worker(name: str) -> bool:
    """Whether totals of this name are a worker's: no worker's name begins with a bracket."""
    return not name.startswith("(")
