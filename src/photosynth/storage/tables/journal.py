"""The journal: postings, their lines, and the sums by account and by day that they add up to.

Postings and lines are append-only (triggers of the first migration), so ids have no gaps. Sums are derived: written in the
transaction that posts, so that a page need not add up the whole journal.
"""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, KEY, METADATA
from photosynth.storage.types import Document, Int64

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
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("side", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("amount", Int64, nullable=False),
    sa.CheckConstraint("side IN ('debit', 'credit')", name="side"),
    sa.CheckConstraint("asset IN ('SAT', 'UEUR', 'J')", name="asset"),
    sa.CheckConstraint("amount > 0", name="amount"),
    sqlite_with_rowid=False,
)

BALANCES = sa.Table(
    "balances",
    METADATA,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("debit", Int64, nullable=False),
    sa.Column("credit", Int64, nullable=False),
    # SQLite turns an integer sum that overflows into a float; these refuse it.
    sa.CheckConstraint("typeof(debit) = 'integer' AND debit >= 0", name="debit").ddl_if(dialect="sqlite"),
    sa.CheckConstraint("typeof(credit) = 'integer' AND credit >= 0", name="credit").ddl_if(dialect="sqlite"),
    sqlite_with_rowid=False,
)
"""What all postings moved, by account and asset."""

DAY_BALANCES = sa.Table(
    "day_balances",
    METADATA,
    sa.Column("day", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("debit", Int64, nullable=False),
    sa.Column("credit", Int64, nullable=False),
    sqlite_with_rowid=False,
)
"""What the postings of a UTC day of site time moved; ``day`` counts from 1970-01-01. No day exceeds what all moved."""

POSTING_DAYS = sa.Table(
    "posting_days",
    METADATA,
    sa.Column("day", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("postings", INTEGER, nullable=False),
    sa.Column("first_id", INTEGER, nullable=False),
    sa.Column("last_id", INTEGER, nullable=False),
)
"""How many postings a UTC day of site time has, and between which ids they lie."""
