"""Does the journal hold: postings follow without a gap, balance, and say what meters, prices and blocks say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from photosynth.quantities.value import coins_value_ueur
from photosynth.treasury import accounts as a
from photosynth.treasury.evidence.check_blocks import KnownBlock
from photosynth.treasury.evidence.parsing import block_of_source
from photosynth.treasury.evidence.reading import EvidenceError, integer
from photosynth.treasury.facts import Recognition
from photosynth.treasury.journal import Posting, PostingLine, StoredPosting, TreasuryError, check, mirrored
from photosynth.treasury.rewards import accrual_lines, available_lines

INTERVAL_EVENTS = ("energy", "own_energy", "delivered_energy", "grid_energy", "export")
COIN_EVENTS = ("coins_received", "coins_spent", "opening_balance")
MOST_DIGITS = 20
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
RECOGNITIONS: tuple[Recognition, ...] = ("at_maturity", "at_accrual")


class Accrual(Struct, frozen=True, gc=False):
    """At what a block stands in the books."""

    block: KnownBlock
    value_ueur: int
    recognition: Recognition

    @property
    def lines(self) -> tuple[PostingLine, ...]:
        """The lines that it was accrued with."""
        return accrual_lines(self.block.value_sat, self.value_ueur, self.recognition)


class OpenPosting(Struct, frozen=True, gc=False):
    """A posting that may be reversed. A coinbase's lines follow from its accrual, so only those of others are kept."""

    key: str
    event: str
    block_hash: bytes = b""
    kept: tuple[PostingLine, ...] = ()

    def lines(self, accrued: Mapping[bytes, Accrual]) -> tuple[PostingLine, ...]:
        """What its mirror mirrors."""
        if not self.block_hash:
            return self.kept
        lines = accrued[self.block_hash].lines
        return lines if self.event == "coinbase_accrued" else available_lines(lines)


@dataclass(slots=True)
class JournalState:
    """What is carried over: the last id, keys, postings that may be reversed, accruals by block, and balances in satoshis.

    ``intervals`` are the names of quarter hours' own postings by site and start, whose keys are not in ``keys``; it suffices as
    long as no other posting's key begins like theirs (``foreign_keys``). ``chain`` holds the blocks whose accrual stands, the
    highest last; ``moves`` those that were accrued (True) or reversed since somebody looked.
    """

    last_id: int = 0
    keys: set[str] = field(default_factory=set)
    intervals: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)
    foreign_keys: bool = False
    reversible: dict[int, OpenPosting] = field(default_factory=dict)
    accrued: dict[bytes, Accrual] = field(default_factory=dict)
    chain: list[KnownBlock] = field(default_factory=list)
    moves: list[tuple[bytes, bool]] = field(default_factory=list)
    available: set[bytes] = field(default_factory=set)
    balances_sat: dict[str, int] = field(default_factory=dict)

    def has(self, key: str) -> bool:
        """Whether a posting with this key stands in the file already."""
        if key in self.keys:
            return True
        beginning, site, start, name = [*key.split(":", 3), "", "", ""][:4]
        # No time has more digits, and none begins with a zero: such a key is nobody's.
        if beginning != "interval" or len(start) > MOST_DIGITS or not _INTEGER.fullmatch(start):
            return False
        return name in self.intervals.get((site, int(start)), ())


def check_postings(
    postings: list[StoredPosting], expected: list[Posting], blocks: Mapping[bytes, KnownBlock], state: JournalState
) -> None:
    """Check a record's postings; ``expected`` are those that its meters and prices ask for, in their order."""
    derived = []
    for stored in postings:
        posting = stored.posting
        if stored.id != state.last_id + 1:
            raise EvidenceError(f"posting {stored.id} follows posting {state.last_id}: one is missing or out of order")
        state.last_id = stored.id
        if state.has(posting.key):
            raise EvidenceError(f"posting {stored.id} repeats the key {posting.key}")
        state.keys.add(posting.key)
        try:
            check(posting)
        except TreasuryError as error:
            raise EvidenceError(str(error)) from error
        if posting.event in INTERVAL_EVENTS and posting.reverses is None:
            derived.append(posting)
        else:
            state.foreign_keys |= posting.key.startswith("interval:")
            _check_coin_posting(stored, blocks, state)
        for line in posting.lines:
            if line.asset == "BTC":
                amount = line.amount if line.side == "debit" else -line.amount
                state.balances_sat[line.account] = state.balances_sat.get(line.account, 0) + amount
    _check_derived(derived, expected)


def _check_derived(found: list[Posting], expected: list[Posting]) -> None:
    if [posting.key for posting in found] != [posting.key for posting in expected]:
        raise EvidenceError("its postings are not those that its meters and prices ask for")
    for posting, wanted in zip(found, expected, strict=True):
        if posting is wanted:
            continue
        source = {name: _plain(value) for name, value in posting.source.items()}
        same = (posting.event, posting.time_ms, posting.wall_ms) == (wanted.event, wanted.time_ms, wanted.wall_ms)
        if not same or posting.lines != wanted.lines or source != dict(wanted.source):
            raise EvidenceError(f"posting {posting.key} is not what its meters and prices give by the rules")


def _check_coin_posting(stored: StoredPosting, blocks: Mapping[bytes, KnownBlock], state: JournalState) -> None:
    posting = stored.posting
    if posting.reverses is not None:
        original = state.reversible.pop(posting.reverses, None)
        if original is None:
            raise EvidenceError(f"posting {stored.id} reverses posting {posting.reverses}, which is not open")
        if posting.lines != mirrored(original.lines(state.accrued)) or posting.event != f"{original.event}_reversed":
            raise EvidenceError(f"posting {stored.id} is not the mirror of posting {posting.reverses}")
        _forget(original, state)
        return
    if posting.event in COIN_EVENTS:
        state.reversible[stored.id] = OpenPosting(posting.key, posting.event, kept=posting.lines)
        if any(line.account not in (a.COINS_AVAILABLE, a.SUSPENSE, a.OPENING_BALANCE) for line in posting.lines):
            raise EvidenceError(f"posting {stored.id} moves more than coins in suspense")
        return
    if posting.event not in ("coinbase_accrued", "coinbase_available"):
        raise EvidenceError(f"posting {stored.id} has the event {posting.event!r}, which version 1 does not know")
    block_hash = block_of_source(posting)
    block = blocks.get(block_hash)
    if block is None:
        raise EvidenceError(f"posting {stored.id} is of a block that is in no record")
    if posting.event == "coinbase_accrued":
        _check_accrual(stored, block, state)
    else:
        if block_hash not in state.accrued or block_hash in state.available:
            raise EvidenceError(f"posting {stored.id} makes coins of block {block.height} available that are not immature")
        if posting.lines != available_lines(state.accrued[block_hash].lines):
            raise EvidenceError(f"posting {stored.id} makes other amounts available than were accrued")
        state.available.add(block_hash)
    state.reversible[stored.id] = OpenPosting(posting.key, posting.event, block.hash)


def _check_accrual(stored: StoredPosting, block: KnownBlock, state: JournalState) -> None:
    posting = stored.posting
    if block.hash in state.accrued:
        raise EvidenceError(f"posting {stored.id} accrues block {block.height} a second time")
    price = posting.source.get("price_cent_per_btc")
    value = 0 if price is None else coins_value_ueur(block.value_sat, integer(price, "a price"))
    # The policy may have changed within the quarter hour; either way the amounts are these.
    accruals = [Accrual(block, value, recognition) for recognition in RECOGNITIONS]
    accrual = next((accrual for accrual in accruals if accrual.lines == posting.lines), None)
    if accrual is None:
        raise EvidenceError(f"posting {stored.id} does not accrue what block {block.height} pays at its price")
    _check_place(stored, block, state)
    state.accrued[block.hash] = accrual
    state.moves.append((block.hash, True))


def _check_place(stored: StoredPosting, block: KnownBlock, state: JournalState) -> None:
    """Blocks enter the books as one chain: the highest last, each one on the one below it where that is ours too."""
    top = state.chain[-1] if state.chain else None
    if top is not None and block.height <= top.height:
        raise EvidenceError(f"posting {stored.id} accrues block {block.height} although the books stand at block {top.height}")
    if top is not None and block.height == top.height + 1 and block.previous_hash != top.hash:
        raise EvidenceError(f"posting {stored.id} accrues block {block.height}, which does not follow on the block below it")
    state.chain.append(block)


def _forget(original: OpenPosting, state: JournalState) -> None:
    if original.event == "coinbase_accrued":
        block_hash = original.block_hash
        if block_hash in state.available:
            raise EvidenceError(f"{original.key} is reversed although its coins are available")
        if not state.chain or state.chain.pop().hash != block_hash:
            raise EvidenceError(f"{original.key} is reversed although a higher block's accrual stands")
        state.accrued.pop(block_hash, None)
        state.moves.append((block_hash, False))
    elif original.event == "coinbase_available":
        state.available.discard(original.block_hash)


def _plain(value: object) -> object:
    """A source's value as it was before large integers became text; texts that are not such integers stay."""
    try:
        return integer(value, "")
    except EvidenceError:
        return value
