"""Transactions: parsing, serialising and their two ids (BIP144 serialisation, BIP141 weight)."""

from dataclasses import dataclass
from typing import Self

from photosynth.bitcoin.wire import MAX_BLOCK_BYTES, Reader, compact_size, counted, double_sha256

SEQUENCE_FINAL = 0xFFFFFFFF
NULL_TXID = bytes(32)
NULL_INDEX = 0xFFFFFFFF
"""A coinbase's only input refers to this output of the null txid."""


@dataclass(frozen=True, slots=True)
class TxIn:
    """One input: the output it spends, its script, sequence and witness stack."""

    previous_txid: bytes
    previous_index: int
    script: bytes = b""
    sequence: int = SEQUENCE_FINAL
    witness: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TxOut:
    """One output: satoshis (a signed 64-bit integer as serialised; consensus bounds it later) and its script."""

    value_sat: int
    script: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as it stands on the wire; whether it is valid is for a node to say."""

    version: int
    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    lock_time: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read one transaction that fills ``raw`` exactly. Raises FormatError."""
        reader = Reader(raw, "transaction")
        if len(raw) > MAX_BLOCK_BYTES:
            raise reader.error(f"{len(raw)} bytes are more than a block can hold")
        transaction = cls.read(reader)
        reader.finish()
        return transaction

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read one transaction from a reader's place, with or without witness. Raises FormatError."""
        version = reader.unsigned(4)
        inputs = _read_inputs(reader)
        flag_offset = reader.offset
        has_witness = False
        if not inputs:
            flag = reader.unsigned(1)
            if flag > 1:
                raise reader.error(f"the flag {flag} after the witness marker is unknown", flag_offset)
            has_witness = flag == 1
            if has_witness:
                inputs = _read_inputs(reader)
        outputs: tuple[TxOut, ...] = ()
        if inputs or has_witness:
            outputs = tuple(TxOut(reader.signed(8), reader.counted()) for _ in range(reader.count(9)))
        if has_witness:
            inputs = tuple(_with_witness(entry, _read_stack(reader)) for entry in inputs)
            if not any(entry.witness for entry in inputs):
                raise reader.error("a witness is announced and all stacks are empty", flag_offset)
        return cls(version, inputs, outputs, reader.unsigned(4))

    def serialise(self, *, witness: bool = True) -> bytes:
        """The bytes on the wire; without witness they are what the txid hashes."""
        witness = witness and any(entry.witness for entry in self.inputs)
        parts = [self.version.to_bytes(4, "little"), b"\x00\x01" if witness else b"", compact_size(len(self.inputs))]
        for entry in self.inputs:
            parts += (
                entry.previous_txid,
                entry.previous_index.to_bytes(4, "little"),
                counted(entry.script),
                entry.sequence.to_bytes(4, "little"),
            )
        parts.append(compact_size(len(self.outputs)))
        for output in self.outputs:
            parts += (output.value_sat.to_bytes(8, "little", signed=True), counted(output.script))
        if witness:
            for entry in self.inputs:
                parts.append(compact_size(len(entry.witness)))
                parts += [counted(item) for item in entry.witness]
        parts.append(self.lock_time.to_bytes(4, "little"))
        return b"".join(parts)

    @property
    def txid(self) -> bytes:
        """The id without witness, in internal order."""
        return double_sha256(self.serialise(witness=False))

    @property
    def wtxid(self) -> bytes:
        """The id with witness (BIP141), in internal order; a coinbase's is 32 zero bytes in the commitment only."""
        return double_sha256(self.serialise())

    @property
    def weight(self) -> int:
        """Weight units: three times the size without witness, plus the size with it (BIP141)."""
        return 3 * len(self.serialise(witness=False)) + len(self.serialise())

    @property
    def is_coinbase(self) -> bool:
        """Whether this is a coinbase: one input that spends the null output."""
        return len(self.inputs) == 1 and self.inputs[0].previous_index == NULL_INDEX and self.inputs[0].previous_txid == NULL_TXID


def _read_inputs(reader: Reader) -> tuple[TxIn, ...]:
    count = reader.count(41)
    return tuple(TxIn(reader.take(32), reader.unsigned(4), reader.counted(), reader.unsigned(4)) for _ in range(count))


def _read_stack(reader: Reader) -> tuple[bytes, ...]:
    return tuple(reader.counted() for _ in range(reader.count(1)))


def _with_witness(entry: TxIn, witness: tuple[bytes, ...]) -> TxIn:
    return TxIn(entry.previous_txid, entry.previous_index, entry.script, entry.sequence, witness)
