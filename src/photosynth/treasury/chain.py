"""The books' own view of the chain: blocks enter it, leave it, return and mature, each with its postings.

Everything here happens inside one transaction that the caller opened. A posting's key is chain, block hash, event and
occurrence: a block that returns has the next occurrence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.transaction import Transaction
from photosynth.storage.tables import BLOCKS, CHAIN, COINS
from photosynth.treasury import accounts as a
from photosynth.treasury import blocks as own
from photosynth.treasury.attribution import share_out
from photosynth.treasury.facts import CoinFact, Recognition
from photosynth.treasury.journal import (
    Posting,
    PostingLine,
    Source,
    open_postings,
    post,
    postings_by_id,
    reverse,
    times_posted,
    transfer,
)
from photosynth.treasury.parties import of_wallet
from photosynth.treasury.rewards import accrual_lines, available_lines

COINBASE_MATURITY = 100
"""A coinbase may be spent by a block this much higher (Bitcoin Core, ``COINBASE_MATURITY``)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is posted: site and wall time in milliseconds, and what a coin is worth then, None if unknown."""

    site_ms: int
    wall_ms: int
    coin: CoinFact | None


@dataclass(frozen=True, slots=True)
class ChainView:
    """Whose books these are: the chain's name, the script that pays us and its wallet and party, when revenue is recognised."""

    chain: str
    payout_script: bytes
    recognition: Recognition
    wallet: str | None = None
    party: str | None = None

    def prefix(self, block_hash: bytes) -> str:
        """What the key of every posting of a block begins with."""
        return f"{self.chain}:{hash_text(block_hash)}:"


def followed_hash(tx: Connection, height: int) -> bytes | None:
    """The hash that the books followed at a height."""
    found: bytes | None = tx.execute(sa.select(CHAIN.c.hash).where(CHAIN.c.height == height)).scalar()
    return found


def begin_at(tx: Connection, height: int, block_hash: bytes) -> None:
    """Start following above a block whose coinbase is not ours: the genesis block."""
    tx.execute(CHAIN.insert().values(height=height, hash=block_hash))


def connect(tx: Connection, view: ChainView, height: int, block: Block, now: Moment) -> None:
    """Take a block on top of the followed chain: our coinbase, other receipts of our script, and what spends our coins.

    What becomes available is left to :func:`mature` at the end of a batch, unless this block may spend of it.
    """
    tx.execute(CHAIN.insert().values(height=height, hash=block.hash))
    if len(block.transactions) > 1:
        mature(tx, view, height, now)
    ours = _ours_spent(tx, block.transactions[1:])
    for transaction in block.transactions[1:]:
        _spend(tx, view, block.hash, height, transaction, now=now, ours=ours)
        _receive(tx, view, block.hash, height, transaction, now=now, ours=ours)
    value_sat = own.paid_to(block, view.payout_script)
    if value_sat is not None:
        _accrue(tx, view, height, block, value_sat, now=now)


def disconnect(tx: Connection, view: ChainView, above: int, now: Moment) -> int:
    """Let every followed block above a height leave the chain, the top first, and return how many left.

    Their open postings are reversed at their original amounts; maturity is judged later, at the new tip.
    """
    leaving = tx.execute(sa.select(CHAIN).where(CHAIN.c.height > above).order_by(CHAIN.c.height.desc())).all()
    for row in leaving:
        why = f"Block {hash_text(row.hash)} at height {row.height} left the chain"
        for posting_id, _ in reversed(open_postings(tx, view.prefix(row.hash))):
            reverse(tx, posting_id, now.site_ms, now.wall_ms, why)
        tx.execute(BLOCKS.update().where(BLOCKS.c.hash == row.hash).values(state="orphaned"))
    tx.execute(COINS.delete().where(COINS.c.height > above))
    tx.execute(COINS.update().where(COINS.c.spent_height > above).values(spent_height=None))
    tx.execute(CHAIN.delete().where(CHAIN.c.height > above))
    return len(leaving)


def mature(tx: Connection, view: ChainView, tip_height: int, now: Moment) -> None:
    """Make every coinbase available that the tip's height allows: tip >= height + 100."""
    ripe = (BLOCKS.c.state == "immature") & (BLOCKS.c.occurrence > 0) & (BLOCKS.c.height <= tip_height - COINBASE_MATURITY)
    for block in own.blocks_where(tx, ripe):
        tx.execute(BLOCKS.update().where(BLOCKS.c.hash == block.hash).values(state="mature"))
        accrued = [i for i, event in open_postings(tx, view.prefix(block.hash)) if event == "coinbase_accrued"]
        lines = available_lines(line for stored in postings_by_id(tx, accrued) for line in stored.posting.lines)
        source: Source = {
            "block": hash_text(block.hash),
            "height": block.height,
            "price_cent_per_btc": None if now.coin is None else now.coin.price_cent_per_btc,
            "price_source": None if now.coin is None else now.coin.source,
        }
        text = f"Coinbase of block {block.height} is available"
        _post(tx, view, block.hash, "coinbase_available", text, now=now, lines=lines, source=source)


def settle(tx: Connection, view: ChainView, tip_height: int, now: Moment) -> None:
    """Judge, once the tip is reached, what a shorter chain made immature again and which found blocks never entered it."""
    early = (BLOCKS.c.state == "mature") & (BLOCKS.c.height > tip_height - COINBASE_MATURITY)
    for block in own.blocks_where(tx, early):
        for posting_id, event in open_postings(tx, view.prefix(block.hash)):
            if event == "coinbase_available":
                reverse(tx, posting_id, now.site_ms, now.wall_ms, f"The chain is too short again for block {block.height}")
        tx.execute(BLOCKS.update().where(BLOCKS.c.hash == block.hash).values(state="immature"))
    never = (BLOCKS.c.state == "immature") & (BLOCKS.c.occurrence == 0) & (BLOCKS.c.height <= tip_height)
    tx.execute(BLOCKS.update().where(never).values(state="orphaned"))


def _accrue(tx: Connection, view: ChainView, height: int, block: Block, value_sat: int, *, now: Moment) -> None:
    own.insert_block(tx, block, height, value_sat, state="immature")
    condition = BLOCKS.c.hash == block.hash
    stored = own.blocks_where(tx, condition)[0]
    if stored.value_ueur is None and now.coin is not None:
        own.value_block(tx, block.hash, value_sat, now.coin)
        stored = own.blocks_where(tx, condition)[0]
    tx.execute(BLOCKS.update().where(condition).values(state="immature", occurrence=stored.occurrence + 1))
    value = stored.value_ueur or 0
    paying = [(n, out.value_sat) for n, out in enumerate(block.transactions[0].outputs) if out.script == view.payout_script]
    carried = share_out(value, [sat for _, sat in paying])
    for (number, sat), carrying in zip(paying, carried, strict=True):
        _add_coin(tx, stored.txid, number, sat, carrying, height=height, coinbase=True)
    lines = accrual_lines(value_sat, value, view.recognition)
    source: Source = {
        "block": hash_text(block.hash),
        "height": height,
        "price_cent_per_btc": stored.price_cent_per_btc,
        "price_source": stored.price_source,
        "price_as_of_ms": stored.price_as_of_ms,
    }
    text = f"Coinbase of block {height}, immature"
    _post(tx, view, block.hash, "coinbase_accrued", text, now=now, lines=lines, source=source)


def _receive(
    tx: Connection,
    view: ChainView,
    block_hash: bytes,
    height: int,
    transaction: Transaction,
    *,
    now: Moment,
    ours: dict[tuple[bytes, int], tuple[int, int]],
) -> None:
    received = [(n, out.value_sat) for n, out in enumerate(transaction.outputs) if out.script == view.payout_script]
    if not received:
        return
    txid = transaction.txid
    for number, value_sat in received:
        _add_coin(tx, txid, number, value_sat, 0, height=height, coinbase=False)
        ours[txid, number] = (value_sat, 0)
    lines = transfer(a.COINS_AVAILABLE, a.SUSPENSE, "BTC", sum(value for _, value in received))
    source: Source = {"block": hash_text(block_hash), "height": height, "txid": hash_text(txid)}
    text = "Coins received that no coinbase of ours made"
    event = f"coins_received.{hash_text(txid)}"
    _post(tx, view, block_hash, event, text, now=now, lines=lines, source=source)


def _spend(
    tx: Connection,
    view: ChainView,
    block_hash: bytes,
    height: int,
    transaction: Transaction,
    *,
    now: Moment,
    ours: dict[tuple[bytes, int], tuple[int, int]],
) -> None:
    spent = [(i.previous_txid, i.previous_index) for i in transaction.inputs if (i.previous_txid, i.previous_index) in ours]
    if not spent:
        return
    for txid, number in spent:
        tx.execute(COINS.update().where(COINS.c.txid == txid, COINS.c.number == number).values(spent_height=height))
    value_sat, carrying = (sum(ours[coin][part] for coin in spent) for part in (0, 1))
    lines = transfer(a.SUSPENSE, a.COINS_AVAILABLE, "BTC", value_sat)
    lines += transfer(a.SUSPENSE, a.COINS_AVAILABLE, "EUR", carrying)
    source: Source = {"block": hash_text(block_hash), "height": height, "txid": hash_text(transaction.txid)}
    text = "Coins of ours spent by a transaction that the books do not know"
    event = f"coins_spent.{hash_text(transaction.txid)}"
    _post(tx, view, block_hash, event, text, now=now, lines=lines, source=source)


def _ours_spent(tx: Connection, transactions: Iterable[Transaction]) -> dict[tuple[bytes, int], tuple[int, int]]:
    """Which of the outputs that these transactions spend are coins of ours: value and carrying amount by outpoint."""
    wanted = list({entry.previous_txid for transaction in transactions for entry in transaction.inputs})
    found = {}
    for at in range(0, len(wanted), 500):
        for row in tx.execute(sa.select(COINS).where(COINS.c.txid.in_(wanted[at : at + 500]), COINS.c.spent_height.is_(None))):
            found[row.txid, row.number] = (row.value_sat, row.carrying_ueur)
    return found


def _add_coin(
    tx: Connection, txid: bytes, number: int, value_sat: int, carrying_ueur: int, *, height: int, coinbase: bool
) -> None:
    values = {"txid": txid, "number": number, "value_sat": value_sat, "carrying_ueur": carrying_ueur}
    tx.execute(COINS.insert().values(**values, height=height, coinbase=coinbase))


def _post(
    tx: Connection,
    view: ChainView,
    block_hash: bytes,
    event: str,
    text: str,
    *,
    now: Moment,
    lines: Sequence[PostingLine],
    source: Source,
) -> None:
    """Post an event of a block once for each time that it happens; an event without an amount leaves no posting."""
    prefix = f"{view.prefix(block_hash)}{event}:"
    if not lines or open_postings(tx, prefix):
        return
    key = f"{prefix}{times_posted(tx, prefix) + 1}"
    name = event.split(".", maxsplit=1)[0]
    post(tx, Posting(key, now.site_ms, now.wall_ms, name, text, of_wallet(lines, view.wallet, view.party), source))
