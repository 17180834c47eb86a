"""Blocks and their 80-byte headers: parsing, hashing, assembling."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from photosynth.bitcoin.merkle import merkle_branch, merkle_root, root_of_branch, witness_commitment_script
from photosynth.bitcoin.transaction import Transaction
from photosynth.bitcoin.wire import MAX_BLOCK_BYTES, Reader, compact_size, double_sha256

__all__ = [
    "HEADER_BYTES",
    "Block",
    "Header",
    "assemble_block",
    "merkle_branch",
    "merkle_root",
    "root_of_branch",
    "witness_commitment_script",
]

HEADER_BYTES = 80


@dataclass(frozen=True, slots=True)
class Header:
    """A block header; hashes in internal order, time in seconds since the epoch, version as a signed 32-bit integer."""

    version: int
    previous_hash: bytes
    merkle_root: bytes
    time_s: int
    bits: int
    nonce: int

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a header of exactly 80 bytes. Raises FormatError."""
        reader = Reader(raw, "block header")
        header = cls.read(reader)
        reader.finish()
        return header

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read a header from a reader's place. Raises FormatError."""
        return cls(
            reader.signed(4),
            reader.take(32),
            reader.take(32),
            reader.unsigned(4),
            reader.unsigned(4),
            reader.unsigned(4),
        )

    def serialise(self) -> bytes:
        """The 80 bytes that are hashed."""
        return b"".join(
            (
                self.version.to_bytes(4, "little", signed=True),
                self.previous_hash,
                self.merkle_root,
                self.time_s.to_bytes(4, "little"),
                self.bits.to_bytes(4, "little"),
                self.nonce.to_bytes(4, "little"),
            )
        )

    @property
    def hash(self) -> bytes:
        """The block's hash in internal order."""
        return double_sha256(self.serialise())

    @property
    def hash_number(self) -> int:
        """The hash as the integer that is compared with a target."""
        return int.from_bytes(self.hash, "little")


@dataclass(frozen=True, slots=True)
class Block:
    """A whole block as it stands on the wire; whether it is valid is for a node to say."""

    header: Header
    transactions: tuple[Transaction, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a block that fills ``raw`` exactly: bytes after its end are refused. Raises FormatError."""
        reader = Reader(raw, "block")
        if len(raw) > MAX_BLOCK_BYTES:
            raise reader.error(f"{len(raw)} bytes are more than a block can hold")
        header = Header.read(reader)
        transactions = tuple(Transaction.read(reader) for _ in range(reader.count(10)))
        reader.finish()
        return cls(header, transactions)

    def serialise(self) -> bytes:
        """The bytes on the wire, witnesses included."""
        return assemble_block(
            self.header.serialise(), self.transactions[0].serialise(), [t.serialise() for t in self.transactions[1:]]
        )

    @property
    def hash(self) -> bytes:
        """The block's hash in internal order."""
        return self.header.hash


def assemble_block(header: bytes, coinbase: bytes, transactions: Sequence[bytes]) -> bytes:
    """A serialised block of its 80-byte header, its coinbase with witness, and the other raw transactions in order."""
    return b"".join((header, compact_size(1 + len(transactions)), coinbase, *transactions))
