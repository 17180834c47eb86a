"""The books of a site: a balanced journal, coinbases followed through the chain, energy per quarter hour, and the proof of it."""

from photosynth.treasury.books import Books, LedgerTotals, OtherBooksError, ledger_totals
from photosynth.treasury.coinbase import ChainBooks, Followed
from photosynth.treasury.evidence.lines import EvidenceRecord
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.evidence.verify import verify
from photosynth.treasury.journal import TreasuryError

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
