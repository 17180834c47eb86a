"""The public JSON contract: what the API, the console and the command line's JSON all say of a fleet.

Counters are cumulative over the life of the state. Integers that may exceed 2^53 are decimal strings. None is unknown,
which is neither zero nor healthy. Times are milliseconds since the epoch (UTC), ``_ms``, unless their name says otherwise.

Each is imported when it is asked for: defining them all takes longer than a status does.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photosynth.documents.activity import ActionDocument
    from photosynth.documents.base import BigCount, Document
    from photosynth.documents.incidents import AlertTestDocument, IncidentDocument
    from photosynth.documents.income import IncomeDocument
    from photosynth.documents.ledger import (
        AssetDocument,
        BalanceRow,
        BlockDocument,
        LedgerDocument,
        Line,
        MeterInterval,
        PostingDocument,
        TraceDocument,
        TraceInterval,
        TraceShare,
    )
    from photosynth.documents.machines import DayPoint, MachineDocument, WorkerDocument, WorkersDocument
    from photosynth.documents.nodes import NodeCondition, NodeDocument, NodesStatus, ProcessDocument
    from photosynth.documents.status import (
        ChainStatus,
        Condition,
        EvidenceStatus,
        HoldingStatus,
        IncidentsStatus,
        LedgerStatus,
        MachinesStatus,
        MainnetOutlook,
        ModelStatus,
        PoolStatus,
        SitePart,
        SiteStatus,
        Status,
    )

__all__ = [
    "ActionDocument",
    "AlertTestDocument",
    "AssetDocument",
    "BalanceRow",
    "BigCount",
    "BlockDocument",
    "ChainStatus",
    "Condition",
    "DayPoint",
    "Document",
    "EvidenceStatus",
    "HoldingStatus",
    "IncidentDocument",
    "IncidentsStatus",
    "IncomeDocument",
    "LedgerDocument",
    "LedgerStatus",
    "Line",
    "MachineDocument",
    "MachinesStatus",
    "MainnetOutlook",
    "MeterInterval",
    "ModelStatus",
    "NodeCondition",
    "NodeDocument",
    "NodesStatus",
    "PoolStatus",
    "PostingDocument",
    "ProcessDocument",
    "SitePart",
    "SiteStatus",
    "Status",
    "TraceDocument",
    "TraceInterval",
    "TraceShare",
    "WorkerDocument",
    "WorkersDocument",
]

_MODULES = {
    "ActionDocument": "activity",
    "AlertTestDocument": "incidents",
    "AssetDocument": "ledger",
    "BalanceRow": "ledger",
    "BigCount": "base",
    "BlockDocument": "ledger",
    "ChainStatus": "status",
    "Condition": "status",
    "DayPoint": "machines",
    "Document": "base",
    "EvidenceStatus": "status",
    "HoldingStatus": "status",
    "IncidentDocument": "incidents",
    "IncidentsStatus": "status",
    "IncomeDocument": "income",
    "LedgerDocument": "ledger",
    "LedgerStatus": "status",
    "Line": "ledger",
    "MachineDocument": "machines",
    "MachinesStatus": "status",
    "MainnetOutlook": "status",
    "MeterInterval": "ledger",
    "ModelStatus": "status",
    "NodeCondition": "nodes",
    "NodeDocument": "nodes",
    "NodesStatus": "nodes",
    "ProcessDocument": "nodes",
    "PoolStatus": "status",
    "PostingDocument": "ledger",
    "SitePart": "status",
    "SiteStatus": "status",
    "Status": "status",
    "TraceDocument": "ledger",
    "TraceInterval": "ledger",
    "TraceShare": "ledger",
    "WorkerDocument": "machines",
    "WorkersDocument": "machines",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__} has no {name}")
