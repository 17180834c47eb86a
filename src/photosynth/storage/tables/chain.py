"""What the books know of the chain: the heights followed, the coins of the payout script, our blocks and whose they are."""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, METADATA
from photosynth.storage.types import BigCount, Int64

CHAIN = sa.Table(
    "chain",
    METADATA,
    sa.Column("height", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
)
"""The active chain as far as the books have followed it, from the genesis block on."""

COINS = sa.Table(
    "coins",
    METADATA,
    sa.Column("txid", sa.LargeBinary(32), primary_key=True),
    sa.Column("number", INTEGER, primary_key=True),
    sa.Column("value_sat", Int64, nullable=False),
    sa.Column("carrying_ueur", Int64, nullable=False),
    sa.Column("height", INTEGER, nullable=False, index=True),
    sa.Column("coinbase", sa.Boolean, nullable=False),
    sa.Column("spent_height", INTEGER, nullable=True, index=True),
)
"""Outputs of the active chain that pay the payout script, spent ones too."""

BLOCKS = sa.Table(
    "blocks",
    METADATA,
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("height", INTEGER, nullable=False, index=True),
    sa.Column("txid", sa.LargeBinary(32), nullable=False, index=True),
    sa.Column("header", sa.LargeBinary(80), nullable=False),
    sa.Column("coinbase", sa.LargeBinary, nullable=False),
    sa.Column("branch", sa.LargeBinary, nullable=False),
    sa.Column("value_sat", Int64, nullable=False),
    sa.Column("commitment", sa.LargeBinary(32), nullable=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("occurrence", INTEGER, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("worker", sa.Text, nullable=True),
    sa.Column("target", BigCount, nullable=True),
    sa.Column("site_ms", Int64, nullable=True),
    sa.Column("wall_ms", Int64, nullable=True),
    sa.Column("price_cent_per_btc", Int64, nullable=True),
    sa.Column("price_source", sa.Text, nullable=True),
    sa.Column("price_as_of_ms", Int64, nullable=True),
    sa.Column("value_ueur", Int64, nullable=True),
    sa.Column("mainnet_target", BigCount, nullable=True),
    sa.Column("reward_sat", Int64, nullable=True),
    sa.Column("evidence_seq", INTEGER, nullable=True),
    sa.Column("books_seq", INTEGER, nullable=True),
    sa.CheckConstraint("state IN ('immature', 'mature', 'orphaned')", name="state"),
    sa.Index(None, "state", "height"),
    sa.Index(None, "evidence_seq", "origin"),
    sa.Index(None, "evidence_seq", "books_seq"),
    sa.CheckConstraint("origin IN ('mined', 'chain')", name="origin"),
)
"""Blocks whose coinbase pays the payout script. ``occurrence`` counts how often it entered the chain; zero: not yet.

``evidence_seq`` is the line of its site's evidence that lists it, ``books_seq`` the one of the books' evidence."""

BLOCK_ATTRIBUTION = sa.Table(
    "block_attribution",
    METADATA,
    sa.Column("block_hash", sa.LargeBinary(32), sa.ForeignKey("blocks.hash"), primary_key=True),
    sa.Column("interval_start_ms", Int64, primary_key=True),
    sa.Column("round", INTEGER, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("scale", BigCount, primary_key=True),
    sa.Column("party", sa.Text, nullable=True),
    sa.Column("shares", Int64, nullable=False),
    sa.Column("work", BigCount, nullable=False),
    sa.Column("represented", BigCount, nullable=False),
    sa.Column("value_sat", Int64, nullable=False),
)
"""Whose work a block's satoshis are: one row per quarter hour, round, worker and scale."""
