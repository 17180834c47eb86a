"""The last line of a stream, with the blocks that a site's pool found since its last quarter hour."""

from functools import partial

from photosynth.treasury.evidence.check_blocks import Finder, check_block
from photosynth.treasury.evidence.envelope import Envelope
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.evidence.state import FileState, Stream


def check(line: Envelope, stream: Stream, file: FileState) -> None:
    """Check that nothing of the stream is left open, and its newest blocks, which do not stand yet."""
    m = Members(line.data(), "the last line")
    blocks = m.rows("blocks")
    m.finish()
    site = file.sites.get(stream.name)
    if site is None:
        if blocks:
            raise EvidenceError("the books' last line lists blocks")
        _check_books(file)
    else:
        finder = Finder(site.facts, site.work, site.claims, partial(file.committed, site.name))
        for entry in blocks:
            name, anchored = check_block(entry, finder, file.blocks)
            site.anchored_by_block = max(site.anchored_by_block, anchored)
            site.blocks += 1
            file.newest.add(name)
        site.claims.check_spans(site.work)
    if any(other.ended and name > stream.name for name, other in file.streams.items()):
        raise EvidenceError("the last lines do not stand in the order of the streams' names")
    stream.ended = file.ended = True


def _check_books(file: FileState) -> None:
    if file.missing is not None:
        raise EvidenceError(f"the books lack the postings {file.missing.decode()} that a line asks for")
    assert file.books is not None, "the books' stream has begun"
    for site in file.sites.values():
        if file.books.chains.get(site.facts.chain) != site.facts.genesis_hash:
            raise EvidenceError(f"the site {site.name} mines on a chain that the books do not name")
        if site.facts.payout_script not in file.books.scripts.get(site.facts.chain, ()):
            raise EvidenceError(f"the site {site.name} pays a script that no wallet of the books has")
