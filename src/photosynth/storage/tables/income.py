"""What networks paid, as their nodes tell it now: the journal keeps how it came to that."""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, METADATA
from photosynth.storage.types import BigCount, Int64

INCOME = sa.Table(
    "income",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("validator", sa.Text, nullable=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, sa.ForeignKey("assets.code"), nullable=False),
    sa.Column("amount", BigCount, nullable=False),
    sa.Column("time_ms", Int64, nullable=False),
    sa.Column("height", Int64, nullable=False),
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("paid_to", sa.Text, nullable=True),
    sa.Column("posting", INTEGER, sa.ForeignKey("postings.id"), nullable=True),
    sa.Column("misfit", sa.Text, nullable=True),
    sa.CheckConstraint("state IN ('accrued', 'claimed', 'received')", name="state"),
    sa.Index(None, "chain", "node", "height"),
    sa.Index(None, "time_ms"),
    # Few fit no rule, and they are asked for at every look.
    sa.Index(
        "ix_income_misfits",
        "time_ms",
        sqlite_where=sa.text("misfit IS NOT NULL"),
        postgresql_where=sa.text("misfit IS NOT NULL"),
    ),
)
"""One row for each payment of a chain and each state that it has reached; kept as long as the journal, which it explains.

``node`` told it first; ``posting`` is the one that stands for it, none where the amount is 0; ``misfit`` is why that is in
suspense, none where it is not.
"""
