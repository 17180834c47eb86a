"""The evidence as a file that outsiders verify: every line as it was signed, and a last one that names count and head."""

from collections.abc import Iterator

from sqlalchemy import Connection

from photosynth.storage.tables import BLOCKS
from photosynth.treasury.blocks import attribution_of, blocks_where, in_stream
from photosynth.treasury.evidence.body import block_member, end_body
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.lines import all_lines
from photosynth.treasury.evidence.seal import NO_HASH, Identity
from photosynth.treasury.journal import TreasuryError


def export_lines(tx: Connection, stream: str, identity: Identity) -> Iterator[bytes]:
    """A site's whole evidence line by line, each without its line feed, for whoever may keep the transaction open meanwhile.

    The last line carries the blocks found since the last record: their coinbases anchor it. Raises TreasuryError where there is
    no evidence yet.
    """
    records = lines = 0
    head = NO_HASH
    for record in all_lines(tx, stream):
        yield record.line.text()
        lines += 1
        records += record.start_ms is not None
        head = record.hash
    yield end_line(tx, stream, identity, records=records, lines=lines, head=head)


def end_line(tx: Connection, stream: str, identity: Identity, *, records: int, lines: int, head: bytes) -> bytes:
    """The last line, signed now. Raises TreasuryError where there is no line before it."""
    if not lines:
        raise TreasuryError("there is no evidence yet: the system was never started with this state")
    waiting = blocks_where(tx, in_stream(stream), BLOCKS.c.evidence_seq.is_(None))
    members = [block_member(block, attribution_of(tx, block.chain, block.hash)) for block in waiting]
    return identity.seal(head, canonical(end_body(records, lines, head, members))).text()
