"""Books, proof and the operator's stop as the database has them, and how a document is filled from a row."""

import json
from typing import TypeVar

from photosynth.operations.documents.base import Document
from photosynth.operations.documents.status import EvidenceStatus, HoldingStatus, LedgerStatus
from photosynth.treasury.glance import Asked, evidence_state, ledger_totals

D = TypeVar("D", bound=Document)

STOPPED = "stopped"
"""Key in ``meta``: whether an operator has switched everything off."""
_STOPPED = f"SELECT value FROM meta WHERE key = '{STOPPED}'"  # noqa: S608 - a word of ours


def ledger_status(tx: Asked, asset: str) -> LedgerStatus:
    """The books in one glance."""
    totals = ledger_totals(tx)
    assets = [like(HoldingStatus, holding, held=str(holding.held)) for holding in totals.assets]
    return like(LedgerStatus, totals, asset=asset, assets=assets)


def evidence_status(tx: Asked) -> EvidenceStatus:
    """The proof in one glance."""
    state = evidence_state(tx)
    return EvidenceStatus(
        records=state.records,
        head=None if state.head is None else state.head.hex(),
        last_interval_ms=state.last_interval_ms,
    )


def switched_off(tx: Asked) -> bool:
    """Whether an operator has switched everything off, which holds until it is resumed."""
    rows = tx.exec_driver_sql(_STOPPED).fetchall()
    return bool(rows) and json.loads(rows[0][0]) is True


def like(document: type[D], row: object, **more: object) -> D:
    """A document whose members are named as those of a row; ``more`` are those that it has beside them."""
    return document.model_validate({name: more[name] if name in more else getattr(row, name) for name in document.model_fields})
