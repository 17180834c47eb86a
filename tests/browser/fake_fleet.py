"""Fleets that are not there: two sites of one clock, and nodes without any site. ``python -m tests.browser.fake_fleet 8490``
serves a fleet of one site; with ``empty`` it has seen nothing yet, with ``two`` there are two, with ``none`` only nodes.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.browser.fake_day import START_MS
from tests.browser.fake_incidents import FakeIncidents
from tests.browser.fake_site import FakeSite

from photosynth import documents as doc
from photosynth.operations.view import FleetView, IncomePage, NotKnownError, chosen_sites, known_site
from photosynth.quantities.instants import iso_utc

SECOND = {
    "name": "jever",
    "title": "Wind farm, Jever",
    "models": (("s21", "Antminer S21", "hall-a", 24, 200, 3500), ("s19j-pro", "Antminer S19j Pro", "hall-b", 12, 104, 3068)),
    "size": 0.4,
    "blocks_before": 57,
}


@dataclass
class FakeFleet:
    """Implements FleetView over several sites, each a fake of its own; without any it operates nodes only."""

    sites: list[FakeSite] = field(default_factory=list)
    nodes_of: FakeSite = field(default_factory=FakeSite)
    failing: bool = False
    frozen: float | None = None
    made_up: FakeIncidents = field(default_factory=FakeIncidents)

    @property
    def names(self) -> list[str]:
        """The sites, in order."""
        return [site.name for site in self.sites]

    def _of(self, site: str | None) -> list[FakeSite]:
        wanted = known_site(self.names, site)
        return [one for one in self.sites if wanted in (None, one.name)]

    async def status(self, site: str | None = None) -> doc.Status:
        if self.failing:
            raise NotKnownError("the fleet's loop has stopped")
        found = [await one.status() for one in self._of(site) or [self.nodes_of]]
        parts = [part for status in found for part in status.sites] if self.sites else []
        gone = doc.Condition(
            id="node_unreachable:btc-2",
            severity="critical",
            subject="btc-2",
            summary="it does not answer",
            evidence="connection refused",
            advice="See that it runs.",
            since_ms=START_MS - 90_000,
        )
        wall_ms = int((self.frozen or time.time()) * 1000)
        books = found[0].ledger
        if not self.sites:
            books = books.model_copy(
                update=dict.fromkeys(("immature_sat", "mature_sat", "carrying_ueur", "mining_revenue_ueur", "mining_energy_j"), 0)
                | {"postings": 3}
            )
        return found[0].model_copy(
            update={
                "wall_time": iso_utc(wall_ms),
                "sites": parts,
                "ledger": books,
                "conditions": [gone],
                "incidents": doc.IncidentsStatus(open=1 + sum(len(part.conditions) for part in parts)),
            }
        )

    async def workers(self, site: str | None = None) -> doc.WorkersDocument:
        found = [worker for one in self._of(site) for worker in (await one.workers()).workers]
        return doc.WorkersDocument(running=True, workers=found)

    async def machines(self, site: str | None = None) -> list[doc.MachineDocument]:
        return [machine for one in self._of(site) for machine in await one.machines()]

    async def day(self, points: int = 288, site: str | None = None) -> list[doc.DayPoint]:
        found = self._of(site)
        return await found[0].day(points) if found else []

    async def blocks(self, limit: int = 100, site: str | None = None) -> list[doc.BlockDocument]:
        found = [block for one in self._of(site) for block in await one.blocks(limit)]
        return sorted(found, key=lambda block: -(block.site_ms or 0))[:limit]

    async def ledger(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 1000,
        before_id: int | None = None,
        site: str | None = None,
    ) -> doc.LedgerDocument:
        found = [await one.ledger(from_ms, to_ms, limit, before_id) for one in self._of(site) or [FakeSite(empty=True)]]
        postings = sorted((posting for one in found for posting in one.postings), key=lambda p: (-p.time_ms, p.site or ""))
        return found[0].model_copy(
            update={"postings": postings[:limit], "total_postings": sum(one.total_postings for one in found)}
        )

    async def ledger_lines(
        self,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int | None = None,
        *,
        before_id: int | None = None,
        oldest_first: bool = False,
        site: str | None = None,
    ) -> AsyncIterator[bytes]:
        document = await self.ledger(from_ms, to_ms, 100_000 if limit is None else limit, before_id, site)
        yield document.model_copy(update={"postings": []}).model_dump_json().encode() + b"\n"
        for posting in reversed(document.postings) if oldest_first else document.postings:
            yield posting.model_dump_json().encode() + b"\n"

    async def income(self, network: str | None = None, limit: int = 1000, cursor: str | None = None) -> IncomePage:
        return IncomePage([], None)

    async def income_lines(self, network: str | None = None) -> AsyncIterator[bytes]:
        for _ in ():
            yield b""

    async def incidents(
        self, site: str | None = None, *, resolved: bool = False, limit: int = 1000, before_id: int | None = None
    ) -> list[doc.IncidentDocument]:
        return await self.made_up.listed(site, resolved=resolved, limit=limit, before_id=before_id)

    async def acknowledge(self, incident_id: int, by: str) -> doc.ActionDocument:
        return await self.made_up.acknowledge(incident_id, by)

    async def test_alerts(self, actor: str) -> list[doc.AlertTestDocument]:
        return await self.made_up.test_alerts(actor)

    async def nodes(self) -> list[doc.NodeDocument]:
        first, *others = await self.nodes_of.nodes()
        at = self.names[0] if self.sites else None
        return [first.model_copy(update={"site": at}), *others]

    async def node_log(self, node_id: str, lines: int) -> list[str]:
        return await self.nodes_of.node_log(node_id, lines)

    async def restart_node(self, node_id: str, actor: str, reason: str) -> doc.ActionDocument:
        return await self.nodes_of.restart_node(node_id, actor, reason)

    async def trace(self, block_or_txid: str, site: str | None = None) -> doc.TraceDocument:
        for one in self._of(site):
            with contextlib.suppress(NotKnownError):
                return await one.trace(block_or_txid)
        raise NotKnownError(f"No block of this fleet has the height, hash or coinbase txid {block_or_txid[:80]!r}.")

    async def actions(
        self, limit: int = 200, before_id: int | None = None, subject: str | None = None, site: str | None = None
    ) -> list[doc.ActionDocument]:
        found = [action for one in self._of(site) for action in await one.actions(limit, before_id, subject)]
        return sorted(found, key=lambda action: (-action.wall_ms, action.site or "", -action.id))[:limit]

    async def stop_mining(self, actor: str, reason: str, site: str | None = None) -> doc.ActionDocument:
        return self._together([await one.stop_mining(actor, reason) for one in self._chosen(site)])

    async def resume_mining(self, actor: str, reason: str, site: str | None = None) -> doc.ActionDocument:
        return self._together([await one.resume_mining(actor, reason) for one in self._chosen(site)])

    def _chosen(self, site: str | None) -> list[FakeSite]:
        wanted = chosen_sites(self.names, site)
        return [one for one in self.sites if one.name in wanted]

    @staticmethod
    def _together(done: list[doc.ActionDocument]) -> doc.ActionDocument:
        """What was done at several sites as the one action of the fleet."""
        if len(done) == 1:
            return done[0]
        worst = next((action for action in done if action.result != "done"), done[0])
        said = "\n".join(f"{action.site}: {action.read_back}" for action in done)
        return worst.model_copy(update={"site": None, "subject": "fleet", "read_back": said})


def fleet(kind: str) -> FakeSite | FakeFleet:
    """A fleet by its name: ``one`` site, an ``empty`` one, ``two``, or ``none``."""
    if kind == "two":
        return FakeFleet([FakeSite(), FakeSite(**SECOND)])  # type: ignore[arg-type]
    if kind == "none":
        return FakeFleet()
    return FakeSite(empty=kind == "empty")


def is_a_view(view: FakeSite | FakeFleet) -> FleetView:
    """The same, held to the protocol by the type checker."""
    return view


async def serve(port: int, view: FakeSite | FakeFleet) -> None:
    """Serve the console over a fake fleet until SIGTERM; SIGUSR1 makes it stop answering, and answer again;
    SIGUSR2 makes it answer with what it saw then, and look again."""
    from photosynth.api import WebServer, create_app, listen
    from photosynth.console import mount

    app = create_app(is_a_view(view), token="token-of-the-fake-site")
    mount(app, view)
    server = WebServer(app)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, lambda: setattr(view, "failing", not view.failing))
    loop.add_signal_handler(signal.SIGUSR2, lambda: setattr(view, "frozen", None if view.frozen else time.time()))
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    listener = listen("127.0.0.1", port)
    await server.start(listener)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    try:
        await stop.wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8490, fleet(sys.argv[2] if len(sys.argv) > 2 else "one")))
