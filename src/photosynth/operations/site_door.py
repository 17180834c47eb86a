"""One running site as its documents show it, whichever of its services run, and its switch: stop and resume."""

import asyncio
import contextlib
import time
from dataclasses import dataclass

import structlog

from photosynth.bitcoin.node import NodeHealth, NodeUnavailableError
from photosynth.documents import ChainStatus, Condition, DayPoint, MachineDocument, SiteStatus, WorkerDocument
from photosynth.miners.guard import named
from photosynth.miners.view import MachineView
from photosynth.operations import book_documents as books
from photosynth.operations import conditions as wrong
from photosynth.operations import status as parts
from photosynth.operations.fleet_units import ChainUnits, SiteUnits
from photosynth.operations.running_fleet import RunningFleet
from photosynth.pool.statistics import PoolSnapshot, WorkerStats, describe
from photosynth.storage import StorageError

log = structlog.get_logger()

HEALTH_AGE_S = 1.0
"""A node's answer about itself serves every question within so many seconds."""
HEALTH_PATIENCE_S = 0.2
"""So long a page waits for that answer; then it shows the one before, which is not older than ``HEALTH_KEPT_S``."""
HEALTH_KEPT_S = 10.0
KEEP_PATIENCE_S = 5.0
"""How long a stop's answer waits for the disk to take that everything is stopped."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What came of a stop: what reading back showed, whether all sleep, and why a restart would not know of it yet."""

    text: str
    proven: bool
    unkept: str | None


class SiteDoor:
    """The door to one running site."""

    def __init__(self, fleet: RunningFleet, units: SiteUnits, chain: ChainUnits) -> None:
        self._fleet, self.units, self._chain = fleet, units, chain
        self.site = units.site
        self.stops = 0
        """How often it was stopped: a resume that was asked for before a stop does not undo it."""
        self._started_ms = self.site.clock.site_ms()
        self._health: NodeHealth | None = None
        self._answered: parts.Answered | None = None
        """What the node said when it last answered, however long ago."""
        self._health_s, self._answered_s = -HEALTH_AGE_S, 0.0
        self._asking: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The site's name in the fleet file."""
        return self.site.name

    # What it shows.

    def views(self) -> list[MachineView]:
        """The machines as control knows them; none while nothing controls them."""
        running = self.units.machines.service
        return [] if running is None else running.control.machines()

    def ailing(self) -> list[MachineView]:
        """Those of them that something is wrong with, or of which nothing is known yet."""
        running = self.units.machines.service
        return [] if running is None else running.control.ailing()

    def snapshot(self) -> PoolSnapshot:
        """The pool at this moment; as its log has it while it does not serve."""
        running, site = self.units.mining.service, self.site
        if running is not None:
            return running.pool.snapshot()
        scales = site.declared.scale_of_worker(site.clock.time.speed_milli)
        host, port = site.pool_address
        return describe(
            site.log.account,
            (),
            listen=f"{host}:{port}",
            scale_of=lambda worker: scales.get(worker, 1),
            site_ms=site.clock.site_ms(),
            started_site_ms=self._started_ms,
            height=None,
            job_age_s=None,
            condition=site.log.condition,
        )

    def site_status(self, views: list[MachineView]) -> SiteStatus:
        """The site's power now."""
        site, energy = self.site, self.units.energy.service
        return parts.site_status(
            site.declared,
            None if energy is None else energy.controller,
            views,
            import_peak_w=site.notes.import_peak.watts_at(site.clock.site_ms()),
            now_ms=site.clock.site_ms(),
            wall_ms=site.clock.wall_ms(),
            speed=site.clock.speed,
            replay=site.settings.replay,
            stopped=site.stop.stopped,
        )

    def chain_status(self, health: NodeHealth | None) -> ChainStatus:
        """The chain that it mines on, with what :meth:`health` said just now; without an answer as it was told last."""
        mining = self.units.mining.service
        template = None if mining is None else mining.pool.template
        now_ms = self.site.clock.wall_ms()
        return parts.chain_status(self.site.mining, self._answered, template, fresh=health is not None, now_ms=now_ms)

    async def health(self) -> NodeHealth | None:
        """What its node says of itself, not asked more often than once a second; None where it does not answer.

        A node that takes the question and keeps silent holds up no page.
        """
        begun = self._asking is None and time.monotonic() - self._health_s > HEALTH_AGE_S
        if begun:
            self._asking = asyncio.ensure_future(self._ask_health())
        if self._asking is not None and (begun or self._answered is None):  # nobody else waits for one that is silent
            await asyncio.wait({self._asking}, timeout=HEALTH_PATIENCE_S)
        if self._asking is not None and time.monotonic() - self._answered_s > HEALTH_KEPT_S:
            return None
        return self._health

    async def _ask_health(self) -> None:
        answer: NodeHealth | None = None
        try:
            with contextlib.suppress(NodeUnavailableError):
                answer = await self.units.node.health()
                self._answered_s = time.monotonic()
                self._answered = parts.Answered(answer, self.site.clock.wall_ms())
        finally:
            self._health, self._health_s, self._asking = answer, time.monotonic(), None

    @property
    def reconciles(self) -> bool:
        """Whether its chain's books were held against the coins since the start."""
        followed = self._chain.books.service
        return followed is not None and followed.reconciled is not None

    def conditions(self, snapshot: PoolSnapshot, health: NodeHealth | None) -> list[Condition]:
        """What is wrong with the parts of the site that are not machines, those that do not run among them."""
        troubles = [trouble for trouble in self._fleet.supervisor.troubles() if trouble.scope == f"site:{self.name}"]
        return self.parts_wrong(snapshot, health) + wrong.trouble_conditions(troubles, self.site.clock.site_ms())

    def parts_wrong(self, snapshot: PoolSnapshot, health: NodeHealth | None) -> list[Condition]:
        """What is wrong with those of them that run."""
        site, now_ms = self.site, self.site.clock.site_ms()
        energy, keeper, mining = self.units.energy.service, self.units.books.service, self.units.mining.service
        followed = self._chain.books.service
        found = wrong.system_conditions(
            meters_fault=None if energy is None else energy.controller.fault,
            health=health,
            pool_fault=snapshot.condition,
            books_fault=(None if keeper is None else keeper.keeper.fault) or (None if followed is None else followed.fault),
            waiting=None if keeper is None else keeper.keeper.meter_wait.waiting,
            reconciled=None if followed is None else followed.reconciled,
            now_ms=now_ms,
        )
        demonstration, rate = site.mining.node.demonstration, snapshot.hash_rate.hash_rate_hs
        template = None if mining is None else mining.pool.template
        if demonstration is not None and template is not None and rate is not None:
            usual_sat = site.quote().expected_sat(rate * demonstration.block_interval_s)
            found += wrong.money_conditions(template, usual_sat, now_ms)
        return found + wrong.control_conditions(None if energy is None else energy.controller.mistake, now_ms)

    def workers(self) -> list[WorkerDocument]:
        """The pool's workers over the life of the state."""
        parties = self.site.declared.party_of_worker()
        return [worker_document(item, self.name, parties.get(item.name)) for item in self.snapshot().workers]

    def machines(self) -> list[MachineDocument]:
        """Every machine, in the fleet file's order."""
        site, running = self.site, self.units.machines.service
        workers = {item.name: item for item in self.snapshot().workers}
        views = {view.id: view for view in self.views()}
        addresses = {} if running is None else running.addresses
        quote = site.quote()
        documents = []
        for spec in site.declared.machine_specs():
            worker, view = workers.get(spec.worker), views.get(spec.id)
            told = None if view is None else view.told
            host, port = addresses.get(spec.id, (None, None))
            documents.append(
                MachineDocument(
                    id=spec.id,
                    site=self.name,
                    group=spec.group,
                    model=spec.model.name,
                    party=spec.party,
                    driver=spec.driver,
                    address="" if host is None else f"{host}:{port}",
                    worker=spec.worker,
                    state="unknown" if view is None else view.state,
                    power_w=None if view is None else view.power_w,
                    hash_rate_hs=None if view is None or view.hash_rate_hs is None else str(view.hash_rate_hs),
                    commanded_w=None if told is None else told.watts,
                    commanded_ms=None if told is None else told.at_ms,
                    commanded_result=None if told is None else told.result,
                    reason=(None if view is None else view.reason) or "no decision has been made yet",
                    temperature_c=None if view is None else view.temperature_c,
                    observed_ms=None if view is None else view.observed_ms,
                    state_since_ms=None if view is None else view.state_since_ms,
                    starts=0 if view is None else view.starts,
                    accepted=0 if worker is None else worker.accepted,
                    rejected=0 if worker is None else sum(worker.rejected.values()),
                    last_share_wall_ms=None if worker is None else worker.last_share_wall_ms,
                    strike_cent_per_mwh=quote.strike_cent_per_mwh(spec.model.hash_rate_hs, spec.model.power_w),
                    conditions=[] if view is None else wrong.machine_conditions(view),
                )
            )
        return documents

    async def day(self, points: int) -> list[DayPoint]:
        """The curve of the current market day so far: what is stored, and what waits to be."""
        now_ms = self.site.clock.site_ms()
        stored = await self._fleet.readers.read(lambda tx: books.day_points(tx, self.name, now_ms, points))
        last_ms = stored[-1].time_ms if stored else 0
        return stored + [books.day_point(item) for item in self.site.notes.observations if item.time_ms > last_ms]

    # Its switch.

    async def stop(self, actor: str, reason: str) -> Stopped:
        """Everything off at once, also where nothing can be written down, and it stays off until resumed."""
        self.stops += 1
        self.site.stop.stopped = True
        keeping = asyncio.ensure_future(self._keep_stopped())
        machines = self.units.machines.service
        if machines is None:
            text, proven = f"nothing is connected to the machines of {self.name}; they are told to sleep when it is", False
        else:
            report = await machines.control.stop_all(actor, reason)
            text, proven = report.text, not report.awake
        kept, _ = await asyncio.wait({keeping}, timeout=KEEP_PATIENCE_S)
        return Stopped(text, proven, keeping.result() if kept else "the disk is slow")

    async def resume(self, stops: int) -> str | None:
        """Let the dispatch decide again, but where it was stopped since ``stops``; what reading back shows, None if it was.

        Raises StorageError where it cannot be written down: it stays stopped then.
        """
        was_stopped = self.site.stop.stopped
        try:
            if stops == self.stops:
                await self.site.stop.set(False)
        except BaseException:
            if stops == self.stops:
                self.site.stop.stopped = was_stopped
            raise
        if stops != self.stops:
            return None
        if (machines := self.units.machines.service) is not None:
            machines.control.resume()
        # Nothing of the world is read back here: what the dispatch then tells machines are actions of their own.
        return "the dispatch decides again" if was_stopped else "mining was not stopped, so nothing changed"

    async def _keep_stopped(self) -> str | None:
        """Remember a stop over restarts; why it cannot be remembered yet, None where it is."""
        try:
            await self.site.stop.set(True)
        except StorageError as error:
            return str(error)
        except Exception as error:
            log.error("a stop could not be written down, by a mistake of the program", site=self.name, exc_info=error)
            return named(error)
        return None


def worker_document(item: WorkerStats, site: str, party: str | None) -> WorkerDocument:
    """One worker of a site's pool."""
    return WorkerDocument(
        site=site,
        name=item.name,
        party=party,
        scale=str(item.scale),
        connected=item.connections > 0,
        difficulty=item.difficulty,
        shares_accepted=item.accepted,
        rejected_by_cause=dict(item.rejected),
        work_hashes=str(item.work),
        represented_hashes=str(item.represented),
        last_share_wall_ms=item.last_share_wall_ms,
        user_agent=item.user_agent,
    )
