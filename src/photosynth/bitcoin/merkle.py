"""Merkle trees over transaction ids: root, the branch that a pool sends, and the witness commitment (BIP141)."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from photosynth.bitcoin.wire import double_sha256

WITNESS_COMMITMENT_HEADER = bytes.fromhex("6a24aa21a9ed")
"""OP_RETURN, a push of 36 bytes, and the four bytes that mark the commitment (BIP141)."""


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 32-byte hashes in internal order; an odd one is paired with itself. Empty gives 32 zero bytes."""
    if not hashes:
        return bytes(32)
    level = list(hashes)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [double_sha256(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def merkle_branch(txids: Sequence[bytes]) -> list[bytes]:
    """The hashes that lead from a coinbase, not yet known, to the root.

    ``txids`` are those of the block's other transactions in order, WITHOUT the coinbase; none gives an empty branch.
    """
    branch: list[bytes] = []
    level: list[bytes] = list(txids)
    while level:
        branch.append(level[0])
        rest = level[1:]
        if len(rest) % 2:
            rest.append(rest[-1])
        level = [double_sha256(rest[at] + rest[at + 1]) for at in range(0, len(rest), 2)]
    return branch


def root_of_branch(coinbase_txid: bytes, branch: Iterable[bytes]) -> bytes:
    """The merkle root of a block whose coinbase has this txid, by the branch of :func:`merkle_branch`."""
    node = coinbase_txid
    # Verifying evidence does little else, so it is written out.
    for sibling in branch:
        node = sha256(sha256(node + sibling).digest()).digest()
    return node


def witness_commitment_script(wtxids: Sequence[bytes], reserved: bytes = bytes(32)) -> bytes:
    """The output script that commits to all witnesses (BIP141).

    ``wtxids`` are those of the other transactions, WITHOUT the coinbase; ``reserved`` is the coinbase's witness.
    """
    root = merkle_root([bytes(32), *wtxids])
    return WITNESS_COMMITMENT_HEADER + double_sha256(root + reserved)
