"""A tiny miner for tests: blocks on any parent, at regtest's difficulty, with whatever is wrong with them on purpose."""

from collections.abc import Sequence

from photosynth.bitcoin.block import Block, Header, merkle_root, witness_commitment_script
from photosynth.bitcoin.coinbase import build_coinbase, with_witness
from photosynth.bitcoin.node import Template
from photosynth.bitcoin.target import REGTEST_BITS, target_of_bits
from photosynth.bitcoin.transaction import Transaction

ANYONE = bytes((0x51,))
"""OP_TRUE: the output that anyone may spend, so that tests need no keys."""
REGTEST_TARGET = target_of_bits(REGTEST_BITS)
FIRST_TIME_S = 1_700_000_000


def solve(header: Header, target: int = REGTEST_TARGET) -> Header:
    """The header with the first nonce that meets a target."""
    for nonce in range(1 << 32):
        header = Header(header.version, header.previous_hash, header.merkle_root, header.time_s, header.bits, nonce)
        if header.hash_number <= target:
            return header
    raise AssertionError("no nonce meets the target")


def make_block(
    previous_hash: bytes,
    height: int,
    *,
    time_s: int | None = None,
    value_sat: int = 0,
    script: bytes = ANYONE,
    tag: bytes = b"",
    transactions: Sequence[Transaction] = (),
    bits: int = REGTEST_BITS,
    target: int = REGTEST_TARGET,
) -> bytes:
    """A solved block on a parent; its time is its height in seconds after a fixed day unless it is given."""
    commitment = witness_commitment_script([transaction.wtxid for transaction in transactions])
    plain = build_coinbase(height, [(value_sat, script)], commitment, b"", 4, tag=tag).with_extranonce(bytes(4))
    coinbase = Transaction.parse(with_witness(plain))
    root = merkle_root([coinbase.txid, *(transaction.txid for transaction in transactions)])
    time_s = FIRST_TIME_S + height if time_s is None else time_s
    header = solve(Header(0x20000000, previous_hash, root, time_s, bits, 0), target)
    return Block(header, (coinbase, *transactions)).serialise()


def make_chain(previous_hash: bytes, first_height: int, count: int, **more: object) -> list[bytes]:
    """So many blocks, each on the one before."""
    blocks = []
    for height in range(first_height, first_height + count):
        raw = make_block(previous_hash, height, **more)  # type: ignore[arg-type]
        blocks.append(raw)
        previous_hash = Header.parse(raw[:80]).hash
    return blocks


def block_of_template(template: Template, script: bytes = ANYONE, value_sat: int | None = None, tag: bytes = b"") -> bytes:
    """A block that meets a template's target."""
    return make_block(
        template.previous_hash,
        template.height,
        time_s=template.time_s,
        value_sat=template.coinbase_value_sat if value_sat is None else value_sat,
        script=script,
        tag=tag,
        bits=template.bits,
        target=template.target,
    )


def hash_of(raw: bytes) -> bytes:
    """A serialised block's hash."""
    return Header.parse(raw[:80]).hash
