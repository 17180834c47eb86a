"""The first schema: journal, chain, quarter hours, evidence, audit, observations; append-only by triggers."""

from dataclasses import asdict

import sqlalchemy as sa
from alembic import op

from photosynth.quantities.assets import ASSETS
from photosynth.storage.tables.base import INTEGER, KEY
from photosynth.storage.tables.journal import UNEXPLAINED
from photosynth.storage.triggers import keeping
from photosynth.storage.types import ExactInteger, exact_checks

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("postings", "posting_lines", "evidence", "assets")

ACCOUNTS = (
    ("1100", "Coins, immature"),
    ("1110", "Coins, available"),
    ("1150", "Income of nodes, accrued"),
    ("1160", "Income of nodes, claimed"),
    ("1200", "Receivable for exported energy"),
    ("1210", "Receivable for market premium"),
    ("2100", "Energy supplier"),
    ("2800", "Deferred mining reward"),
    ("3000", "Opening balances"),
    ("3100", "Coins mined, contra in satoshis"),
    ("4100", "Mining revenue"),
    ("4150", "Revenue of nodes"),
    ("4200", "Revenue from exported energy"),
    ("4210", "Market premium"),
    ("5100", "Grid energy for mining"),
    ("5110", "Grid energy for the factory"),
    ("5200", "Direct marketing fee"),
    ("7100", "Own energy charged to mining (management book)"),
    ("7200", "Own energy credited (management book)"),
    ("9000", "Suspense: to be cleared up"),
    ("E10", "Own generation"),
    ("E20", "Import from the grid"),
    ("E30", "Factory"),
    ("E40", "Mining"),
    ("E50", "Export to the grid"),
    ("E90", "Residual of the meters"),
)
"""The chart of ``treasury.accounts``, which a test holds against this one."""


def upgrade() -> None:
    """Create every table, then the triggers that keep what was written."""
    _tables()
    for statement in keeping(op.get_bind().dialect.name, APPEND_ONLY):
        op.execute(statement)


def _tables() -> None:
    assets = op.create_table(
        "assets",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("base_unit", sa.Text(), nullable=False),
        sa.Column("decimals", INTEGER, nullable=False),
        sa.CheckConstraint("decimals >= 0", name=op.f("ck_assets_decimals")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_assets")),
        sqlite_with_rowid=False,
    )
    op.bulk_insert(assets, [asdict(asset) for asset in ASSETS])
    accounts = op.create_table(
        "accounts",
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_accounts")),
        sqlite_with_rowid=False,
    )
    op.bulk_insert(accounts, [{"number": number, "name": name} for number, name in ACCOUNTS])
    op.create_table(
        "parties",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parties")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "wallets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("from_height", INTEGER, nullable=True),
        sa.ForeignKeyConstraint(["party"], ["parties.id"], name=op.f("fk_wallets_party")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wallets")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "actions",
        sa.Column("id", INTEGER, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("wall_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("read_back", sa.Text(), nullable=True),
        sa.Column("verified", sa.Boolean(), nullable=True),
        sa.Column("finished_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("result IN ('planned', 'done', 'refused', 'failed', 'unverified')", name=op.f("ck_actions_result")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actions")),
        sa.UniqueConstraint("key", name=op.f("uq_actions_key")),
    )
    op.create_index(op.f("ix_actions_site_id"), "actions", ["site", "id"], unique=False)
    op.create_index(op.f("ix_actions_subject_id"), "actions", ["subject", "id"], unique=False)
    planned = sa.text("result = 'planned'")
    op.create_index("ix_actions_planned", "actions", ["id"], sqlite_where=planned, postgresql_where=planned)
    op.create_table(
        "balances",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("debit", ExactInteger(), nullable=False),
        sa.Column("credit", ExactInteger(), nullable=False),
        *exact_checks("debit", 0, op.f("ck_balances_debit")),
        *exact_checks("credit", 0, op.f("ck_balances_credit")),
        sa.PrimaryKeyConstraint("account", "asset", "wallet", "party", "site", name=op.f("pk_balances")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "day_balances",
        sa.Column("day", INTEGER, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("debit", ExactInteger(), nullable=False),
        sa.Column("credit", ExactInteger(), nullable=False),
        *exact_checks("debit", 0, op.f("ck_day_balances_debit")),
        *exact_checks("credit", 0, op.f("ck_day_balances_credit")),
        sa.PrimaryKeyConstraint("day", "account", "asset", "wallet", "party", "site", name=op.f("pk_day_balances")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "posting_days",
        sa.Column("day", INTEGER, autoincrement=False, nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("postings", INTEGER, nullable=False),
        sa.Column("first_id", INTEGER, nullable=False),
        sa.Column("last_id", INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("day", "site", name=op.f("pk_posting_days")),
    )
    op.create_table(
        "blocks",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("height", INTEGER, nullable=False),
        sa.Column("time_s", sa.BigInteger(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("header", sa.LargeBinary(length=80), nullable=False),
        sa.Column("coinbase", sa.LargeBinary(), nullable=False),
        sa.Column("branch", sa.LargeBinary(), nullable=False),
        sa.Column("value_sat", sa.BigInteger(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("occurrence", INTEGER, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("site_ms", sa.BigInteger(), nullable=True),
        sa.Column("wall_ms", sa.BigInteger(), nullable=True),
        sa.Column("price_cent_per_btc", sa.BigInteger(), nullable=True),
        sa.Column("price_source", sa.Text(), nullable=True),
        sa.Column("price_as_of_ms", sa.BigInteger(), nullable=True),
        sa.Column("value_ueur", sa.BigInteger(), nullable=True),
        sa.Column("mainnet_target", sa.Text(), nullable=True),
        sa.Column("reward_sat", sa.BigInteger(), nullable=True),
        sa.Column("evidence_seq", INTEGER, nullable=True),
        sa.Column("books_seq", INTEGER, nullable=True),
        sa.CheckConstraint("origin IN ('mined', 'chain')", name=op.f("ck_blocks_origin")),
        sa.CheckConstraint("state IN ('immature', 'mature', 'orphaned')", name=op.f("ck_blocks_state")),
        sa.PrimaryKeyConstraint("chain", "hash", name=op.f("pk_blocks")),
    )
    for columns in (
        ["hash"],
        ["height"],
        ["txid"],
        ["chain", "state", "height"],
        ["time_s", "height"],
        ["site", "time_s", "height"],
        ["site", "evidence_seq"],
        ["evidence_seq", "books_seq"],
    ):
        op.create_index(op.f(f"ix_blocks_{'_'.join(columns)}"), "blocks", columns, unique=False)
    op.create_table(
        "chain",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("height", INTEGER, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("bits", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("chain", "height", name=op.f("pk_chain")),
    )
    op.create_table(
        "coins",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("txid", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", INTEGER, nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("value_sat", sa.BigInteger(), nullable=False),
        sa.Column("carrying_ueur", sa.BigInteger(), nullable=False),
        sa.Column("height", INTEGER, nullable=False),
        sa.Column("coinbase", sa.Boolean(), nullable=False),
        sa.Column("spent_height", INTEGER, nullable=True),
        sa.ForeignKeyConstraint(["wallet"], ["wallets.id"], name=op.f("fk_coins_wallet")),
        sa.PrimaryKeyConstraint("chain", "txid", "number", name=op.f("pk_coins")),
    )
    op.create_index(op.f("ix_coins_chain_height"), "coins", ["chain", "height"], unique=False)
    op.create_index(op.f("ix_coins_chain_spent_height"), "coins", ["chain", "spent_height"], unique=False)
    unspent = sa.text("spent_height IS NULL")
    op.create_index("ix_coins_unspent", "coins", ["chain", "txid", "number"], sqlite_where=unspent, postgresql_where=unspent)
    op.create_table(
        "evidence",
        sa.Column("id", INTEGER, autoincrement=False, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("seq", INTEGER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.CheckConstraint(
            "kind IN ('site', 'quarter_hour', 'correction', 'key', 'books', 'postings')", name=op.f("ck_evidence_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sa.UniqueConstraint("hash", name=op.f("uq_evidence_hash")),
        sa.UniqueConstraint("stream", "seq", name=op.f("uq_evidence_stream_seq")),
    )
    op.create_index(op.f("ix_evidence_root"), "evidence", ["root"], unique=False)
    op.create_index(op.f("ix_evidence_stream_kind_seq"), "evidence", ["stream", "kind", "seq"], unique=False)
    op.create_index(op.f("ix_evidence_stream_kind_start_ms"), "evidence", ["stream", "kind", "start_ms"], unique=False)
    op.create_table(
        "intervals",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", INTEGER, nullable=False),
        sa.Column("wall_start_ms", sa.BigInteger(), nullable=False),
        sa.Column("wall_end_ms", sa.BigInteger(), nullable=False),
        sa.Column("speed_milli", sa.BigInteger(), nullable=False),
        sa.Column("meters", sa.Text(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=True),
        sa.Column("coin", sa.Text(), nullable=True),
        sa.Column("own_j", sa.BigInteger(), nullable=True),
        sa.Column("import_j", sa.BigInteger(), nullable=True),
        sa.Column("export_j", sa.BigInteger(), nullable=True),
        sa.Column("factory_j", sa.BigInteger(), nullable=True),
        sa.Column("mining_j", sa.BigInteger(), nullable=True),
        sa.Column("residual_j", sa.BigInteger(), nullable=True),
        sa.Column("own_factory_j", sa.BigInteger(), nullable=True),
        sa.Column("own_mining_j", sa.BigInteger(), nullable=True),
        sa.Column("grid_mining_j", sa.BigInteger(), nullable=True),
        sa.Column("grid_factory_j", sa.BigInteger(), nullable=True),
        sa.Column("curtailed_estimate_j", sa.BigInteger(), nullable=True),
        sa.Column("mining_cost_ueur", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("site", "start_ms", name=op.f("pk_intervals")),
        sa.UniqueConstraint("site", "seq", name=op.f("uq_intervals_site_seq")),
    )
    op.create_index(op.f("ix_intervals_start_ms"), "intervals", ["start_ms"], unique=False)
    op.create_table(
        "meta",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_meta")),
    )
    op.create_table(
        "observations",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("generation_w", sa.BigInteger(), nullable=True),
        sa.Column("load_w", sa.BigInteger(), nullable=True),
        sa.Column("surplus_w", sa.BigInteger(), nullable=True),
        sa.Column("set_point_w", sa.BigInteger(), nullable=True),
        sa.Column("mining_power_w", sa.BigInteger(), nullable=True),
        sa.Column("grid_w", sa.BigInteger(), nullable=True),
        sa.Column("spot_cent_per_mwh", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("site", "time_ms", name=op.f("pk_observations")),
    )
    op.create_table(
        "postings",
        sa.Column("id", INTEGER, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("wall_ms", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reverses", INTEGER, nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["reverses"], ["postings.id"], name=op.f("fk_postings_reverses")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_postings")),
        sa.UniqueConstraint("key", name=op.f("uq_postings_key")),
    )
    op.create_index(
        op.f("uq_postings_reverses"),
        "postings",
        ["reverses"],
        unique=True,
        sqlite_where=sa.text("reverses IS NOT NULL"),
        postgresql_where=sa.text("reverses IS NOT NULL"),
    )
    op.create_index(op.f("ix_postings_time_ms"), "postings", ["time_ms"], unique=False)
    op.create_index(op.f("ix_postings_site_id"), "postings", ["site", "id"], unique=False)
    op.create_index(op.f("ix_postings_site_time_ms"), "postings", ["site", "time_ms"], unique=False)
    unexplained = sa.text(UNEXPLAINED)
    op.create_index("ix_postings_unexplained", "postings", ["id"], sqlite_where=unexplained, postgresql_where=unexplained)
    op.create_table(
        "block_attribution",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("interval_start_ms", sa.BigInteger(), nullable=False),
        sa.Column("round", INTEGER, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("scale", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=True),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("represented", sa.Text(), nullable=False),
        sa.Column("value_sat", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chain", "block_hash"], ["blocks.chain", "blocks.hash"], name=op.f("fk_block_attribution_chain_block_hash")
        ),
        sa.PrimaryKeyConstraint(
            "chain", "block_hash", "interval_start_ms", "round", "worker", "scale", name=op.f("pk_block_attribution")
        ),
    )
    op.create_table(
        "posting_lines",
        sa.Column("posting_id", INTEGER, nullable=False),
        sa.Column("number", INTEGER, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", ExactInteger(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=True),
        sa.Column("party", sa.Text(), nullable=True),
        sa.CheckConstraint("side IN ('debit', 'credit')", name=op.f("ck_posting_lines_side")),
        *exact_checks("amount", 1, op.f("ck_posting_lines_amount")),
        sa.ForeignKeyConstraint(["account"], ["accounts.number"], name=op.f("fk_posting_lines_account")),
        sa.ForeignKeyConstraint(["asset"], ["assets.code"], name=op.f("fk_posting_lines_asset")),
        sa.ForeignKeyConstraint(["wallet"], ["wallets.id"], name=op.f("fk_posting_lines_wallet")),
        sa.ForeignKeyConstraint(["party"], ["parties.id"], name=op.f("fk_posting_lines_party")),
        sa.ForeignKeyConstraint(["posting_id"], ["postings.id"], name=op.f("fk_posting_lines_posting_id")),
        sa.PrimaryKeyConstraint("posting_id", "number", name=op.f("pk_posting_lines")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "income",
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("validator", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("paid_to", sa.Text(), nullable=True),
        sa.Column("posting", INTEGER, nullable=True),
        sa.Column("misfit", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('accrued', 'claimed', 'received')", name=op.f("ck_income_state")),
        sa.ForeignKeyConstraint(["asset"], ["assets.code"], name=op.f("fk_income_asset")),
        sa.ForeignKeyConstraint(["posting"], ["postings.id"], name=op.f("fk_income_posting")),
        sa.PrimaryKeyConstraint("chain", "id", "state", name=op.f("pk_income")),
    )
    op.create_index(op.f("ix_income_chain_node_height"), "income", ["chain", "node", "height"], unique=False)
    op.create_index(op.f("ix_income_time_ms"), "income", ["time_ms"], unique=False)
    misfits = sa.text("misfit IS NOT NULL")
    op.create_index("ix_income_misfits", "income", ["time_ms"], sqlite_where=misfits, postgresql_where=misfits)
    op.create_table(
        "incidents",
        sa.Column("id", INTEGER, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("resolved_ms", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_ms", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("openings", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_incidents_state")),
        sa.CheckConstraint("severity IN ('warning', 'critical')", name=op.f("ck_incidents_severity")),
        sa.CheckConstraint("(state = 'resolved') = (resolved_ms IS NOT NULL)", name=op.f("ck_incidents_resolved")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(op.f("ix_incidents_site_id"), "incidents", ["site", "id"], unique=False)
    op.create_index(op.f("ix_incidents_resolved_ms"), "incidents", ["resolved_ms"], unique=False)
    op.create_table(
        "alerts_told",
        sa.Column("incident", INTEGER, autoincrement=False, nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("told_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("what IN ('opened', 'resolved')", name=op.f("ck_alerts_told_what")),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_alerts_told_incident")),
        sa.PrimaryKeyConstraint("incident", "target", name=op.f("pk_alerts_told")),
    )
    op.create_table(
        "rejected",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("interval_start_ms", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site", "interval_start_ms"],
            ["intervals.site", "intervals.start_ms"],
            name=op.f("fk_rejected_site_interval_start_ms"),
        ),
        sa.PrimaryKeyConstraint("site", "interval_start_ms", "worker", "code", name=op.f("pk_rejected")),
    )
    op.create_table(
        "work",
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("interval_start_ms", sa.BigInteger(), nullable=False),
        sa.Column("round", INTEGER, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("scale", sa.Text(), nullable=False),
        sa.Column("party", sa.Text(), nullable=True),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("work", sa.Text(), nullable=False),
        sa.Column("represented", sa.Text(), nullable=False),
        sa.Column("share_root", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["site", "interval_start_ms"],
            ["intervals.site", "intervals.start_ms"],
            name=op.f("fk_work_site_interval_start_ms"),
        ),
        sa.PrimaryKeyConstraint("site", "interval_start_ms", "round", "worker", "target", "scale", name=op.f("pk_work")),
    )
