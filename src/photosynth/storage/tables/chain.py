"""What the books know of each chain: the heights followed, the coins of the wallets, our blocks and whose they are."""

import sqlalchemy as sa

from photosynth.storage.tables.base import INTEGER, METADATA
from photosynth.storage.types import BigCount, Int64

CHAIN = sa.Table(
    "chain",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("height", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.Column("bits", Int64, nullable=True),
)
"""Each active chain as far as the books have followed it, from the block below the first that they looked at.

``bits`` is a block's target in its compact form, none of the one below the first: what branches are weighed by."""

COINS = sa.Table(
    "coins",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("txid", sa.LargeBinary(32), primary_key=True),
    sa.Column("number", INTEGER, primary_key=True),
    sa.Column("wallet", sa.Text, sa.ForeignKey("wallets.id"), nullable=False),
    sa.Column("value_sat", Int64, nullable=False),
    sa.Column("carrying_ueur", Int64, nullable=False),
    sa.Column("height", INTEGER, nullable=False),
    sa.Column("coinbase", sa.Boolean, nullable=False),
    sa.Column("spent_height", INTEGER, nullable=True),
    sa.Index(None, "chain", "height"),
    sa.Index(None, "chain", "spent_height"),
    # What is held now, in the order in which it is looked at.
    sa.Index(
        "ix_coins_unspent",
        "chain",
        "txid",
        "number",
        sqlite_where=sa.text("spent_height IS NULL"),
        postgresql_where=sa.text("spent_height IS NULL"),
    ),
)
"""Outputs of the active chains that pay our wallets, spent ones too."""

BLOCKS = sa.Table(
    "blocks",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("site", sa.Text, nullable=True),
    sa.Column("height", INTEGER, nullable=False, index=True),
    sa.Column("time_s", Int64, nullable=False),
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
    sa.Index(None, "hash"),
    sa.Index(None, "chain", "state", "height"),
    sa.Index(None, "time_s", "height"),
    sa.Index(None, "site", "time_s", "height"),
    sa.Index(None, "site", "evidence_seq"),
    sa.Index(None, "evidence_seq", "books_seq"),
    sa.CheckConstraint("origin IN ('mined', 'chain')", name="origin"),
)
"""Blocks whose coinbase pays a wallet of ours; ``site`` is the one whose pool found it, none where it was somebody else's.

``occurrence`` counts how often it entered the chain; zero: not yet. ``evidence_seq`` is the line of its site's evidence that
lists it, ``books_seq`` the one of the books' evidence.
"""

BLOCK_ATTRIBUTION = sa.Table(
    "block_attribution",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("block_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("interval_start_ms", Int64, primary_key=True),
    sa.Column("round", INTEGER, primary_key=True),
    sa.Column("worker", sa.Text, primary_key=True),
    sa.Column("scale", BigCount, primary_key=True),
    sa.Column("party", sa.Text, nullable=True),
    sa.Column("shares", Int64, nullable=False),
    sa.Column("work", BigCount, nullable=False),
    sa.Column("represented", BigCount, nullable=False),
    sa.Column("value_sat", Int64, nullable=False),
    sa.ForeignKeyConstraint(["chain", "block_hash"], ["blocks.chain", "blocks.hash"]),
)
"""Whose work a block's satoshis are: one row per quarter hour, round, worker and scale."""
