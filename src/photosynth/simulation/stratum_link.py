"""One simulated machine's connection to its pool: Stratum V1 over TCP, dialled again with growing patience."""

import asyncio
import random
from typing import cast

from photosynth.quantities.work import difficulty_of_target
from photosynth.simulation.hashing import Scanner
from photosynth.stratum.client import NewJob, Refused, StratumClient, SubmitResult, Subscribed
from photosynth.stratum.framing import LineTooLongError
from photosynth.stratum.messages import MalformedError
from photosynth.stratum.work import Job

USER_AGENT = "photosynth-simulated-asic/1"
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 4.0
STALE_CODE = 21
MAX_OPEN_SHARES = 64
"""Shares in flight to a pool that does not answer; beyond, found shares are dropped as a machine's full buffer would."""


class StratumLink(asyncio.Protocol):
    """Keeps one worker connected while it is wanted, and hands the newest job to a scanner.

    ``rng`` spreads reconnections, so that a pool that comes back is not met by every machine in one instant.
    """

    def __init__(self, worker: str, host: str, port: int, rng: random.Random) -> None:
        self.worker, self.host, self.port = worker, host, port
        self.accepted = self.rejected = self.stale = self.lost = 0
        self.best_difficulty = 0.0
        self.connected = False
        self._rng = rng
        self._wanted = False
        self._wait_s = FIRST_WAIT_S
        self._client = StratumClient(worker, user_agent=USER_AGENT)
        self._transport: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._redial: asyncio.TimerHandle | None = None
        self._job: Job | None = None
        self._scanner: Scanner | None = None
        self._extranonce2 = 0

    @property
    def pool_url(self) -> str:
        """Where it mines, as machines write it."""
        return f"stratum+tcp://{self.host}:{self.port}"

    @property
    def difficulty(self) -> float:
        """What the pool asks of a share now."""
        return difficulty_of_target(self._job.target) if self._job is not None else 0.0

    def want(self, wanted: bool) -> None:
        """Be connected, or not. Cheap to call again."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if wanted:
            self._wait_s = FIRST_WAIT_S
            self._dial_after(self._rng.uniform(0, 0.2))
        else:
            self._hang_up()

    def scan(self, hashes: int) -> bool:
        """Spend so many hashes on the newest job and hand in what is found. False without a job: nothing was hashed."""
        scanner = self._scanner
        if scanner is None:
            if self._job is None or not self.connected:
                return False
            scanner = self._scanner = Scanner(self._job, self._next_extranonce2(self._job.extranonce2_size))
        for nonce in scanner.scan(hashes):
            self._submit(scanner, nonce)
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._client = StratumClient(self.worker, user_agent=USER_AGENT)
        self._transport.write(self._client.start())

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        try:
            events = self._client.receive(data)
        except (LineTooLongError, MalformedError):
            self._transport.abort()
            return
        for event in events:
            match event:
                case NewJob(job):
                    self._job, self._scanner = job, None
                    self.connected = True
                    self._wait_s = FIRST_WAIT_S
                case SubmitResult():
                    self.accepted += event.accepted
                    self.rejected += not event.accepted
                    self.stale += event.code == STALE_CODE
                case Refused(method="mining.authorize" | "mining.subscribe"):
                    self._transport.abort()
                case Subscribed():
                    self._scanner = None
                case _:
                    pass
        owed = self._client.outgoing()
        if owed:
            self._transport.write(owed)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.connected = False
        self._job = self._scanner = None
        if self._wanted:
            self._dial_later()

    async def close(self) -> None:
        """Hang up for good."""
        self._wanted = False
        self._hang_up()
        if self._dialling is not None:
            await asyncio.gather(self._dialling, return_exceptions=True)

    def _submit(self, scanner: Scanner, nonce: int) -> None:
        if self._transport is None or self._client.open_shares >= MAX_OPEN_SHARES:
            self.lost += 1
            return
        self.best_difficulty = max(self.best_difficulty, difficulty_of_target(scanner.job.target))
        self._transport.write(self._client.submit(scanner.job, scanner.extranonce2, scanner.job.time_s, nonce))

    def _next_extranonce2(self, size: int) -> bytes:
        self._extranonce2 = (self._extranonce2 + 1) % (1 << 8 * size)
        return self._extranonce2.to_bytes(size, "big")

    def _dial_later(self) -> None:
        self._dial_after(self._wait_s * self._rng.uniform(0.7, 1.3))
        self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)

    def _dial_after(self, seconds: float) -> None:
        if self._redial is not None:
            self._redial.cancel()
        self._redial = asyncio.get_running_loop().call_later(seconds, self._start_dialling)

    def _start_dialling(self) -> None:
        self._redial = None
        if self._wanted and self._transport is None and (self._dialling is None or self._dialling.done()):
            self._dialling = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().create_connection(lambda: self, self.host, self.port)
        except OSError:  # TimeoutError is one too
            if self._wanted:
                self._dial_later()
        if not self._wanted:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._redial is not None:
            self._redial.cancel()
            self._redial = None
        if self._dialling is not None and not self._dialling.done():
            self._dialling.cancel()
        if self._transport is not None:
            self._transport.abort()
        self.connected = False
        self._job = self._scanner = None
