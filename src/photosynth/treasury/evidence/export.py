"""The evidence as a file that outsiders verify: every line as it was signed, and a last one that names count and head."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from photosynth.files.whole import whole_file
from photosynth.storage.tables import BLOCKS
from photosynth.treasury.blocks import attribution_of, blocks_where
from photosynth.treasury.evidence.body import block_member, end_body
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.lines import all_lines
from photosynth.treasury.evidence.seal import NO_HASH, Identity
from photosynth.treasury.journal import TreasuryError


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: records, all lines but the last, and the head."""

    records: int
    lines: int
    head: bytes
    bytes: int


def export_evidence(tx: Connection, identity: Identity, path: Path) -> Exported:
    """Write the whole evidence to a file; the file appears at once and complete, or not at all.

    The last line carries the blocks found since the last record: their coinbases anchor it. Raises OSError, and
    TreasuryError where there is no evidence yet.
    """
    records = lines = size = 0
    head = NO_HASH
    with whole_file(path) as file:
        for record in all_lines(tx):
            size += file.write(record.line.text() + b"\n")
            lines += 1
            records += record.start_ms is not None
            head = record.hash
        size += file.write(end_line(tx, identity, records, lines, head) + b"\n")
    return Exported(records, lines, head, size)


def export_lines(tx: Connection, identity: Identity) -> Iterator[bytes]:
    """The same lines one by one, each without its line feed, for whoever may keep the transaction open meanwhile."""
    records = lines = 0
    head = NO_HASH
    for record in all_lines(tx):
        yield record.line.text()
        lines += 1
        records += record.start_ms is not None
        head = record.hash
    yield end_line(tx, identity, records, lines, head)


def end_line(tx: Connection, identity: Identity, records: int, lines: int, head: bytes) -> bytes:
    """The last line, signed now. Raises TreasuryError where there is no line before it."""
    if not lines:
        raise TreasuryError("there is no evidence yet: the system was never started with this state")
    waiting = blocks_where(tx, BLOCKS.c.evidence_seq.is_(None))
    members = [block_member(block, attribution_of(tx, block.hash)) for block in waiting]
    return identity.seal(head, canonical(end_body(records, lines, head, members))).text()
