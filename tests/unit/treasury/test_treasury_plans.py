"""What pages and rounds ask of a database that is a year old is found by an index, of one site as of all."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection
from tests.unit.treasury.treasury_site import CHAIN, START_MS

from photosynth.sites.past import read_past
from photosynth.storage import Database
from photosynth.storage.actions import read_actions
from photosynth.storage.observations import day_observations, keep_observations
from photosynth.storage.scopes import of_chain
from photosynth.storage.tables import BLOCKS
from photosynth.treasury import journal as j
from photosynth.treasury.evidence.lines import (
    all_lines,
    commitment_to,
    corrections_of,
    heads,
    last_line,
    last_of_kind,
    last_quarter_hour,
    line_of_id,
    newest_line,
    quarter_hour_line,
    signing_key,
)
from photosynth.treasury.glance import evidence_state, followed_top, noted
from photosynth.treasury.mining.blocks import blocks_where, find_block, read_blocks
from photosynth.treasury.mining.unknown_intervals import unknown_intervals
from photosynth.treasury.reconciliation import next_coins
from photosynth.treasury.suspense import unexplained

DAY_MS = 86_400_000

ASKED: dict[str, Callable[[Connection], object]] = {
    "the newest page of a site": lambda tx: j.postings(tx, "backnang"),
    "a later page of it": lambda tx: j.postings(tx, "backnang", before_id=500),
    "a page of its day": lambda tx: j.postings(tx, "backnang", START_MS, START_MS + DAY_MS),
    "the newest page": j.postings,
    "a page of a day": lambda tx: j.postings(tx, None, START_MS, START_MS + DAY_MS),
    "the day's curve of a site": lambda tx: day_observations(tx, "backnang", START_MS, START_MS + DAY_MS, 288),
    "what is forgotten of it": lambda tx: keep_observations(tx, "backnang", [], START_MS),
    "the newest blocks of a site": lambda tx: read_blocks(tx, "backnang"),
    "the newest blocks": lambda tx: read_blocks(tx, None),
    "a block by its height": lambda tx: find_block(tx, "backnang", "7"),
    "a block by its hash": lambda tx: find_block(tx, None, "00" * 32),
    "blocks that wait for evidence": lambda tx: blocks_where(tx, BLOCKS.c.site == "backnang", BLOCKS.c.evidence_seq.is_(None)),
    "actions at a site": lambda tx: read_actions(tx, "backnang"),
    "actions": lambda tx: read_actions(tx, None, before_id=100),
    "actions at a machine": lambda tx: read_actions(tx, None, subject="m"),
    "what a kill cut off": lambda tx: read_past(tx, "backnang", "month"),
    "unknown quarter hours of a site": lambda tx: unknown_intervals(tx, "backnang", START_MS),
    "unknown quarter hours": lambda tx: unknown_intervals(tx, None, START_MS),
    "a stream's last line": lambda tx: last_line(tx, "backnang"),
    "blocks that no line lists": lambda tx: blocks_where(
        tx, BLOCKS.c.evidence_seq.is_(None), BLOCKS.c.books_seq.is_(None), BLOCKS.c.occurrence > 0
    ),
    "the newest line": newest_line,
    "a line that was seen last": lambda tx: line_of_id(tx, 5),
    "a stream's configuration": lambda tx: last_of_kind(tx, "backnang", "site"),
    "a stream's key": lambda tx: signing_key(tx, "backnang"),
    "a stream's last quarter hour": lambda tx: last_quarter_hour(tx, "backnang"),
    "a quarter hour's line": lambda tx: quarter_hour_line(tx, "backnang", START_MS),
    "a quarter hour's corrections": lambda tx: corrections_of(tx, "backnang", START_MS),
    "the heads": heads,
    "the heads at a time": lambda tx: heads(tx, 7),
    "what a coinbase commits to": lambda tx: commitment_to(tx, "backnang", bytes(32)),
    "a stream": lambda tx: list(all_lines(tx, "backnang")),
    "all streams": lambda tx: list(all_lines(tx)),
    "the evidence's state": evidence_state,
    "a chain's top": lambda tx: followed_top(tx, CHAIN),
    "a small value": lambda tx: noted(tx, of_chain(CHAIN), "scanned"),
    "the coins that are looked at next": lambda tx: next_coins(tx, CHAIN, (bytes(32), 0)),
    "what nothing explains": unexplained,
}
SMALL = ("balances", "posting_days", "assets", "wallets", "parties", "ix_actions_planned", "ix_postings_unexplained")
"""Tables with a row a day and site, or an account and wallet, and indexes of a few rows: these may be read whole."""


def looked_through(tx: Connection, sql: str, parameters: Any) -> list[str]:
    """The tables that a database would read from end to end for a statement, but for an index that it leaves at its limit."""
    if tx.dialect.name == "postgresql":
        return [row[0] for row in tx.exec_driver_sql(f"EXPLAIN {sql}", parameters) if "Seq Scan on" in row[0]]
    plan = [row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    scanned = [line for line in plan if re.match(r"SCAN (?!CONSTANT ROW|anon_|\(subquery)", line)]
    stops = "LIMIT" in sql and not any(line.startswith("USE TEMP B-TREE FOR ORDER BY") for line in plan)
    return [line for line in scanned if not stops and "MAX" not in sql.upper()]


@pytest.mark.parametrize("name", ASKED)
def test_nothing_is_looked_through_for_a_page(db: Database, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photosynth.treasury.suspense._open", lambda _: True)
    with db.begin() as tx:
        if tx.dialect.name == "postgresql":
            tx.exec_driver_sql("SET LOCAL enable_seqscan = off")  # a small table is not read whole for being small
        statements: list[tuple[str, Any]] = []

        def note(connection: object, cursor: object, statement: str, parameters: Any, *_: object) -> None:
            statements.append((statement, parameters))

        sa.event.listen(tx.engine, "before_cursor_execute", note)
        try:
            ASKED[name](tx)
        finally:
            sa.event.remove(tx.engine, "before_cursor_execute", note)
        assert statements
        for sql, parameters in statements:
            found = [line for line in looked_through(tx, sql, parameters) if not any(table in line for table in SMALL)]
            assert not found, f"{found} for {sql}"
