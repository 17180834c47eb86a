"""One change to the world from its plan to its end."""

from dataclasses import dataclass
from typing import Literal

Result = Literal["done", "refused", "failed", "unverified"]
"""How an action ended."""


@dataclass(frozen=True, slots=True)
class End:
    """How an action ended, as reading back showed (``verified`` is None where nothing could be read); ``at_ms`` is site time."""

    result: Result
    answer: str | None
    read_back: str | None
    verified: bool | None
    at_ms: int


@dataclass(slots=True, eq=False)
class Action:
    """One change to the world. Times are site and wall milliseconds of the plan, or of when it went out where it waited for none.

    ``id`` is its number in the audit, None until it is written down; ``end`` is None until it ended; ``key`` is the audit's
    own, so that it is written once however often that is tried.
    """

    actor: str
    kind: str
    subject: str
    reason: str
    request: str
    time_ms: int
    wall_ms: int
    id: int | None = None
    end: End | None = None
    key: str = ""
