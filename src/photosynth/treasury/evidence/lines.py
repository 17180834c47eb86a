"""The evidence lines in the database: appended under their seal, and read again byte for byte."""

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
    """One stored line: its place in the chain, the start of its quarter hour (None for a header), bytes, hash, signature."""

    seq: int
    start_ms: int | None
    line: SealedLine

    @property
    def hash(self) -> bytes:
        """The head of the evidence as long as no later line is there."""
        return self.line.hash


def append(tx: Connection, identity: Identity, kind: str, start_ms: int | None, body: dict[str, Any]) -> EvidenceRecord:
    """Seal a body with the line before and store it; its ``seq`` is the next one."""
    last = last_line(tx)
    sealed = identity.seal(NO_HASH if last is None else last.hash, canonical(body))
    values = {"seq": body["seq"], "kind": kind, "start_ms": start_ms}
    tx.execute(EVIDENCE.insert().values(**values, body=sealed.body, hash=sealed.hash, signature=sealed.signature))
    return EvidenceRecord(body["seq"], start_ms, sealed)


def last_line(tx: Connection) -> EvidenceRecord | None:
    """The newest line, header or record; None before the first."""
    return _one(tx, sa.select(EVIDENCE).order_by(EVIDENCE.c.seq.desc()).limit(1))


def line_at(tx: Connection, seq: int) -> EvidenceRecord | None:
    """The line with a number, None where there is none."""
    return _one(tx, sa.select(EVIDENCE).where(EVIDENCE.c.seq == seq))


def record_of_interval(tx: Connection, start_ms: int) -> EvidenceRecord | None:
    """The record of a quarter hour, None where it is not closed."""
    return _one(tx, sa.select(EVIDENCE).where(EVIDENCE.c.kind == "record", EVIDENCE.c.start_ms == start_ms))


def last_body(tx: Connection, kind: str) -> dict[str, Any] | None:
    """What the newest line of a kind says, None where there is none."""
    found = _one(tx, sa.select(EVIDENCE).where(EVIDENCE.c.kind == kind).order_by(EVIDENCE.c.seq.desc()).limit(1))
    if found is None:
        return None
    body: dict[str, Any] = json.loads(found.line.body)
    return body


def all_lines(tx: Connection) -> Iterator[EvidenceRecord]:
    """Every line in order, read a few at a time."""
    at = -1
    while True:
        rows = tx.execute(sa.select(EVIDENCE).where(EVIDENCE.c.seq > at).order_by(EVIDENCE.c.seq).limit(50)).all()
        for row in rows:
            yield EvidenceRecord(row.seq, row.start_ms, SealedLine(row.body, row.hash, row.signature))
        if not rows:
            return
        at = rows[-1].seq


def _one(tx: Connection, query: sa.Select[Any]) -> EvidenceRecord | None:
    row = tx.execute(query).first()
    return None if row is None else EvidenceRecord(row.seq, row.start_ms, SealedLine(row.body, row.hash, row.signature))
