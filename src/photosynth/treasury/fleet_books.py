"""The fleet's books in evidence: chains and wallets, then everything that is posted, in the transaction of the caller.

Postings are written down every few hours and not one by one (whoever calls :meth:`FleetBooks.record_some` says when), and always
before an export, before the key changes and at the end of a run. In which line a posting is stands in the database with that
line: a kill leaves each in one line or in none, and the next line begins where the last one ended.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from sqlalchemy import Connection

from photosynth.bitcoin.node import hash_bytes
from photosynth.storage.meta import get_meta, put_meta
from photosynth.storage.scopes import of_stream
from photosynth.storage.tables import BLOCKS
from photosynth.treasury.evidence import lines
from photosynth.treasury.evidence.body import bare_block_member
from photosynth.treasury.evidence.books_body import books_data, postings_data
from photosynth.treasury.evidence.canonical import canonical
from photosynth.treasury.evidence.envelope import BOOKS
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.facts import ChainFact, FleetFacts
from photosynth.treasury.journal import (
    OtherBooksError,
    StoredPosting,
    TreasuryError,
    last_posting_id,
    postings_after,
    postings_by_key,
)
from photosynth.treasury.mining.blocks import BlockRow, blocks_where, this
from photosynth.treasury.mining.energy import asked_by
from photosynth.treasury.stream_keys import put_new_key, refuse_other_key

LAST_POSTING = "evidence_last_posting"
"""Key in ``meta`` of the books' stream: the last posting that is in evidence."""
MOST_POSTINGS = 1000
"""So many postings a line has at most, of half a kilobyte each; where there are more, there are more lines. A quarter hour has a
dozen."""
MOST_BLOCKS = 100
"""So many blocks a line has at most."""
MOST_COINBASE_BYTES = 4 << 20
"""So long are the coinbases of a line's blocks together: each is as long as its miner likes, up to a megabyte, whoever pays us
with it, and no verifier reads a line without an end."""


class FleetBooks:
    """The books of a fleet: what holds for all postings, and the key that signs their evidence.

    ``fleet`` names the chains whose genesis block is known; each of the others is told of before anything of it is posted.
    """

    def __init__(self, fleet: FleetFacts, identity: Identity) -> None:
        self.fleet = fleet
        self.identity = identity

    def know(self, chain: ChainFact) -> None:
        """Name a chain from the next line on."""
        others = (known for known in self.fleet.chains if known.name != chain.name)
        self.fleet = replace(self.fleet, chains=(*others, chain))

    def tell(self, tx: Connection) -> None:
        """Say in evidence that has begun what is known by now, before anything of it is posted. Raises OtherBooksError."""
        if lines.last_of_kind(tx, BOOKS, "books") is not None:
            self.open(tx)

    def open(self, tx: Connection) -> bytes:
        """Begin or continue the evidence and return the root that coinbases commit to.

        Where the configuration is another, a new line says so. Raises OtherBooksError where this state's books are of another
        chain of that name, another script of that wallet, or another key.
        """
        refuse_other_key(tx, BOOKS, self.identity, OtherBooksError)
        last = lines.last_of_kind(tx, BOOKS, "books")
        if last is None:
            self._configuration(tx, "nothing")
        else:
            self._refuse_other_chains(last.data)
            self.fleet = _with_known(self.fleet, last.data)
            if said(books_data(self.fleet, self.identity.public_key, "nothing")) != said(last.data):
                self._configuration(tx, "configuration")
        return self.root(tx)

    def root(self, tx: Connection) -> bytes:
        """What the next coinbase commits to."""
        newest = lines.newest_line(tx)
        if newest is None:
            raise TreasuryError("the evidence has no line yet: open the books first")
        return newest.root

    def record_some(self, tx: Connection) -> EvidenceRecord | None:
        """One line of what was posted since the last one; None where that is nothing, or the evidence has not begun.

        Raises OtherBooksError as :meth:`open`.
        """
        self.tell(tx)
        return record_some(tx, self.identity)

    def record_postings(self, tx: Connection) -> EvidenceRecord | None:
        """All of it, in as many lines as that takes; returns the newest."""
        return record_all(tx, self.identity)

    def rotate_key(self, tx: Connection, new: Identity) -> EvidenceRecord:
        """Hand the stream over to a new key; what was posted before is signed by the old one."""
        record_all(tx, self.identity)
        record = put_new_key(tx, BOOKS, self.identity, new)
        self.identity = new
        return record

    def _configuration(self, tx: Connection, follows: Any) -> None:
        lines.append(tx, BOOKS, self.identity, "books", None, books_data(self.fleet, self.identity.public_key, follows))

    def _refuse_other_chains(self, last: dict[str, Any]) -> None:
        now = said(books_data(self.fleet, self.identity.public_key, "nothing"))
        for part, name, member, what in (
            ("chains", "name", "genesis_hash", "genesis block of the chain"),
            ("wallets", "id", "script", "output script of the wallet"),
        ):
            known = {entry[name]: entry[member] for entry in last[part]}
            for entry in now[part]:
                before = known.get(entry[name], entry[member])
                if before != entry[member]:
                    raise OtherBooksError(
                        f"the books of this state name {before} as {what} {entry[name]}, not {entry[member]}. "
                        "Use what they name, or start with another --state folder."
                    )


def record_some(tx: Connection, identity: Identity) -> EvidenceRecord | None:
    """Write down what was posted since the last line, and the blocks behind it, as far as one line has room.

    None where that is nothing, or the stream has not begun.
    """
    if lines.last_line(tx, BOOKS) is None:
        return None
    # A block that its site listed by now is in that quarter hour: these are all others, and come before their postings.
    unlisted = BLOCKS.c.evidence_seq.is_(None), BLOCKS.c.books_seq.is_(None), BLOCKS.c.occurrence > 0
    found = blocks_where(tx, *unlisted, most=MOST_BLOCKS + 1)
    blocks = found[: _fitting(found)]
    posted = [] if len(found) > len(blocks) else _next_postings(tx)
    if not posted and not blocks:
        return None
    members = [{"chain": block.chain, **bare_block_member(block)} for block in blocks]
    record = lines.append(tx, BOOKS, identity, "postings", None, postings_data(members, posted))
    for block in blocks:
        tx.execute(BLOCKS.update().where(*this(block.chain, block.hash)).values(books_seq=record.seq))
    if posted:
        put_meta(tx, of_stream(BOOKS), LAST_POSTING, posted[-1].id)
    return record


def _fitting(blocks: Sequence[BlockRow]) -> int:
    """How many of the first blocks a line has room for; one always."""
    sizes = accumulate(len(block.coinbase) for block in blocks[:MOST_BLOCKS])
    return max(sum(size <= MOST_COINBASE_BYTES for size in sizes), min(1, len(blocks)))


def record_all(tx: Connection, identity: Identity) -> EvidenceRecord | None:
    """The same in as many lines as it takes; returns the newest, None where there is nothing to write down."""
    newest = None
    while (record := record_some(tx, identity)) is not None:
        newest = record
    return newest


def unrecorded(tx: Connection) -> bool:
    """Whether something is posted that no line of the books' stream has, in which case an export would lack it."""
    return lines.last_line(tx, BOOKS) is not None and last_posting_id(tx) > _last_recorded(tx)


def _next_postings(tx: Connection) -> list[StoredPosting]:
    """As many as a line has at most, in their order; those of a quarter hour all stand in one line, however many they are."""
    posted = postings_after(tx, _last_recorded(tx), MOST_POSTINGS + 1)
    size = min(len(posted), MOST_POSTINGS)
    while 0 < size < len(posted) and _belong_together(posted[size - 1], posted[size]):
        size -= 1
    if posted and not size:
        return postings_by_key(tx, asked_by(posted[0].posting.key) or "")
    return posted[:size]


def _belong_together(one: StoredPosting, other: StoredPosting) -> bool:
    asked = asked_by(one.posting.key)
    return asked is not None and asked == asked_by(other.posting.key)


def _last_recorded(tx: Connection) -> int:
    last: int = get_meta(tx, of_stream(BOOKS), LAST_POSTING) or 0
    return last


def _with_known(fleet: FleetFacts, last: dict[str, Any]) -> FleetFacts:
    """The same with the chains that an earlier line names, in its order: their nodes may be away now."""
    chains = {
        known["name"]: ChainFact(known["name"], hash_bytes(known["genesis_hash"]), known["asset"]) for known in last["chains"]
    }
    return replace(fleet, chains=tuple({**chains, **{chain.name: chain for chain in fleet.chains}}.values()))


def said(data: dict[str, Any]) -> dict[str, Any]:
    """A configuration as it is read again, but for why it stands where it does, and the key: others say when that changes."""
    found: dict[str, Any] = json.loads(canonical(data))
    return {name: value for name, value in found.items() if name not in ("follows", "public_key")}
