"""Whether a node is on Bitcoin at all: the rules of its proof of work, blocks that its chain must hold, and who left it.

A node that follows another coin looks healthy: it has peers, and its head moves. So every node is held against what Bitcoin
itself says, and not against what the node says of itself.
"""

from dataclasses import dataclass

from photosynth.bitcoin.block import HEADER_BYTES
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.wire import double_sha256

POW_LIMITS = {
    "main": 0xFFFF << 208,
    "test": 0xFFFF << 208,
    "testnet4": 0xFFFF << 208,
    "signet": 0x0377AE << 216,
    "regtest": 0x7FFFFF << 232,
}
"""The easiest target of each chain (Bitcoin Core, ``kernel/chainparams.cpp``, ``powLimit`` in its compact form)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block that a chain has at a height, and who says so."""

    height: int
    hash: str
    source: str


_CORE = "Bitcoin Core 31.99, kernel/chainparams.cpp"
CHECKPOINTS: dict[str, tuple[Checkpoint, ...]] = {
    "main": (
        Checkpoint(0, "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", f"{_CORE}, hashGenesisBlock"),
        Checkpoint(938_343, "00000000000000000000ccebd6d74d9194d8dcdc1d177c478e094bfad51ba5ac", f"{_CORE}, defaultAssumeValid"),
    ),
    "test": (
        Checkpoint(0, "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943", f"{_CORE}, hashGenesisBlock"),
        Checkpoint(4_842_348, "000000007a61e4230b28ac5cb6b5e5a0130de37ac1faf2f8987d2fa6505b67f4", f"{_CORE}, defaultAssumeValid"),
    ),
    "testnet4": (
        Checkpoint(0, "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043", f"{_CORE}, hashGenesisBlock"),
        Checkpoint(123_613, "0000000002368b1e4ee27e2e85676ae6f9f9e69579b29093e9a82c170bf7cf8a", f"{_CORE}, defaultAssumeValid"),
    ),
    "signet": (
        Checkpoint(0, "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6", f"{_CORE}, hashGenesisBlock"),
        Checkpoint(293_175, "00000008414aab61092ef93f1aacc54cf9e9f16af29ddad493b908a01ff5c329", f"{_CORE}, defaultAssumeValid"),
    ),
    "regtest": (Checkpoint(0, "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206", f"{_CORE}, hashGenesisBlock"),),
}

LEFT_BITCOIN = {
    "knots": "it enforced BIP-110 at block 961,632 and went on with another proof of work (bitcoinknots/bitcoin, pull requests "
    "359 and 385; Bitcoin.org, pull request 4952)"
}
"""Implementations that left Bitcoin, by a word of their user agent in small letters, and how that is known."""
WORTH_SOMETHING = ("main", "testnet4")
"""Chains on which an implementation that left is refused. On regtest the other rules are off, and it is a good peer."""


def foreign_implementation(chain: str, user_agent: str) -> str | None:
    """Why a node with this user agent follows another coin on a chain; None where nothing is known against it."""
    if chain not in WORTH_SOMETHING:
        return None
    return next((why for word, why in LEFT_BITCOIN.items() if word in user_agent.lower()), None)


def broken_proof(chain: str, header: bytes, block_hash: bytes) -> str | None:
    """Why a header is none of Bitcoin's: its hash is not SHA-256d, or misses its target. None where it keeps the rules.

    ``block_hash`` is what the node calls it, in the order of the wire. The header's target must not be easier than the chain's.
    """
    if len(header) != HEADER_BYTES:
        return f"a header has {HEADER_BYTES} bytes, not {len(header)}"
    digest = double_sha256(header)
    if digest != block_hash:
        return f"the node calls it {block_hash[::-1].hex()}, and its SHA-256d is {digest[::-1].hex()}"
    try:
        target = target_of_bits(int.from_bytes(header[72:76], "little"))
    except ValueError as error:
        return f"its target cannot be read: {error}"
    if target > POW_LIMITS[chain]:
        return f"its target is easier than anything on {chain}"
    if int.from_bytes(digest, "little") > target:
        return "its hash misses its own target"
    return None
