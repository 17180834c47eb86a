"""Small values by key that outlive a start: checkpoints, the head that was reconciled, and the like."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import META
from photosynth.storage.upsert import upsert

_PUT = upsert(META)


def get_meta(tx: Connection, key: str) -> Any:
    """The value of a key (integers, texts, lists, objects), None where there is none."""
    return tx.execute(sa.select(META.c.value).where(META.c.key == key)).scalar()


def put_meta(tx: Connection, key: str, value: Any) -> None:
    """Set the value of a key; floats are refused with a ValueError."""
    tx.execute(_PUT, {"key": key, "value": value})
