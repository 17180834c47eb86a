"""What was wrong and for how long, and which target of alerts was told what of it."""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, METADATA
from photosynth.storage.types import Int64

INCIDENTS = sa.Table(
    "incidents",
    METADATA,
    sa.Column("id", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("site", sa.Text, nullable=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("severity", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("opened_ms", Int64, nullable=False),
    sa.Column("seen_ms", Int64, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=True),
    sa.Column("resolved_ms", Int64, nullable=True),
    sa.Column("acknowledged_ms", Int64, nullable=True),
    sa.Column("acknowledged_by", sa.Text, nullable=True),
    sa.Column("openings", Int64, nullable=False),
    sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name="state"),
    sa.CheckConstraint("severity IN ('warning', 'critical')", name="severity"),
    sa.CheckConstraint("(state = 'resolved') = (resolved_ms IS NOT NULL)", name="resolved"),
    sa.Index(None, "site", "id"),
    sa.Index(None, "resolved_ms"),
)
"""One row for each incident, keyed by what it is about and of which kind (``key``); wall time.

Those that were resolved long ago are removed, see ``storage.incidents``.
"""

ALERTS_TOLD = sa.Table(
    "alerts_told",
    METADATA,
    sa.Column("incident", INTEGER, sa.ForeignKey("incidents.id"), primary_key=True, autoincrement=False),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("told_ms", Int64, nullable=False),
    sa.CheckConstraint("what IN ('opened', 'resolved')", name="what"),
)
"""What each target of alerts was told last of an incident; removed with it."""
