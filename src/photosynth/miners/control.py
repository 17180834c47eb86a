"""Bringing a fleet of machines to the watts that they shall draw, and proving that they got there.

What is decided for one machine lives in :mod:`photosynth.miners.unit`, how it is sent in :mod:`photosynth.miners.traffic`;
here is who is asked when. Nothing that one machine or its driver does ends the control of the others.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from photosynth.actions import ActionSink
from photosynth.miners.guard import CallLimits, GuardedMachine, text_of
from photosynth.miners.machine import Machine, MachineError
from photosynth.miners.model import MachineModel
from photosynth.miners.stopping import StopReport, report_of
from photosynth.miners.traffic import JUDGING, Traffic, miss_of
from photosynth.miners.unit import Unit
from photosynth.miners.view import MachineView, view_of
from photosynth.quantities.instants import Clock

log = structlog.get_logger()

FULL_READ_EVERY = 15
ABSENT_READ_EVERY = 3
"""Every third poll asks a machine that left, so that many of them do not hold up the others."""
STALE_POLLS = 3
STOP_WALL_LIMIT_S = 60.0


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
        limits: CallLimits | None = None,
        shares_of: Callable[[str], int | None] | None = None,
        share_patience_s: int = 200,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        limits = CallLimits() if limits is None else limits
        self._doors = {machine.id: GuardedMachine(machine, clock.site_ms, limits) for machine in machines}
        self._units = {
            name: Unit(name, models[name], int(poll_s * 1000), takes_power=door.takes_power) for name, door in self._doors.items()
        }
        self._traffic = Traffic(self._doors, audit, clock, 2 * concurrency)
        self._clock, self._poll_s, self._concurrency, self._sleep = clock, poll_s, concurrency, sleep
        self._shares_of, self._share_patience_ms = shares_of, share_patience_s * 1000
        self._shares: dict[str, tuple[int, int]] = {}
        self._asked: set[str] = set()
        self._workers: set[asyncio.Task[None]] = set()
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
        self._traffic.send_due(self._units[machine] for machine in targets)

    async def poll_once(self, only_pending: bool = False) -> None:
        """Read every machine once (or those whose command waits for its proof), judge, and send what is due.

        It ends after ``poll_s`` at the latest: those that are slower are judged when they answer, and hold up nobody.
        """
        self._polls += not only_pending
        units = [unit for unit in self._units.values() if not only_pending or unit.pending is not None]
        waiting = deque(enumerate(units))

        async def worker() -> None:
            while waiting:
                index, unit = waiting.popleft()
                turn = index + self._polls
                if unit.id in self._asked or (unit.unreachable and turn % ABSENT_READ_EVERY):
                    continue
                await self._attend(unit, not only_pending and (unit.reading is None or turn % FULL_READ_EVERY == 0))

        loop = asyncio.get_running_loop()
        workers = {loop.create_task(worker()) for _ in range(min(self._concurrency, len(units)))}
        if not workers:
            return
        self._workers |= workers
        for task in workers:
            task.add_done_callback(self._workers.discard)
        try:
            await asyncio.wait(workers, timeout=self._poll_s)
        except asyncio.CancelledError:
            for task in workers:
                task.cancel()
            raise
        finally:
            waiting.clear()

    def machines(self) -> list[MachineView]:
        """Every machine as it is known now, in the order given."""
        now_ms, wall_ms, stale_ms = self._clock.site_ms(), self._clock.wall_ms(), int(STALE_POLLS * self._poll_s * 1000)
        return [view_of(unit, now_ms, wall_ms, stale_ms) for unit in self._units.values()]

    def ailing(self) -> list[MachineView]:
        """The machines that something is wrong with, or of which nothing is known yet."""
        now_ms, wall_ms, stale_ms = self._clock.site_ms(), self._clock.wall_ms(), int(STALE_POLLS * self._poll_s * 1000)
        units = [unit for unit in self._units.values() if unit.state == "unknown" or unit.conditions.all()]
        return [view_of(unit, now_ms, wall_ms, stale_ms) for unit in units]

    async def stop_all(self, actor: str, reason: str) -> StopReport:
        """Send everything to sleep at once, and wait until each machine is proven asleep or given up.

        It stays so until :meth:`resume`: what comes back later is sent to sleep too.
        """
        self.stopped = True
        loop, began_ms = asyncio.get_running_loop(), self._clock.site_ms()
        ends_s = loop.time() + STOP_WALL_LIMIT_S
        units = list(self._units.values())
        for unit in units:
            unit.wish(0, reason, actor)
            unit.insist()
        self._traffic.send_due(units)
        await self._traffic.settle(STOP_WALL_LIMIT_S)
        await self.poll_once()
        waited_s, pause_s = 0.0, min(self._poll_s, 0.25)
        while self._stopping(units, began_ms) and waited_s < STOP_WALL_LIMIT_S and loop.time() < ends_s:
            await self._sleep(pause_s)
            waited_s += pause_s
            await self.poll_once(only_pending=True)
        return report_of(units, began_ms)

    def resume(self) -> None:
        """Let :meth:`apply` decide again."""
        self.stopped = False

    async def settle(self) -> None:
        """Wait until no command is on the wire."""
        await self._traffic.settle()

    def memory(self) -> dict[str, Any]:
        """What was learnt of each machine, as JSON."""
        return {unit.id: unit.memory() for unit in self._units.values()}

    def remember(self, memory: object) -> None:
        """Take up an earlier life's :meth:`memory`; machines that are not there any more are forgotten.

        What cannot be read of it is learnt anew, and the log says so: no memory keeps a site from starting.
        """
        if not isinstance(memory, Mapping):
            log.warning("what was learnt of the machines cannot be read", found=type(memory).__name__)
            return
        now_ms = self._clock.site_ms()
        for machine, unit in self._units.items():
            if machine not in memory:
                continue
            try:
                unit.remember(memory[machine], now_ms)
            except ValueError as error:
                log.warning("what was learnt of a machine cannot be read", machine=machine, error=str(error))

    async def close(self) -> None:
        """Send nothing more; actions without proof are finished as unverified."""
        for task in self._workers:
            task.cancel()
        await self._traffic.close()
        for unit in self._units.values():
            self._traffic.finish(unit.supersede("the control was shut down"))
        await asyncio.gather(*(door.close() for door in self._doors.values()))

    def _stopping(self, units: Sequence[Unit], began_ms: int) -> bool:
        """Whether more may be learnt of a stop by waiting."""

        def waits(unit: Unit) -> bool:
            if unit.pending is not None or unit.sending is not None:
                return True
            return unit.id in self._asked and not unit.unreachable and not unit.asleep_since(began_ms)

        return any(waits(unit) for unit in units)

    async def _attend(self, unit: Unit, full: bool) -> None:
        """Read one machine, judge, and send what is due. A mistake of ours about it keeps nothing from the others."""
        self._asked.add(unit.id)
        try:
            if self.stopped and unit.desired_w is None:  # stopped in an earlier life
                unit.wish(0, "everything is stopped", "operator")
            await self._read(unit, full)
            unit.works(JUDGING)
        except Exception as error:  # noqa: BLE001 - the seam between one machine's control and the others'
            self._traffic.broken(unit, JUDGING, error)
        finally:
            self._asked.discard(unit.id)
        self._traffic.send_due((unit,))

    async def _read(self, unit: Unit, full: bool) -> None:
        asked_wall_ms = self._clock.wall_ms()
        try:
            reading = await self._doors[unit.id].read(full)
        except MachineError as error:
            self._traffic.finish(unit.missed(text_of(error), miss_of(error), self._clock.site_ms()))
            return
        self._traffic.finish(unit.observe(reading, asked_wall_ms))
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
