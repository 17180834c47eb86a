"""What machines and their site have around them in tests: a clock that is turned by hand, an audit that remembers."""

import asyncio
from dataclasses import dataclass, field

from photosynth.actions import Action, End, NotAuditedError, Result

START_MS = 1_781_427_600_000


@dataclass
class TurnedClock:
    """Site and wall time in milliseconds, which only :meth:`turn` moves."""

    speed: int = 60
    wall: int = START_MS
    site: int = START_MS

    def site_ms(self) -> int:
        return self.site

    def wall_ms(self) -> int:
        return self.wall

    def turn(self, wall_s: float) -> None:
        self.wall += int(wall_s * 1000)
        self.site += int(wall_s * 1000 * self.speed)


@dataclass
class RememberingAudit:
    """Remembers every action as [actor, kind, subject, reason, request, result, answer, read back, verified].

    ``full`` refuses plans; ``slow`` lets them wait until it is set.
    """

    actions: list[list[object]] = field(default_factory=list)
    full: bool = False
    slow: asyncio.Event | None = None

    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        if self.full:
            raise NotAuditedError("the disk is full")
        if self.slow is not None:
            await self.slow.wait()
        return self.noted(actor, kind, subject, reason, request)

    def noted(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Action:
        self.actions.append([actor, kind, subject, reason, request, "planned", None, None, None])
        return Action(actor, kind, subject, reason, request, 0, 0, id=len(self.actions) - 1)

    def finished(self, action: Action, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        assert action.id is not None
        assert action.end is None, "an action ends once"
        action.end = End(result, answer, read_back, verified, 0)
        self.actions[action.id][5:] = [result, answer, read_back, verified]

    def of(self, machine: str, kind: str | None = None) -> list[list[object]]:
        return [action for action in self.actions if action[2] == machine and kind in (None, action[1])]

    def results(self, machine: str, kind: str | None = None) -> list[object]:
        return [action[5] for action in self.of(machine, kind)]
