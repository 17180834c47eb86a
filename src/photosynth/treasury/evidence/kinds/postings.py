"""What was posted since the books' line before, and the blocks behind it that no quarter hour has listed."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from photosynth.treasury.evidence.canonical import parse_canonical
from photosynth.treasury.evidence.check_blocks import KnownBlock, check_bare_block
from photosynth.treasury.evidence.check_postings import Journal
from photosynth.treasury.evidence.envelope import Envelope
from photosynth.treasury.evidence.reading import EvidenceError, Members
from photosynth.treasury.evidence.state import FileState, Stream
from photosynth.treasury.evidence.typed import read_postings

LONGEST_EVENT = 64
"""Events of quarter hours are shorter, in bytes."""
LONGEST_KEY = 128
"""What the keys of a quarter hour begin with is shorter, in bytes."""
_COLONS = {b"interval": 3, b"correction": 4}
"""How many parts what such keys begin with has."""


def check(line: Envelope, stream: Stream, file: FileState) -> None:
    """Check blocks and postings, one after the other."""
    del stream
    assert file.books is not None, "the first line of the stream says what the books are"
    if _as_asked(line.raw, file):
        return
    typed = read_postings(line.raw)
    if typed is None:
        m = Members(line.data(), "the postings")
        m.rows("blocks"), m.rows("postings")
        m.finish()
        raise EvidenceError("its postings are not as they must be")
    scripts = file.books.scripts
    for raw in typed.blocks:
        check_bare_block(_value(bytes(raw)), lambda chain: scripts.get(chain, ()), file.blocks)
    _Postings(file).take_all(bytes(raw) for raw in typed.postings)


def _as_asked(raw: bytes, file: FileState) -> bool:
    """Whether a line is, to the byte, the postings that the newest quarter hour asks for and nothing else: most lines are."""
    # A line that is shorter is none, however often somebody tries.
    if file.fresh is None or file.fresh[0] in file.corrected or len(raw) < file.fresh_bytes:
        return False
    number, pieces = file.journal.last_id, []
    for text in file.fresh[1]:
        number += 1
        event, key, rest = text.partition(b',"key":"')
        pieces.append(b'%b,"id":%d%b%b' % (event, number, key, rest))
    if raw != b'{"blocks":[],"postings":[%b]}' % b",".join(pieces):
        return False
    file.fresh, file.journal.last_id = None, number
    return True


class _Postings:
    """Postings in their order: those of a quarter hour stand together, and are held against their hash as a whole."""

    def __init__(self, file: FileState) -> None:
        self._file = file
        self._journal = Journal(file.journal, file.blocks, self._enters, self._leaves)
        self._key = b""
        self._expected = b""
        self._first_id = 0
        self._hash = sha256()

    def take_all(self, raws: Iterable[bytes]) -> None:
        """Check them all."""
        state = self._file.journal
        for raw in raws:
            said = b',"id":%d,"key":"' % (state.last_id + 1)
            at = raw.find(said, 0, LONGEST_EVENT + len(said))
            past = at + len(said)
            if at < 0 or not raw.startswith((b"interval:", b"correction:"), past):
                self._close()
                self._journal.take(raw, lambda raw=raw: _value(raw))  # type: ignore[misc]
                continue
            parts = raw[past : past + LONGEST_KEY].split(b":", 4)
            key = b":".join(parts[: _COLONS[parts[0]]]) + b":"
            if key != self._key:
                self._close()
                self._open(key)
            state.last_id += 1
            self._hash.update(raw[:at])
            self._hash.update(raw[past - len(b',"key":"') :])
        self._close()

    def _open(self, key: bytes) -> None:
        expected = self._file.asked(key)
        if expected is None:
            raise EvidenceError(
                f"posting {self._file.journal.last_id + 1} is of {key.decode(errors='replace')} for which no line before it asks"
            )
        self._key, self._expected, self._hash = key, expected, sha256()
        self._first_id = self._file.journal.last_id + 1

    def _close(self) -> None:
        if not self._key:
            return
        if self._hash.digest() != self._expected:
            raise EvidenceError(
                f"the postings {self._key.decode(errors='replace')} are not what its meters and prices give by the rules"
            )
        corrected = self._file.corrected.pop(self._key, None)
        if corrected is not None:
            hour, reversals = corrected
            hour.first_id = self._first_id + reversals
        self._key = b""

    def _enters(self, block: KnownBlock) -> None:
        """The accrual of a block stands."""
        books = self._file.books
        site = None if block.site is None else self._file.sites[block.site]
        if site is None or books is None:
            return
        if books.chains.get(block.chain) != site.facts.genesis_hash:
            raise EvidenceError(f"block {block.height} is of a chain that the books do not name")
        if site.facts.payout_script not in books.scripts.get(block.chain, ()):
            raise EvidenceError(f"block {block.height} pays a script that no wallet of the books has")
        if block.hash in site.claims.rows:
            site.claims.enter(site.claims.rows[block.hash], site.work)

    def _leaves(self, block: KnownBlock) -> None:
        site = None if block.site is None else self._file.sites[block.site]
        if site is not None and block.hash in site.claims.rows:
            site.claims.leave(site.claims.rows[block.hash], site.work)


def _value(raw: bytes) -> Any:
    """The value of a member. Raises CanonicalError where it is not canonical."""
    return parse_canonical(b'{"a":%b}' % raw)["a"]
