"""Bringing a fleet of machines to the watts that they shall draw, and proving that they got there.

Every command is an action of the audit: planned before it is sent, finished by what reading back showed. An answer 'OK'
proves nothing. What is decided for one machine lives in :mod:`photosynth.miners.unit`; here is the traffic.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from photosynth.miners.commands import Command, Outcome, Result
from photosynth.miners.conditions import MachineCondition
from photosynth.miners.machine import Answer, Machine, MachineError, MachineReading, UnreachableError
from photosynth.miners.model import MachineModel
from photosynth.miners.unit import Regulation, State, Unit
from photosynth.miners.verification import is_on
from photosynth.quantities.instants import Clock

FULL_READ_EVERY = 15
ABSENT_READ_EVERY = 3
"""Every third poll asks a machine that left, so that many of them do not hold up the others."""
STALE_POLLS = 3
STOP_WALL_LIMIT_S = 60.0


class NotAuditedError(Exception):
    """An action could not be written down, so it must not be tried now."""


class ActionSink(Protocol):
    """The audit's side of a command: what is planned is durable before it is sent."""

    async def planned(self, actor: str, kind: str, subject: str, reason: str, request: str) -> int:
        """An action is about to be tried; its number, once that is written down.

        Raises NotAuditedError where it cannot be.
        """
        ...

    def finished(self, action: int, result: Result, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        """How it ended: done, refused, failed or unverified."""
        ...


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine as control knows it. Powers in W; ``steps`` are what it can be asked for, ``on`` includes starting.

    ``power_w`` and ``hash_rate_hs`` are None where the last reading is stale. An ``available`` one takes orders now.

    ``regulation`` is ``steps`` where it takes a power, ``on_off`` where it only switches (at ``fixed_power_w``), and
    ``none`` where it does nothing that it is told: it then draws ``fixed_power_w`` whatever one wants.
    """

    id: str
    model: MachineModel
    state: State
    state_since_ms: int | None
    on: bool
    available: bool
    power_w: int | None
    hash_rate_hs: int | None
    temperature_c: int | None
    accepted: int | None
    rejected: int | None
    pool_url: str | None
    observed_ms: int | None
    fresh: bool
    desired_w: int | None
    commanded_w: int | None
    in_transition: bool
    reason: str
    regulation: Regulation
    fixed_power_w: int | None
    steps: tuple[tuple[int, int], ...]
    starts: int
    changed_ms: int | None
    conditions: tuple[MachineCondition, ...]


@dataclass(frozen=True, slots=True)
class StopReport:
    """What came of stopping everything: who sleeps, proven, and who does not, with the reason."""

    asleep: tuple[str, ...]
    awake: dict[str, str]


class MinerControl:
    """Control over machines that each have a model. Call :meth:`poll_once` every ``poll_s`` wall seconds.

    ``shares_of`` tells how many shares of a machine the pool accepted (None: not known); a machine that hashes and gets
    none accepted for ``share_patience_s`` of wall time is named.
    """

    def __init__(
        self,
        machines: Sequence[Machine],
        models: Mapping[str, MachineModel],
        clock: Clock,
        audit: ActionSink,
        *,
        poll_s: float = 2.0,
        concurrency: int = 16,
        shares_of: Callable[[str], int | None] | None = None,
        share_patience_s: int = 200,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._machines = {machine.id: machine for machine in machines}
        self._units = {machine.id: Unit(machine.id, models[machine.id], int(poll_s * 1000)) for machine in machines}
        self._clock, self._audit = clock, audit
        self._poll_s, self._concurrency, self._sleep = poll_s, concurrency, sleep
        self._commands = asyncio.Semaphore(2 * concurrency)
        self._shares_of, self._share_patience_ms = shares_of, share_patience_s * 1000
        self._shares: dict[str, tuple[int, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._polls = 0
        self.stopped = False

    def apply(self, targets: Mapping[str, int], reasons: Mapping[str, str], actor: str = "dispatch") -> None:
        """Bring machines to these watts (0 sleeps) from now on; what is due is sent in the background.

        Call it as often as you like: a machine that is there already, or on its way, is left in peace. A reason without a
        target says why a machine gets no orders. Ignored while everything is stopped. Raises KeyError for a machine that
        is not known.
        """
        if self.stopped:
            return
        for machine, watts in targets.items():
            self._units[machine].wish(watts, reasons.get(machine, ""), actor)
        for machine in reasons.keys() - targets.keys():
            self._units[machine].reason = reasons[machine]
        self._send_due(self._units[machine] for machine in targets)

    async def poll_once(self, only_pending: bool = False) -> None:
        """Read every machine once (or those whose command waits for its proof), judge, and send what is due."""
        self._polls += not only_pending
        units = [unit for unit in self._units.values() if not only_pending or unit.pending is not None]
        waiting = iter(enumerate(units))

        async def worker() -> None:
            for index, unit in waiting:
                turn = index + self._polls
                if unit.unreachable and turn % ABSENT_READ_EVERY:
                    continue
                if self.stopped and unit.desired_w is None:  # stopped in an earlier life
                    unit.wish(0, "everything is stopped", "operator")
                await self._read(unit, not only_pending and (unit.reading is None or turn % FULL_READ_EVERY == 0))
                self._send_due((unit,))

        await asyncio.gather(*(worker() for _ in range(min(self._concurrency, len(units)))))

    def machines(self) -> list[MachineView]:
        """Every machine as it is known now, in the order given."""
        wall_ms = self._clock.wall_ms()
        return [self._view(unit, wall_ms) for unit in self._units.values()]

    async def stop_all(self, actor: str, reason: str) -> StopReport:
        """Send everything to sleep at once, and wait until each machine is proven asleep or given up.

        It stays so until :meth:`resume`: what comes back later is sent to sleep too.
        """
        self.stopped = True
        units = list(self._units.values())
        for unit in units:
            unit.wish(0, reason, actor)
            unit.insist()
        self._send_due(units)
        await self.settle()
        await self.poll_once()
        await self.settle()
        waited_s, pause_s = 0.0, min(self._poll_s, 0.25)
        while any(unit.pending is not None for unit in units) and waited_s < STOP_WALL_LIMIT_S:
            await self._sleep(pause_s)
            waited_s += pause_s
            await self.poll_once(only_pending=True)
            await self.settle()
        asleep = tuple(unit.id for unit in units if unit.state == "sleeping")
        awake = {unit.id: _why_awake(unit) for unit in units if unit.state != "sleeping"}
        return StopReport(asleep, awake)

    def resume(self) -> None:
        """Let :meth:`apply` decide again."""
        self.stopped = False

    async def settle(self) -> None:
        """Wait until no command is on the wire."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def memory(self) -> dict[str, Any]:
        """What was learnt of each machine, as JSON."""
        return {unit.id: unit.memory() for unit in self._units.values()}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take up an earlier life's :meth:`memory`; machines that are not there any more are forgotten."""
        for machine, unit in self._units.items():
            if machine in memory:
                unit.remember(memory[machine])

    async def close(self) -> None:
        """Send nothing more; actions without proof are finished as unverified."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for unit in self._units.values():
            self._finish(unit.supersede("the control was shut down"))
        for machine in self._machines.values():
            await machine.close()

    async def _read(self, unit: Unit, full: bool) -> None:
        try:
            reading = await self._machines[unit.id].read(full)
        except MachineError as error:
            nonsense = not isinstance(error, UnreachableError)
            self._finish(unit.missed(str(error), nonsense, self._clock.site_ms()))
            return
        self._finish(unit.observe(reading, self._clock.wall_ms()))
        self._check_shares(unit)

    def _check_shares(self, unit: Unit) -> None:
        count = self._shares_of(unit.id) if self._shares_of is not None else None
        if count is None:
            return
        wall_ms = self._clock.wall_ms()
        known, since_ms = self._shares.get(unit.id, (-1, wall_ms))
        if count != known or unit.state != "running":
            self._shares[unit.id] = (count, wall_ms)
            unit.conditions.clear("hash_without_shares")
        elif wall_ms - since_ms > self._share_patience_ms:
            unit.no_shares((wall_ms - since_ms) // 1000, self._clock.site_ms())

    def _send_due(self, units: Iterable[Unit]) -> None:
        now_ms = self._clock.site_ms()
        for unit in units:
            command = unit.due(now_ms)
            if command is not None:
                unit.sending = True
                task = asyncio.get_running_loop().create_task(self._send(unit, command))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send(self, unit: Unit, command: Command) -> None:
        try:
            reason = unit.reason_at(self._clock.site_ms())
            action = await self._audit.planned(unit.actor, command.kind, unit.id, reason, command.text)
        except NotAuditedError:
            unit.sending = False  # it is due again at the next decision
            return
        except BaseException:
            unit.sending = False
            raise
        try:
            async with self._commands:
                command, answer = await self._tell(unit, command)
        except MachineError as error:
            now_ms = self._clock.site_ms()
            self._finish(unit.not_sent(action, str(error), now_ms))
            self._finish(unit.missed(str(error), not isinstance(error, UnreachableError), now_ms))
        except asyncio.CancelledError:
            self._audit.finished(action, "failed", "cancelled", None, None)
            raise
        else:
            self._finish(unit.sent(command, action, answer, self._clock.site_ms(), self._clock.wall_ms()))
        finally:
            unit.sending = False

    async def _tell(self, unit: Unit, command: Command) -> tuple[Command, Answer]:
        """Send a command; what was really sent, and the answer."""
        machine = self._machines[unit.id]
        if command.kind == "sleep":
            return command, await machine.sleep()
        if command.kind == "set_power":
            return command, await machine.set_power(command.watts)
        if unit.regulation != "steps":
            return command, await machine.wake()
        limited = await machine.set_power(command.watts)  # first, so that it does not start at another power
        answer = await machine.wake()
        if limited.accepted:
            return command, answer
        # some take no power while they sleep: it is set once they run
        return replace(command, exact=False), Answer(answer.accepted, f"{answer.text}; before: {limited.text}")

    def _finish(self, outcomes: list[Outcome]) -> None:
        for end in outcomes:
            self._audit.finished(end.action, end.result, end.answer or None, end.read_back or None, end.verified)

    def _view(self, unit: Unit, wall_ms: int) -> MachineView:
        reading = unit.reading if unit.reading is not None else MachineReading(0, None, None)
        fresh = unit.fresh(wall_ms, int(STALE_POLLS * self._poll_s * 1000))
        on = unit.state in ("running", "starting") or (unit.state == "faulty" and is_on(unit.model, reading))
        return MachineView(
            id=unit.id,
            model=unit.model,
            state=unit.state,
            state_since_ms=unit.state_since_ms,
            on=on,
            available=fresh and unit.usable(self._clock.site_ms()),
            power_w=reading.power_w if fresh else None,
            hash_rate_hs=reading.hash_rate_hs if fresh else None,
            temperature_c=unit.temperature_c,
            accepted=reading.accepted,
            rejected=reading.rejected,
            pool_url=unit.pool_url,
            observed_ms=unit.reading.at_ms if unit.reading is not None else None,
            fresh=fresh,
            desired_w=unit.desired_w,
            commanded_w=unit.commanded_w,
            in_transition=unit.pending is not None or unit.sending,
            reason=unit.reason_at(self._clock.site_ms()),
            regulation=unit.regulation,
            fixed_power_w=unit.fixed_power_w if unit.regulation != "steps" else None,
            steps=_steps(unit),
            starts=unit.starts,
            changed_ms=unit.changed_ms,
            conditions=unit.conditions.all(),
        )


def _steps(unit: Unit) -> tuple[tuple[int, int], ...]:
    if unit.regulation == "steps":
        return unit.model.power_steps()
    power_w = unit.fixed_power_w or unit.model.power_w
    return ((power_w, unit.model.hash_rate_at(power_w)),)


def _why_awake(unit: Unit) -> str:
    conditions = unit.conditions.all()
    return conditions[0].summary if conditions else f"it is {unit.state}"
