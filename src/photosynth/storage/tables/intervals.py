"""Closed quarter hours: what their meters and prices said, the work done in them, and the evidence records."""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, METADATA
from photosynth.storage.types import BigCount, Document, Int64

INTERVALS = sa.Table(
    "intervals",
    METADATA,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("start_ms", Int64, primary_key=True, autoincrement=False, index=True),
    sa.Column("seq", INTEGER, nullable=False),
    sa.Column("wall_start_ms", Int64, nullable=False),
    sa.Column("wall_end_ms", Int64, nullable=False),
    sa.Column("speed_milli", Int64, nullable=False),
    sa.Column("meters", Document, nullable=False),
    sa.Column("prices", Document, nullable=True),
    sa.Column("coin", Document, nullable=True),
    sa.Column("own_j", Int64, nullable=True),
    sa.Column("import_j", Int64, nullable=True),
    sa.Column("export_j", Int64, nullable=True),
    sa.Column("factory_j", Int64, nullable=True),
    sa.Column("mining_j", Int64, nullable=True),
    sa.Column("residual_j", Int64, nullable=True),
    sa.Column("own_factory_j", Int64, nullable=True),
    sa.Column("own_mining_j", Int64, nullable=True),
    sa.Column("grid_mining_j", Int64, nullable=True),
    sa.Column("grid_factory_j", Int64, nullable=True),
    sa.Column("curtailed_estimate_j", Int64, nullable=True),
    sa.Column("mining_cost_ueur", Int64, nullable=True),
    sa.UniqueConstraint("site", "seq"),
)
"""One row per closed quarter hour of a site.

A role's energy is None where one of its registers is unknown, the rest where any is.
"""

WORK = sa.Table(
    "work",
    METADATA,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("interval_start_ms", Int64, primary_key=True),
    sa.Column("round", INTEGER, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("target", BigCount, primary_key=True),
    sa.Column("scale", BigCount, primary_key=True),
    sa.Column("party", sa.Text, nullable=True),
    sa.Column("accepted", Int64, nullable=False),
    sa.Column("work", BigCount, nullable=False),
    sa.Column("represented", BigCount, nullable=False),
    sa.Column("share_root", sa.LargeBinary(32), nullable=False),
    sa.ForeignKeyConstraint(["site", "interval_start_ms"], ["intervals.site", "intervals.start_ms"]),
)
"""Accepted work of a closed quarter hour by round, worker, target and scale."""

REJECTED = sa.Table(
    "rejected",
    METADATA,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("interval_start_ms", Int64, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("shares", Int64, nullable=False),
    sa.ForeignKeyConstraint(["site", "interval_start_ms"], ["intervals.site", "intervals.start_ms"]),
)
"""Rejected shares of a closed quarter hour by worker and cause."""

EVIDENCE = sa.Table(
    "evidence",
    METADATA,
    sa.Column("id", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("seq", INTEGER, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("start_ms", Int64, nullable=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("signature", sa.LargeBinary(64), nullable=False),
    sa.Column("root", sa.LargeBinary(32), nullable=False, index=True),
    sa.UniqueConstraint("stream", "seq"),
    sa.Index(None, "stream", "kind", "start_ms"),
    sa.Index(None, "stream", "kind", "seq"),
    sa.CheckConstraint("kind IN ('site', 'quarter_hour', 'correction', 'key', 'books', 'postings')", name="kind"),
)
"""The evidence lines as they were signed, append-only: the exact bytes of each body, its hash and signature.

``id`` is the order in which lines of all streams were appended, ``seq`` a line's place in its stream; ``root`` is over the heads
of all streams as they were with this line.
"""
