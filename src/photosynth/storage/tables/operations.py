"""What was done to the world and what was seen of it: the audit, the day's curve, and small values that outlive a start."""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, METADATA
from photosynth.storage.types import Document, Int64

ACTIONS = sa.Table(
    "actions",
    METADATA,
    sa.Column("id", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("time_ms", Int64, nullable=False),
    sa.Column("wall_ms", Int64, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=True),
    sa.Column("read_back", sa.Text, nullable=True),
    sa.Column("verified", sa.Boolean, nullable=True),
    sa.Column("finished_ms", Int64, nullable=True),
    sa.CheckConstraint("result IN ('planned', 'done', 'refused', 'failed', 'unverified')", name="result"),
)
"""Every change to the world. A planned one may be finished once; nothing else changes and nothing is deleted (triggers)."""

OBSERVATIONS = sa.Table(
    "observations",
    METADATA,
    sa.Column("time_ms", Int64, primary_key=True, autoincrement=False),
    sa.Column("generation_w", Int64, nullable=True),
    sa.Column("load_w", Int64, nullable=True),
    sa.Column("surplus_w", Int64, nullable=True),
    sa.Column("set_point_w", Int64, nullable=True),
    sa.Column("mining_power_w", Int64, nullable=True),
    sa.Column("grid_w", Int64, nullable=True),
    sa.Column("spot_cent_per_mwh", Int64, nullable=True),
)
"""Points of the day's curve, by site time."""

META = sa.Table(
    "meta",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", Document, nullable=False),
)
"""Small values by key, for example checkpoints."""
