"""Small values that outlive a start, by what they belong to: checkpoints, the head that was reconciled, and the like."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import META
from photosynth.storage.upsert import upsert

_PUT = upsert(META)


def get_meta(tx: Connection, scope: str, key: str) -> Any:
    """The value of a key in a scope (integers, texts, lists, objects), None where there is none."""
    return tx.execute(sa.select(META.c.value).where(META.c.scope == scope, META.c.key == key)).scalar()


def put_meta(tx: Connection, scope: str, key: str, value: Any) -> None:
    """Set the value of a key in a scope; floats are refused with a ValueError."""
    tx.execute(_PUT, {"scope": scope, "key": key, "value": value})


def forget_meta(tx: Connection, scope: str, key: str) -> None:
    """Have no value for a key in a scope."""
    tx.execute(META.delete().where(META.c.scope == scope, META.c.key == key))
