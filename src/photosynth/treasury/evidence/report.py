"""What a verification found: whether it holds, the first line that does not, and what the whole does and does not prove."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The outcome. ``is_evidence`` is false where the file is something else; ``failed_*`` name the first bad line.

    ``key_expected`` says whether the file's key is one of those that were asked for, None where none was: then whoever reads
    this compares ``public_key`` with one that he knows.

    ``exit_code`` is 0 where everything holds, 1 where a line does not, 2 where this is no such file.
    """

    path: str
    is_evidence: bool
    holds: bool
    reason: str | None = None
    failed_line: int | None = None
    failed_seq: int | None = None
    failed_interval_utc: str | None = None
    lines: int = 0
    records: int = 0
    head: str | None = None
    public_key: str | None = None
    key_expected: bool | None = None
    site: str | None = None
    first_interval_utc: str | None = None
    last_interval_utc: str | None = None
    totals: dict[str, int] = field(default_factory=dict)
    proven: tuple[str, ...] = ()
    estimated: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """What the command exits with."""
        if not self.is_evidence:
            return 2
        return 0 if self.holds else 1

    def document(self) -> dict[str, Any]:
        """The report as JSON: integers of any size as decimal text."""
        return {
            "path": self.path,
            "is_evidence": self.is_evidence,
            "holds": self.holds,
            "reason": self.reason,
            "failed_line": self.failed_line,
            "failed_seq": self.failed_seq,
            "failed_interval_utc": self.failed_interval_utc,
            "lines": self.lines,
            "records": self.records,
            "head": self.head,
            "public_key": self.public_key,
            "key_expected": self.key_expected,
            "site": self.site,
            "first_interval_utc": self.first_interval_utc,
            "last_interval_utc": self.last_interval_utc,
            "totals": {name: str(value) for name, value in self.totals.items()},
            "proven": list(self.proven),
            "estimated": list(self.estimated),
            "trusted": list(self.trusted),
        }
