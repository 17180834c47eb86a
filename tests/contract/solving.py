"""A miner of a few lines: builds a block on a template and finds its nonce, valid or broken in one named way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from photosynth.bitcoin.block import Block, Header, assemble_block, merkle_root
from photosynth.bitcoin.coinbase import build_coinbase, with_witness
from photosynth.bitcoin.merkle import witness_commitment_script
from photosynth.bitcoin.node import BitcoinNode, Template
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.transaction import Transaction, TxIn, TxOut
from photosynth.bitcoin.wire import double_sha256

OP_TRUE_SCRIPT = bytes.fromhex("51")
"""An output that anybody may spend without a signature."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a block is to be; what is None follows the template. ``meets`` False looks for a hash above the target."""

    script: bytes = OP_TRUE_SCRIPT
    value_sat: int | None = None
    height: int | None = None
    time_s: int | None = None
    bits: int | None = None
    version: int | None = None
    previous_hash: bytes | None = None
    merkle_root: bytes | None = None
    witness_commitment: bytes | None = None
    coinbase_witness: bool = True
    commitment: bytes = b""
    extranonce: bytes = bytes(4)
    transactions: tuple[bytes, ...] | None = None
    meets: bool = True


def build(template: Template, recipe: Recipe | None = None) -> bytes:
    """A serialised block on the template by the recipe, with a nonce that fits."""
    recipe = recipe or Recipe()
    if recipe.transactions is None:
        transactions = [entry.raw for entry in template.transactions]
        txids = [entry.txid for entry in template.transactions]
        committed = template.witness_commitment
    else:
        transactions = list(recipe.transactions)
        parsed = [Transaction.parse(raw) for raw in transactions]
        txids = [entry.txid for entry in parsed]
        committed = witness_commitment_script([entry.wtxid for entry in parsed])
    coinbase = build_coinbase(
        template.height if recipe.height is None else recipe.height,
        [(template.coinbase_value_sat if recipe.value_sat is None else recipe.value_sat, recipe.script)],
        committed if recipe.witness_commitment is None else recipe.witness_commitment,
        recipe.commitment,
        len(recipe.extranonce),
    ).with_extranonce(recipe.extranonce)
    bits = template.bits if recipe.bits is None else recipe.bits
    header = Header(
        template.version if recipe.version is None else recipe.version,
        template.previous_hash if recipe.previous_hash is None else recipe.previous_hash,
        merkle_root([double_sha256(coinbase), *txids]) if recipe.merkle_root is None else recipe.merkle_root,
        template.time_s if recipe.time_s is None else recipe.time_s,
        bits,
        0,
    )
    solved = solve(header, template.target if recipe.bits is None else target_of_bits(bits), meets=recipe.meets)
    return assemble_block(solved.serialise(), with_witness(coinbase) if recipe.coinbase_witness else coinbase, transactions)


def solve(header: Header, target: int, *, meets: bool = True) -> Header:
    """The header with the first nonce whose hash meets the target, or the first whose hash does not."""
    start = header.serialise()[:76]
    for nonce in count():
        digest = double_sha256(start + nonce.to_bytes(4, "little"))
        if (int.from_bytes(digest, "little") <= target) is meets:
            return replace(header, nonce=nonce)
    raise AssertionError("nonces do not end")


async def mine(node: BitcoinNode, blocks: int = 1, recipe: Recipe | None = None) -> list[bytes]:
    """Mine blocks one after another on the node's tip; every one must be accepted."""
    mined = []
    for _ in range(blocks):
        raw = build(await node.template(), recipe)
        verdict = await node.submit_block(raw)
        assert verdict.accepted, verdict
        mined.append(raw)
    return mined


def hash_of(raw: bytes) -> bytes:
    """The hash of a serialised block."""
    return double_sha256(raw[:80])


def branch(template: Template, length: int, recipe: Recipe) -> list[bytes]:
    """So many empty blocks, each on the one before, the first on the template; nothing is submitted."""
    blocks: list[bytes] = []
    for at in range(length):
        step = replace(
            template,
            height=template.height + at,
            previous_hash=hash_of(blocks[-1]) if blocks else template.previous_hash,
            time_s=template.time_s + at,
            transactions=(),
            witness_commitment=witness_commitment_script([]),
        )
        blocks.append(build(step, recipe))
    return blocks


def spend(coinbase_block: bytes, script: bytes, fee_sat: int = 0) -> bytes:
    """A transaction that spends the first output of a block's coinbase, which anybody may spend, to a script."""
    coinbase = Block.parse(coinbase_block).transactions[0]
    value_sat = coinbase.outputs[0].value_sat - fee_sat
    padding: Sequence[TxOut] = (TxOut(0, bytes.fromhex("6a10") + bytes(16)),)
    return Transaction(2, (TxIn(coinbase.txid, 0),), (TxOut(value_sat, script), *padding)).serialise()
