"""The evidence lines in the database: appended to their streams under their seal, and read again byte for byte."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import EVIDENCE
from photosynth.treasury.evidence.envelope import body_of
from photosynth.treasury.evidence.heads import Commitment, branch_of, root_of_heads
from photosynth.treasury.evidence.seal import NO_HASH, Identity, SealedLine

_SIGNING_KINDS = ("site", "books", "key")
"""The kinds of lines that name the key with which later ones are signed."""


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One stored line: its place in the order of append and in its stream, the start of its quarter hour, where it is of one.

    ``root`` is over the heads of all streams as they were with this line: what coinbases commit to until the next one.
    """

    id: int
    stream: str
    seq: int
    kind: str
    start_ms: int | None
    line: SealedLine
    root: bytes

    @property
    def hash(self) -> bytes:
        """The head of its stream as long as no later line is there."""
        return self.line.hash

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.line.body)["data"]
        return found


def append(  # noqa: PLR0917  where, by whom, what
    tx: Connection, stream: str, identity: Identity, kind: str, start_ms: int | None, data: dict[str, Any]
) -> EvidenceRecord:
    """Seal what a line says behind the last one of its stream, and store it."""
    last, newest = last_line(tx, stream), newest_line(tx)
    seq, previous = (0, NO_HASH) if last is None else (last.seq + 1, last.hash)
    sealed = identity.seal(body_of(stream, seq, kind, previous, data))
    root = root_of_heads(heads(tx) | {stream: sealed.hash})
    record = EvidenceRecord(1 if newest is None else newest.id + 1, stream, seq, kind, start_ms, sealed, root)
    place = {"id": record.id, "stream": stream, "seq": seq, "kind": kind, "start_ms": start_ms}
    seal = {"body": sealed.body, "hash": sealed.hash, "signature": sealed.signature}
    tx.execute(EVIDENCE.insert().values(**place, **seal, root=root))
    return record


def last_line(tx: Connection, stream: str) -> EvidenceRecord | None:
    """The newest line of a stream; None before the first."""
    return _one(tx, sa.select(EVIDENCE).where(EVIDENCE.c.stream == stream).order_by(EVIDENCE.c.seq.desc()).limit(1))


def newest_line(tx: Connection) -> EvidenceRecord | None:
    """The newest line of all streams; None before the first."""
    return _one(tx, sa.select(EVIDENCE).order_by(EVIDENCE.c.id.desc()).limit(1))


def line_of_id(tx: Connection, line_id: int) -> EvidenceRecord | None:
    """The line at a place in the order of append, None where there is none."""
    return _one(tx, sa.select(EVIDENCE).where(EVIDENCE.c.id == line_id))


def quarter_hour_line(tx: Connection, stream: str, start_ms: int) -> EvidenceRecord | None:
    """The line of a site's quarter hour, None where it is not closed."""
    found = corrections_of(tx, stream, start_ms, "quarter_hour")
    return found[0] if found else None


def corrections_of(tx: Connection, stream: str, start_ms: int, kind: str = "correction") -> list[EvidenceRecord]:
    """The corrections of a site's quarter hour in their order."""
    c = EVIDENCE.c
    rows = tx.execute(sa.select(EVIDENCE).where(c.stream == stream, c.kind == kind, c.start_ms == start_ms).order_by(c.seq))
    return [_record(row) for row in rows]


def last_of_kind(tx: Connection, stream: str, *kinds: str) -> EvidenceRecord | None:
    """The newest line of a stream that is of one of these kinds, None where there is none."""
    found = sa.select(EVIDENCE).where(EVIDENCE.c.stream == stream, EVIDENCE.c.kind.in_(kinds))
    return _one(tx, found.order_by(EVIDENCE.c.seq.desc()).limit(1))


def last_quarter_hour(tx: Connection, stream: str) -> EvidenceRecord | None:
    """A site's newest quarter hour, None before the first."""
    c = EVIDENCE.c
    found = sa.select(EVIDENCE).where(c.stream == stream, c.kind == "quarter_hour").order_by(c.start_ms.desc()).limit(1)
    return _one(tx, found)


def signing_key(tx: Connection, stream: str) -> bytes | None:
    """The public key that signs a stream's next line, None before the first."""
    found = last_of_kind(tx, stream, *_SIGNING_KINDS)
    return None if found is None else bytes.fromhex(found.data["public_key"])


def stream_names(tx: Connection) -> list[str]:
    """The names of all streams, sorted. As many steps as there are streams, however many lines they have."""
    found: list[str] = []
    name: str | None = ""
    while (name := tx.execute(sa.select(sa.func.min(EVIDENCE.c.stream)).where(EVIDENCE.c.stream > name)).scalar()) is not None:
        found.append(name)
    return found


def heads(tx: Connection, until_id: int | None = None) -> dict[str, bytes]:
    """The head of every stream, now or as it was with the line at a place in the order of append."""
    found = {}
    for name in stream_names(tx):
        query = sa.select(EVIDENCE.c.hash).where(EVIDENCE.c.stream == name).order_by(EVIDENCE.c.seq.desc()).limit(1)
        head = tx.execute(query if until_id is None else query.where(EVIDENCE.c.id <= until_id)).scalar()
        if head is not None:
            found[name] = head
    return found


def commitment_to(tx: Connection, stream: str, root: bytes | None) -> Commitment | None:
    """How a root that a coinbase commits to leads to a line of a stream; None where it does not."""
    if root is None:
        return None
    at = tx.execute(sa.select(EVIDENCE.c.id).where(EVIDENCE.c.root == root).order_by(EVIDENCE.c.id.desc()).limit(1)).scalar()
    all_heads = {} if at is None else heads(tx, at)
    if stream not in all_heads:
        return None
    seq = tx.execute(sa.select(EVIDENCE.c.seq).where(EVIDENCE.c.hash == all_heads[stream])).scalar_one()
    return Commitment(seq, *branch_of(all_heads, stream))


def all_lines(tx: Connection, stream: str | None = None) -> Iterator[EvidenceRecord]:
    """Every line in the order of append, of one stream or of all, read a few at a time."""
    at = 0
    chosen = sa.select(EVIDENCE) if stream is None else sa.select(EVIDENCE).where(EVIDENCE.c.stream == stream)
    while True:
        rows = tx.execute(chosen.where(EVIDENCE.c.id > at).order_by(EVIDENCE.c.id).limit(50)).all()
        yield from map(_record, rows)
        if not rows:
            return
        at = rows[-1].id


def _one(tx: Connection, query: sa.Select[Any]) -> EvidenceRecord | None:
    row = tx.execute(query).first()
    return None if row is None else _record(row)


def _record(row: Any) -> EvidenceRecord:
    sealed = SealedLine(row.body, row.hash, row.signature)
    return EvidenceRecord(row.id, row.stream, row.seq, row.kind, row.start_ms, sealed, row.root)
