"""The journal held against the chain: to the satoshi as a whole, and coin by coin, some at a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.node import Coin, Tip, hash_text
from photosynth.storage.meta import get_meta, put_meta
from photosynth.storage.scopes import of_chain
from photosynth.storage.tables import BALANCES, COINS, WALLETS
from photosynth.treasury.chain import Outpoint
from photosynth.treasury.glance import RECONCILED, followed_top
from photosynth.treasury.parties import COINS as COIN_ACCOUNTS

LOOKED_AT_ONCE = 100
"""Coins that one round asks the node for, each in a call of its own: a tenth of a second of a bitcoind."""
MOST_DOUBTFUL = 1000
"""Coins in doubt that are looked at in every round; more of them are found again once these are cleared up."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Journal (1100 and 1110) and own coin list of a chain at one height, and the coins looked at where they differ.

    ``missing`` are coins of the node that the books lack, ``unknown`` those of the books that the node lacks.
    """

    height: int
    journal_sat: int
    books_sat: int
    looked_at: int
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether journal and coin list agree to the satoshi, and the node with them in every coin that was looked at."""
        return self.journal_sat == self.books_sat and not self.missing and not self.unknown


def next_coins(tx: Connection, chain: str, after: Outpoint | None) -> list[Outpoint]:
    """Some unspent coins of the books behind another one; the first ones behind the last, so that each has its turn."""
    c = COINS.c
    unspent = sa.select(c.txid, c.number).where(c.chain == chain, c.spent_height.is_(None)).order_by(c.txid, c.number)
    behind = unspent if after is None else unspent.where(sa.tuple_(c.txid, c.number) > sa.tuple_(*map(sa.literal, after)))
    found = [(row.txid, row.number) for row in tx.execute(behind.limit(LOOKED_AT_ONCE))]
    if after is not None and len(found) < LOOKED_AT_ONCE:
        found += [(row.txid, row.number) for row in tx.execute(unspent.limit(LOOKED_AT_ONCE - len(found)))]
    return list(dict.fromkeys(found))


def doubtful(tx: Connection, chain: str, wallet: str, coins: Iterable[Coin]) -> set[Outpoint]:
    """Where a wallet's coins in the books and all those of the node differ, as far as the blocks go that the books have.

    Both may be of different moments: what is really amiss shows when each of these is looked at.
    """
    top = followed_top(tx, chain)
    height = 0 if top is None else top[0]
    node = {((coin.txid, coin.index), coin.value_sat) for coin in coins if coin.height <= height}
    of_wallet = (COINS.c.chain == chain, COINS.c.wallet == wallet, COINS.c.spent_height.is_(None))
    rows = tx.execute(sa.select(COINS.c.txid, COINS.c.number, COINS.c.value_sat).where(*of_wallet))
    books = {((row.txid, row.number), row.value_sat) for row in rows}
    return {outpoint for outpoint, _ in node ^ books}


def compare(tx: Connection, chain: str, looked: Mapping[Outpoint, int | None], tip: Tip) -> Reconciliation | None:
    """Journal, coin list and what the node said at ``tip`` of coins, their satoshis; the height is kept where all agree.

    None where the books stand at another block than that.
    """
    if followed_top(tx, chain) != (tip.height, tip.hash):
        return None
    books_sat = int(
        tx.execute(
            sa.select(sa.func.coalesce(sa.func.sum(COINS.c.value_sat), 0)).where(
                COINS.c.chain == chain, COINS.c.spent_height.is_(None)
            )
        ).scalar_one()
    )
    books = _values(tx, chain, list(looked))
    node = {outpoint: value_sat for outpoint, value_sat in looked.items() if value_sat is not None}
    missing = [outpoint for outpoint, value_sat in node.items() if books.get(outpoint) != value_sat]
    unknown = [outpoint for outpoint, value_sat in books.items() if node.get(outpoint) != value_sat]
    result = Reconciliation(tip.height, _journal_sat(tx, chain), books_sat, len(looked), _said(missing), _said(unknown))
    agreed = {"height": tip.height, "hash": hash_text(tip.hash)}
    if result.agrees and get_meta(tx, of_chain(chain), RECONCILED) != agreed:
        put_meta(tx, of_chain(chain), RECONCILED, agreed)
    return result


def _journal_sat(tx: Connection, chain: str) -> int:
    wallets = sa.select(WALLETS.c.id).where(WALLETS.c.chain == chain)
    wanted = (BALANCES.c.account.in_(COIN_ACCOUNTS), BALANCES.c.asset == "BTC", BALANCES.c.wallet.in_(wallets))
    rows = tx.execute(sa.select(BALANCES.c.debit, BALANCES.c.credit).where(*wanted))
    return sum(row.debit - row.credit for row in rows)


def _values(tx: Connection, chain: str, outpoints: list[Outpoint]) -> dict[Outpoint, int]:
    """What the books hold at these places."""
    found: dict[Outpoint, int] = {}
    for at in range(0, len(outpoints), 500):
        wanted = set(outpoints[at : at + 500])
        some = (COINS.c.chain == chain, COINS.c.txid.in_({txid for txid, _ in wanted}), COINS.c.spent_height.is_(None))
        for row in tx.execute(sa.select(COINS.c.txid, COINS.c.number, COINS.c.value_sat).where(*some)):
            if (row.txid, row.number) in wanted:
                found[row.txid, row.number] = row.value_sat
    return found


def _said(outpoints: Iterable[Outpoint]) -> tuple[str, ...]:
    return tuple(sorted(f"{hash_text(txid)}:{number}" for txid, number in outpoints))
