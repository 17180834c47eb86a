"""Incidents: conditions with a life. Wall time."""

from typing import Literal

from photosynth.documents.base import Document


class IncidentDocument(Document):
    """One incident: `photosynth incidents --json` and `GET /api/v1/incidents` are a list of these."""

    id: int
    """Its number, the same for as long as it is kept."""
    site: str | None
    """At which site; null where it is the fleet's, or a node's that stands at none."""
    subject: str
    """What it is about, in words: `node btc-1`, `site backnang machine hall-a-01`, `fleet database`."""
    kind: str
    """Which kind of condition."""
    severity: Literal["warning", "critical"]
    """How urgent."""
    state: Literal["open", "acknowledged", "resolved"]
    """Whether somebody has to look at it, somebody does, or it is over."""
    opened_ms: int
    """When it opened first."""
    seen_ms: int
    """When its evidence was seen."""
    resolved_ms: int | None
    """When it was over; null while it is not."""
    acknowledged_ms: int | None
    """When somebody took it on."""
    acknowledged_by: str | None
    """Who that was."""
    openings: int
    """How often it opened: one that comes back within an hour is the same one."""
    flaps: bool
    """Whether it comes and goes; it stays open then until it was away for half an hour."""
    summary: str
    """What is wrong, in a sentence."""
    cause: str | None
    """What else is wrong from which it only follows; null where that is not known."""
    evidence: str
    """What was observed."""
    runbook: str
    """The page of this software's documentation that says what to do."""


class AlertTestDocument(Document):
    """What came of a test message to one target: `photosynth alerts test --json` is a list of these."""

    id: str
    """The target's name in the fleet file."""
    delivered: bool
    """Whether it took the message."""
    why: str | None
    """Why it did not."""
