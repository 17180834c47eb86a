"""What was posted since the books' line before, and the blocks behind it that no quarter hour has listed."""

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
    typed = read_postings(line.raw)
    if typed is None:
        m = Members(line.data(), "the postings")
        m.rows("blocks"), m.rows("postings")
        m.finish()
        raise EvidenceError("its postings are not as they must be")
    scripts = file.books.scripts
    for raw in typed.blocks:
        check_bare_block(_value(bytes(raw)), lambda chain: scripts.get(chain, ()), file.blocks)
    _Postings(file).take_all([bytes(raw) for raw in typed.postings])


class _Postings:
    """Postings in their order: those of a quarter hour stand together, and are held against what it asks for as a whole."""

    def __init__(self, file: FileState) -> None:
        self._file = file
        self._key = b""
        self._expected = b""
        self._first_id = 0
        self._hash = sha256()

    def take_all(self, raws: list[bytes]) -> None:
        """Check them all."""
        state = self._file.journal
        # Kept here and not in self, which it leads to: a circle would hold the file, and the collector of them is off.
        journal = Journal(state, self._file.blocks, self._enters, self._leaves)
        at_once = 0
        for n, raw in enumerate(raws):
            if n < at_once:
                continue
            said = b',"id":%d,"key":"' % (state.last_id + 1)
            at = raw.find(said, 0, LONGEST_EVENT + len(said))
            past = at + len(said)
            if at < 0 or not raw.startswith((b"interval:", b"correction:"), past):
                self._close()
                journal.take(raw, lambda raw=raw: _value(raw))  # type: ignore[misc]
                continue
            key = _key_of(raw, past)
            if key != self._key:
                self._close()
                at_once = n + self._open(key, raws, n)
                if n < at_once:
                    continue
            state.last_id += 1
            self._hash.update(raw[:at])
            self._hash.update(raw[past - len(b',"key":"') :])
        self._close()

    def _open(self, key: bytes, raws: list[bytes], at: int) -> int:
        """The postings of a quarter hour begin; how many of them are taken at once, to the byte what it asks for."""
        last_id = self._file.journal.last_id
        expected = self._file.asked(key)
        if expected is None:
            raise EvidenceError(f"posting {last_id + 1} is of {key.decode(errors='replace')} for which no line before it asks")
        self._key, self._first_id = key, last_id + 1
        if isinstance(expected, bytes):
            self._expected, self._hash = expected, sha256()
            return 0
        past = at + len(expected)
        if raws[at:past] == _numbered(expected, last_id + 1) and not _goes_on(key, raws, past, last_id + len(expected) + 1):
            self._file.journal.last_id += len(expected)
            self._over()
            return len(expected)
        # One of them differs: which one is not said, as for all of which only the hash is known.
        self._expected, self._hash = sha256(b"".join(expected)).digest(), sha256()
        return 0

    def _close(self) -> None:
        if not self._key:
            return
        if self._hash.digest() != self._expected:
            raise EvidenceError(
                f"the postings {self._key.decode(errors='replace')} are not what its meters and prices give by the rules"
            )
        self._over()

    def _over(self) -> None:
        """The postings of a quarter hour are over, and hold."""
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


def _key_of(raw: bytes, at: int) -> bytes:
    """What the keys of a quarter hour's postings begin with, from where one begins."""
    parts = raw[at : at + LONGEST_KEY].split(b":", 4)
    return b":".join(parts[: _COLONS[parts[0]]]) + b":"


def _numbered(texts: list[bytes], first_id: int) -> list[bytes]:
    """Postings with their ids."""
    found = []
    for number, text in enumerate(texts, first_id):
        event, key, rest = text.partition(b',"key":"')
        found.append(b'%b,"id":%d%b%b' % (event, number, key, rest))
    return found


def _goes_on(key: bytes, raws: list[bytes], at: int, posting_id: int) -> bool:
    """Whether one more posting has such a key."""
    return at < len(raws) and raws[at].find(b',"id":%d,"key":"%b' % (posting_id, key), 0, LONGEST_EVENT + LONGEST_KEY) >= 0


def _value(raw: bytes) -> Any:
    """The value of a member. Raises CanonicalError where it is not canonical."""
    return parse_canonical(b'{"a":%b}' % raw)["a"]
