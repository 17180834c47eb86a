"""The operator's stop of one site: it holds at once, and is remembered over restarts as soon as that can be written down."""

import json

from photosynth.treasury.glance import Asked

STOPPED = "stopped"
"""Key in ``meta``: whether an operator has switched everything off."""
_STOPPED = f"SELECT value FROM meta WHERE key = '{STOPPED}'"  # noqa: S608 - a word of ours


def switched_off(tx: Asked, site: str) -> bool:
    """Whether an operator has switched everything off, which holds until it is resumed."""
    rows = tx.exec_driver_sql(_STOPPED).fetchall()
    return bool(rows) and json.loads(rows[0][0]) is True
