"""A site's configuration: what its quarter hours are held against."""

from photosynth.treasury.evidence.envelope import Envelope
from photosynth.treasury.evidence.parsing import parse_site
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.evidence.state import FileState, SiteState, Stream


def check(line: Envelope, stream: Stream, file: FileState) -> None:
    """The first line of a site's stream, and every one where something changed or does not go on."""
    follows, public_key, facts = parse_site(stream.name, line.data())
    if (follows == "nothing") != (stream.next_seq == 0):
        raise EvidenceError("a configuration begins a stream, or says why it stands where it does")
    if public_key != stream.key:
        raise EvidenceError("it names another key than the one that signs")
    site = file.sites.get(stream.name)
    if site is None:
        file.sites[stream.name] = SiteState(stream.name, facts)
        return
    if (facts.chain, facts.genesis_hash, facts.payout_script) != (
        site.facts.chain,
        site.facts.genesis_hash,
        site.facts.payout_script,
    ):
        raise EvidenceError("it names another chain or payout script than the one before")
    if follows == "gap":
        site.energy.waive()
    stream.changes += follows == "configuration"
    site.facts = facts
