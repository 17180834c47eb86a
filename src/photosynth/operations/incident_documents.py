"""Incidents as documents, out of the database."""

from sqlalchemy import Connection

from photosynth.documents import IncidentDocument
from photosynth.operations.incidents.life import Incident
from photosynth.operations.summaries import like
from photosynth.storage.incidents import list_incidents


def incident_documents(
    tx: Connection, site: str | None, *, resolved: bool, limit: int, before_id: int | None
) -> list[IncidentDocument]:
    """Incidents of a site or of all, newest first, the resolved ones too where ``resolved``."""
    rows = list_incidents(tx, site=site, resolved=resolved, limit=limit, before_id=before_id)
    return [like(IncidentDocument, Incident(**row)) for row in rows]
