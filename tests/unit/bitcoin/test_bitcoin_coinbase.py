"""The coinbase in two parts: what miners hash, what stands in the block, what is read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.bitcoin.coinbase import (
    MAX_SCRIPT_BYTES,
    build_coinbase,
    read_commitment,
    read_height,
    with_witness,
)
from photosynth.bitcoin.merkle import witness_commitment_script
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut

SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")


@given(
    st.integers(1, 2**31 - 1),
    st.lists(st.tuples(st.integers(0, 21 * 10**14), st.binary(max_size=40)), max_size=3),
    st.sampled_from([b"", bytes(range(32))]),
    st.binary(min_size=1, max_size=16),
)
def test_the_parts_and_the_extranonce_are_one_valid_coinbase(
    height: int, outputs: list[tuple[int, bytes]], commitment: bytes, extranonce: bytes
) -> None:
    witness_commitment = witness_commitment_script([])
    parts = build_coinbase(height, outputs, witness_commitment, commitment, len(extranonce))
    raw = parts.with_extranonce(extranonce)
    coinbase = Transaction.parse(with_witness(raw))
    assert coinbase.serialise(witness=False) == raw
    assert coinbase.is_coinbase
    assert coinbase.inputs[0].witness == (bytes(32),)
    assert coinbase.inputs[0].script.endswith(b"/photosynth/" + extranonce)
    assert 2 <= len(coinbase.inputs[0].script) <= MAX_SCRIPT_BYTES
    assert [(entry.value_sat, entry.script) for entry in coinbase.outputs] == [*outputs, (0, witness_commitment)]
    assert read_height(coinbase) == height
    assert read_commitment(coinbase) == (commitment or None)


def test_a_coinbase_byte_for_byte() -> None:
    parts = build_coinbase(500, [(6800, SCRIPT)], b"", bytes(range(32)), 8, tag=b"/tag/")
    script = "02f401" + "20" + bytes(range(32)).hex() + "0d" + b"/tag/".hex()
    assert parts.prefix.hex() == "02000000" + "01" + "00" * 32 + "ffffffff" + "32" + script
    assert parts.suffix.hex() == "ffffffff" + "01" + "901a000000000000" + "16" + SCRIPT.hex() + "00000000"


def test_the_longest_script_is_100_bytes() -> None:
    build_coinbase(2**31 - 1, [], b"", bytes(32), 13, tag=bytes(48))
    with pytest.raises(ValueError, match="shorten the tag"):
        build_coinbase(2**31 - 1, [], b"", bytes(32), 14, tag=bytes(48))


def test_a_commitment_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        build_coinbase(1, [], b"", bytes(31), 8)


@given(st.binary(max_size=100))
def test_any_script_is_read_or_has_no_commitment(script: bytes) -> None:
    coinbase = Transaction(1, (TxIn(bytes(32), 0xFFFFFFFF, script),), (TxOut(0, b""),))
    found = read_commitment(coinbase)
    assert found is None or len(found) == 32
    height = read_height(coinbase)
    assert height is None or height > 0


def test_another_transaction_has_neither_commitment_nor_height() -> None:
    parts = build_coinbase(500, [], b"", bytes(32), 4)
    coinbase = Transaction.parse(parts.with_extranonce(bytes(4)))
    ordinary = Transaction(1, (TxIn(b"\x01" * 32, 0, coinbase.inputs[0].script),), coinbase.outputs)
    assert read_commitment(ordinary) is None
    assert read_height(ordinary) is None
