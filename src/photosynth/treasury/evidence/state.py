"""What is carried from one line of a file to the next: its streams, and under which roots their heads stood."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from photosynth.treasury.evidence.check_blocks import BlockState
from photosynth.treasury.evidence.check_claims import ClaimState
from photosynth.treasury.evidence.check_energy import EnergyState
from photosynth.treasury.evidence.check_postings import JournalState
from photosynth.treasury.evidence.check_work import WorkState
from photosynth.treasury.evidence.heads import LONGEST_BRANCH, Commitment, HeadTree, root_of_branch
from photosynth.treasury.evidence.open_hours import OpenHour
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.evidence.seal import NO_HASH, Checker, SealedLine
from photosynth.treasury.facts import SiteFacts

if TYPE_CHECKING:
    from photosynth.treasury.evidence.quick_quarter_hour import QuickQuarterHours

MOST_PENDING_BYTES = 4 * 1024 * 1024
"""So much of what the books shall have is kept as it is: an hour of a thousand sites."""


@dataclass(slots=True)
class Stream:
    """One stream so far: its keys, the hash of each of its lines, and where in the file they stand (from 0)."""

    name: str
    first_key: bytes
    key: bytes
    checker: Checker
    head: bytes = NO_HASH
    hashes: list[bytes] = field(default_factory=list)
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    ended: bool = False
    rotations: int = 0
    changes: int = 0

    @property
    def next_seq(self) -> int:
        """The number of its next line."""
        return len(self.hashes)

    def last_seq_at(self, place: int) -> int:
        """The number of its last line up to a place in the file, -1 for none."""
        return bisect_right(self.places, place) - 1


@dataclass(slots=True)
class SiteState:
    """One site so far. ``anchored`` is the place in the file up to which its own blocks and work commit to lines."""

    name: str
    facts: SiteFacts
    energy: EnergyState = field(default_factory=EnergyState)
    work: WorkState = field(default_factory=WorkState)
    claims: ClaimState = field(default_factory=ClaimState)
    anchored_by_block: int = -1
    blocks: int = 0
    quarter_hours: int = 0
    first_start_ms: int | None = None
    last_start_ms: int | None = None
    workless: int = 0
    workless_j: int = 0

    @property
    def anchored(self) -> int:
        """The place up to which work of this site commits to lines, -1 for none."""
        return max(self.anchored_by_block, self.work.anchored_by_work)

    def count(self, start_ms: int, shares: int, mining_j: int | None) -> None:
        """Count a quarter hour."""
        self.quarter_hours += 1
        self.first_start_ms = start_ms if self.first_start_ms is None else self.first_start_ms
        self.last_start_ms = start_ms
        if not shares and mining_j:
            self.workless += 1
            self.workless_j += mining_j


@dataclass(slots=True)
class BooksState:
    """What the books' configurations said so far: chains by name with their genesis blocks, and the scripts of wallets."""

    operator: str
    chains: dict[str, bytes] = field(default_factory=dict)
    wallets: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    scripts: dict[str, set[bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class FileState:
    """A file so far. ``lines`` counts those that hold, the closing ones aside; ``partial`` says that streams are missing.

    ``pending`` are the postings that quarter hours and corrections ask for, each without its id, by what their keys begin with,
    until the books' line with them comes; where they would be much, their hash.
    """

    streams: dict[str, Stream] = field(default_factory=dict)
    sites: dict[str, SiteState] = field(default_factory=dict)
    books: BooksState | None = None
    blocks: BlockState = field(default_factory=BlockState)
    journal: JournalState = field(default_factory=JournalState)
    pending: dict[bytes, bytes | list[bytes]] = field(default_factory=dict)
    pending_bytes: int = 0
    """So many bytes of postings are in it."""
    tree: HeadTree = field(default_factory=HeadTree)
    roots: dict[bytes, int] = field(default_factory=dict)
    root: bytes | None = None
    lines: int = 0
    partial: bool = False
    ended: bool = False
    quick: "dict[str, QuickQuarterHours]" = field(default_factory=dict)
    start_ms: int | None = None
    """The quarter hour that the line at hand is of, as far as it was read."""
    newest: set[bytes] = field(default_factory=set)
    """Blocks of the closing lines, which no posting need be of yet."""
    corrected: dict[bytes, tuple[OpenHour, int]] = field(default_factory=dict)
    """Corrections whose postings the books do not have yet: by what their keys begin with, and how many reversals come first."""

    @property
    def unbooked(self) -> int:
        """Blocks of quarter hours whose satoshis are not in the books."""
        booked = self.journal.accrued.keys() | self.newest
        return sum(block.value_sat > 0 and name not in booked for name, block in self.blocks.blocks.items())

    @property
    def anchored(self) -> int:
        """The place in the file up to which work commits to all lines, -1 for none."""
        return max((site.anchored for site in self.sites.values()), default=-1)

    def follow(self, stream: Stream, sealed: SealedLine) -> None:
        """A line holds: the next one of its stream follows on it, and work may commit to it."""
        stream.head = sealed.hash
        stream.hashes.append(sealed.hash)
        stream.places.append(self.lines)
        self.root = self.tree.put(stream.name, sealed.hash)
        self.roots[self.root] = self.lines
        self.lines += 1

    def ask_for(self, key: str, postings: Iterable[bytes]) -> None:
        """The books shall have these postings, each without its id, whose keys begin so."""
        texts = list(postings)
        if not texts or self.partial:
            return
        size = sum(map(len, texts))
        if self.pending_bytes + size > MOST_PENDING_BYTES:
            self.pending[key.encode()] = sha256(b"".join(texts)).digest()
        else:
            self.pending[key.encode()] = texts
            self.pending_bytes += size

    def asked(self, key: bytes) -> bytes | list[bytes] | None:
        """The postings whose keys begin so, or their hash; None where no line asks for them. Asked for once."""
        found = self.pending.pop(key, None)
        if type(found) is list:
            self.pending_bytes -= sum(map(len, found))
        return found

    @property
    def missing(self) -> bytes | None:
        """What the keys of postings begin with that the books lack, None where they lack none."""
        return next(iter(self.pending), None)

    def committed(self, name: str, commitment: Commitment, root: bytes) -> int:
        """The place in the file up to which a root that work of a stream commits to binds all lines.

        Raises EvidenceError where it is not over that stream's line, and in a file of all streams where it is not over theirs.
        """
        stream = self.streams[name]
        if commitment.seq >= len(stream.hashes) or len(commitment.branch) > LONGEST_BRANCH:
            raise EvidenceError(f"commits to line {commitment.seq} of {name}, which is not before it")
        found = root_of_branch(name, stream.hashes[commitment.seq], commitment.place, commitment.branch)
        if found != root:
            raise EvidenceError(
                f"commits to {root.hex()}, and not to line {commitment.seq} of {name}: a line before was changed after this work "
                "was done"
            )
        place = self.roots.get(root)
        if place is not None:
            return place
        if len(self.streams) > 1:
            raise EvidenceError(
                f"commits to {root.hex()}, which is no root over the lines of all streams before it: one was changed after this "
                "work was done, or a stream is missing"
            )
        self.partial = True
        return stream.places[commitment.seq]
