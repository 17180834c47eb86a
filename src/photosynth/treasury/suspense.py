"""What came to our wallets or left them for no reason that the books know: in suspense until somebody clears it up."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import BALANCES, POSTINGS
from photosynth.storage.tables.journal import UNEXPLAINED
from photosynth.treasury import accounts as a
from photosynth.treasury.journal import postings_by_id

LOOKED_THROUGH = 1000


@dataclass(frozen=True, slots=True)
class Unexplained:
    """Coins of one transaction: received where ``amount`` (in the asset's base unit) is positive, spent where it is negative."""

    posting_id: int
    time_ms: int
    wallet: str
    asset: str
    amount: int
    txid: str


def unexplained(tx: Connection, limit: int = 5) -> list[Unexplained]:
    """The newest receipts and spends that nothing explains, one entry a wallet; none where the suspense accounts are cleared."""
    if not _open(tx):
        return []
    reversal = POSTINGS.alias("reversal")
    newest = (
        sa.select(POSTINGS.c.id)
        .where(sa.text(UNEXPLAINED.replace("event", "postings.event")))
        .order_by(POSTINGS.c.id.desc())
        .limit(LOOKED_THROUGH)
        .subquery()
    )
    standing = (
        sa.select(newest.c.id)
        .outerjoin(reversal, reversal.c.reverses == newest.c.id)
        .where(reversal.c.id.is_(None))
        .order_by(newest.c.id.desc())
        .limit(limit)
    )
    found: list[Unexplained] = []
    for stored in reversed(postings_by_id(tx, list(tx.execute(standing).scalars()))):
        moved: dict[tuple[str, str], int] = {}
        for line in stored.posting.lines:
            if line.wallet is not None and line.asset != "EUR":
                sign = 1 if line.side == "debit" else -1
                moved[line.wallet, line.asset] = moved.get((line.wallet, line.asset), 0) + sign * line.amount
        txid = str(stored.posting.source.get("txid"))
        for (wallet, asset), amount in moved.items():
            found.append(Unexplained(stored.id, stored.posting.time_ms, wallet, asset, amount, txid))
    return found[:limit]


def _open(tx: Connection) -> bool:
    """Whether anything stands in suspense, for any asset, wallet's party or site."""
    sums: dict[tuple[str, str], int] = {}
    for row in tx.execute(sa.select(BALANCES).where(BALANCES.c.account == a.SUSPENSE)):
        place = (row.asset, row.party)
        sums[place] = sums.get(place, 0) + row.debit - row.credit
    return any(sums.values())
