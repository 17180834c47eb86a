"""The pool: a listener for miners, their shares judged, logged and answered, and a look at it all.

Everything runs on one event loop; only the share log's writing and the node are elsewhere.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address, ip_address

from photosynth.bitcoin.node import BitcoinNode, Template
from photosynth.pool.chain import ChainLink, Solution
from photosynth.pool.config import CoinbasePolicy, PoolConfig, PoolEvents
from photosynth.pool.connection import Connection, Unanswered
from photosynth.pool.jobs import ALIASES, PoolJob
from photosynth.pool.places import Places
from photosynth.pool.records import ShareRecord
from photosynth.pool.results import CAUSES, IntervalWork
from photosynth.pool.share_log import ShareLog
from photosynth.pool.shares import Candidate, objection, rebuild
from photosynth.pool.statistics import PoolSnapshot, describe
from photosynth.pool.vardiff import Vardiff
from photosynth.quantities.instants import INTERVAL_MS, Clock
from photosynth.stratum.names import objection_to_name
from photosynth.stratum.server import Submit

TICK_S = 1.0
TICK_PARTS = 4
"""Every tick looks at a quarter of the connections."""


class Pool:
    """A pool on a node. ``scale_of`` says how many hashes one real hash of a worker stands for; ``log`` must be open.

    Start with :meth:`start`; the address it listens on is then :attr:`address`.
    """

    def __init__(  # noqa: PLR0917  what it stands on, in the order of the flow
        self,
        config: PoolConfig,
        node: BitcoinNode,
        clock: Clock,
        policy: CoinbasePolicy,
        scale_of: Callable[[str], int],
        log: ShareLog,
        events: PoolEvents,
    ) -> None:
        self.config = config
        self.log = log
        self._clock = clock
        self._scale_of = scale_of
        self._chain = ChainLink(config, node, clock, policy=policy, log=log, events=events, on_job=self._on_job)
        self._places = Places(config, log.account)
        self._connections: dict[int, Connection] = {}
        self._extranonces: dict[bytes, int] = {}
        self._next_number = 0
        self._answering: list[Connection] = []
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._closed = False
        last = [t.last_share_site_ms for t in log.account.totals.values() if t.last_share_site_ms is not None]
        self._site_ms = max([*last, *log.account.open_intervals()], default=0)
        self._times: tuple[int, int] | None = None
        self._started_site_ms = clock.site_ms()
        log.after_batch = self._after_batch
        log.forget_workers = lambda: self._places.trim(clock.wall_ms())

    # Life.

    async def start(self, listener: socket.socket | None = None) -> None:
        """Serve miners, on a socket that listens already where one is given, and follow the node.

        Raises OSError where the configuration's address is taken.
        """
        loop = asyncio.get_running_loop()
        if listener is None:
            self._server = await loop.create_server(
                self._new_connection, self.config.host, self.config.port, backlog=4096, reuse_address=True
            )
        else:
            self._server = await loop.create_server(self._new_connection, sock=listener, backlog=4096)
        self.log.live_jobs = self._chain.live_jobs
        self._chain.start()
        self._ticker = loop.create_task(self._tick_forever(), name="pool-tick")

    async def close(self) -> None:
        """Stop listening, cut every connection, write what is left; safe to call twice."""
        if self._server is not None:
            self._server.close()
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        await self._chain.close()
        if not self._closed:
            with contextlib.suppress(OSError):
                await self.log.flush()  # what came until now still gets its answer
        self._closed = True
        for connection in list(self._connections.values()):
            connection.drop()
        await asyncio.sleep(0)
        await self.log.close()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that miners connect to. Raises RuntimeError before the start."""
        if self._server is None or not self._server.sockets:
            raise RuntimeError("the pool does not listen yet")
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def recover(self, node: BitcoinNode | None = None) -> int:
        """Tell of claims again and find blocks of ours that a crash left unclaimed; call once before :meth:`start`.

        Returns how many were claimed now. Raises NodeUnavailableError.
        """
        return await self._chain.recover()

    @property
    def template(self) -> Template | None:
        """What is worked on now; None before the node's first answer."""
        current = self._chain.book.current
        return None if current is None else current.template

    def refresh(self) -> None:
        """New jobs for everybody now, as after a new commitment."""
        self._chain.refresh()

    # Intervals.

    async def close_interval(self, interval_start_ms: int) -> IntervalWork:
        """The work of a quarter hour that is over, durable to the last share; the same each time until checkpointed.

        Commit it, then call ``log.checkpoint(work.last_seq)``, which frees it. Raises ValueError where the interval is
        not over yet, OSError where the share log cannot be written.
        """
        if self.site_ms() < interval_start_ms + INTERVAL_MS:
            raise ValueError(f"the interval from {interval_start_ms} ms is not over")
        await self.log.flush()
        return self.log.account.interval_work(interval_start_ms)

    def site_ms(self) -> int:
        """Site time as shares are stamped with it: never earlier than an entry before."""
        now_ms = self._clock.site_ms()
        if now_ms > self._site_ms:
            self._site_ms = now_ms
            self._times = None
        return self._site_ms

    def _read_times(self) -> tuple[int, int]:
        """Site and wall time for the shares of this round of the loop, as long as nobody asks for a later one."""
        times = self._times = (self.site_ms(), self._clock.wall_ms())
        asyncio.get_running_loop().call_soon(self._forget_times)
        return times

    def _forget_times(self) -> None:
        self._times = None

    def snapshot(self) -> PoolSnapshot:
        """The pool at this moment."""
        current = self._chain.book.current
        conditions = [c for c in (self._chain.condition, self.log.condition) if c is not None]
        age_s = None if current is None else asyncio.get_running_loop().time() - current.created_s
        return describe(
            self.log.account,
            tuple(self._connections.values()),
            listen=f"{self.config.host}:{self.address[1] if self._server else self.config.port}",
            scale_of=self._scale_of,
            site_ms=self.site_ms(),
            started_site_ms=self._started_site_ms,
            height=None if current is None else current.template.height,
            job_age_s=age_s,
            condition="; ".join(conditions) or None,
        )

    # Connections.

    def _new_connection(self) -> Connection:
        self._next_number += 1
        size = self.config.extranonce1_size
        counter = self._next_number
        while (extranonce1 := (counter % (1 << 8 * size)).to_bytes(size, "big")) in self._extranonces:
            counter += 1
        self._extranonces[extranonce1] = self._next_number
        return Connection(self, self._next_number, extranonce1)

    def connected(self, connection: Connection, address: str) -> bool:
        """Let a connection from an allowed network wait for its login."""
        self._connections[connection.number] = connection
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        peer = (peer.ipv4_mapped or peer) if isinstance(peer, IPv6Address) else peer
        if not any(peer in network for network in self.config.allow):
            return False
        now_s = asyncio.get_running_loop().time()
        if self._places.punished(connection.source, now_s):
            connection.idle_allowance.use_up(now_s)
        self._places.enter(connection)
        return True

    def disconnected(self, connection: Connection) -> None:
        """Forget a connection, and remember the difficulty that suited its worker."""
        if self._connections.pop(connection.number, None) is None:
            return
        self._extranonces.pop(connection.session.extranonce1, None)
        workers = connection.session.workers
        if (pace := connection.difficulty.to_remember()) is not None:
            self._places.remember(workers, pace, connection.difficulty.came_from)
        now_s = asyncio.get_running_loop().time()
        self._places.leave(connection, workers, now_s, owed=connection.open_shares > 0)

    def misbehaved(self, connection: Connection) -> None:
        """Remember where a connection came from that is dropped for what it sent."""
        self._places.punish(connection.source, asyncio.get_running_loop().time())

    def name_for(self, connection: Connection, worker: str) -> str:
        """The name that is counted when it logs in with this one: a declared machine's is the machine's alone."""
        return self._places.name_for(worker, connection.source)

    def admit_worker(self, connection: Connection, worker: str) -> str | None:
        """Any name may mine, as long as there is a place for it."""
        return objection_to_name(worker) or self._places.admit(connection, worker, asyncio.get_running_loop().time())

    def remembered(self, worker: str) -> Vardiff | None:
        """Where a worker was when it mined last."""
        return self._places.paces.get(worker)

    def became_ready(self, connection: Connection) -> None:
        """Give a miner its first difficulty and job."""
        paces = self._places.paces
        connection.difficulty.begin([paces[worker] for worker in connection.session.workers if worker in paces])
        if (job := self._chain.book.current) is not None:
            connection.send_job(job, job.notify_line(clean=True))

    def renew(self, connection: Connection) -> None:
        """The current job once more, with the connection's new difficulty."""
        if (job := self._chain.book.current) is not None:
            connection.send_job_again(job)

    def _on_job(self, job: PoolJob, clean: bool) -> None:
        line = job.notify_line(clean=clean)
        for connection in list(self._connections.values()):
            connection.send_job(job, line)

    async def _tick_forever(self) -> None:
        part = 0
        while True:
            await asyncio.sleep(TICK_S)
            part = (part + 1) % TICK_PARTS
            now_s = asyncio.get_running_loop().time()
            for connection in [c for number, c in self._connections.items() if number % TICK_PARTS == part]:
                connection.tick(now_s)

    # Shares.

    def share(self, connection: Connection, submit: Submit) -> None:
        """Judge a share: a block first of all, then whether it counts."""
        job, stale = self._chain.book.find(submit.job // ALIASES)
        if job is None:
            connection.refused(submit.id, submit.worker, "stale")
            return
        in_force = connection.difficulty.in_force(submit.job)
        session = connection.session
        candidate = rebuild(job, submit, session.extranonce1, session.version_mask)
        if self._chain.solves(job, candidate):
            solution = Solution(job, candidate, submit.worker, self.site_ms(), self._clock.wall_ms())
            self._chain.submit(solution, partial(self._judge, connection, submit, job, candidate, in_force, stale))
            return
        self._judge(connection, submit, job, candidate, in_force, stale)

    def _judge(  # noqa: PLR0917  what is known of a share, in the order it was found out
        self,
        connection: Connection,
        submit: Submit,
        job: PoolJob,
        candidate: Candidate,
        in_force: tuple[float, int] | None,
        stale: bool,
        block_accepted: bool = False,
    ) -> None:
        worker = submit.worker
        if in_force is None:  # a job that this connection was not sent, or so long ago that its difficulty is forgotten
            connection.refused(submit.id, worker, "stale")
            return
        difficulty, target = in_force
        if block_accepted:  # a block is worth its own target, even where no share may be as easy
            target = max(target, job.template.target)
        cause = "stale" if stale and not block_accepted else None
        cause = cause or objection(candidate, job, submit, target, self.config.max_time_ahead_s)
        if cause is not None:
            connection.refused(submit.id, worker, cause)
            return
        site_ms, wall_ms = self._times or self._read_times()
        share = ShareRecord(
            worker,
            job.template.height,
            target,
            self._scale_of(worker),
            site_ms,
            wall_ms,
            job.key,
            candidate.header,
            candidate.extranonce,
        )
        self.log.append_share(share, candidate.hash, Unanswered(connection, submit.id, worker, job, candidate.hash))
        connection.good(difficulty)
        if self._chain.book.crowded:
            self._chain.refresh()

    def rejected(self, worker: str | None, cause: str) -> None:
        """Count a refused share, for its worker where it has one that is kept."""
        self.log.append_reject(self._places.counted_as(worker), cause, CAUSES[cause], self.site_ms())

    def has_answers(self, connection: Connection) -> None:
        """Its answers go out together when the batch is through."""
        self._answering.append(connection)

    def _after_batch(self) -> None:
        answering, self._answering = self._answering, []
        for connection in answering:
            connection.flush()
