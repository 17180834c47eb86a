"""The audit: every change to the world."""

from typing import Literal

from photosynth.documents.base import Document


class ActionDocument(Document):
    """One change to the world: who, why, what came of it, and what reading back said."""

    id: int
    """Its number, rising; 0 while it cannot be written down."""
    site: str | None
    """At which site; null where it is the whole fleet's."""
    time_ms: int
    """Site time of the plan, or of when it went out: what lowers power does not wait for being written down."""
    wall_ms: int
    """Machine's own time of that."""
    actor: str
    """Who wanted it: dispatch, a person, the command line."""
    kind: str
    """What kind of change: sleep, wake, set_power, limit_sources, stop_mining, resume_mining, start_process, end_process,
    restart_node, acknowledge_incident, send_alert, test_alert."""
    subject: str
    """What was to change."""
    reason: str
    """Why, in a sentence."""
    request: str
    """What was asked for, in words."""
    result: Literal["planned", "done", "refused", "failed", "unverified"]
    """Planned until it ended; unverified where reading back did not show it."""
    answer: str | None
    """What the subject answered, which proves nothing."""
    read_back: str | None
    """What reading back showed."""
    verified: bool | None
    """Whether reading back showed what was asked for."""
    finished_ms: int | None
    """Site time of the end."""
