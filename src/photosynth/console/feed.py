"""One look at the fleet per second, shared by every open page, and none when no page is open."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from photosynth.console.snapshot import Snapshot
from photosynth.documents import Status
from photosynth.operations.view import FleetView

PERIOD_S = 1.0
PATIENCE_S = 2.5
"""How long one look may take before the page says that the fleet does not answer."""
ACTIONS = 200
BLOCKS = 200
INCIDENTS = 500
_CADENCE_S = {"machines": 1.0, "nodes": 2.0, "incidents": 2.0, "day": 5.0, "workers": 3.0, "actions": 2.0, "blocks": 10.0}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Follower:
    """An open page: which parts it needs, of which site (None: of all), and what to call with each new snapshot."""

    needs: frozenset[str]
    site: str | None
    tell: Callable[[Snapshot], None]


@dataclass(slots=True)
class _Scope:
    """What was seen for the pages of one site, or of all: the snapshot, and when each of its parts was fetched."""

    latest: Snapshot
    fetched_s: dict[str, float] = field(default_factory=dict)


class Feed:
    """Polls a FleetView while there are followers. Lives in one event loop."""

    def __init__(self, view: FleetView, period_s: float = PERIOD_S) -> None:
        """Prepare; nothing is asked before somebody follows."""
        self.view = view
        self._status: Status | None = None
        self._seen_s = 0.0
        self._error: str | None = None
        self._scopes: dict[str | None, _Scope] = {}
        self._period_s = period_s
        self._followers: set[Follower] = set()
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

    async def chosen(self, name: str) -> str | None:
        """The site of this name, None for all where the fleet does not have it: only sites that are known are asked for."""
        status = (await self.look(frozenset())).status
        return name if status is not None and any(part.name == name for part in status.sites) else None

    async def look(self, needs: frozenset[str], site: str | None = None) -> Snapshot:
        """A snapshot with these parts, of one site or of all, not older than a period."""
        async with self._lock:
            return await self._look(needs, site)

    async def _look(self, needs: frozenset[str], site: str | None) -> Snapshot:
        now = time.monotonic()
        scope = self._scopes.setdefault(site, _Scope(Snapshot(site=site)))
        due = {part for part in needs if now - scope.fetched_s.get(part, -1e9) >= _CADENCE_S[part]}
        old = self._status is None or self._error is not None or now - self._seen_s >= self._period_s * 0.9
        if old or due:
            await self._fetch(scope, due, status_too=old)
        else:
            scope.latest = replace(scope.latest, status=self._status, seen_s=self._seen_s, error=None)
        return scope.latest

    async def _run(self) -> None:
        while self._followers:
            began = time.monotonic()
            for site in {follower.site for follower in self._followers}:
                followers = [follower for follower in self._followers if follower.site == site]
                snapshot = await self.look(frozenset[str]().union(*(follower.needs for follower in followers)), site)
                for follower in followers:
                    follower.tell(snapshot)
            await asyncio.sleep(max(0.05, self._period_s - (time.monotonic() - began)))

    async def _fetch(self, scope: _Scope, due: set[str], *, status_too: bool) -> None:
        """Look at the fleet and keep what was seen; a failure is kept too, beside what was seen last."""
        last = scope.latest
        try:
            async with asyncio.timeout(PATIENCE_S):
                status = await self.view.status() if status_too or self._status is None else self._status
                if "blocks" in scope.fetched_s and last.status is not None and _tips(status) != _tips(last.status):
                    due = due | {"blocks"}
                parts = {part: await self._part(part, last.site) for part in due}
        except Exception as error:  # noqa: BLE001 - whatever fails behind the page, the page says so and asks again
            if self._error is None:
                _log.warning("the console cannot see the fleet: %s: %s", type(error).__name__, error)
            reason = str(error) if not isinstance(error, TimeoutError) else f"no answer within {PATIENCE_S} s"
            self._error = reason or type(error).__name__
            scope.latest = replace(last, error=self._error)
            return
        if self._error is not None:
            _log.warning("the console sees the fleet again")
        if status_too:
            self._seen_s = time.monotonic()
        self._status, self._error = status, None
        scope.fetched_s |= dict.fromkeys(due, time.monotonic())
        scope.latest = replace(last, status=status, seen_s=self._seen_s, error=None, **parts)

    async def _part(self, part: str, site: str | None) -> Any:
        view = self.view
        if part == "workers":
            return await view.workers(site)
        if part == "nodes":
            return tuple(await view.nodes())
        if part == "incidents":
            current, newest = await self.view.incidents(), await self.view.incidents(resolved=True, limit=INCIDENTS)
            return tuple(sorted({one.id: one for one in (*current, *newest)}.values(), key=lambda one: -one.id))
        if part == "machines":
            return tuple(await view.machines(site))
        if part == "day":
            return tuple(await view.day(site=site))
        if part == "blocks":
            return tuple(await view.blocks(BLOCKS, site))
        assert part == "actions", f"no part is called {part}"
        return tuple(await view.actions(ACTIONS, site=site))


def _tips(status: Status) -> list[str | None]:
    return [part.chain.tip for part in status.sites]
