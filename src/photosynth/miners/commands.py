"""What is told to a machine, what waits for its proof, and how it ended."""

from dataclasses import dataclass
from typing import Literal

from photosynth.actions import Action, Result
from photosynth.miners.machine import Instant, MachineReading, Watts, Words
from photosynth.miners.verification import CommandKind


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to tell the machine: ``watts`` is the power that it shall have afterwards, ``exact`` or at any profile."""

    kind: CommandKind
    watts: int
    exact: bool = True

    @property
    def text(self) -> str:
        """As the audit writes it."""
        return "sleep" if self.kind == "sleep" else f"{self.kind} at {self.watts} W"


@dataclass(slots=True)
class Pending:
    """A command that was sent and not proven yet. Times are when it was answered; ``before`` is the reading before it."""

    command: Command
    action: Action
    sent_ms: int
    sent_wall_ms: int
    allowed_ms: int
    before: MachineReading | None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an action ended, for the audit."""

    action: Action
    result: Result
    answer: str
    read_back: str
    verified: bool | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a machine was told last: watts (0 is asleep), when (site time), and what came of it, in a word and in words.

    ``result`` is ``planned`` while its proof is awaited.
    """

    watts: Watts
    at_ms: Instant
    result: Literal[Result, "planned"]
    text: Words
