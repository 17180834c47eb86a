"""The tables, one module a subject. Migrations make them; a test holds that both say the same."""

from photosynth.storage.tables.base import METADATA
from photosynth.storage.tables.chain import BLOCK_ATTRIBUTION, BLOCKS, CHAIN, COINS
from photosynth.storage.tables.intervals import EVIDENCE, INTERVALS, REJECTED, WORK
from photosynth.storage.tables.journal import BALANCES, POSTING_LINES, POSTINGS
from photosynth.storage.tables.operations import ACTIONS, META, OBSERVATIONS

__all__ = [
    "ACTIONS",
    "BALANCES",
    "BLOCKS",
    "BLOCK_ATTRIBUTION",
    "CHAIN",
    "COINS",
    "EVIDENCE",
    "INTERVALS",
    "META",
    "METADATA",
    "OBSERVATIONS",
    "POSTINGS",
    "POSTING_LINES",
    "REJECTED",
    "WORK",
]
