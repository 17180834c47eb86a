"""A block's outline says what reading every field of it says, and nothing of what is no block."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.bitcoin_node.bitcoin_node_mining import make_block

from photosynth.bitcoin.block import Block, Header
from photosynth.bitcoin.outline import TransactionOutline, outline_of
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin.wire import FormatError

HEADER = Header(1, bytes(32), bytes(32), 0, 0, 0)
SIZES = (0, 1, 0xFC, 0xFD, 300, 70_000)


def by_every_field(raw: bytes) -> list[TransactionOutline]:
    """The same by the parser that builds everything."""
    return [
        (
            transaction.txid,
            [entry.previous_txid + entry.previous_index.to_bytes(4, "little") for entry in transaction.inputs],
            [(output.value_sat.to_bytes(8, "little", signed=True), output.script) for output in transaction.outputs],
        )
        for transaction in Block.parse(raw).transactions
    ]


def random_block(chance: random.Random, transactions: int, sizes: int = len(SIZES)) -> bytes:
    def data() -> bytes:
        return chance.randbytes(chance.choice(SIZES[:sizes] if chance.random() < 0.1 else SIZES[:2]))

    def stack(witness: bool) -> tuple[bytes, ...]:
        return tuple(data() for _ in range(chance.choice((0, 1, 3)))) if witness else ()

    made = []
    for _ in range(transactions):
        witness = chance.random() < 0.5
        inputs = tuple(
            TxIn(chance.randbytes(32), chance.getrandbits(32), data(), chance.getrandbits(32), stack(witness))
            for _ in range(chance.choice((1, 1, 2, 5)))
        )
        outputs = tuple(TxOut(chance.randrange(-(2**63), 2**63), data()) for _ in range(chance.choice((0, 1, 2, 300))))
        made.append(Transaction(chance.getrandbits(32), inputs, outputs, chance.getrandbits(32)))
    return Block(HEADER, tuple(made)).serialise()


@pytest.mark.parametrize("seed", range(30))
def test_it_says_what_every_field_says(seed: int) -> None:
    chance = random.Random(seed)
    raw = random_block(chance, chance.choice((1, 2, 5))) if seed else random_block(chance, 300, 4)
    assert outline_of(raw) == by_every_field(raw)


@given(st.integers(0, 2**32), st.binary(max_size=6), st.integers(0, 10_000))
def test_bytes_that_go_on_or_are_cut_off_are_no_block(seed: int, more: bytes, cut: int) -> None:
    raw = make_block(bytes(32), seed % 1000 + 1)
    assert outline_of(raw) == by_every_field(raw)
    if more:
        with pytest.raises(FormatError, match=f"{len(more)} bytes follow the end"):
            outline_of(raw + more)
    with pytest.raises(FormatError, match="cut off"):
        outline_of(raw[: cut % len(raw)])


@given(st.binary(max_size=400))
def test_noise_ends_soon_and_with_the_declared_error(noise: bytes) -> None:
    try:
        found = outline_of(HEADER.serialise() + noise)
    except FormatError:
        return
    assert sum(1 + len(spent) + len(made) for _, spent, made in found) <= len(noise)


@pytest.mark.parametrize("count", [b"\xfd\xff\xff", b"\xfe\xff\xff\xff\xff", b"\xff" + b"\xff" * 8])
def test_a_count_of_what_is_not_there_takes_no_time(count: bytes) -> None:
    header = HEADER.serialise()
    for raw in (
        header + count,
        header + b"\x01" + bytes(4) + count,
        header + b"\x01" + bytes(4) + b"\x00\x01" + count + bytes(60),
    ):
        with pytest.raises(FormatError):
            outline_of(raw)


def test_a_transaction_with_nothing_in_it_is_read_as_bitcoin_does() -> None:
    raw = HEADER.serialise() + b"\x01" + bytes(4) + b"\x00\x00" + bytes(4)
    assert [(spent, made) for _, spent, made in outline_of(raw)] == [([], [])]
