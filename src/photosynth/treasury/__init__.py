"""The books of a fleet: a balanced journal, wallets followed through their chains, energy per quarter hour, and the proof of it.

What stands here is imported when it is asked for: a stopped site's status needs next to nothing of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photosynth.treasury.evidence.lines import EvidenceRecord
    from photosynth.treasury.evidence.seal import Identity
    from photosynth.treasury.evidence.verify import verify
    from photosynth.treasury.fleet_books import FleetBooks
    from photosynth.treasury.following import ChainBooks, Followed
    from photosynth.treasury.glance import LedgerTotals, ledger_totals
    from photosynth.treasury.journal import OtherBooksError, TreasuryError
    from photosynth.treasury.mining.site_books import SiteBooks

__all__ = [
    "ChainBooks",
    "EvidenceRecord",
    "FleetBooks",
    "Followed",
    "Identity",
    "LedgerTotals",
    "OtherBooksError",
    "SiteBooks",
    "TreasuryError",
    "ledger_totals",
    "verify",
]

_MODULES = {
    "ChainBooks": "following",
    "EvidenceRecord": "evidence.lines",
    "Followed": "following",
    "FleetBooks": "fleet_books",
    "Identity": "evidence.seal",
    "LedgerTotals": "glance",
    "OtherBooksError": "journal",
    "SiteBooks": "mining.site_books",
    "TreasuryError": "journal",
    "ledger_totals": "glance",
    "verify": "evidence.verify",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__} has no {name}")
