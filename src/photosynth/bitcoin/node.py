"""What the pool, the books and the operator need of a Bitcoin node, whichever it is.

Two implementations pass one contract suite (``tests/contract/test_bitcoin_node.py``): the embedded node on Bitcoin
Core's consensus library (``photosynth.bitcoin_node``) and the driver of a bitcoind (``photosynth.networks.bitcoin``).
Hashes are 32 bytes in the order that they are hashed in; text shows them reversed (:func:`hash_text`).
"""

from dataclasses import dataclass
from typing import Protocol


def hash_text(value: bytes) -> str:
    """A hash as people and bitcoind write it: reversed, in hexadecimal."""
    return value[::-1].hex()


def hash_bytes(text: str) -> bytes:
    """The 32 bytes of a hash as people write it. Raises ValueError where it is not one."""
    value = bytes.fromhex(text)
    if len(value) != 32:
        raise ValueError(f"a hash has 64 hexadecimal digits, not {len(text)}: {text[:80]}")
    return value[::-1]


@dataclass(frozen=True, slots=True)
class Tip:
    """The best block of a node: its height, hash, and the time in its header (seconds since the epoch)."""

    height: int
    hash: bytes
    time_s: int


@dataclass(frozen=True, slots=True)
class TemplateTransaction:
    """One transaction that a template carries: raw bytes with witness, its ids, fee (satoshis) and weight."""

    raw: bytes
    txid: bytes
    wtxid: bytes
    fee_sat: int
    weight: int


@dataclass(frozen=True, slots=True)
class Template:
    """A block to be mined (BIP22, BIP23): everything but the coinbase and the nonce.

    ``target`` is what a block's hash must not exceed: consensus asks for ``network_target``; a demonstration chain
    hands out a harder one (0, which no hash meets, for the half second after a block), and every consumer uses
    ``target`` and needs no special case. ``coinbase_value_sat`` is the most the coinbase may claim.
    ``witness_commitment`` is the whole output script (BIP141). ``long_poll_id`` names this state.
    """

    height: int
    previous_hash: bytes
    version: int
    bits: int
    time_s: int
    min_time_s: int
    target: int
    network_target: int
    coinbase_value_sat: int
    transactions: tuple[TemplateTransaction, ...]
    witness_commitment: bytes
    long_poll_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A node's answer to a submitted block: ``reason`` is bitcoind's BIP22 string, None where the block was accepted.

    ``duplicate`` (known and valid), ``duplicate-invalid``, ``duplicate-inconclusive`` and ``inconclusive`` (valid so
    far, on a side branch) are reasons too. Bytes that are no block get the words of
    bitcoind's error -22, ``Block decode failed``.
    """

    reason: str | None

    @property
    def accepted(self) -> bool:
        """Whether the block became the tip."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output: where it is, what it is worth (satoshis), since when, and whether a coinbase made it."""

    txid: bytes
    index: int
    value_sat: int
    height: int
    coinbase: bool


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """What a node says of itself: software with version, chain, tip, peers, whether to trust it now, and what it warns of."""

    software: str
    chain: str
    tip: Tip
    headers: int
    peers: int
    synchronised: bool
    warnings: tuple[str, ...]


UNDECODABLE = Verdict("Block decode failed")
"""The verdict on bytes that are no block."""


class NodeUnavailableError(Exception):
    """The node does not answer or is not ready; the message names it and says what to do. Retry later."""


class BitcoinNode(Protocol):
    """A Bitcoin node, as its consumers see it. Every method raises NodeUnavailableError where it cannot answer."""

    async def health(self) -> NodeHealth:
        """What the node says of itself now."""
        ...

    async def tip(self) -> Tip:
        """The best block now."""
        ...

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        """The best block as soon as it is another than ``known``, or after the time-out as it is."""
        ...

    async def template(self, long_poll_id: str | None = None) -> Template:
        """A template for the next block; with an id, as soon as it differs from that one (BIP22 long polling)."""
        ...

    async def submit_block(self, raw: bytes) -> Verdict:
        """Hand over a whole serialised block and return the node's verdict, bitcoind's reason strings included."""
        ...

    async def block_hash(self, height: int) -> bytes | None:
        """The hash at a height of the active chain, None past the tip."""
        ...

    async def block(self, block_hash: bytes) -> bytes | None:
        """A whole serialised block of any branch, None where it is unknown."""
        ...

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of a block of the active chain, None where it is not in it."""
        ...

    async def coins(self, script: bytes) -> tuple[Coin, ...]:
        """All unspent outputs that pay exactly this output script, immature ones included."""
        ...

    async def close(self) -> None:
        """Release what the node holds; safe to call twice."""
        ...
