"""Books, proof and the operator's stop as the database has them, and how a document is filled from a row."""

from typing import TypeVar

from photosynth.operations.documents.base import Document
from photosynth.operations.documents.status import EvidenceStatus, HoldingStatus, LedgerStatus
from photosynth.storage.scopes import of_site
from photosynth.treasury.glance import Asked, evidence_state, ledger_totals, noted, reconciled_height

D = TypeVar("D", bound=Document)

STOPPED = "stopped"
"""Key in ``meta`` of a site: whether an operator has switched it off."""


def ledger_status(tx: Asked, chain: str, asset: str, site: str | None = None) -> LedgerStatus:
    """The books in one glance, of a site where one is named; how far they were reconciled is the chain's."""
    totals = ledger_totals(tx, site)
    assets = [like(HoldingStatus, holding, held=str(holding.held)) for holding in totals.assets]
    return like(LedgerStatus, totals, asset=asset, assets=assets, reconciled_height=reconciled_height(tx, chain))


def evidence_status(tx: Asked, stream: str) -> EvidenceStatus:
    """A stream's proof in one glance."""
    state = evidence_state(tx, stream)
    return EvidenceStatus(
        records=state.records,
        head=None if state.head is None else state.head.hex(),
        last_interval_ms=state.last_interval_ms,
    )


def switched_off(tx: Asked, site: str) -> bool:
    """Whether an operator has switched a site off, which holds until it is resumed."""
    return noted(tx, of_site(site), STOPPED) is True


def like(document: type[D], row: object, **more: object) -> D:
    """A document whose members are named as those of a row; ``more`` are those that it has beside them."""
    return document.model_validate({name: more[name] if name in more else getattr(row, name) for name in document.model_fields})
