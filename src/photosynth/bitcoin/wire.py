"""Reading and writing the primitives of Bitcoin's serialisation: fixed integers, compact sizes, counted bytes.

Everything read comes from somewhere else and is taken for hostile: every length is checked against the bytes that are
really there before anything is allocated, and every refusal is one exception that names the offset and the reason.
Source: Bitcoin Core, ``serialize.h``.
"""

import hashlib

MAX_BLOCK_BYTES = 4_000_000
"""A serialised block never exceeds this: its weight is at most 4,000,000 and a byte weighs at least 1 (BIP141)."""


class FormatError(ValueError):
    """Bytes or text that are not what they claim to be; ``offset`` is where (bytes or characters from the start)."""

    def __init__(self, what: str, offset: int, reason: str) -> None:
        super().__init__(f"{what}, at offset {offset}: {reason}")
        self.what = what
        self.offset = offset
        self.reason = reason


def double_sha256(data: bytes) -> bytes:
    """Bitcoin's hash: SHA-256 of SHA-256, 32 bytes in internal order."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def compact_size(value: int) -> bytes:
    """A count as Bitcoin writes it: 1, 3, 5 or 9 bytes, always the shortest."""
    if value < 0xFD:
        return value.to_bytes(1, "little")
    if value <= 0xFFFF:
        return b"\xfd" + value.to_bytes(2, "little")
    if value <= 0xFFFFFFFF:
        return b"\xfe" + value.to_bytes(4, "little")
    return b"\xff" + value.to_bytes(8, "little")


def counted(data: bytes) -> bytes:
    """Bytes behind their compact size."""
    return compact_size(len(data)) + data


class Reader:
    """Reads one serialised thing from the front; every shortage raises FormatError with its offset.

    ``what`` names the thing in errors.
    """

    __slots__ = ("offset", "raw", "what")

    def __init__(self, raw: bytes, what: str, offset: int = 0) -> None:
        self.raw = raw
        self.what = what
        self.offset = offset

    def error(self, reason: str, offset: int | None = None) -> FormatError:
        """The exception to raise for a reason found here, or at another offset."""
        return FormatError(self.what, self.offset if offset is None else offset, reason)

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self.raw) - self.offset

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > self.left:
            raise self.error(f"{count} bytes are announced and {self.left} are left")
        start = self.offset
        self.offset = start + count
        return self.raw[start : self.offset]

    def unsigned(self, size: int) -> int:
        """A little-endian unsigned integer of so many bytes."""
        return int.from_bytes(self.take(size), "little")

    def signed(self, size: int) -> int:
        """A little-endian signed integer of so many bytes."""
        return int.from_bytes(self.take(size), "little", signed=True)

    def compact_size(self) -> int:
        """A compact size; a longer form than needed is refused, as Bitcoin Core does."""
        start = self.offset
        first = self.unsigned(1)
        if first < 0xFD:
            return first
        size = 2 << (first - 0xFD)
        value = self.unsigned(size)
        if value < (0xFD if size == 2 else 1 << (4 * size)):
            raise self.error(f"the count {value} is not in its shortest form", start)
        return value

    def count(self, smallest: int) -> int:
        """A compact size that counts things of at least ``smallest`` bytes each, refused where they cannot be there."""
        start = self.offset
        value = self.compact_size()
        if value * smallest > self.left:
            raise self.error(f"{value} items of at least {smallest} bytes are announced and {self.left} bytes left", start)
        return value

    def counted(self) -> bytes:
        """Bytes behind their compact size."""
        return self.take(self.count(1))

    def finish(self) -> None:
        """Refuse bytes after the end."""
        if self.left:
            raise self.error(f"{self.left} bytes follow the end")
