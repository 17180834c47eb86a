"""The traffic to the machines: every command an action of the audit, one at a time for each machine, what lowers power first.

What raises power is tried only once its plan is durable. What lowers it waits for nobody: it is noted for the audit and goes
out at once, past whatever is on its way to the same machine, which it ends.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog

from photosynth.actions import Action, ActionSink, NotAuditedError
from photosynth.miners.commands import Command, Outcome
from photosynth.miners.guard import DriverFaultError, GuardedMachine, named, text_of
from photosynth.miners.machine import Answer, MachineError, UnreachableError
from photosynth.miners.presence import Miss
from photosynth.miners.unit import Unit
from photosynth.quantities.instants import Clock

log = structlog.get_logger()

LANES_DOWN = 4
"""How many times more commands that lower power may be on the wire at once than others: hanging machines hold up few."""


JUDGING, DECIDING, SENDING = "judging", "deciding for", "sending to"
"""Where a mistake of ours about one machine can be met."""


class Traffic:
    """Sends commands in the background; ``concurrency`` bounds how many that raise power are on the wire at once."""

    def __init__(self, doors: Mapping[str, GuardedMachine], audit: ActionSink, clock: Clock, concurrency: int) -> None:
        self._doors, self._audit, self._clock = doors, audit, clock
        self._up = asyncio.Semaphore(concurrency)
        self._down = asyncio.Semaphore(LANES_DOWN * concurrency)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._logged: set[tuple[str, str]] = set()

    def send_due(self, units: Iterable[Unit]) -> None:
        """Send what is due to each, those that lower power first. A mistake of ours about one keeps nothing from the others."""
        now_ms = self._clock.site_ms()
        waiting: list[tuple[Unit, Command]] = []
        for unit in units:
            try:
                command = unit.due(now_ms)
                unit.works(DECIDING)
                if command is None:
                    continue
                if unit.lowers(command):
                    self._start(unit, command, lowers=True)
                else:
                    waiting.append((unit, command))
            except Exception as error:  # noqa: BLE001 - the seam between one machine's control and the others'
                self.broken(unit, DECIDING, error)
        for unit, command in waiting:
            self._start(unit, command, lowers=False)

    async def settle(self, limit_s: float | None = None) -> bool:
        """Wait until no command is on the wire, or for so many wall seconds; whether none is."""
        loop = asyncio.get_running_loop()
        ends_s = None if limit_s is None else loop.time() + limit_s
        while self._tasks:
            left_s = None if ends_s is None else ends_s - loop.time()
            if left_s is not None and left_s <= 0:
                return False
            await asyncio.wait(self._tasks.values(), timeout=left_s)
        return True

    async def close(self) -> None:
        """End what is on the wire; its actions are finished as failed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def finish(self, outcomes: Iterable[Outcome]) -> None:
        """Tell the audit how actions ended."""
        for end in outcomes:
            self._audit.finished(end.action, end.result, end.answer or None, end.read_back or None, end.verified)

    def broken(self, unit: Unit, where: str, error: Exception) -> None:
        """Our own judgement of one machine failed: that is its condition, and the trace is in the log once."""
        unit.fault(where, f"{where} it failed: {named(error)}", self._clock.site_ms())
        kind = (unit.id, type(error).__name__)
        if kind not in self._logged:
            self._logged.add(kind)
            log.error("the control of a machine failed in a way that it must not", machine=unit.id, exc_info=error)
        self._settle_unfinished(unit)

    def _settle_unfinished(self, unit: Unit) -> None:
        pending, unit.pending = unit.pending, None
        if pending is not None and pending.action.end is None:
            self._audit.finished(pending.action, "unverified", pending.answer or None, "it could not be judged", None)

    def _start(self, unit: Unit, command: Command, *, lowers: bool) -> None:
        before = self._tasks.get(unit.id)
        if before is not None:
            before.cancel()
        unit.begin(command)
        task = self._tasks[unit.id] = asyncio.get_running_loop().create_task(self._send(unit, command, lowers))
        task.add_done_callback(lambda ended: self._ended(unit.id, ended))

    def _ended(self, machine: str, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(machine) is task:
            del self._tasks[machine]

    async def _send(self, unit: Unit, command: Command, lowers: bool) -> None:
        action: Action | None = None
        try:
            reason = unit.reason_at(self._clock.site_ms())
            plan = (unit.actor, command.kind, unit.id, reason, command.text)
            action = self._audit.noted(*plan) if lowers else await self._audit.planned(*plan)
            async with self._down if lowers else self._up:
                if not lowers and (unit.goal_w(self._clock.site_ms()) or 0) < command.watts:
                    self._audit.finished(action, "failed", "not sent: by then it should draw less", None, None)
                    return
                await self._tell(unit, command, action)
            unit.works(SENDING)
        except NotAuditedError:
            pass  # it is due again at the next decision
        except asyncio.CancelledError:
            if action is not None and action.end is None:
                self._audit.finished(action, "failed", "cut off before it was answered", None, None)
            raise
        except Exception as error:  # noqa: BLE001 - the seam between one machine's control and the others'
            self.broken(unit, SENDING, error)
            if action is not None and action.end is None:
                self._audit.finished(action, "failed", named(error), None, None)
        finally:
            if unit.sending is command:
                unit.sending = None

    async def _tell(self, unit: Unit, command: Command, action: Action) -> None:
        try:
            sent, answer = await self._ask(unit, command)
        except MachineError as error:
            now_ms, text = self._clock.site_ms(), text_of(error)
            self.finish(unit.not_sent(command, action, text, now_ms))
            self.finish(unit.missed(text, miss_of(error), now_ms, command.kind))
        else:
            self.finish(unit.sent(sent, action, answer, self._clock.site_ms(), self._clock.wall_ms()))

    async def _ask(self, unit: Unit, command: Command) -> tuple[Command, Answer]:
        """Send a command; what was really sent, and the answer."""
        door = self._doors[unit.id]
        if command.kind == "sleep":
            return command, await door.sleep()
        if command.kind == "set_power":
            return command, await door.set_power(command.watts)
        if unit.regulation != "steps":
            return command, await door.wake()
        limited = await door.set_power(command.watts)  # first, so that it does not start at another power
        answer = await door.wake()
        if limited.accepted:
            return command, answer
        # some take no power while they sleep: it is set once they run
        return replace(command, exact=False), Answer(answer.accepted, f"{answer.text}; before: {limited.text}")


def miss_of(error: MachineError) -> Miss:
    """What a machine's silence was."""
    if isinstance(error, UnreachableError):
        return "unreachable"
    return "driver_fault" if isinstance(error, DriverFaultError) else "talks_nonsense"
