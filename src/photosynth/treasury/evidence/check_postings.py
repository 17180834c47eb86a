"""Does the journal hold: postings follow without a gap, balance, and say what meters, prices and blocks say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from photosynth.quantities.value import coins_value_ueur
from photosynth.treasury import accounts as a
from photosynth.treasury.evidence.check_blocks import BlockState, KnownBlock
from photosynth.treasury.evidence.parsing import parse_posting
from photosynth.treasury.evidence.reading import EvidenceError, integer, octets
from photosynth.treasury.evidence.typed import Row, read_coin_posting
from photosynth.treasury.facts import Recognition
from photosynth.treasury.journal import PostingLine, TreasuryError, check, mirrored
from photosynth.treasury.mining.rewards import accrual_lines, available_lines

COIN_EVENTS = {
    "coins_received": (a.COINS_AVAILABLE, a.SUSPENSE),
    "coins_spent": (a.COINS_AVAILABLE, a.SUSPENSE),
    "opening_balance": (a.COINS_AVAILABLE, a.OPENING_BALANCE),
}
"""What events of coins that no coinbase of ours made may move."""
SUSPENSE_EVENTS = ("coins_received", "coins_spent")
RECOGNITIONS: tuple[Recognition, ...] = ("at_maturity", "at_accrual")
OF_QUARTER_HOURS = ("interval:", "correction:")
"""What the keys of postings of quarter hours begin with, and no others."""
_KEPT_ACCOUNTS = frozenset(account for account in a.ACCOUNTS if account.startswith("E")) | {
    a.COINS_IMMATURE,
    a.COIN_CONTRA,
    a.DEFERRED_REWARD,
}
"""Accounts that only coinbases and quarter hours move."""

Move = Callable[[KnownBlock], None]


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

    ``chains`` hold the blocks whose accrual stands, the highest last. ``others`` counts postings that rest on the operator's
    word.
    """

    last_id: int = 0
    keys: set[str] = field(default_factory=set)
    reversible: dict[int, OpenPosting] = field(default_factory=dict)
    accrued: dict[bytes, Accrual] = field(default_factory=dict)
    chains: dict[str, list[KnownBlock]] = field(default_factory=dict)
    available: set[bytes] = field(default_factory=set)
    balances_sat: dict[str, int] = field(default_factory=dict)
    others: int = 0


@dataclass(frozen=True, slots=True)
class Journal:
    """What postings of coins are held against; ``enters`` and ``leaves`` are told of blocks as their accruals stand or not."""

    state: JournalState
    blocks: BlockState
    enters: Move
    leaves: Move

    def take(self, raw: bytes, value: Callable[[], Any]) -> None:
        """Check the next posting that is of no quarter hour. ``value`` reads it with care, where that is needed."""
        state = self.state
        coin = read_coin_posting(raw)
        if coin is not None:
            self._count(coin.id, coin.key)
            self._check_coin(coin.id, coin.key, coin.event, coin.source, coin.lines)
            lines: list[Row] = coin.lines
        else:
            stored = parse_posting(value())
            posting = stored.posting
            self._count(stored.id, posting.key)
            try:
                check(posting)
            except TreasuryError as error:
                raise EvidenceError(str(error)) from error
            lines = rows_of(posting.lines)
            if posting.reverses is not None:
                self._reverse(stored.id, posting.reverses, posting.event, posting.lines)
            elif posting.event in ("coinbase_accrued", "coinbase_available"):
                self._check_coin(stored.id, posting.key, posting.event, posting.source, lines)
            else:
                self._check_other(stored.id, posting.event, posting.lines)
                state.reversible[stored.id] = OpenPosting(posting.key, posting.event, kept=posting.lines)
        for account, side, asset, amount in lines:
            if asset == "BTC":
                signed = amount if side == "debit" else -amount
                state.balances_sat[account] = state.balances_sat.get(account, 0) + signed

    def _count(self, posting_id: int, key: str) -> None:
        state = self.state
        if posting_id != state.last_id + 1:
            raise EvidenceError(f"posting {posting_id} follows posting {state.last_id}: one is missing or out of order")
        if key in state.keys:
            raise EvidenceError(f"posting {posting_id} repeats the key {key}")
        if key.startswith(OF_QUARTER_HOURS):
            raise EvidenceError(f"posting {posting_id} has a key of a quarter hour and is none of its postings")
        state.last_id = posting_id
        state.keys.add(key)

    def _check_other(self, posting_id: int, event: str, lines: tuple[PostingLine, ...]) -> None:
        moves = {line.account for line in lines}
        if event in COIN_EVENTS and not moves <= set(COIN_EVENTS[event]):
            raise EvidenceError(f"posting {posting_id} ({event}) moves more than {' and '.join(COIN_EVENTS[event])}")
        if moves & _KEPT_ACCOUNTS:
            raise EvidenceError(f"posting {posting_id} ({event!r}) moves what only blocks and quarter hours move")
        self.state.others += event not in SUSPENSE_EVENTS

    def _reverse(self, posting_id: int, reverses: int, event: str, lines: tuple[PostingLine, ...]) -> None:
        state = self.state
        original = state.reversible.pop(reverses, None)
        if original is None:
            raise EvidenceError(f"posting {posting_id} reverses posting {reverses}, which is not open")
        if lines != mirrored(original.lines(state.accrued)) or event != f"{original.event}_reversed":
            raise EvidenceError(f"posting {posting_id} is not the mirror of posting {reverses}")
        if original.event == "coinbase_accrued":
            self._leave(original)
        elif original.event == "coinbase_available":
            state.available.discard(original.block_hash)

    def _leave(self, original: OpenPosting) -> None:
        state = self.state
        block = state.accrued[original.block_hash].block
        if block.hash in state.available:
            raise EvidenceError(f"{original.key} is reversed although its coins are available")
        chain = state.chains[block.chain]
        if not chain or chain.pop().hash != block.hash:
            raise EvidenceError(f"{original.key} is reversed although a higher block's accrual stands")
        del state.accrued[block.hash]
        self.blocks.standing.discard(block.hash)
        self.leaves(self.blocks.blocks[block.hash])

    def _check_coin(self, posting_id: int, key: str, event: str, source: Mapping[str, Any], lines: list[Row]) -> None:
        state = self.state
        block = self.blocks.blocks.get(octets(source.get("block"), "a posting's block", 32)[::-1])
        if block is None:
            raise EvidenceError(f"posting {posting_id} is of a block that is in no line before it")
        if event == "coinbase_accrued":
            self._accrue(posting_id, block, source.get("price_cent_per_btc"), lines)
        else:
            accrual = state.accrued.get(block.hash)
            if accrual is None or block.hash in state.available:
                raise EvidenceError(f"posting {posting_id} makes coins of block {block.height} available that are not immature")
            if lines != available_rows(accrual):
                raise EvidenceError(f"posting {posting_id} makes other amounts available than were accrued")
            state.available.add(block.hash)
        state.reversible[posting_id] = OpenPosting(key, event, block.hash)

    def _accrue(self, posting_id: int, block: KnownBlock, price: Any, lines: list[Row]) -> None:
        state, what = self.state, f"posting {posting_id} accrues block {block.height}"
        if block.hash in state.accrued:
            raise EvidenceError(f"{what} a second time")
        value = 0 if price is None else coins_value_ueur(block.value_sat, integer(price, "a price"))
        # The policy may have changed since the line before; either way the amounts are these.
        accrual: Accrual | None = None
        for recognition in RECOGNITIONS:
            accrual = Accrual(block, value, recognition)
            if accrual_rows(accrual) == lines:
                break
        else:
            accrual = None
        if accrual is None:
            raise EvidenceError(f"posting {posting_id} does not accrue what block {block.height} pays at its price")
        chain = state.chains.setdefault(block.chain, [])
        top = chain[-1] if chain else None
        if top is not None and block.height <= top.height:
            raise EvidenceError(f"{what} although the books stand at block {top.height}")
        if top is not None and block.height == top.height + 1 and block.previous_hash != top.hash:
            raise EvidenceError(f"{what}, which does not follow on the block below it")
        chain.append(block)
        state.accrued[block.hash] = accrual
        self.blocks.standing.add(block.hash)
        self.enters(block)


def accrual_rows(accrual: Accrual) -> list[Row]:
    """The rows of an accrual, which :func:`photosynth.treasury.mining.rewards.accrual_lines` has as lines."""
    value_sat, value = accrual.block.value_sat, accrual.value_ueur
    if value_sat <= 0 or value <= 0:
        return rows_of(accrual.lines)
    credit = a.DEFERRED_REWARD if accrual.recognition == "at_maturity" else a.MINING_REVENUE
    return [*_pair(a.COINS_IMMATURE, a.COIN_CONTRA, "BTC", value_sat), *_pair(a.COINS_IMMATURE, credit, "EUR", value)]


def available_rows(accrual: Accrual) -> list[Row]:
    """The rows that make such an accrual available (:func:`photosynth.treasury.mining.rewards.available_lines`)."""
    value_sat, value = accrual.block.value_sat, accrual.value_ueur
    if value_sat <= 0 or value <= 0:
        return rows_of(available_lines(accrual.lines))
    found = [
        *_pair(a.COINS_AVAILABLE, a.COINS_IMMATURE, "BTC", value_sat),
        *_pair(a.COINS_AVAILABLE, a.COINS_IMMATURE, "EUR", value),
    ]
    if accrual.recognition == "at_maturity":
        found += _pair(a.DEFERRED_REWARD, a.MINING_REVENUE, "EUR", value)
    return found


def rows_of(lines: tuple[PostingLine, ...]) -> list[Row]:
    """Lines as rows of account, side, asset and amount."""
    return [(line.account, line.side, line.asset, line.amount) for line in lines]


def _pair(debit: str, credit: str, asset: str, amount: int) -> tuple[Row, Row]:
    return (debit, "debit", asset, amount), (credit, "credit", asset, amount)
