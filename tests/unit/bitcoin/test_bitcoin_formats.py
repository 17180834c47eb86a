"""Transactions, blocks, merkle trees, scripts and targets: published vectors, round trips, hostile bytes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photosynth.bitcoin.block import Block, Header, assemble_block
from photosynth.bitcoin.merkle import (
    WITNESS_COMMITMENT_HEADER,
    merkle_branch,
    merkle_root,
    root_of_branch,
    witness_commitment_script,
)
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.script import elements, number_bytes, push_data, push_number
from photosynth.bitcoin.target import bits_of_target, target_of_bits
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin.wire import MAX_BLOCK_BYTES, FormatError, Reader, compact_size, double_sha256

VECTORS = Path(__file__).parents[4] / "shared" / "vectors"
GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c0101000000010000000000000000000000000000000000000000000000000000"
    "000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e2062"
    "72696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe554827"
    "1967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
    "ac00000000"
)
GENESIS_HASH = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"

hashes = st.binary(min_size=32, max_size=32)
scripts = st.binary(max_size=60)
inputs = st.builds(
    TxIn,
    hashes,
    st.integers(0, 2**32 - 1),
    scripts,
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=300), max_size=3).map(tuple),
)
outputs = st.builds(TxOut, st.integers(-(2**63), 2**63 - 1), scripts)
transactions = st.builds(
    Transaction,
    st.integers(0, 2**32 - 1),
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, max_size=4).map(tuple),
    st.integers(0, 2**32 - 1),
)
headers = st.builds(
    Header,
    st.integers(-(2**31), 2**31 - 1),
    hashes,
    hashes,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)


def vector(name: str) -> list[list[object]]:
    """The rows of a published vector file; the test is skipped where the file is not there."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"the published vectors {name} are not beside the repository (../shared/vectors)")
    rows: list[list[object]] = json.loads(path.read_text())
    return [row for row in rows if len(row) > 1]


def test_bitcoin_cores_valid_transactions_round_trip() -> None:
    rows = vector("bitcoin/tx_valid.json")
    assert len(rows) > 100
    for spent, text, _ in rows:
        raw = bytes.fromhex(str(text))
        transaction = Transaction.parse(raw)
        assert transaction.serialise() == raw
        assert isinstance(spent, list)
        told = {(str(entry[0]), int(entry[1]) & 0xFFFFFFFF) for entry in spent}
        assert told == {(hash_text(entry.previous_txid), entry.previous_index) for entry in transaction.inputs}


def test_testnet_blocks_have_their_published_hashes_and_merkle_roots() -> None:
    for _, block_hash, text, *_ in vector("bips/bip-0158_testnet-19.json")[1:]:
        raw = bytes.fromhex(str(text))
        block = Block.parse(raw)
        assert hash_text(block.hash) == block_hash
        assert block.serialise() == raw
        txids = [entry.txid for entry in block.transactions]
        assert merkle_root(txids) == block.header.merkle_root
        assert root_of_branch(txids[0], merkle_branch(txids[1:])) == block.header.merkle_root


def test_the_genesis_block() -> None:
    block = Block.parse(GENESIS)
    assert hash_text(block.hash) == GENESIS_HASH
    assert block.header.hash_number <= target_of_bits(block.header.bits)
    (coinbase,) = block.transactions
    assert coinbase.is_coinbase
    assert coinbase.txid == coinbase.wtxid == block.header.merkle_root
    assert coinbase.outputs[0].value_sat == 50 * 10**8
    assert block.serialise() == GENESIS


@given(transactions)
def test_transactions_round_trip(transaction: Transaction) -> None:
    raw = transaction.serialise()
    assert Transaction.parse(raw) == transaction
    stripped = transaction.serialise(witness=False)
    assert transaction.txid == double_sha256(stripped)
    assert transaction.weight == 3 * len(stripped) + len(raw)


@given(headers, st.lists(transactions, min_size=1, max_size=4))
def test_blocks_round_trip_and_bytes_after_the_end_are_refused(header: Header, entries: list[Transaction]) -> None:
    block = Block(header, tuple(entries))
    raw = block.serialise()
    assert Block.parse(raw) == block
    assert Header.parse(raw[:80]) == header
    with pytest.raises(FormatError, match="follow the end") as caught:
        Block.parse(raw + b"\x00")
    assert caught.value.offset == len(raw)


def refusal(parse: Callable[[bytes], object], raw: bytes) -> FormatError | None:
    try:
        parse(raw)
    except FormatError as error:
        return error
    return None


@given(st.binary(max_size=400))
def test_noise_is_refused_with_one_kind_of_error(noise: bytes) -> None:
    for parse in (Transaction.parse, Block.parse, Header.parse):
        refused = refusal(parse, noise)
        assert refused is None or (0 <= refused.offset <= len(noise) and refused.reason)


@given(transactions, st.data())
def test_a_cut_or_changed_transaction_is_refused_or_something_else(transaction: Transaction, data: st.DataObject) -> None:
    raw = transaction.serialise()
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(FormatError):
        Transaction.parse(raw[:cut])
    changed = bytearray(raw)
    changed[cut] ^= data.draw(st.integers(1, 255))
    if refusal(Transaction.parse, bytes(changed)) is None:
        assert Transaction.parse(bytes(changed)).serialise() == bytes(changed)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("01000000" + "ff" * 9, "announced"),
        ("01000000" + "fdfc00", "shortest form"),
        ("01000000" + "feffff0000", "shortest form"),
        ("01000000" + "ff" + "ffffffff00000000", "shortest form"),
        ("01000000" + "00" + "02", "flag 2"),
        ("01000000" + "0001" + "01" + "00" * 36 + "00" + "00" * 4 + "00" + "00" + "00000000", "all stacks are empty"),
    ],
)
def test_counts_and_flags_that_lie_are_refused(raw: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        Transaction.parse(bytes.fromhex(raw))


def test_more_than_a_block_can_hold_is_refused_before_it_is_read() -> None:
    with pytest.raises(FormatError, match="more than a block can hold"):
        Block.parse(bytes(MAX_BLOCK_BYTES + 1))
    with pytest.raises(FormatError, match="more than a block can hold"):
        Transaction.parse(bytes(MAX_BLOCK_BYTES + 1))


@given(st.integers(0, 2**64 - 1))
def test_compact_sizes_round_trip(value: int) -> None:
    reader = Reader(compact_size(value), "count")
    assert reader.compact_size() == value
    reader.finish()


@given(hashes, st.lists(hashes, max_size=40))
def test_the_branch_leads_from_the_coinbase_to_the_root(coinbase: bytes, others: list[bytes]) -> None:
    assert root_of_branch(coinbase, merkle_branch(others)) == merkle_root([coinbase, *others])
    assert len(merkle_branch(others)) == len(others).bit_length()


def test_merkle_of_nothing_and_of_one() -> None:
    assert merkle_root([]) == bytes(32)
    assert merkle_root([b"\x01" * 32]) == b"\x01" * 32
    assert merkle_branch([]) == []


def test_the_witness_commitment_of_an_empty_block() -> None:
    # As bitcoind writes it into every template without transactions.
    expected = "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"
    assert witness_commitment_script([]).hex() == expected
    assert witness_commitment_script([]).startswith(WITNESS_COMMITMENT_HEADER)


def test_a_block_is_assembled_of_its_parts() -> None:
    block = Block.parse(GENESIS)
    assert assemble_block(GENESIS[:80], block.transactions[0].serialise(), []) == GENESIS


@pytest.mark.parametrize(
    ("value", "script"),
    [
        (0, "00"),
        (1, "51"),
        (16, "60"),
        (17, "0111"),
        (127, "017f"),
        (128, "028000"),
        (255, "02ff00"),
        (256, "020001"),
        (32767, "02ff7f"),
        (32768, "03008000"),
        (840_000, "0340d10c"),
        (-1, "4f"),
        (-2, "0182"),
        (-128, "028080"),
        (-255, "02ff80"),
    ],
)
def test_numbers_are_pushed_as_bitcoin_core_pushes_them(value: int, script: str) -> None:
    assert push_number(value).hex() == script


@given(st.integers(-(2**40), 2**40))
def test_script_numbers_are_shortest_and_carry_their_sign(value: int) -> None:
    raw = number_bytes(value)
    magnitude = int.from_bytes(raw[:-1] + bytes([raw[-1] & 0x7F]), "little") if raw else 0
    assert (-magnitude if raw and raw[-1] & 0x80 else magnitude) == value
    assert not raw or raw[-1] & 0x7F or (len(raw) > 1 and raw[-2] & 0x80)


@given(st.lists(st.binary(max_size=520), max_size=5))
def test_pushes_are_read_back(pushed: list[bytes]) -> None:
    script = b"".join(push_data(data) for data in pushed)
    assert [data for _, data in elements(script)] == pushed


@pytest.mark.parametrize("script", ["02aa", "4c", "4c05aa", "4d01", "4e010000", "4effffffff00"])
def test_a_push_that_is_cut_off_is_refused(script: str) -> None:
    with pytest.raises(FormatError) as caught:
        list(elements(bytes.fromhex(script)))
    assert caught.value.offset == 0


def test_too_long_a_push_is_refused() -> None:
    with pytest.raises(ValueError, match="520"):
        push_data(bytes(521))


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        (0x1D00FFFF, 0xFFFF << 208),
        (0x207FFFFF, 0x7FFFFF << 232),
        (0x1B0404CB, 0x0404CB << 192),
        (0x05009234, 0x92340000),
        (0x04123456, 0x12345600),
        (0x01120000, 0x12),
        (0x02123400, 0x1234),
    ],
)
def test_compact_targets(bits: int, target: int) -> None:
    assert target_of_bits(bits) == target
    assert target_of_bits(bits_of_target(target)) == target


@pytest.mark.parametrize("bits", [0, 0x01003456, 0x04923456, 0xFF123456, 0x23000100, 0x01800000, -1, 1 << 32])
def test_compact_targets_that_are_none(bits: int) -> None:
    with pytest.raises(ValueError, match="target"):
        target_of_bits(bits)


@given(st.integers(1, 2**256 - 1))
def test_the_compact_form_rounds_down_by_less_than_one_part_in_32768(target: int) -> None:
    compact = target_of_bits(bits_of_target(target))
    assert compact <= target
    assert target - compact <= target >> 15
    assert bits_of_target(compact) == bits_of_target(target)


@pytest.mark.parametrize("target", [0, -1, 1 << 256])
def test_targets_outside_256_bits_have_no_compact_form(target: int) -> None:
    with pytest.raises(ValueError, match="target"):
        bits_of_target(target)
