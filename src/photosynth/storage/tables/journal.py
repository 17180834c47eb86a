"""The journal: postings, their lines, the sums by account and by day that they add up to, and what these count.

Postings and lines are append-only (triggers of the first migration), so ids have no gaps. Sums are derived: written in the
transaction that posts, so that a page need not add up the whole journal.
"""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, KEY, METADATA
from photosynth.storage.types import Document, ExactInteger, Int64, exact_checks

ASSETS = sa.Table(
    "assets",
    METADATA,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("network", sa.Text, nullable=True),
    sa.Column("base_unit", sa.Text, nullable=False),
    sa.Column("decimals", INTEGER, nullable=False),
    sa.CheckConstraint("decimals >= 0", name="decimals"),
    sqlite_with_rowid=False,
)
"""What may be counted, in whole base units: 10^decimals of them are one of the asset."""

ACCOUNTS = sa.Table(
    "accounts",
    METADATA,
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
"""The chart of accounts."""

PARTIES = sa.Table(
    "parties",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
"""The legal persons that own sources, loads, machines and wallets."""

WALLETS = sa.Table(
    "wallets",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("network", sa.Text, nullable=False),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("script", sa.LargeBinary, nullable=False),
    sa.Column("party", sa.Text, sa.ForeignKey("parties.id"), nullable=False),
    sqlite_with_rowid=False,
)
"""What is paid to and whose it is; never a key."""

POSTINGS = sa.Table(
    "postings",
    METADATA,
    sa.Column("id", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("key", KEY, nullable=False, unique=True),
    sa.Column("time_ms", Int64, nullable=False, index=True),
    sa.Column("wall_ms", Int64, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("reverses", INTEGER, sa.ForeignKey("postings.id"), nullable=True),
    sa.Column("source", Document, nullable=False),
    # Nearly all reverse nothing: these need no place in the index.
    sa.Index(
        "uq_postings_reverses",
        "reverses",
        unique=True,
        sqlite_where=sa.text("reverses IS NOT NULL"),
        postgresql_where=sa.text("reverses IS NOT NULL"),
    ),
)

POSTING_LINES = sa.Table(
    "posting_lines",
    METADATA,
    sa.Column("posting_id", INTEGER, sa.ForeignKey("postings.id"), primary_key=True),
    sa.Column("number", INTEGER, primary_key=True),
    sa.Column("account", sa.Text, sa.ForeignKey("accounts.number"), nullable=False),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, sa.ForeignKey("assets.code"), nullable=False),
    sa.Column("amount", ExactInteger, nullable=False),
    sa.Column("wallet", sa.Text, sa.ForeignKey("wallets.id"), nullable=True),
    sa.Column("party", sa.Text, sa.ForeignKey("parties.id"), nullable=True),
    sa.CheckConstraint("side IN ('debit', 'credit')", name="side"),
    *exact_checks("amount", 1, "amount"),
    sqlite_with_rowid=False,
)

BALANCES = sa.Table(
    "balances",
    METADATA,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("wallet", sa.Text, primary_key=True),
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("debit", ExactInteger, nullable=False),
    sa.Column("credit", ExactInteger, nullable=False),
    *exact_checks("debit", 0, "debit"),
    *exact_checks("credit", 0, "credit"),
    sqlite_with_rowid=False,
)
"""What all postings moved, by account, asset, wallet and party, the last two empty where a line has none."""

DAY_BALANCES = sa.Table(
    "day_balances",
    METADATA,
    sa.Column("day", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("wallet", sa.Text, primary_key=True),
    sa.Column("party", sa.Text, primary_key=True),
    sa.Column("debit", ExactInteger, nullable=False),
    sa.Column("credit", ExactInteger, nullable=False),
    *exact_checks("debit", 0, "debit"),
    *exact_checks("credit", 0, "credit"),
    sqlite_with_rowid=False,
)
"""What the postings of a UTC day of site time moved; ``day`` counts from 1970-01-01."""

POSTING_DAYS = sa.Table(
    "posting_days",
    METADATA,
    sa.Column("day", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("postings", INTEGER, nullable=False),
    sa.Column("first_id", INTEGER, nullable=False),
    sa.Column("last_id", INTEGER, nullable=False),
)
"""How many postings a UTC day of site time has, and between which ids they lie."""
