"""Verify an exported evidence file without the database: recompute everything, name the first line that does not hold."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from photosynth.quantities.instants import INTERVAL_S, iso_utc
from photosynth.treasury import energy
from photosynth.treasury.evidence.canonical import CanonicalError, parse_canonical
from photosynth.treasury.evidence.check_blocks import BlockState, check_block, check_late_attribution
from photosynth.treasury.evidence.check_claims import check_claims, check_folded
from photosynth.treasury.evidence.check_energy import EnergyState, check_energy, check_time
from photosynth.treasury.evidence.check_postings import JournalState, check_postings
from photosynth.treasury.evidence.check_work import WorkState, check_work
from photosynth.treasury.evidence.findings import anchored_seq, estimated, proven, totals, trusted
from photosynth.treasury.evidence.parsing import HeaderLine, parse_coin, parse_header, parse_postings, parse_prices
from photosynth.treasury.evidence.quick_record import QuickRecords
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.evidence.report import VerifyReport
from photosynth.treasury.evidence.seal import NO_HASH, Checker, SealedLine, SealError, check_hash, split_line
from photosynth.treasury.evidence.typed import Record, read_record

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A record is some tens of kilobytes; a longer line than this is refused before it is read."""
READ_BYTES = 128 * 1024
"""How much is read at once: a line longer than what is would be put together of parts."""
LOOK_BYTES = 64 * 1024
"""How far into a file its marks are looked for."""


class NotEvidenceError(Exception):
    """The file is something else, or cannot be read."""


class NobodysFileError(Exception):
    """Every line holds, and nothing but the file itself says that it is not a stranger's."""


class Verifier:
    """Takes a file's lines one by one and keeps what later lines are held against."""

    def __init__(self, expected_keys: frozenset[bytes] = frozenset()) -> None:
        self.expected_keys = expected_keys
        self.public_key: bytes | None = None
        self.checker: Checker | None = None
        self.header: HeaderLine | None = None
        self.line = 0
        self.next_seq = 0
        self.records = 0
        self.head = NO_HASH
        self.ended = False
        self.first_start_ms: int | None = None
        self.last_start_ms: int | None = None
        self.current_start_ms: int | None = None
        self.energy = EnergyState()
        self.work = WorkState()
        self.blocks = BlockState()
        self.journal = JournalState()
        self.quick = QuickRecords(self.energy, self.work, self.blocks, self.journal)
        self.changes = 0
        self.unbooked = 0
        self.workless = 0
        self.workless_j = 0

    def take(self, raw: bytes) -> None:
        """Check the next line with its line end. Raises EvidenceError, SealError or CanonicalError."""
        self.line += 1
        self.current_start_ms = None
        if not raw.endswith(b"\n"):
            raise EvidenceError(f"it has no end within {MAX_LINE_BYTES} bytes: something was cut off or put in")
        if self.ended:
            raise EvidenceError("something stands after the last line")
        sealed = split_line(raw[:-1])
        record = None if self.header is None else read_record(sealed.body)
        if record is not None:
            self._take_typed(sealed, record)
            return
        body = parse_canonical(sealed.body)
        check_hash(sealed, self.head)
        kind = body.get("type") if isinstance(body, dict) else None
        if kind == "header":
            self._take_header(body)
        elif self.header is None:
            raise EvidenceError("the file does not begin with a header")
        assert self.checker is not None
        self.checker.check(sealed)
        if kind == "record":
            self._take_record(sealed, body)
        elif kind == "end":
            self._take_end(body)
        elif kind != "header":
            raise EvidenceError("its type is neither header, record nor end")
        if kind != "end":
            self._follow(sealed)

    def _take_typed(self, sealed: SealedLine, record: Record) -> None:
        """A record that reads as most do; where its content is in doubt, it is read again with care."""
        assert self.header is not None
        assert self.checker is not None
        try:
            check_hash(sealed, self.head)
            self.checker.check(sealed)
        except SealError:
            # A wrong spelling is the first that is said of a line.
            parse_canonical(sealed.body)
            raise
        taken = self.quick.take(record, self.header.site, self.next_seq)
        if taken is None:
            self._take_record(sealed, parse_canonical(sealed.body))
        else:
            self.current_start_ms = taken.start_ms
            self._count(taken.shares, taken.mining_j)
        self._follow(sealed)

    def _follow(self, sealed: SealedLine) -> None:
        """The line holds: the next one follows on it."""
        self.head = sealed.hash
        self.work.heads[sealed.hash] = self.next_seq
        self.next_seq += 1

    def _count(self, shares: int, mining_j: int | None) -> None:
        """Count the record of the current start."""
        if not shares and mining_j:
            self.workless += 1
            self.workless_j += mining_j
        self.records += 1
        self.first_start_ms = self.current_start_ms if self.first_start_ms is None else self.first_start_ms
        self.last_start_ms = self.current_start_ms

    def finish(self) -> None:
        """Say whether the last line was there, and whether anything speaks for the file but the file itself."""
        if not self.ended:
            raise EvidenceError("the last line, which names count and head, is missing: something was cut off the end")
        if not self.expected_keys and anchored_seq(self) < 0:
            raise NobodysFileError(
                "nothing in it shows whose it is: no work commits to any of its lines, and no key was given that it must be "
                "signed with, so anybody can have written it. Ask the operator for the key, and give it with --key"
            )

    def _take_header(self, body: Any) -> None:
        header = parse_header(body)
        self._check_seq(header.seq)
        if (header.follows == "nothing") != (self.header is None):
            raise EvidenceError("a header begins a file, or says why it stands where it does")
        if self.public_key is None:
            if self.expected_keys and header.public_key not in self.expected_keys:
                raise EvidenceError(f"the header names another key than the one expected: {header.public_key.hex()}")
            self.public_key, self.checker = header.public_key, Checker(header.public_key)
        elif header.public_key != self.public_key:
            raise EvidenceError("the header names another key than the one before")
        if self.header is not None and _for_good(header) != _for_good(self.header):
            raise EvidenceError("the header names another chain or payout script than the one before")
        if header.follows == "gap":
            self.energy.waive()
        self.changes += header.follows == "configuration"
        self.header = header

    def _take_record(self, sealed: SealedLine, body: Any) -> None:
        assert self.header is not None
        site = self.header.site
        m = Members(body, "the record")
        m.take("type")
        self._check_seq(m.count("seq"))
        time = check_time(m, self.energy)
        self.current_start_ms = time.start_ms
        energies = check_energy(m, site, self.energy)
        prices = parse_prices(m.take("prices"))
        parse_coin(m.take("coin"))
        shares = check_work(m, site, time.start_ms, self.work)
        claimed = {time.start_ms}
        for entry in m.rows("blocks"):
            check_block(entry, site, self.work, self.blocks)
        for entry in m.rows("late_attributions"):
            claimed |= check_late_attribution(entry, site, self.work, self.blocks)
        expected = energy.interval_postings(
            site.site,
            time.start_ms,
            time.wall_end_ms,
            energies,
            prices,
            export_limit_w=site.export_limit_w,
            duration_s=INTERVAL_S,
        )
        booleans = b"true" in sealed.body or b"false" in sealed.body
        postings = parse_postings(m.rows("postings"), expected, booleans=booleans)
        check_postings(postings, expected, self.blocks.blocks, self.journal)
        claimed |= self.blocks.claims.follow(self.journal.moves)
        check_claims(claimed, self.work, self.blocks.claims)
        m.finish()
        self._count(shares, None if energies is None else energies.mining_j)

    def _take_end(self, body: Any) -> None:
        assert self.header is not None
        m = Members(body, "the last line")
        m.take("type")
        lines, records, head = m.count("lines"), m.count("records"), m.octets("head", 32)
        if (lines, records, head) != (self.next_seq, self.records, self.head):
            raise EvidenceError("the last line names another count or head: lines are missing or were added")
        self.unbooked = sum(
            block.value_sat > 0 for block in self.blocks.blocks.values() if block.hash not in self.journal.accrued
        )
        for entry in m.rows("blocks"):
            check_block(entry, self.header.site, self.work, self.blocks)
        check_folded(self.work, self.blocks.claims)
        m.finish()
        self.ended = True

    def _check_seq(self, seq: int) -> None:
        if seq != self.next_seq:
            raise EvidenceError(f"its seq is {seq}, not {self.next_seq}: a line is missing, doubled or out of order")


def verify(path: Path, *expected_keys: bytes) -> VerifyReport:
    """Verify an exported file; never raises. Where keys of 32 bytes are given, it must be signed with one of them."""
    verifier = Verifier(frozenset(expected_keys))
    try:
        for line in _lines(path):
            verifier.take(line)
        verifier.finish()
    except NotEvidenceError as error:
        return VerifyReport(str(path), is_evidence=False, holds=False, reason=str(error))
    except NobodysFileError as error:
        return replace(_report(path, verifier, str(error)), failed_line=None, failed_seq=None)
    except (EvidenceError, SealError, CanonicalError, ValueError, ArithmeticError) as error:
        return _report(path, verifier, str(error))
    return _report(path, verifier, None)


def _report(path: Path, verifier: Verifier, reason: str | None) -> VerifyReport:
    header, holds = verifier.header, reason is None
    key, expected = verifier.public_key, verifier.expected_keys
    return VerifyReport(
        path=str(path),
        is_evidence=True,
        holds=holds,
        reason=reason,
        failed_line=None if holds else verifier.line,
        failed_seq=None if holds else verifier.next_seq,
        failed_interval_utc=None if holds else _utc(verifier.current_start_ms),
        lines=verifier.line,
        records=verifier.records,
        head=verifier.head.hex() if verifier.line else None,
        public_key=None if key is None else key.hex(),
        key_expected=key in expected if expected else None,
        site=None if header is None else header.site.site,
        first_interval_utc=_utc(verifier.first_start_ms),
        last_interval_utc=_utc(verifier.last_start_ms),
        totals=totals(verifier) if header else {},
        proven=proven(verifier) if holds else (),
        estimated=estimated(verifier) if holds else (),
        trusted=trusted(verifier) if holds else (),
    )


def _for_good(header: HeaderLine) -> tuple[object, ...]:
    """What one file never changes beside its key."""
    site = header.site
    return (site.network, site.genesis_hash, site.payout_script)


def _utc(instant_ms: int | None) -> str | None:
    try:
        return None if instant_ms is None else iso_utc(instant_ms)
    except (ValueError, OverflowError, OSError):
        return None


def _lines(path: Path) -> Iterator[bytes]:
    """The file's lines with their ends, as long as they may be; NotEvidenceError where it is something else."""
    try:
        with path.open("rb", buffering=READ_BYTES) as file:
            start = file.read(LOOK_BYTES)
            if not _resembles(start):
                raise NotEvidenceError(f"{path} is not an evidence file of Photosynth")
            # A pipe cannot be read a second time from its start.
            *whole, begun = start.split(b"\n")
            yield from (line + b"\n" for line in whole)
            line = begun + file.readline(MAX_LINE_BYTES + 1 - len(begun))
            while line:
                yield line
                line = file.readline(MAX_LINE_BYTES + 1)
    except OSError as error:
        raise NotEvidenceError(f"{path} cannot be read: {error.strerror}") from error


def _resembles(start: bytes) -> bool:
    """Whether a file's first bytes are evidence, be it damaged: a part of its marks is enough."""
    marks = (b'"format":"photosynth-evidence"', b'"type":"header"', b'","signature":"')
    return start.startswith(b'{"body":{') or sum(mark in start for mark in marks) >= 2
