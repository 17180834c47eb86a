"""Which best headers were listed already, in a fraction of the memory that their hashes take."""

from collections.abc import Collection
from dataclasses import dataclass, field
from operator import itemgetter

MARK_BYTES = 16
"""Headers count as the same where so much of their hashes is: the same header always is, and another one never by chance."""
ROW_BYTES = 256 * MARK_BYTES
_MARK = itemgetter(slice(MARK_BYTES))


@dataclass(slots=True)
class SeenHeaders:
    """Marks of headers by the block that they stand on, which is a part of a header: only those can be the same.

    A few marks stand in one row of bytes; where work stands on one block for long, its marks are a set, so that looking for one
    never takes longer than going through a short row.
    """

    by_parent: dict[bytes, bytes | set[bytes]] = field(default_factory=dict)

    def holds_none(self, parent: bytes, hashes: Collection[bytes]) -> bool:
        """Whether no header with one of these hashes was seen on a block."""
        kept = self.by_parent.get(parent)
        if kept is None:
            return True
        marks = kept if isinstance(kept, set) else _cut(kept)
        return marks.isdisjoint(map(_MARK, hashes))

    def add(self, parent: bytes, hashes: Collection[bytes]) -> None:
        """Remember headers on a block by their hashes."""
        kept = self.by_parent.get(parent, b"")
        if isinstance(kept, set):
            kept.update(map(_MARK, hashes))
            return
        kept += b"".join([name[:MARK_BYTES] for name in hashes])
        self.by_parent[parent] = kept if len(kept) <= ROW_BYTES else _cut(kept)


def _cut(row: bytes) -> set[bytes]:
    return {row[at : at + MARK_BYTES] for at in range(0, len(row), MARK_BYTES)}
