"""Whose lines are: parties and the payout wallet as rows of the books, and which of them a posting's lines belong to.

The rules that make postings know neither: what they make is told here, before it is posted, from the meters' owners.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.quantities.balance import MeterRole
from photosynth.storage.tables import PARTIES, WALLETS
from photosynth.treasury import accounts as a
from photosynth.treasury.facts import MeterInfo, SiteFacts
from photosynth.treasury.journal import PostingLine

PAYOUT_WALLET = "payout"
"""The wallet that a site's coinbases pay. A state's books have one, whose script never changes."""

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


def keep_parties(tx: Connection, site: SiteFacts) -> None:
    """Write down the parties and the payout wallet of a site that the books do not have yet."""
    names = dict(site.parties)
    known = set(tx.execute(sa.select(PARTIES.c.id)).scalars())
    for party in sorted({site.operator, *(meter.party for meter in site.meters), *names} - known):
        tx.execute(PARTIES.insert().values(id=party, name=names.get(party, party)))
    if tx.execute(sa.select(WALLETS.c.id).where(WALLETS.c.id == PAYOUT_WALLET)).first() is None:
        values = {"network": "bitcoin", "chain": site.network, "script": site.payout_script, "party": site.operator}
        tx.execute(WALLETS.insert().values(id=PAYOUT_WALLET, **values))


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


def of_wallet(lines: Iterable[PostingLine], wallet: str | None, party: str | None) -> tuple[PostingLine, ...]:
    """Lines about a wallet's coins: all are its party's, and what its accounts of coins hold is in the wallet."""
    coins = (a.COINS_IMMATURE, a.COINS_AVAILABLE)
    return tuple(replace(line, wallet=wallet if line.account in coins else None, party=party) for line in lines)
