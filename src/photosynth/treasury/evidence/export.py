"""The evidence as a file that outsiders verify: every line as it was signed, and a last one that closes each stream."""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection

from photosynth.storage.tables import BLOCKS
from photosynth.treasury.evidence.body import block_member, end_data
from photosynth.treasury.evidence.envelope import BOOKS, body_of
from photosynth.treasury.evidence.lines import all_lines, commitment_to, last_line, stream_names
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.mining.blocks import attribution_of, blocks_where


class NoEvidenceError(TreasuryError):
    """There is no evidence yet, or none of the stream that was asked for."""


def export_lines(tx: Connection, identity_of: Callable[[str], Identity], stream: str | None = None) -> Iterator[bytes]:
    """The whole evidence line by line, or one site's stream of it, each without its line feed.

    The transaction stays open meanwhile.
    ``identity_of`` gives the key that signs a stream now. Raises NoEvidenceError.
    """
    names = stream_names(tx)
    if not names:
        raise NoEvidenceError("there is no evidence yet: it begins with the first mining site of the fleet that opens its books")
    sites = [name for name in names if name != BOOKS]
    if stream is not None and stream not in sites:
        # The books say what quarter hours ask for: without those nobody can verify them.
        raise NoEvidenceError(f"there is no evidence of a site {stream}; there is of {', '.join(sites) or 'none'}")
    for record in all_lines(tx, stream):
        yield record.line.text()
    for name in names if stream is None else [stream]:
        yield _end_line(tx, name, identity_of(name))


def _end_line(tx: Connection, stream: str, identity: Identity) -> bytes:
    """The last line of a stream, signed now, with the blocks found since the last quarter hour: their coinbases anchor it."""
    last = last_line(tx, stream)
    assert last is not None, "a stream that is there has a line"
    members = [] if stream == BOOKS else found_blocks(tx, stream)[1]
    return identity.seal(body_of(stream, last.seq + 1, "end", last.hash, end_data(members))).text()


def found_blocks(tx: Connection, stream: str) -> tuple[list[bytes], list[dict[str, object]]]:
    """The blocks that a site's pool found and that no line lists yet: their hashes, and how a line lists them.

    One whose coinbase commits to no line of the site's is none that a line can prove: the books list it as any other.
    """
    names, members = [], list[dict[str, object]]()
    for block in blocks_where(tx, BLOCKS.c.site == stream, BLOCKS.c.evidence_seq.is_(None)):
        commitment = commitment_to(tx, stream, block.commitment)
        if commitment is not None:
            names.append(block.hash)
            members.append(block_member(block, attribution_of(tx, block.chain, block.hash), commitment))
    return names, members
