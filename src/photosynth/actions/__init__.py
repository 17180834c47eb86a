"""What is changed: an action from its plan to its end, and the sink that it is written to."""

from photosynth.actions.action import Action, End, Result
from photosynth.actions.sink import ActionSink, NotAuditedError

__all__ = ["Action", "ActionSink", "End", "NotAuditedError", "Result"]
