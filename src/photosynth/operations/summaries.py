"""Books and proof as the database has them, and how a document is filled from a row."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from photosynth.documents.base import Document
from photosynth.documents.nodes import NodeDocument, NodesStatus
from photosynth.documents.status import EvidenceStatus, HoldingStatus, LedgerStatus
from photosynth.treasury.glance import Asked, evidence_state, ledger_totals, reconciled_height

D = TypeVar("D", bound=Document)


def ledger_status(tx: Asked, chain: str | None, asset: str, site: str | None = None) -> LedgerStatus:
    """The books in one glance, of a site where one is named; how far they were reconciled is the chain's, where there is one."""
    totals, height = ledger_totals(tx, site), None if chain is None else reconciled_height(tx, chain)
    assets = [like(HoldingStatus, holding, held=str(holding.held)) for holding in totals.assets]
    return like(LedgerStatus, totals, asset=asset, assets=assets, reconciled_height=height)


def evidence_status(tx: Asked, streams: Sequence[str]) -> EvidenceStatus:
    """The proof in one glance: of one stream with its head, of several what they come to."""
    states = [evidence_state(tx, stream) for stream in streams]
    head = states[0].head if len(states) == 1 else None
    return EvidenceStatus(
        records=sum(state.records for state in states),
        head=None if head is None else head.hex(),
        last_interval_ms=max((state.last_interval_ms for state in states if state.last_interval_ms is not None), default=None),
    )


def count_nodes(nodes: Iterable[NodeDocument]) -> NodesStatus:
    """How many of them are in which state."""
    states = Counter(node.state for node in nodes)
    return NodesStatus(healthy=states["healthy"], degraded=states["degraded"], down=states["down"], unknown=states["unknown"])


def unknown_nodes(last: NodesStatus) -> NodesStatus:
    """The same nodes where nobody looks at them any more."""
    return NodesStatus(healthy=0, degraded=0, down=0, unknown=last.healthy + last.degraded + last.down + last.unknown)


def like(document: type[D], row: object, **more: object) -> D:
    """A document whose members are named as those of a row; ``more`` are those that it has beside them."""
    return document.model_validate({name: more[name] if name in more else getattr(row, name) for name in document.model_fields})
