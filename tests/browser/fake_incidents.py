"""Incidents made up for tests, and what may be done to them, for the fleets that are made up."""

import photosynth.documents as doc
from photosynth.operations.view import NotKnownError, RefusedError

OPENED_MS = 1_790_000_000_000

_PLAIN = doc.IncidentDocument(
    id=1,
    site=None,
    subject="node btc-2",
    kind="node_unreachable",
    severity="critical",
    state="open",
    opened_ms=OPENED_MS,
    seen_ms=OPENED_MS + 90_000,
    resolved_ms=None,
    acknowledged_ms=None,
    acknowledged_by=None,
    openings=1,
    flaps=False,
    summary="it does not answer",
    cause=None,
    evidence="connection refused",
    runbook="docs/runbooks/nodes.md#node_unreachable",
)
_MACHINE = {
    "id": 2,
    "site": "backnang",
    "subject": "site backnang machine hall-c-11",
    "kind": "stays_awake",
    "summary": "hall-c-11 says OK to 'sleep' and stays awake",
    "evidence": "reads 3,068 W",
    "openings": 4,
    "flaps": True,
    "runbook": "docs/runbooks/machines.md#stays_awake",
}
_OVER = {
    "id": 3,
    "site": "backnang",
    "subject": "site backnang pool",
    "kind": "pool",
    "severity": "warning",
    "state": "resolved",
    "resolved_ms": OPENED_MS + 600_000,
    "acknowledged_ms": OPENED_MS + 60_000,
    "acknowledged_by": "bert",
    "summary": "the pool cannot work as it should",
    "cause": "node btc-2: it does not answer",
    "evidence": "no job",
    "runbook": "docs/runbooks/sites.md#pool",
}


class FakeIncidents:
    """One of a node, one of a machine that comes and goes, and one that is over."""

    def __init__(self, *, empty: bool = False) -> None:
        every = [_PLAIN.model_copy(update=_OVER), _PLAIN.model_copy(update=_MACHINE), _PLAIN]
        self.all = [] if empty else every
        self.targets = [doc.AlertTestDocument(id="office", delivered=True, why=None)]

    async def listed(self, site: str | None, *, resolved: bool, limit: int, before_id: int | None) -> list[doc.IncidentDocument]:
        """Newest first."""
        found = [one for one in self.all if site in (None, one.site) and (resolved or one.state != "resolved")]
        return [one for one in found if before_id is None or one.id < before_id][:limit]

    async def acknowledge(self, incident_id: int, by: str) -> doc.ActionDocument:
        """One that is there and is not over."""
        for number, one in enumerate(self.all):
            if one.id == incident_id:
                if one.state == "resolved":
                    raise RefusedError(f"Incident {incident_id} ({one.subject}: {one.summary}) is over.")
                taken = {"state": "acknowledged", "acknowledged_by": by, "acknowledged_ms": OPENED_MS + 120_000}
                self.all[number] = one.model_copy(update=taken)
                return _action(one, by)
        raise NotKnownError(f"There is no incident {incident_id}; see `photosynth incidents --all`.")

    async def test_alerts(self, actor: str) -> list[doc.AlertTestDocument]:
        """Every target."""
        return self.targets


def _action(one: doc.IncidentDocument, by: str) -> doc.ActionDocument:
    return doc.ActionDocument(
        id=7,
        site=one.site,
        time_ms=OPENED_MS,
        wall_ms=OPENED_MS,
        actor=by,
        kind="acknowledge_incident",
        subject=one.subject,
        reason=one.summary,
        request=f"incident {one.id} is taken on: it wakes nobody any more",
        result="done",
        answer=None,
        read_back=f"acknowledged, by {by}",
        verified=True,
        finished_ms=OPENED_MS,
    )
