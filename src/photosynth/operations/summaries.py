"""Books and proof as the database has them, and how a document is filled from a row."""

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from photosynth.documents.base import Document
from photosynth.documents.nodes import NodeDocument, NodesStatus
from photosynth.documents.status import EvidenceStatus, HoldingStatus, LedgerStatus
from photosynth.treasury.glance import Asked, evidence_state, ledger_totals, quoted, reconciled_height

D = TypeVar("D", bound=Document)


def ledger_status(tx: Asked, chain: str | None, asset: str, site: str | None = None) -> LedgerStatus:
    """The books in one glance, of a site where one is named; how far they were reconciled is the chain's, where there is one."""
    totals, height = ledger_totals(tx, site), None if chain is None else reconciled_height(tx, chain)
    assets = [like(HoldingStatus, holding, held=str(holding.held)) for holding in totals.assets]
    return like(LedgerStatus, totals, asset=asset, assets=assets, reconciled_height=height)


def evidence_status(tx: Asked) -> EvidenceStatus:
    """The proof in one glance: the quarter hours of all sites, and the root over the heads of all streams."""
    state = evidence_state(tx)
    head = None if state.head is None else state.head.hex()
    return EvidenceStatus(records=state.records, head=head, last_interval_ms=state.last_interval_ms)


def open_incidents(tx: Asked, site: str | None = None) -> int:
    """How many incidents are open and taken on by nobody; of a site its own and those of the whole fleet."""
    of_site = "" if site is None else f" AND (site IS NULL OR site = {quoted(site)})"
    found = f"SELECT count(*) FROM incidents WHERE state = 'open'{of_site}"  # noqa: S608 - quoted
    return int(tx.exec_driver_sql(found).fetchall()[0][0])


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
