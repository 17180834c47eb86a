"""A stream goes on under a new key: the old one signs the line, and the new one its own place."""

from photosynth.treasury.evidence.envelope import Envelope
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.evidence.seal import Checker
from photosynth.treasury.evidence.state import FileState, Stream


def check(line: Envelope, stream: Stream, file: FileState) -> None:
    """Check both signatures' places; the line's own was checked before with the old key."""
    del file
    m = Members(line.data(), "the new key")
    public_key, proof = m.octets("public_key", 32), m.octets("proof", 64)
    m.finish()
    if public_key == stream.key:
        raise EvidenceError("its new key is the one that signs already")
    checker = Checker(public_key)
    checker.check_proof(line.previous, proof)
    stream.key, stream.checker = public_key, checker
    stream.rotations += 1
