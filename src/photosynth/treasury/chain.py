"""The books' own view of a chain: blocks enter it, leave it, return and mature, each with its postings.

Everything here happens inside one transaction that the caller opened. A posting's key is chain, block hash, event and
occurrence: a block that returns has the next occurrence.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.block import Block, merkle_root
from photosynth.bitcoin.node import hash_text
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.transaction import Transaction
from photosynth.quantities.value import SAT_PER_BTC
from photosynth.quantities.work import work_of_target
from photosynth.storage.tables import BLOCKS, CHAIN, COINS, WALLETS
from photosynth.treasury import accounts as a
from photosynth.treasury.facts import CoinFact, Recognition, WalletFact
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
from photosynth.treasury.mining import blocks as own
from photosynth.treasury.mining.attribution import share_out
from photosynth.treasury.mining.rewards import accrual_lines, available_lines
from photosynth.treasury.parties import of_wallet

COINBASE_MATURITY = 100
"""A coinbase may be spent by a block this much higher (Bitcoin Core, ``COINBASE_MATURITY``)."""

MOST_SAT = 21_000_000 * SAT_PER_BTC
"""No transaction pays more, and none less than nothing (Bitcoin Core, ``MAX_MONEY``)."""

Paid = Mapping[bytes, WalletFact]
"""The wallets that the books look for in a block, by their scripts."""


class ImpossibleBlockError(Exception):
    """A block whose transactions are not those that its header commits to, or can be in no block; the message says why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is posted: site and wall time in milliseconds, and what a coin is worth then, None if unknown."""

    site_ms: int
    wall_ms: int
    coin: CoinFact | None


@dataclass(frozen=True, slots=True)
class ChainView:
    """Whose books these are: the chain, when revenue is recognised, and which site's pool found a block, None where none did."""

    chain: str
    recognition: Recognition
    found_by: Callable[[bytes], str | None]

    def prefix(self, block_hash: bytes) -> str:
        """What the key of every posting of a block begins with."""
        return block_prefix(self.chain, block_hash)


@dataclass(frozen=True, slots=True)
class HeldCoin:
    """An unspent output of ours: its wallet with party, satoshis, and the micro-EUR that it stands at."""

    wallet: str
    party: str
    value_sat: int
    carrying_ueur: int


Outpoint = tuple[bytes, int]


def block_prefix(chain: str, block_hash: bytes) -> str:
    """What the key of every posting of a block begins with."""
    return f"{chain}:{hash_text(block_hash)}:"


def followed_hash(tx: Connection, chain: str, height: int) -> bytes | None:
    """The hash that the books followed at a height."""
    found: bytes | None = tx.execute(sa.select(CHAIN.c.hash).where(CHAIN.c.chain == chain, CHAIN.c.height == height)).scalar()
    return found


def followed_bottom(tx: Connection, chain: str) -> int:
    """The height that the books of a chain began above; 0 where they have not begun."""
    found: int | None = tx.execute(sa.select(sa.func.min(CHAIN.c.height)).where(CHAIN.c.chain == chain)).scalar()
    return found or 0


def work_above(tx: Connection, chain: str, height: int) -> int:
    """The hashes that it took on average to find the followed blocks above a height."""
    above = (CHAIN.c.chain == chain, CHAIN.c.height > height, CHAIN.c.bits.is_not(None))
    found = tx.execute(sa.select(CHAIN.c.bits, sa.func.count()).where(*above).group_by(CHAIN.c.bits))
    return sum(number * work_of_target(target_of_bits(bits)) for bits, number in found)


def begin_at(tx: Connection, chain: str, height: int, block_hash: bytes) -> None:
    """Start following above a block: what it and those below it pay is no matter of the books, or an opening balance."""
    tx.execute(CHAIN.insert().values(chain=chain, height=height, hash=block_hash))


def connect(tx: Connection, view: ChainView, height: int, block: Block, *, now: Moment, paid: Paid) -> None:
    """Take a block on top of the followed chain: coinbases that pay us, other receipts, and what spends our coins.

    What becomes available is left to :func:`mature` at the end of a batch, unless this block may spend of it. Raises
    ImpossibleBlockError: of what pays or spends ours nothing is taken that its header does not commit to.
    """
    if not block.transactions or not block.transactions[0].is_coinbase:
        raise ImpossibleBlockError("it does not begin with a coinbase")
    tx.execute(CHAIN.insert().values(chain=view.chain, height=height, hash=block.hash, bits=block.header.bits))
    if len(block.transactions) > 1:
        mature(tx, view, height, now)
    ours = _ours_spent(tx, view.chain, block.transactions[1:])
    paying = [transaction for transaction in block.transactions if any(output.script in paid for output in transaction.outputs)]
    if ours or paying:
        _check_transactions(tx, view.chain, block, paying)
    for transaction in block.transactions[1:]:
        _spend(tx, view, block.hash, height, transaction, now=now, ours=ours)
        _receive(tx, view, block.hash, height, transaction, now=now, ours=ours, paid=paid)
    if any(output.script in paid for output in block.transactions[0].outputs):
        _accrue(tx, view, height, block, now=now, paid=paid)


def _check_transactions(tx: Connection, chain: str, block: Block, paying: Sequence[Transaction]) -> None:
    """Raises ImpossibleBlockError where a block's transactions, of which some pay us, cannot be its own."""
    txids = [transaction.txid for transaction in block.transactions]
    # Of a list and the same with its end repeated the root is one and the same (CVE-2012-2459).
    if merkle_root(txids) != block.header.merkle_root or len(set(txids)) != len(txids):
        raise ImpossibleBlockError("its header does not commit to its transactions")
    for transaction in block.transactions:
        values = [output.value_sat for output in transaction.outputs]
        if min(values, default=0) < 0 or sum(values) > MOST_SAT:
            raise ImpossibleBlockError("it pays less than nothing, or more than there is")
    for transaction in paying:
        known = (COINS.c.chain == chain, COINS.c.txid == transaction.txid)
        if tx.execute(sa.select(COINS.c.number).where(*known).limit(1)).first() is not None:
            raise ImpossibleBlockError("it has a transaction that an earlier block has (BIP30)")


def disconnect(tx: Connection, view: ChainView, above: int, now: Moment) -> int:
    """Let every followed block above a height leave the chain, the top first, and return how many left.

    Their open postings are reversed at their original amounts; maturity is judged later, at the new tip.
    """
    leaving = (CHAIN.c.chain == view.chain) & (CHAIN.c.height > above)
    rows = tx.execute(sa.select(CHAIN).where(leaving).order_by(CHAIN.c.height.desc())).all()
    for row in rows:
        why = f"Block {hash_text(row.hash)} at height {row.height} left the chain"
        for posting_id, _ in reversed(open_postings(tx, view.prefix(row.hash))):
            reverse(tx, posting_id, now.site_ms, now.wall_ms, why)
        tx.execute(BLOCKS.update().where(*own.this(view.chain, row.hash)).values(state="orphaned"))
    close_above(tx, view, above, now)
    tx.execute(COINS.delete().where(COINS.c.chain == view.chain, COINS.c.height > above))
    tx.execute(COINS.update().where(COINS.c.chain == view.chain, COINS.c.spent_height > above).values(spent_height=None))
    tx.execute(CHAIN.delete().where(leaving))
    return len(rows)


def close_above(tx: Connection, view: ChainView, above: int, now: Moment) -> None:
    """Take back opening balances that say what was there at a height which leaves the chain: they are made anew."""
    for wallet, first in looked_for(tx, view.chain):
        if first > above + 1:
            for posting_id, _ in open_postings(tx, opening_prefix(view.chain, wallet.id)):
                why = f"Block {first - 1}, at which {wallet.id} was opened, left the chain"
                reverse(tx, posting_id, now.site_ms, now.wall_ms, why)
            tx.execute(COINS.delete().where(COINS.c.chain == view.chain, COINS.c.wallet == wallet.id, COINS.c.height < first))
            tx.execute(WALLETS.update().where(WALLETS.c.id == wallet.id).values(from_height=None))


def looked_for(tx: Connection, chain: str) -> list[tuple[WalletFact, int]]:
    """The wallets that the books look for in the blocks of a chain, each with the first of these."""
    rows = tx.execute(sa.select(WALLETS).where(WALLETS.c.chain == chain, WALLETS.c.from_height.is_not(None)))
    return [(WalletFact(row.id, row.chain, row.destination, row.party), row.from_height) for row in rows]


def opening_prefix(chain: str, wallet: str) -> str:
    """What the key of every opening balance of a wallet begins with."""
    return f"{chain}:opening:{wallet}:"


def mature(tx: Connection, view: ChainView, tip_height: int, now: Moment) -> None:
    """Make every coinbase available that the tip's height allows: tip >= height + 100."""
    ripe = (BLOCKS.c.state == "immature") & (BLOCKS.c.occurrence > 0) & (BLOCKS.c.height <= tip_height - COINBASE_MATURITY)
    for block in own.blocks_where(tx, BLOCKS.c.chain == view.chain, ripe):
        tx.execute(BLOCKS.update().where(*own.this(view.chain, block.hash)).values(state="mature"))
        accrued = [i for i, event in open_postings(tx, view.prefix(block.hash)) if event == "coinbase_accrued"]
        postings = [stored.posting for stored in postings_by_id(tx, accrued)]
        lines = available_lines(line for posting in postings for line in posting.lines)
        source: Source = {
            "block": hash_text(block.hash),
            "height": block.height,
            "price_cent_per_btc": None if now.coin is None else now.coin.price_cent_per_btc,
            "price_source": None if now.coin is None else now.coin.source,
        }
        text = f"Coinbase of block {block.height} is available"
        site = postings[0].site if postings else block.site
        _post(tx, view, block.hash, "coinbase_available", text, now=now, lines=lines, source=source, site=site)


def settle(tx: Connection, view: ChainView, tip_height: int, now: Moment) -> None:
    """Judge, once the tip is reached, what a shorter chain made immature again and which found blocks never entered it."""
    here = BLOCKS.c.chain == view.chain
    early = (BLOCKS.c.state == "mature") & (BLOCKS.c.height > tip_height - COINBASE_MATURITY)
    for block in own.blocks_where(tx, here, early):
        for posting_id, event in open_postings(tx, view.prefix(block.hash)):
            if event == "coinbase_available":
                reverse(tx, posting_id, now.site_ms, now.wall_ms, f"The chain is too short again for block {block.height}")
        tx.execute(BLOCKS.update().where(*own.this(view.chain, block.hash)).values(state="immature"))
    never = (BLOCKS.c.state == "immature") & (BLOCKS.c.occurrence == 0) & (BLOCKS.c.height <= tip_height)
    tx.execute(BLOCKS.update().where(here, never).values(state="orphaned"))


def _accrue(tx: Connection, view: ChainView, height: int, block: Block, *, now: Moment, paid: Paid) -> None:
    outputs = block.transactions[0].outputs
    paying = [(n, out.value_sat, paid[out.script]) for n, out in enumerate(outputs) if out.script in paid]
    value_sat = sum(sat for _, sat, _ in paying)
    site = view.found_by(block.hash)
    own.insert_block(tx, view.chain, block, height, site=site, value_sat=value_sat, state="immature")
    stored = own.block_of(tx, view.chain, block.hash)
    assert stored is not None
    if stored.value_ueur is None and now.coin is not None:
        own.value_block(tx, view.chain, block.hash, value_sat, now.coin)
        stored = own.block_of(tx, view.chain, block.hash)
        assert stored is not None
    entered = {"state": "immature", "occurrence": stored.occurrence + 1}
    tx.execute(BLOCKS.update().where(*own.this(view.chain, block.hash)).values(**entered))
    carried = share_out(stored.value_ueur or 0, [sat for _, sat, _ in paying])
    sums: dict[str, tuple[WalletFact, int, int]] = {}
    for (number, sat, wallet), carrying in zip(paying, carried, strict=True):
        add_coin(
            tx, view.chain, wallet.id, (stored.txid, number), value_sat=sat, carrying_ueur=carrying, height=height, coinbase=True
        )
        _, sat_before, value_before = sums.get(wallet.id, (wallet, 0, 0))
        sums[wallet.id] = (wallet, sat_before + sat, value_before + carrying)
    lines: tuple[PostingLine, ...] = ()
    for wallet, sat, value in sums.values():
        lines += of_wallet(accrual_lines(sat, value, view.recognition), wallet.id, wallet.party)
    source: Source = {
        "block": hash_text(block.hash),
        "height": height,
        "price_cent_per_btc": stored.price_cent_per_btc,
        "price_source": stored.price_source,
        "price_as_of_ms": stored.price_as_of_ms,
    }
    text = f"Coinbase of block {height}, immature"
    _post(tx, view, block.hash, "coinbase_accrued", text, now=now, lines=lines, source=source, site=stored.site)


def _receive(
    tx: Connection,
    view: ChainView,
    block_hash: bytes,
    height: int,
    transaction: Transaction,
    *,
    now: Moment,
    ours: dict[Outpoint, HeldCoin],
    paid: Paid,
) -> None:
    received = [(n, out.value_sat, paid[out.script]) for n, out in enumerate(transaction.outputs) if out.script in paid]
    if not received:
        return
    txid = transaction.txid
    sums: dict[str, tuple[WalletFact, int]] = {}
    for number, value_sat, wallet in received:
        add_coin(tx, view.chain, wallet.id, (txid, number), value_sat=value_sat, carrying_ueur=0, height=height, coinbase=False)
        ours[txid, number] = HeldCoin(wallet.id, wallet.party, value_sat, 0)
        sums[wallet.id] = (wallet, sums.get(wallet.id, (wallet, 0))[1] + value_sat)
    lines: tuple[PostingLine, ...] = ()
    for wallet, value_sat in sums.values():
        lines += of_wallet(transfer(a.COINS_AVAILABLE, a.SUSPENSE, "BTC", value_sat), wallet.id, wallet.party)
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
    ours: dict[Outpoint, HeldCoin],
) -> None:
    spent = [(i.previous_txid, i.previous_index) for i in transaction.inputs if (i.previous_txid, i.previous_index) in ours]
    if not spent:
        return
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for txid, number in spent:
        this = (COINS.c.chain == view.chain) & (COINS.c.txid == txid) & (COINS.c.number == number)
        tx.execute(COINS.update().where(this).values(spent_height=height))
        coin = ours[txid, number]
        value_sat, carrying = sums.get((coin.wallet, coin.party), (0, 0))
        sums[coin.wallet, coin.party] = (value_sat + coin.value_sat, carrying + coin.carrying_ueur)
    lines: tuple[PostingLine, ...] = ()
    for (wallet, party), (value_sat, carrying) in sums.items():
        gone = transfer(a.SUSPENSE, a.COINS_AVAILABLE, "BTC", value_sat)
        lines += of_wallet(gone + transfer(a.SUSPENSE, a.COINS_AVAILABLE, "EUR", carrying), wallet, party)
    source: Source = {"block": hash_text(block_hash), "height": height, "txid": hash_text(transaction.txid)}
    text = "Coins of ours spent by a transaction that the books do not know"
    event = f"coins_spent.{hash_text(transaction.txid)}"
    _post(tx, view, block_hash, event, text, now=now, lines=lines, source=source)


def _ours_spent(tx: Connection, chain: str, transactions: Iterable[Transaction]) -> dict[Outpoint, HeldCoin]:
    """Which of the outputs that these transactions spend are coins of ours."""
    wanted = list({entry.previous_txid for transaction in transactions for entry in transaction.inputs})
    found = {}
    coins = sa.select(COINS, WALLETS.c.party).join(WALLETS, WALLETS.c.id == COINS.c.wallet)
    for at in range(0, len(wanted), 500):
        some = (COINS.c.chain == chain, COINS.c.txid.in_(wanted[at : at + 500]), COINS.c.spent_height.is_(None))
        for row in tx.execute(coins.where(*some)):
            found[row.txid, row.number] = HeldCoin(row.wallet, row.party, row.value_sat, row.carrying_ueur)
    return found


def add_coin(
    tx: Connection,
    chain: str,
    wallet: str,
    outpoint: Outpoint,
    *,
    value_sat: int,
    carrying_ueur: int,
    height: int,
    coinbase: bool,
) -> None:
    """Write down an unspent output of a wallet."""
    values = {"chain": chain, "txid": outpoint[0], "number": outpoint[1], "wallet": wallet}
    values |= {"value_sat": value_sat, "carrying_ueur": carrying_ueur, "height": height, "coinbase": coinbase}
    tx.execute(COINS.insert().values(**values))


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
    site: str | None = None,
) -> None:
    """Post an event of a block once for each time that it happens; an event without an amount leaves no posting."""
    prefix = f"{view.prefix(block_hash)}{event}:"
    if not lines or open_postings(tx, prefix):
        return
    key = f"{prefix}{times_posted(tx, prefix) + 1}"
    name = event.split(".", maxsplit=1)[0]
    post(tx, Posting(key, now.site_ms, now.wall_ms, name, text, tuple(lines), source, site=site))
