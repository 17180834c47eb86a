"""A fleet of conditions that a test turns on and off, looked at in made-up time, with its alerts: killed wherever one wants."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sqlalchemy import Connection

from photosynth.fleet.alerts import Alerts, AlertTarget
from photosynth.operations.alerting.alerts import AlertService, open_alerts
from photosynth.operations.audit import AuditLog
from photosynth.operations.incidents.kinds import LOOK_EVERY_S
from photosynth.operations.incidents.life import Look, Seen
from photosynth.operations.incidents.watch import IncidentWatch, open_incidents
from photosynth.storage import Database, Runner, StorageError

T = TypeVar("T")
LOOK_MS = int(LOOK_EVERY_S * 1000)
SILENT = Seen("|node_unreachable:btc-1", "node_unreachable", None, "node btc-1", "critical", "it does not answer", "no answer")
OFFICE = AlertTarget(id="office", url="json://127.0.0.1:1/hook")
HOME = AlertTarget(id="home", url="json://127.0.0.1:2/hook")


class KillError(BaseException):
    """Nothing of the process goes on after it."""


class Disk:
    """A database that takes nothing while ``full``, and that kills before or after the commit of a number."""

    def __init__(self, database: Database) -> None:
        self._database, self.place = database, database.place
        self.full, self.commits, self.kill_at, self.kill_after = False, 0, 0, False

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes."""
        self.commits += 1
        if self.full:
            raise StorageError("full", self.place, "is full.")
        if self.commits == self.kill_at and not self.kill_after:
            raise KillError
        with self._database.begin() as tx:
            yield tx
        if self.commits == self.kill_at:
            raise KillError

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that reads."""
        with self._database.read() as tx:
            yield tx


class Audit:
    """Takes down what is sent."""

    def __init__(self) -> None:
        self.actions: list[tuple[str, str, str, str | None]] = []

    def noted(self, actor: str, kind: str, subject: str, reason: str, request: str) -> Any:
        """Something goes out."""
        return [actor, kind, subject]

    def finished(self, action: Any, result: str, answer: str | None, read_back: str | None, verified: bool | None) -> None:
        """What came of it."""
        self.actions.append((action[1], action[2], result, answer))


class World:
    """One fleet over all its starts; ``sent`` are title, body and target of every message that arrived."""

    def __init__(self, database: Database, *targets: AlertTarget, **settings: Any) -> None:
        self.disk, self.now_ms = Disk(database), 1_790_000_000_000
        self.alerts = Alerts.model_construct(to=targets, **{"repeat_s": None, "quiet": None, **settings})
        self.sent: list[tuple[str, str, str]] = []
        self.refuses: dict[str, str] = {}
        self.audit = Audit()
        self.stuck = False
        """Whether the database takes a question and never answers."""
        self.seen: Sequence[Seen] = ()
        self.watch = cast(IncidentWatch, None)
        self.service = cast(AlertService, None)

    async def start(self) -> "World":
        """Go on from what is written down."""
        disk, run = cast(Database, self.disk), cast(Runner, self._at_once)
        self.watch = await open_incidents(self._look, disk, run, lambda: self.now_ms)
        self.service = await open_alerts(
            self.alerts,
            watch=self.watch,
            database=disk,
            run=run,
            audit=cast(AuditLog, self.audit),
            wall_ms=lambda: self.now_ms,
            monotonic=lambda: self.now_ms / 1000,
            send_message=self._send,
        )
        return self

    async def looks(self, number: int, *seen: Seen) -> None:
        """Looks in a row, each followed by the alerts that are due."""
        self.seen = seen
        for _ in range(number):
            self.now_ms += LOOK_MS
            await self.watch.look()
            for target in self.alerts.to:
                await self.service.tell(target.id)

    def titles(self, target: str = "office") -> list[str]:
        """Of what arrived at a target."""
        return [title for title, _, name in self.sent if name == target]

    async def _at_once(self, call: Callable[[], T]) -> T:
        """A runner without a thread: a kill is where it is."""
        if self.stuck:
            await asyncio.Event().wait()
        return call()

    async def _look(self) -> Look:
        return Look(self.seen)

    async def _send(self, target: AlertTarget, title: str, body: str) -> str | None:
        why = self.refuses.get(target.id)
        if why is None:
            self.sent.append((title, body, target.id))
        return why
