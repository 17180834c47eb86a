"""Verify an exported evidence file without the database: recompute everything, name the first line that does not hold."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from photosynth.treasury.evidence import report
from photosynth.treasury.evidence.canonical import CanonicalError, parse_canonical
from photosynth.treasury.evidence.check_chain_export import NotChainError, check_chain_export
from photosynth.treasury.evidence.envelope import BOOKS, Envelope, open_envelope
from photosynth.treasury.evidence.heads import MOST_STREAMS
from photosynth.treasury.evidence.kinds import books, correction, end, key, postings, quarter_hour, site
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.evidence.report import VerifyReport
from photosynth.treasury.evidence.seal import NO_HASH, Checker, SealError, check_hash, split_line
from photosynth.treasury.evidence.state import FileState, Stream

MAX_LINE_BYTES = 64 * 1024 * 1024
"""A quarter hour is some tens of kilobytes; a longer line than this is refused before it is read."""
READ_BYTES = 128 * 1024
"""How much is read at once: a line longer than what is would be put together of parts."""
LOOK_BYTES = 64 * 1024
"""How far into a file its marks are looked for."""

Check = Callable[[Envelope, Stream, FileState], None]
_OF_BOTH: dict[str, Check] = {"key": key.check, "end": end.check}
KINDS: dict[bool, dict[str, Check]] = {
    True: {"books": books.check, "postings": postings.check, **_OF_BOTH},
    False: {"site": site.check, "quarter_hour": quarter_hour.check, "correction": correction.check, **_OF_BOTH},
}
"""The kinds of lines of the books' stream (True) and of a site's, with the verifier of each."""


class NotEvidenceError(Exception):
    """The file is something else, or cannot be read."""


class NobodysFileError(Exception):
    """Every line holds, and nothing but the file itself says that it is not a stranger's."""


class Verifier:
    """Takes a file's lines one by one and keeps what later lines are held against."""

    def __init__(self, expected_keys: frozenset[bytes] = frozenset()) -> None:
        self.expected_keys = expected_keys
        self.file = FileState()
        self.line = 0
        self.stream: str | None = None
        """The stream of the line at hand, None where that could not be read."""

    def take(self, raw: bytes) -> None:
        """Check the next line with its line end. Raises EvidenceError, SealError or CanonicalError."""
        self.line += 1
        self.stream = self.file.start_ms = None
        if not raw.endswith(b"\n"):
            raise EvidenceError(f"it has no end within {MAX_LINE_BYTES} bytes: something was cut off or put in")
        sealed = split_line(raw)
        try:
            check_hash(sealed)
            line = open_envelope(sealed.body)
        except (SealError, EvidenceError):
            # A wrong spelling is the first that is said of a line.
            parse_canonical(sealed.body)
            raise
        self.stream = line.stream
        stream = self.file.streams.get(line.stream) or self._begin(line)
        if line.previous != stream.head or line.seq != stream.next_seq:
            raise EvidenceError(
                f"it is line {line.seq} of {line.stream} and does not follow on line {stream.next_seq - 1}: "
                "a line is missing, doubled, changed or out of order"
            )
        stream.checker.check(sealed)
        check = KINDS[line.stream == BOOKS].get(line.kind)
        if check is None:
            raise EvidenceError(f"the stream {line.stream} has no lines of the kind {line.kind}")
        if stream.ended or (self.file.ended and line.kind != "end"):
            raise EvidenceError("something stands after the last line of a stream")
        if line.seq == 0 and line.kind not in ("site", "books"):
            raise EvidenceError("the stream does not begin with a configuration")
        check(line, stream, self.file)
        if line.kind != "end":
            self.file.follow(stream, sealed)

    def finish(self) -> None:
        """The file is over. Raises EvidenceError where something is missing, NobodysFileError where it could be anybody's."""
        streams = self.file.streams
        if not streams or not all(stream.ended for stream in streams.values()):
            raise EvidenceError("the file ends without the last line of every stream: something was cut off")
        if len(streams) > 1 and self.file.books is None:
            raise EvidenceError("the file has several streams and not the books: they were left out")
        if self.expected_keys:
            self._check_keys()
        elif self.file.anchored < 0:
            raise NobodysFileError(
                "no work in this file commits to any of its lines, and no key was given that it must be signed with, so anybody "
                "can have written it. Ask the operator for the key, and give it with --key"
            )

    def named(self, stream: Stream) -> bool:
        """Whether a stream begins with a key that was given."""
        return stream.first_key in self.expected_keys

    def vouched(self, stream: Stream) -> bool:
        """Whether a stream begins with a key that was given, or work of one that does commits to its beginning."""
        anchored = [site.anchored for site in self.file.sites.values() if self.named(self.file.streams[site.name])]
        return self.named(stream) or max(anchored, default=-1) >= stream.places[0]

    def _check_keys(self) -> None:
        for stream in self.file.streams.values():
            if not self.vouched(stream):
                raise NobodysFileError(
                    f"the stream {stream.name} begins with another key than the ones expected, {stream.first_key.hex()}, and no "
                    "work of a stream that begins with one of them commits to it"
                )

    def _begin(self, line: Envelope) -> Stream:
        """A stream's first line names the key that it is signed with."""
        if line.kind not in ("site", "books") or (line.kind == "books") != (line.stream == BOOKS):
            raise EvidenceError("the stream does not begin with a configuration")
        if self.file.partial:
            raise EvidenceError("another stream begins, but work before commits to streams that are not here: they were left out")
        if len(self.file.streams) >= MOST_STREAMS:
            raise EvidenceError(f"it has more than {MOST_STREAMS} streams")
        public_key = Members(line.data(), "the configuration").octets("public_key", 32)
        stream = Stream(line.stream, public_key, public_key, Checker(public_key))
        if line.previous == NO_HASH and line.seq == 0:
            self.file.streams[line.stream] = stream
        return stream


def verify(path: Path, *expected_keys: bytes, chain: Path | None = None) -> VerifyReport:
    """Verify an exported file; never raises. Where keys of 32 bytes are given, its streams must begin with them.

    ``chain`` is an export of a chain's blocks or headers that the file is held against.
    """
    verifier = Verifier(frozenset(expected_keys))
    try:
        for line in _lines(path):
            verifier.take(line)
        verifier.finish()
    except NotEvidenceError as error:
        return VerifyReport(str(path), is_evidence=False, holds=False, reason=str(error))
    except NobodysFileError as error:
        return report.of(path, verifier, str(error), at_line=False)
    except (EvidenceError, SealError, CanonicalError, ValueError, ArithmeticError) as error:
        return report.of(path, verifier, str(error))
    if chain is None:
        return report.of(path, verifier, None)
    return _against_chain(path, verifier, chain)


def _against_chain(path: Path, verifier: Verifier, chain: Path) -> VerifyReport:
    try:
        found = check_chain_export(chain, verifier.file)
    except NotChainError as error:
        return replace(report.of(path, verifier, str(error), at_line=False), is_chain=False)
    except EvidenceError as error:
        return replace(report.of(path, verifier, f"{chain}: {error}", at_line=False), is_chain=True)
    return replace(report.of(path, verifier, None, chain=found), is_chain=True)


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
    marks = (b'"format":"photosynth-evidence"', b'"kind":"', b'","signature":"')
    return start.startswith(b'{"body":{') or sum(mark in start for mark in marks) >= 2
