"""What a verification found: whether it holds, the first line that does not, and what the whole does and does not prove."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from photosynth.quantities.instants import iso_utc
from photosynth.treasury.evidence.check_chain_export import ChainReport
from photosynth.treasury.evidence.findings import estimated, proven, stream_totals, totals, trusted

if TYPE_CHECKING:
    from photosynth.treasury.evidence.state import Stream
    from photosynth.treasury.evidence.verify import Verifier


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream of a file: a site's, or the books'.

    ``key_expected`` says whether ``first_key`` is one of those that were asked for, None where none was.
    """

    stream: str
    lines: int
    quarter_hours: int
    head: str | None
    first_key: str
    public_key: str
    rotations: int
    key_expected: bool | None
    first_interval_utc: str | None
    last_interval_utc: str | None
    totals: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The same as JSON: integers of any size as decimal text."""
        return asdict(self) | {"totals": _texts(self.totals)}


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The outcome. ``is_evidence`` is false where the file is something else; ``failed_*`` name the first bad line.

    ``is_chain`` says the same of the export of a chain that the file is held against, None where there was none.

    ``complete`` says whether the file has all streams of the fleet. ``public_key`` is the first key of the file's first site, or
    of the books where it has no site: who knows that this one is the operator's knows it of every stream whose beginning that
    site's work commits to. ``key_expected`` says whether all streams are such, None where no key was named: then whoever reads
    this compares ``public_key`` with one that he knows.

    ``exit_code`` is 0 where everything holds, 1 where a line does not, 2 where one of the files is no such file.
    """

    path: str
    is_evidence: bool
    holds: bool
    is_chain: bool | None = None
    reason: str | None = None
    failed_line: int | None = None
    failed_stream: str | None = None
    failed_seq: int | None = None
    failed_interval_utc: str | None = None
    lines: int = 0
    records: int = 0
    head: str | None = None
    public_key: str | None = None
    key_expected: bool | None = None
    complete: bool | None = None
    site: str | None = None
    first_interval_utc: str | None = None
    last_interval_utc: str | None = None
    streams: tuple[StreamReport, ...] = ()
    chain: ChainReport | None = None
    totals: dict[str, int] = field(default_factory=dict)
    proven: tuple[str, ...] = ()
    estimated: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """What the command exits with."""
        if not self.is_evidence or self.is_chain is False:
            return 2
        return 0 if self.holds else 1

    def document(self) -> dict[str, Any]:
        """The report as JSON: integers of any size as decimal text."""
        return {
            "path": self.path,
            "is_evidence": self.is_evidence,
            "holds": self.holds,
            "is_chain": self.is_chain,
            "reason": self.reason,
            "failed_line": self.failed_line,
            "failed_stream": self.failed_stream,
            "failed_seq": self.failed_seq,
            "failed_interval_utc": self.failed_interval_utc,
            "lines": self.lines,
            "records": self.records,
            "head": self.head,
            "public_key": self.public_key,
            "key_expected": self.key_expected,
            "complete": self.complete,
            "site": self.site,
            "first_interval_utc": self.first_interval_utc,
            "last_interval_utc": self.last_interval_utc,
            "streams": [stream.document() for stream in self.streams],
            "chain": None if self.chain is None else asdict(self.chain) | {"work_hashes": str(self.chain.work_hashes)},
            "totals": _texts(self.totals),
            "proven": list(self.proven),
            "estimated": list(self.estimated),
            "trusted": list(self.trusted),
        }


def of(
    path: Path, verifier: "Verifier", reason: str | None, *, at_line: bool = True, chain: ChainReport | None = None
) -> VerifyReport:
    """The report of what a verifier took: that it holds, or why not; ``at_line`` says that the line at hand is at fault."""
    file, holds = verifier.file, reason is None
    failed = at_line and not holds
    stream = file.streams.get(verifier.stream or "")
    first = next(iter(file.sites), None) or next(iter(file.streams), None)
    key = None if first is None else file.streams[first].first_key
    asked = bool(verifier.expected_keys and file.streams)
    sites = file.sites.values()
    return VerifyReport(
        path=str(path),
        is_evidence=True,
        holds=holds,
        reason=reason,
        failed_line=verifier.line if failed else None,
        failed_stream=verifier.stream if failed else None,
        failed_seq=stream.next_seq if failed and stream is not None else None,
        failed_interval_utc=_utc(file.start_ms) if failed else None,
        lines=verifier.line,
        records=sum(site.quarter_hours for site in sites),
        head=_head(verifier),
        public_key=None if key is None else key.hex(),
        key_expected=all(verifier.vouched(each) for each in file.streams.values() if each.places) if asked else None,
        complete=_complete(verifier),
        site=next(iter(file.sites)) if len(file.sites) == 1 else None,
        first_interval_utc=_utc(min((site.first_start_ms for site in sites if site.first_start_ms is not None), default=None)),
        last_interval_utc=_utc(max((site.last_start_ms for site in sites if site.last_start_ms is not None), default=None)),
        streams=tuple(_stream(verifier, each) for _, each in sorted(file.streams.items())),
        chain=chain,
        totals=totals(verifier) if file.streams else {},
        proven=proven(verifier, chain) if holds else (),
        estimated=estimated(verifier) if holds else (),
        trusted=trusted(verifier, chain) if holds else (),
    )


def _head(verifier: "Verifier") -> str | None:
    """The root over the heads of all streams; of one stream without the others, its own head."""
    file = verifier.file
    head = next(iter(file.streams.values())).head if file.partial else file.root
    return None if head is None else head.hex()


def _complete(verifier: "Verifier") -> bool | None:
    file = verifier.file
    return not file.partial and file.books is not None if file.streams else None


def _stream(verifier: "Verifier", stream: "Stream") -> StreamReport:
    site = verifier.file.sites.get(stream.name)
    return StreamReport(
        stream=stream.name,
        lines=stream.next_seq,
        quarter_hours=0 if site is None else site.quarter_hours,
        head=stream.head.hex() if stream.places else None,
        first_key=stream.first_key.hex(),
        public_key=stream.key.hex(),
        rotations=stream.rotations,
        key_expected=verifier.named(stream) if verifier.expected_keys else None,
        first_interval_utc=None if site is None else _utc(site.first_start_ms),
        last_interval_utc=None if site is None else _utc(site.last_start_ms),
        totals=stream_totals(verifier, stream),
    )


def _utc(instant_ms: int | None) -> str | None:
    try:
        return None if instant_ms is None else iso_utc(instant_ms)
    except (ValueError, OverflowError, OSError):
        return None


def _texts(sums: dict[str, int]) -> dict[str, str]:
    return {name: str(value) for name, value in sums.items()}
