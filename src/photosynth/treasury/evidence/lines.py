"""The evidence lines in the database: appended to their stream under their seal, and read again byte for byte."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import EVIDENCE
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.seal import NO_HASH, Identity, SealedLine


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """One stored line: its stream and its place there, the start of its quarter hour (None for a header), bytes and seal."""

    stream: str
    seq: int
    start_ms: int | None
    line: SealedLine

    @property
    def hash(self) -> bytes:
        """The head of the evidence as long as no later line is there."""
        return self.line.hash


def append(
    tx: Connection, stream: str, identity: Identity, kind: str, *, start_ms: int | None, body: dict[str, Any]
) -> EvidenceRecord:
    """Seal a body with the stream's line before and store it; its ``seq`` is the next one there."""
    last = last_line(tx, stream)
    sealed = identity.seal(NO_HASH if last is None else last.hash, canonical(body))
    next_id = sa.select(sa.func.coalesce(sa.func.max(EVIDENCE.c.id), 0) + 1).scalar_subquery()
    values = {"id": next_id, "stream": stream, "seq": body["seq"], "kind": kind, "start_ms": start_ms}
    tx.execute(EVIDENCE.insert().values(**values, body=sealed.body, hash=sealed.hash, signature=sealed.signature))
    return EvidenceRecord(stream, body["seq"], start_ms, sealed)


def last_line(tx: Connection, stream: str) -> EvidenceRecord | None:
    """A stream's newest line of any kind; None before the first."""
    return _one(tx, _of(stream).order_by(EVIDENCE.c.seq.desc()).limit(1))


def line_at(tx: Connection, stream: str, seq: int) -> EvidenceRecord | None:
    """A stream's line with a number, None where there is none."""
    return _one(tx, _of(stream).where(EVIDENCE.c.seq == seq))


def record_of_interval(tx: Connection, stream: str, start_ms: int) -> EvidenceRecord | None:
    """A stream's record of a quarter hour, None where it is not closed."""
    return _one(tx, _of(stream).where(EVIDENCE.c.kind == "record", EVIDENCE.c.start_ms == start_ms))


def last_body(tx: Connection, stream: str, kind: str) -> dict[str, Any] | None:
    """What a stream's newest line of a kind says, None where there is none."""
    found = _one(tx, _of(stream).where(EVIDENCE.c.kind == kind).order_by(EVIDENCE.c.seq.desc()).limit(1))
    if found is None:
        return None
    body: dict[str, Any] = json.loads(found.line.body)
    return body


def all_lines(tx: Connection, stream: str | None = None) -> Iterator[EvidenceRecord]:
    """Every line of a stream in its order, or of all streams in the order in which they were appended; a few read at a time."""
    order = EVIDENCE.c.id if stream is None else EVIDENCE.c.seq
    lines, at = (sa.select(EVIDENCE) if stream is None else _of(stream)).order_by(order).limit(50), -1
    while True:
        rows = tx.execute(lines.where(order > at)).all()
        for row in rows:
            yield _record(row)
        if not rows:
            return
        at = rows[-1].id if stream is None else rows[-1].seq


def _of(stream: str) -> sa.Select[Any]:
    return sa.select(EVIDENCE).where(EVIDENCE.c.stream == stream)


def _record(row: sa.Row[Any]) -> EvidenceRecord:
    return EvidenceRecord(row.stream, row.seq, row.start_ms, SealedLine(row.body, row.hash, row.signature))


def _one(tx: Connection, query: sa.Select[Any]) -> EvidenceRecord | None:
    row = tx.execute(query).first()
    return None if row is None else _record(row)
