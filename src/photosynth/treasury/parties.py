"""Whose lines are: parties and wallets as rows of the books, and which of them a posting's lines belong to.

The rules that make postings know neither: what they make is told here, before it is posted, from the meters' owners.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.quantities.balance import MeterRole
from photosynth.storage.tables import PARTIES, WALLETS
from photosynth.treasury import accounts as a
from photosynth.treasury.facts import MeterInfo, WalletFact
from photosynth.treasury.journal import OtherBooksError, PostingLine

_ROLES: dict[str, MeterRole] = {
    a.E_OWN: "own_generation",
    a.E_IMPORT: "import",
    a.E_FACTORY: "factory",
    a.E_MINING: "mining",
    a.E_EXPORT: "export",
    a.GRID_ENERGY_MINING: "mining",
    a.GRID_ENERGY_FACTORY: "factory",
    a.OWN_ENERGY_CHARGED: "mining",
    a.OWN_ENERGY_CREDITED: "own_generation",
    a.EXPORT_RECEIVABLE: "export",
    a.EXPORT_REVENUE: "export",
    a.PREMIUM_RECEIVABLE: "export",
    a.PREMIUM_REVENUE: "export",
    a.MARKETING_FEE: "export",
}
_OF_PARTNER = a.ENERGY_SUPPLIER
"""What is owed to a supplier is owed by whom the cost on the line beside it is of."""


def keep_parties(tx: Connection, parties: Iterable[str], names: Mapping[str, str] | None = None) -> None:
    """Write down the parties that the books do not have yet, each with its name where that is known."""
    names = names or {}
    known = set(tx.execute(sa.select(PARTIES.c.id)).scalars())
    for party in sorted({*parties, *names} - known):
        tx.execute(PARTIES.insert().values(id=party, name=names.get(party, party)))


def keep_wallets(tx: Connection, wallets: Iterable[WalletFact]) -> None:
    """Write down the wallets that the books do not have yet, and their parties.

    Raises OtherBooksError where one of that id is paid elsewhere, or is somebody else's: what was posted would change its
    meaning.
    """
    rows = {row.id: row for row in tx.execute(sa.select(WALLETS))}
    for wallet in wallets:
        known = rows.get(wallet.id)
        if known is None:
            keep_parties(tx, [wallet.party])
            values = {"id": wallet.id, "chain": wallet.chain, "destination": wallet.destination, "party": wallet.party}
            tx.execute(WALLETS.insert().values(**values))
        elif (known.chain, known.destination, known.party) != (wallet.chain, wallet.destination, wallet.party):
            raise OtherBooksError(
                f"the books know the wallet {wallet.id} as {known.destination} on {known.chain} of {known.party}, not as "
                f"{wallet.destination} on {wallet.chain} of {wallet.party}. Put it back into the fleet file, or give the new "
                "one an id of its own."
            )


def of_energy(lines: Sequence[PostingLine], meters: Iterable[MeterInfo]) -> tuple[PostingLine, ...]:
    """Lines of a quarter hour's energy, each with the party whose meter counts it; none where meters of a role are several's."""
    owners: dict[MeterRole, set[str]] = {}
    for meter in meters:
        owners.setdefault(meter.role, set()).add(meter.party)
    found = []
    for number, line in enumerate(lines):
        account = lines[number ^ 1].account if line.account == _OF_PARTNER else line.account
        parties = owners.get(_ROLES[account], set()) if account in _ROLES else set()
        found.append(replace(line, party=next(iter(parties)) if len(parties) == 1 else None))
    return tuple(found)


COINS = (a.COINS_IMMATURE, a.COINS_AVAILABLE)
"""The accounts whose lines are of a wallet."""


def of_wallet(lines: Iterable[PostingLine], wallet: str | None, party: str | None) -> tuple[PostingLine, ...]:
    """Lines about a wallet's coins: all are its party's, and what its accounts of coins hold is in the wallet."""
    return tuple(replace(line, wallet=wallet if line.account in COINS else None, party=party) for line in lines)
