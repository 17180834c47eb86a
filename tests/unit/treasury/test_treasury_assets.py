"""The assets of the books: added once, never changed, and what of them is held."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.unit.treasury.treasury_site import CHAIN, open_database

from photosynth.operations.summaries import ledger_status
from photosynth.quantities.assets import ASSETS, Asset
from photosynth.storage import Database
from photosynth.storage import tables as t
from photosynth.treasury import TreasuryError
from photosynth.treasury import journal as j
from photosynth.treasury.assets import add_asset, read_assets

TALLY = Asset("TALLY", "Tally", "tally", "bead", 30)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path) as database:
        yield database


def test_an_asset_is_added_once_and_stays_what_it_is(db: Database) -> None:
    with db.begin() as tx:
        assert read_assets(tx) == list(ASSETS)
        add_asset(tx, TALLY)
        add_asset(tx, TALLY)
        assert read_assets(tx) == [*ASSETS, TALLY]
        with pytest.raises(TreasuryError, match="give the new one a code of its own"):
            add_asset(tx, replace(TALLY, decimals=29))
    for change in (t.ASSETS.update().values(decimals=1), t.ASSETS.delete()):
        with pytest.raises(sa.exc.IntegrityError, match="append-only"), db.begin() as tx:
            tx.execute(change)


def test_the_status_names_what_is_held_of_each_network(db: Database) -> None:
    with db.begin() as tx:
        add_asset(tx, TALLY)
        lines = j.transfer("1110", "9000", "ETH", 40 * 10**18) + j.transfer("1100", "3100", "BTC", 7)
        lines += (
            j.transfer("1110", "1100", "BTC", 3)
            + j.transfer("5100", "2100", "EUR", 5)
            + j.transfer("1110", "9000", "TALLY", 10**40)
        )
        j.post(tx, j.Posting("a", 0, 0, "test", "a test", lines))
    with db.read() as tx:
        found = ledger_status(tx, CHAIN, "demonstration BTC")
    assert [(asset.code, asset.base_unit, asset.decimals, asset.held) for asset in found.assets] == [
        ("BTC", "satoshi", 8, "7"),
        ("ETH", "wei", 18, "40" + "0" * 18),
        ("TALLY", "bead", 30, "1" + "0" * 40),
    ]
    assert (found.immature_sat, found.mature_sat) == (4, 3)
