"""The journal held against the chain: to the satoshi, and coin by coin where they differ."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.bitcoin.node import Coin, Tip, hash_text
from photosynth.storage.meta import put_meta
from photosynth.storage.tables import COINS
from photosynth.treasury import accounts as a
from photosynth.treasury.glance import RECONCILED, followed_top
from photosynth.treasury.journal import balance


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Journal (1100 and 1110), own coin list and the node's coins at one height, and where they differ."""

    height: int
    journal_sat: int
    books_sat: int
    chain_sat: int
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether all three agree to the satoshi and coin by coin."""
        return self.journal_sat == self.books_sat == self.chain_sat and not self.missing and not self.unknown


def reconcile(tx: Connection, coins: Iterable[Coin], tip: Tip) -> Reconciliation:
    """Compare with the node's coins of the payout script, which were read at ``tip``; remember the height if it agrees.

    ``missing`` are coins of the node that the books lack, ``unknown`` those of the books that the node lacks.
    """
    node_coins = {(coin.txid, coin.index): coin.value_sat for coin in coins}
    rows = tx.execute(sa.select(COINS.c.txid, COINS.c.number, COINS.c.value_sat).where(COINS.c.spent_height.is_(None)))
    book_coins = {(row.txid, row.number): row.value_sat for row in rows}
    journal_sat = balance(tx, a.COINS_IMMATURE, "BTC") + balance(tx, a.COINS_AVAILABLE, "BTC")
    result = Reconciliation(
        tip.height,
        journal_sat,
        sum(book_coins.values()),
        sum(node_coins.values()),
        tuple(sorted(f"{hash_text(txid)}:{number}" for txid, number in node_coins.keys() - book_coins.keys())),
        tuple(sorted(f"{hash_text(txid)}:{number}" for txid, number in book_coins.keys() - node_coins.keys())),
    )
    if result.agrees and followed_top(tx) == (tip.height, tip.hash):
        put_meta(tx, RECONCILED, {"height": tip.height, "hash": hash_text(tip.hash)})
    return result
