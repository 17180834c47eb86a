"""Where actions are written down: whoever changes the world is given one of these."""

from typing import Protocol

from photosynth.actions.action import Action, Result


class NotAuditedError(Exception):
    """An action could not be written down, so it must not be tried now."""


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
