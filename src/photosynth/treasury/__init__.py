"""The books: a balanced journal, wallets followed through their chains, energy per quarter hour, and the proof of it.

What stands here is imported when it is asked for: a stopped site's status needs next to nothing of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photosynth.treasury.books import Books
    from photosynth.treasury.coinbase import ChainBooks, Followed
    from photosynth.treasury.evidence.lines import EvidenceRecord
    from photosynth.treasury.evidence.seal import Identity
    from photosynth.treasury.evidence.verify import verify
    from photosynth.treasury.glance import LedgerTotals, ledger_totals
    from photosynth.treasury.journal import OtherBooksError, TreasuryError

__all__ = [
    "Books",
    "ChainBooks",
    "EvidenceRecord",
    "Followed",
    "Identity",
    "LedgerTotals",
    "OtherBooksError",
    "TreasuryError",
    "ledger_totals",
    "verify",
]

_MODULES = {
    "Books": "books",
    "ChainBooks": "coinbase",
    "EvidenceRecord": "evidence.lines",
    "Followed": "coinbase",
    "Identity": "evidence.seal",
    "LedgerTotals": "glance",
    "OtherBooksError": "journal",
    "TreasuryError": "journal",
    "ledger_totals": "glance",
    "verify": "evidence.verify",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__} has no {name}")
