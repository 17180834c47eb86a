"""The keys of the streams of evidence: which one signs now, and how it is handed over to a new one without a gap."""

from sqlalchemy import Connection

from photosynth.treasury.evidence import lines
from photosynth.treasury.evidence.body import key_data
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.journal import TreasuryError


def refuse_other_key(tx: Connection, stream: str, identity: Identity, error: type[TreasuryError]) -> None:
    """Raise the error where a stream goes on with another key than this one."""
    key = lines.signing_key(tx, stream)
    if key is not None and key != identity.public_key:
        raise error(
            f"the evidence of {stream} in this state is of the signing key {key.hex()}, not {identity.public_key.hex()}. "
            f"Restore keys/{stream}.key from a backup, or start with another --state folder."
        )


def put_new_key(tx: Connection, stream: str, old: Identity, new: Identity) -> EvidenceRecord:
    """Write down, signed by the old key, that the new one signs from now on. Raises TreasuryError before the first line."""
    last = lines.last_line(tx, stream)
    if last is None:
        raise TreasuryError(f"there is no evidence of {stream} yet: its first line names its first key")
    return lines.append(tx, stream, old, "key", None, key_data(new.public_key, new.proof(last.hash)))
