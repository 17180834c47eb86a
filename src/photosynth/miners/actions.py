"""Actions: one change to a machine or a source from its plan to its end, and the sink that they are written to."""

from dataclasses import dataclass
from typing import Literal, Protocol

Result = Literal["done", "refused", "failed", "unverified"]
"""How an action ended."""


class NotAuditedError(Exception):
    """An action could not be written down, so it must not be tried now."""


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


class ActionSink(Protocol):
    """The audit's side of a change. What raises power waits for :meth:`planned`; what lowers it waits for nothing."""

    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        """An action that is about to be tried, once that is written down.

        Raises NotAuditedError where it cannot be.
        """
        ...

    def noted(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        """An action that goes out now and is written down as soon as it can be, in order, with the time of this call."""
        ...

    def finished(self, action: Action, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        """How it ended. Raises ValueError where that was told before."""
        ...
