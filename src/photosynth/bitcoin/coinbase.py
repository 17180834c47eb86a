"""The coinbase that a pool mines: built in two parts around the extranonce, and read back.

Its script is the height (BIP34), then, where there is one, a 32-byte commitment, then the tag with the extranonce:
what the evidence commits to stands in every block that we mine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from photosynth.bitcoin.script import elements, push_data, push_number
from photosynth.bitcoin.transaction import NULL_INDEX, NULL_TXID, SEQUENCE_FINAL, Transaction
from photosynth.bitcoin.wire import FormatError, compact_size, counted

MAX_SCRIPT_BYTES = 100
"""A coinbase script has 2 to 100 bytes (Bitcoin Core, ``CheckTransaction``: ``bad-cb-length``)."""
COMMITMENT_BYTES = 32
DEFAULT_TAG = b"/photosynth/"


@dataclass(frozen=True, slots=True)
class CoinbaseParts:
    """A coinbase without witness, cut where the extranonce goes: ``prefix + extranonce + suffix`` is what is hashed."""

    prefix: bytes
    suffix: bytes

    def with_extranonce(self, extranonce: bytes) -> bytes:
        """The whole coinbase without witness."""
        return self.prefix + extranonce + self.suffix


def build_coinbase(
    height: int,
    outputs: Sequence[tuple[int, bytes]],
    witness_commitment: bytes,
    commitment: bytes,
    extranonce_size: int,
    *,
    tag: bytes = DEFAULT_TAG,
) -> CoinbaseParts:
    """Build a coinbase around its extranonce.

    ``outputs`` are (satoshis, script) in order; ``witness_commitment`` is a whole output script appended with no value,
    or empty; ``commitment`` is 32 bytes or empty. Raises ValueError where the script would exceed 100 bytes.
    """
    if len(commitment) not in (0, COMMITMENT_BYTES):
        raise ValueError(f"the coinbase commits to {COMMITMENT_BYTES} bytes or none, not to {len(commitment)}")
    head = push_number(height) + (push_data(commitment) if commitment else b"")
    last = push_data(tag + bytes(extranonce_size))
    script_size = len(head) + len(last)
    if not 2 <= script_size <= MAX_SCRIPT_BYTES:
        raise ValueError(f"a coinbase script has 2 to {MAX_SCRIPT_BYTES} bytes, not {script_size}: shorten the tag")
    prefix = b"".join(
        (
            (2).to_bytes(4, "little"),
            compact_size(1),
            NULL_TXID,
            NULL_INDEX.to_bytes(4, "little"),
            compact_size(script_size),
            head,
            last[: len(last) - extranonce_size],
        )
    )
    paid = [*outputs, (0, witness_commitment)] if witness_commitment else list(outputs)
    suffix = [SEQUENCE_FINAL.to_bytes(4, "little"), compact_size(len(paid))]
    suffix += [value_sat.to_bytes(8, "little") + counted(script) for value_sat, script in paid]
    suffix.append(bytes(4))
    return CoinbaseParts(prefix, b"".join(suffix))


def with_witness(raw_coinbase: bytes) -> bytes:
    """The coinbase as it stands in the block: marker, flag and one witness of 32 zero bytes added (BIP141)."""
    return raw_coinbase[:4] + b"\x00\x01" + raw_coinbase[4:-4] + b"\x01\x20" + bytes(32) + raw_coinbase[-4:]


def read_commitment(coinbase: Transaction) -> bytes | None:
    """The 32 bytes that a coinbase of :func:`build_coinbase` commits to, None where it has none or is not like that."""
    return script_commitment(coinbase.inputs[0].script) if coinbase.is_coinbase else None


def read_height(coinbase: Transaction) -> int | None:
    """The height that a coinbase's script begins with (BIP34), None where it begins otherwise."""
    return script_height(coinbase.inputs[0].script) if coinbase.is_coinbase else None


def script_commitment(script: bytes) -> bytes | None:
    """The 32 bytes that a coinbase's script commits to, None where it has none or was not made by :func:`build_coinbase`."""
    try:
        pushed = [data for _, data in elements(script)]
    except FormatError:
        return None
    if len(pushed) == 3 and pushed[1] is not None and len(pushed[1]) == COMMITMENT_BYTES:
        return pushed[1]
    return None


def script_height(script: bytes) -> int | None:
    """The height that a coinbase's script begins with (BIP34), None where it begins otherwise."""
    if script and 0x51 <= script[0] <= 0x60:
        return script[0] - 0x50
    if script and 1 <= script[0] <= 5 and len(script) > script[0]:
        height = int.from_bytes(script[1 : 1 + script[0]], "little")
        return height if script.startswith(push_number(height)) else None
    return None
