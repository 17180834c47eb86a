"""The assets that these books count, as rows of their own table: those of the first day and whatever was added."""

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.quantities.assets import Asset
from photosynth.storage.tables import ASSETS
from photosynth.treasury.journal import TreasuryError


def read_assets(tx: Connection) -> list[Asset]:
    """Every asset, by its code."""
    return [Asset(*row) for row in tx.execute(sa.select(ASSETS).order_by(ASSETS.c.code))]


def add_asset(tx: Connection, asset: Asset) -> None:
    """Let the books count an asset; again changes nothing.

    Raises TreasuryError where its code stands for another one: amounts that were posted would mean something else.
    """
    known = {found.code: found for found in read_assets(tx)}.get(asset.code)
    if known is None:
        values = {name: getattr(asset, name) for name in ("code", "name", "network", "base_unit", "decimals")}
        tx.execute(ASSETS.insert().values(**values))
    elif known != asset:
        raise TreasuryError(f"asset {asset.code} is {known} in these books, not {asset}; give the new one a code of its own")
