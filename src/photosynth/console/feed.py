"""One look at the site per second, shared by every open page, and none when no page is open."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from photosynth.documents import (
    ActionDocument,
    BlockDocument,
    DayPoint,
    MachineDocument,
    NodeDocument,
    Status,
    WorkersDocument,
)
from photosynth.operations.view import SiteView

PERIOD_S = 1.0
PATIENCE_S = 2.5
"""How long one look may take before the page says that the site does not answer."""
ACTIONS = 200
_CADENCE_S = {"machines": 1.0, "nodes": 2.0, "day": 5.0, "workers": 3.0, "actions": 2.0, "blocks": 10.0}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What was seen of the site; parts that no open page needs stay as they were. ``error`` is why the last look failed."""

    status: Status | None = None
    machines: tuple[MachineDocument, ...] = ()
    nodes: tuple[NodeDocument, ...] = ()
    day: tuple[DayPoint, ...] = ()
    blocks: tuple[BlockDocument, ...] = ()
    workers: WorkersDocument | None = None
    actions: tuple[ActionDocument, ...] = ()
    seen_s: float = 0.0
    error: str | None = None

    def age_ms(self, now_s: float, wall_s: float) -> int | None:
        """How old it is: since the look, or since the time that the site told then, whichever is longer; None for nothing.

        ``now_s`` is of the monotonic clock, ``wall_s`` of the machine's.
        """
        if self.status is None:
            return None
        told_s = datetime.fromisoformat(self.status.wall_time).timestamp()
        return max(0, int(max(now_s - self.seen_s, wall_s - told_s - 1) * 1000))  # it tells whole seconds


@dataclass(frozen=True, eq=False)
class Follower:
    """An open page: which parts it needs, and what to call with each new snapshot."""

    needs: frozenset[str]
    tell: Callable[[Snapshot], None]


class Feed:
    """Polls a SiteView while there are followers. Lives in one event loop."""

    def __init__(self, view: SiteView, period_s: float = PERIOD_S) -> None:
        """Prepare; nothing is asked before somebody follows."""
        self.view = view
        self.latest = Snapshot()
        self._period_s = period_s
        self._followers: set[Follower] = set()
        self._fetched_s: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    def follow(self, follower: Follower) -> None:
        """Tell a page of every new snapshot from now on."""
        self._followers.add(follower)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="console feed")

    def leave(self, follower: Follower) -> None:
        """Forget a page; the last one to leave stops the polling."""
        self._followers.discard(follower)
        if not self._followers:
            self.close()

    def close(self) -> None:
        """Stop polling."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def look(self, needs: frozenset[str]) -> Snapshot:
        """A snapshot with these parts, not older than a period."""
        async with self._lock:
            now = time.monotonic()
            due = {part for part in needs if now - self._fetched_s.get(part, -1e9) >= _CADENCE_S[part]}
            if self.latest.status is None or due or self.latest.error or now - self.latest.seen_s >= self._period_s * 0.9:
                await self._fetch(due)
            return self.latest

    async def _run(self) -> None:
        while self._followers:
            began = time.monotonic()
            needs = frozenset[str]().union(*(follower.needs for follower in self._followers))
            snapshot = await self.look(needs)
            for follower in tuple(self._followers):
                follower.tell(snapshot)
            await asyncio.sleep(max(0.05, self._period_s - (time.monotonic() - began)))

    async def _fetch(self, due: set[str]) -> None:
        """Look at the site and keep what was seen; a failure is kept too, beside what was seen last."""
        view, last = self.view, self.latest
        try:
            async with asyncio.timeout(PATIENCE_S):
                status = await view.status()
                if "blocks" not in due and last.status is not None and status.chain.tip != last.status.chain.tip:
                    due = due | ({"blocks"} & self._fetched_s.keys())
                found = replace(
                    last,
                    status=status,
                    machines=tuple(await view.machines()) if "machines" in due else last.machines,
                    nodes=tuple(await view.nodes()) if "nodes" in due else last.nodes,
                    day=tuple(await view.day()) if "day" in due else last.day,
                    blocks=tuple(await view.blocks(200)) if "blocks" in due else last.blocks,
                    workers=await view.workers() if "workers" in due else last.workers,
                    actions=tuple(await view.actions(ACTIONS)) if "actions" in due else last.actions,
                    seen_s=time.monotonic(),
                    error=None,
                )
        except Exception as error:  # noqa: BLE001 - whatever fails behind the page, the page says so and asks again
            if last.error is None:
                _log.warning("the console cannot see the site: %s: %s", type(error).__name__, error)
            reason = str(error) if not isinstance(error, TimeoutError) else f"no answer within {PATIENCE_S} s"
            self.latest = replace(last, error=reason or type(error).__name__)
            return
        if last.error is not None:
            _log.warning("the console sees the site again")
        for part in due:
            self._fetched_s[part] = found.seen_s
        self.latest = found
