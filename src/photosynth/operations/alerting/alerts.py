"""Alerts in operation: each target in a task of its own, told after a look what it has not been told yet.

What was sent is written down after it was sent: a kill in between repeats that one message at the next start, and loses none.
A target that takes nothing is tried again with growing patience, and is a condition of its own that the others are told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from photosynth.documents import AlertTestDocument
from photosynth.fleet.alerts import Alerts, AlertTarget
from photosynth.operations.alerting.due import Message, Told, What, due, is_quiet, message
from photosynth.operations.alerting.sending import send
from photosynth.operations.audit import AuditLog
from photosynth.operations.incidents.watch import IncidentWatch
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.incidents import tell_alerts, told_alerts

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0
"""Between two attempts at a target that takes nothing."""
FAILS_AFTER = 2
FIRST_GAP_S, LONGEST_GAP_S, CALM_S = 30.0, 300.0, 600.0
"""Between two messages to a target: doubled as long as they come one after the other, so that a fleet that goes down over ten
minutes is some messages and not hundreds; none after ten minutes of rest."""
KEEP_PATIENCE_S = 2.0
"""So long a message waits for the disk to take what was told before; a disk that hangs keeps nobody from being woken."""
AT_ONCE = 4
"""Processes that send at a time."""

Send = Callable[[AlertTarget, str, str], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Failing:
    """A target that takes nothing: why, and since how many attempts."""

    id: str
    why: str
    attempts: int


@dataclass(slots=True)
class _Target:
    declared: AlertTarget
    told: dict[int, Told] = field(default_factory=dict)
    unwritten: dict[int, What] = field(default_factory=dict)
    attempts: int = 0
    """Failed ones in a row."""
    why: str = ""
    not_before_s: float = 0.0
    last_s: float = float("-inf")
    gap_s: float = 0.0
    keeping: "asyncio.Task[None] | None" = None


class AlertService:
    """Tells the targets of a fleet; a service, made by :func:`open_alerts`."""

    def __init__(
        self,
        settings: Alerts,
        told: Mapping[tuple[str, int], Told],
        *,
        watch: IncidentWatch,
        database: Database,
        run: Runner,
        audit: AuditLog,
        wall_ms: Callable[[], int],
        monotonic: Callable[[], float],
        send_message: Send,
    ) -> None:
        self._settings, self._watch, self._database, self._run, self._audit = settings, watch, database, run, audit
        self._wall_ms, self._monotonic, self._send_message = wall_ms, monotonic, send_message
        self._places = asyncio.Semaphore(AT_ONCE)
        self._targets = [_Target(target) for target in settings.to]
        for target in self._targets:
            target.told = {number: item for (name, number), item in told.items() if name == target.declared.id}

    async def run(self) -> None:
        """Tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for target in self._targets:
                tasks.create_task(self._serve(target), name=f"alerts to {target.declared.id}")
            if not self._targets:
                await asyncio.Event().wait()

    async def close(self) -> None:
        """Write down what was told and is not written yet, where that can be done."""
        for target in self._targets:
            await self._keep(target)

    def failing(self) -> list[Failing]:
        """The targets that take nothing now."""
        return [Failing(item.declared.id, item.why, item.attempts) for item in self._targets if item.attempts >= FAILS_AFTER]

    async def test(self, actor: str) -> list[AlertTestDocument]:
        """Send a message to every target, however well it does, and say what came of it."""
        return list(await asyncio.gather(*(self._test(target, actor) for target in self._targets)))

    async def _test(self, target: _Target, actor: str) -> AlertTestDocument:
        name, told = target.declared.id, f"Sent by {actor}: alerts to {target.declared.id} arrive. Nothing is wrong."
        action = self._audit.noted(actor, "test_alert", f"alerts {name}", "to see whether alerts arrive", "a test message")
        why = await self._sent(target, "Photosynth: a test", told)
        self._audit.finished(action, "done" if why is None else "failed", why, None, None)
        if why is None:
            target.attempts, target.why, target.not_before_s = 0, "", 0.0
        return AlertTestDocument(id=name, delivered=why is None, why=why)

    async def _serve(self, target: _Target) -> None:
        while True:
            await self._watch.next_look()
            await self.tell(target.declared.id)

    async def tell(self, name: str) -> None:
        """Tell a target what is due now, if anything is and it is not too soon."""
        target = next(item for item in self._targets if item.declared.id == name)
        known = self._watch.incidents.by_id
        target.told = {number: item for number, item in target.told.items() if number in known}
        await self._keep(target)
        if self._monotonic() < target.not_before_s:
            return
        now_ms, own = self._wall_ms(), f"|alerts_undelivered:{name}"
        wanted = due(
            [incident for incident in known.values() if incident.key != own],
            target.told,
            now_ms,
            repeat_ms=None if self._settings.repeat_s is None else self._settings.repeat_s * 1000,
            quiet=is_quiet(self._settings.quiet, now_ms),
        )
        if wanted:
            await self._deliver(target, message(wanted))

    async def _deliver(self, target: _Target, found: Message) -> None:
        name = target.declared.id
        began_again = target.attempts > 0
        action = None
        if not began_again:  # one that takes nothing for a year is not a line each quarter of an hour
            numbers = ", ".join(f"{number} {what}" for number, what in [*found.tells.items()][:20])
            request = f"{len(found.tells)} incidents: {numbers}"
            action = self._audit.noted("alerts", "send_alert", f"alerts {name}", found.title, request)
        try:
            why = await self._sent(target, found.title, found.body)
        except BaseException:
            if action is not None:
                self._audit.finished(action, "unverified", "cut off before its end", None, None)
            raise
        if action is not None:
            self._audit.finished(action, "done" if why is None else "failed", why, None, None)
        elif why is None:
            again = self._audit.noted("alerts", "send_alert", f"alerts {name}", found.title, f"{len(found.tells)} incidents")
            self._audit.finished(again, "done", f"after {target.attempts} attempts that failed", None, None)
        if why is not None:
            self._failed(target, why)
            return
        now_ms, now_s = self._wall_ms(), self._monotonic()
        target.told |= {number: Told(what, now_ms) for number, what in found.tells.items()}
        target.unwritten |= found.tells
        target.gap_s = FIRST_GAP_S if now_s - target.last_s > CALM_S else min(2 * target.gap_s, LONGEST_GAP_S)
        target.last_s, target.not_before_s = now_s, now_s + target.gap_s
        if target.attempts >= FAILS_AFTER:
            log.info("alerts are delivered again", target=name)
        target.attempts, target.why = 0, ""
        await self._keep(target)

    def _failed(self, target: _Target, why: str) -> None:
        target.attempts, target.why = target.attempts + 1, why
        pause_s = min(FIRST_PAUSE_S * 2 ** min(target.attempts - 1, 20), LONGEST_PAUSE_S)
        target.not_before_s = self._monotonic() + pause_s
        if target.attempts == FAILS_AFTER:
            log.error("alerts are not delivered", target=target.declared.id, reason=why)

    async def _sent(self, target: _Target, title: str, body: str) -> str | None:
        async with self._places:
            return await self._send_message(target.declared, title, body)

    async def _keep(self, target: _Target) -> None:
        """Write down what was told, and wait a little for it; what is being written already goes first."""
        if target.keeping is None:
            target.keeping = asyncio.get_running_loop().create_task(self._write(target))
        keeping = target.keeping
        await asyncio.wait({keeping}, timeout=KEEP_PATIENCE_S)
        if keeping.done():
            target.keeping = None
            keeping.result()

    async def _write(self, target: _Target) -> None:
        """Write down what was told of incidents that are written down themselves; what cannot be is tried again."""
        writable = {number: what for number, what in target.unwritten.items() if number not in self._watch.incidents.unwritten}
        if not writable:
            return
        name, now_ms = target.declared.id, self._wall_ms()

        def write() -> None:
            with self._database.begin() as tx:
                tell_alerts(tx, name, writable, now_ms)

        try:
            await self._run(write)
        except StorageError as error:
            log.warning("what was told cannot be written down yet", target=name, error=str(error))
            return
        for number, what in writable.items():
            if target.unwritten.get(number) == what:
                del target.unwritten[number]


async def open_alerts(
    settings: Alerts,
    *,
    watch: IncidentWatch,
    database: Database,
    run: Runner,
    audit: AuditLog,
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    monotonic: Callable[[], float] = time.monotonic,
    send_message: Send = send,
) -> AlertService:
    """Alerts, going on from what each target was told. Raises StorageError."""
    numbers: Sequence[int] = list(watch.incidents.by_id)

    def read() -> dict[tuple[str, int], Told]:
        with database.read() as tx:
            return {key: Told(what, told_ms) for key, (what, told_ms) in told_alerts(tx, numbers).items()}

    return AlertService(
        settings,
        await run(read),
        watch=watch,
        database=database,
        run=run,
        audit=audit,
        wall_ms=wall_ms,
        monotonic=monotonic,
        send_message=send_message,
    )
