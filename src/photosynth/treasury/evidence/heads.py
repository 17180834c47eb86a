"""The heads of all streams under one root, which stands in every coinbase, and the branch from one stream's head to it.

A Merkle tree over the streams in the order of their names: a leaf is a tagged hash of name and head, a node one of two below it;
one that is left alone at the end of a row goes up as it is. Tags keep leaves, nodes and everything else apart (as in BIP340).
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from hashlib import sha256

from msgspec import Struct

LEAF_TAG, NODE_TAG = b"photosynth/evidence/leaf", b"photosynth/evidence/node"
_LEAF, _NODE = (sha256(sha256(tag).digest() * 2) for tag in (LEAF_TAG, NODE_TAG))
MOST_STREAMS = 1024
"""So many streams a file has at most; a fleet has one a site and one more."""
LONGEST_BRANCH = 10

Branch = tuple[bytes | None, ...]
"""Siblings from a leaf upwards; None where a node has none and goes up as it is."""


class Commitment(Struct, frozen=True, gc=False):
    """What a coinbase commits to: a line of a stream, its head then, the stream's place among all, the branch to the root."""

    seq: int
    place: int
    branch: Branch


def leaf(stream: str, head: bytes) -> bytes:
    """The hash of a stream's name and head."""
    found = _LEAF.copy()
    found.update(stream.encode() + head)
    return found.digest()


def _node(left: bytes, right: bytes) -> bytes:
    found = _NODE.copy()
    found.update(left + right)
    return found.digest()


def root_of_heads(heads: Mapping[str, bytes]) -> bytes:
    """The root over the heads of streams, at least one."""
    return _rows(heads)[-1][0]


def branch_of(heads: Mapping[str, bytes], stream: str) -> tuple[int, Branch]:
    """A stream's place among all, and the branch from its head to the root."""
    place = at = bisect_left(sorted(heads), stream)
    branch = []
    for row in _rows(heads)[:-1]:
        branch.append(row[at ^ 1] if at ^ 1 < len(row) else None)
        at //= 2
    return place, tuple(branch)


def root_of_branch(stream: str, head: bytes, place: int, branch: Sequence[bytes | None]) -> bytes | None:
    """The root that a stream's head leads to; None where place and branch do not fit each other."""
    found = leaf(stream, head)
    for sibling in branch:
        if sibling is not None:
            found = _node(sibling, found) if place & 1 else _node(found, sibling)
        elif place & 1:
            return None
        place >>= 1
    return None if place else found


def _rows(heads: Mapping[str, bytes]) -> list[list[bytes]]:
    row = [leaf(name, heads[name]) for name in sorted(heads)]
    rows = [row]
    while len(row) > 1:
        row = [_node(row[at], row[at + 1]) if at + 1 < len(row) else row[at] for at in range(0, len(row), 2)]
        rows.append(row)
    return rows


class HeadTree:
    """The same tree while its streams go on: a new head takes a hash a row, and only a new stream builds it anew."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        self._rows: list[list[bytes]] = [[]]

    def put(self, stream: str, head: bytes) -> bytes:
        """Set a stream's head; returns the root."""
        at = self._places.get(stream)
        if at is None:
            at = bisect_left(self._names, stream)
            self._names.insert(at, stream)
            self._places = {name: place for place, name in enumerate(self._names)}
            rows = self._rows[0]
            rows.insert(at, leaf(stream, head))
            self._rows = [rows]
            while len(rows) > 1:
                rows = [_node(rows[n], rows[n + 1]) if n + 1 < len(rows) else rows[n] for n in range(0, len(rows), 2)]
                self._rows.append(rows)
            return self._rows[-1][0]
        found = leaf(stream, head)
        for row in self._rows:
            row[at] = found
            first = at & ~1
            if first + 1 < len(row):
                found = _node(row[first], row[first + 1])
            at >>= 1
        return found
