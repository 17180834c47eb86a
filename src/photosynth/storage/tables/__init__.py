"""The tables, one module a subject. Migrations make them; a test holds that both say the same."""

from photosynth.storage.tables.base import METADATA
from photosynth.storage.tables.chain import BLOCK_ATTRIBUTION, BLOCKS, CHAIN, COINS
from photosynth.storage.tables.incidents import ALERTS_TOLD, INCIDENTS
from photosynth.storage.tables.income import INCOME
from photosynth.storage.tables.intervals import EVIDENCE, INTERVALS, REJECTED, WORK
from photosynth.storage.tables.journal import (
    ACCOUNTS,
    ASSETS,
    BALANCES,
    DAY_BALANCES,
    PARTIES,
    POSTING_DAYS,
    POSTING_LINES,
    POSTINGS,
    WALLETS,
)
from photosynth.storage.tables.operations import ACTIONS, META, OBSERVATIONS

__all__ = [
    "ACCOUNTS",
    "ACTIONS",
    "ALERTS_TOLD",
    "ASSETS",
    "BALANCES",
    "BLOCKS",
    "BLOCK_ATTRIBUTION",
    "CHAIN",
    "COINS",
    "DAY_BALANCES",
    "EVIDENCE",
    "INCIDENTS",
    "INCOME",
    "INTERVALS",
    "META",
    "METADATA",
    "OBSERVATIONS",
    "PARTIES",
    "POSTINGS",
    "POSTING_DAYS",
    "POSTING_LINES",
    "REJECTED",
    "WALLETS",
    "WORK",
]
