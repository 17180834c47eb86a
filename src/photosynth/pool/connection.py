"""One miner's connection: its socket, its conversation, its difficulty, and its limits.

A client that is slow, half-open, silent or talks nonsense costs a bounded amount and is dropped; the others do not notice.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from photosynth.pool.config import PoolConfig
from photosynth.pool.jobs import ALIASES, PoolJob
from photosynth.pool.results import CAUSES
from photosynth.pool.vardiff import Vardiff
from photosynth.quantities.work import target_of_difficulty
from photosynth.stratum.messages import encode_error, encode_request, encode_true
from photosynth.stratum.server import (
    AuthorizeRequested,
    HangUp,
    MessageId,
    ServerSession,
    Submit,
    SubmitRefused,
    Suggested,
)

MAX_STEPS = 64
TEXTS = {
    "storage": "storage: the share could not be saved, hand it in again",
    "time": "ntime out of range",
    "stale": "job not found",
    "duplicate": "duplicate share",
    "low-difficulty": "low difficulty share",
}


class Host(Protocol):
    """What a connection needs of its pool."""

    config: PoolConfig

    def connected(self, connection: "Connection") -> str | None:
        """Admit a connection, or say why not."""
        ...

    def disconnected(self, connection: "Connection") -> None:
        """Forget a connection."""
        ...

    def admit_worker(self, connection: "Connection", worker: str) -> str | None:
        """Let a worker mine, or say why not."""
        ...

    def became_ready(self, connection: "Connection") -> None:
        """It is subscribed and authorized: it wants a job."""
        ...

    def share(self, connection: "Connection", submit: Submit) -> None:
        """Judge a share; answers with ``accepted`` or ``refused`` of the connection, now or later."""
        ...

    def rejected(self, worker: str | None, cause: str) -> None:
        """Count a refused share."""
        ...

    def has_answers(self, connection: "Connection") -> None:
        """Have :meth:`Connection.flush` called when the present batch is through."""
        ...

    def renew(self, connection: "Connection") -> None:
        """Send the current job again under a new id, for a difficulty that cannot wait."""
        ...


class Connection(asyncio.Protocol):
    """A miner's connection. ``number`` is unique in the pool's life, ``extranonce1`` among present connections."""

    def __init__(self, host: Host, number: int, extranonce1: bytes) -> None:
        config = host.config
        self.number = number
        self.address = ""
        self.session = ServerSession(extranonce1, config.extranonce2_size, config.version_mask)
        self.vardiff: Vardiff | None = None
        self.since_s = self.last_line_s = 0.0
        self.ready = False
        self._host = host
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._suggested: float | None = None
        # The targets in force, as (first job id on the wire, difficulty, target), oldest first.
        self._steps: list[tuple[int, float, int]] = []
        self._wire = -1
        self._answers: list[bytes] = []
        self._open_shares = 0
        self._reading_paused = False
        self._rejects_in_a_row = 0

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit and prepare the socket: no delay, keep-alive, and a bounded buffer for what a slow client leaves unread."""
        self._transport = cast(asyncio.Transport, transport)
        self.since_s = self.last_line_s = self._loop.time()
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._transport.set_write_buffer_limits(high=self._config.max_write_buffer)
        if self._host.connected(self) is not None:
            self._transport.abort()
            return
        prepare_socket(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._transport = None
        self._host.disconnected(self)

    def pause_writing(self) -> None:
        """Its buffer is full: whoever does not read half a megabyte is gone or hostile."""
        self.drop()

    def drop(self) -> None:
        """Cut the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """Close the connection once its answers are out."""
        if self._transport is not None:
            self._transport.close()

    def write(self, data: bytes) -> None:
        """Send bytes, unless the connection is closing."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    # What the miner says.

    def data_received(self, data: bytes) -> None:
        """Read lines, answer, and pass shares on."""
        session = self.session
        for event in session.receive(data):
            if isinstance(event, Submit):
                self._open_shares += 1
                self._host.share(self, event)
            elif isinstance(event, AuthorizeRequested):
                reason = self._host.admit_worker(self, event.worker)
                session.authorize(event, reason is None, reason or "")
            elif isinstance(event, SubmitRefused):
                cause = next(name for name, code in CAUSES.items() if code == event.code)
                self._host.rejected(event.worker, cause)
                self._count_reject()
            elif isinstance(event, Suggested):
                self._suggest(event.difficulty)
            elif isinstance(event, HangUp):
                self._write_answers()
                self.hang_up()
                return
        self.last_line_s = self._loop.time()
        self._write_answers()
        if not self.ready and session.ready:
            self.ready = True
            self._host.became_ready(self)
        if self._open_shares > self._config.max_open_shares and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def _write_answers(self) -> None:
        data = self.session.outgoing()
        if data:
            self.write(data)

    def _suggest(self, difficulty: float) -> None:
        self._suggested = difficulty
        if self.vardiff is not None:
            self.vardiff.suggest(difficulty, self._loop.time())
            self._host.renew(self)

    # Difficulty and jobs.

    def begin(self, start_difficulty: float) -> None:
        """Start the difficulty: the miner's own suggestion, or the given one."""
        self.vardiff = Vardiff(
            start_difficulty if self._suggested is None else self._suggested,
            self._loop.time(),
            share_interval_s=self._config.share_interval_s,
            min_difficulty=self._config.min_difficulty,
            max_difficulty=self._config.max_difficulty,
        )

    def send_job(self, job: PoolJob, line: bytes, alias: int = 0) -> None:
        """Send a job's line; a changed difficulty goes before it and holds from this job on."""
        if self.vardiff is None:
            return
        self._wire = job.key * ALIASES + alias
        difficulty = self.vardiff.difficulty
        if not self._steps or self._steps[-1][1] != difficulty:
            self._steps.append((self._wire, difficulty, target_of_difficulty(difficulty)))
            if len(self._steps) > MAX_STEPS:
                del self._steps[0]
            line = encode_request(None, "mining.set_difficulty", [difficulty]) + line
        self.write(line)

    def send_job_again(self, job: PoolJob) -> None:
        """Send the current job under its next alias; where they are used up, the next job has to do."""
        alias = self._wire % ALIASES + 1 if self._wire // ALIASES == job.key else 1
        if alias < ALIASES:
            self.send_job(job, job.notify_line(clean=False, alias=alias), alias)

    def in_force(self, wire: int) -> tuple[float, int] | None:
        """The difficulty and target that a job id was sent with, None where it never was."""
        if wire > self._wire:
            return None
        for first, difficulty, target in reversed(self._steps):
            if first <= wire:
                return difficulty, target
        return None

    @property
    def target(self) -> int | None:
        """The target of the newest job."""
        return self._steps[-1][2] if self._steps else None

    def tick(self, now_s: float) -> None:
        """Look at the clock: time-outs, and the difficulty."""
        if not self.ready:
            if now_s - self.since_s > self._config.login_timeout_s:
                self.drop()
        elif now_s - self.last_line_s > self._config.idle_timeout_s:
            self.drop()
        elif self.vardiff is not None and self.vardiff.check(now_s) is not None:
            self._host.renew(self)

    # Answers to shares.

    def good(self, difficulty: float) -> None:
        """Count an accepted share towards the difficulty; a burst renews it at once."""
        self._rejects_in_a_row = 0
        now_s = self._loop.time()
        if self.vardiff is not None and self.vardiff.share(difficulty, now_s) and self.vardiff.check(now_s) is not None:
            self._host.renew(self)

    def answer_later(self, message_id: MessageId, worker: str, undo: Callable[[], None]) -> Callable[[bool], None]:
        """What the share log calls with whether the share is durable; ``undo`` where it is not."""
        return partial(self._durable, message_id, worker, undo)

    def _durable(self, message_id: MessageId, worker: str, undo: Callable[[], None], durable: bool) -> None:
        self._open_shares -= 1
        if durable:
            self._answers.append(encode_true(message_id))
        else:
            undo()
            self._host.rejected(worker, "storage")
            self._answers.append(encode_error(message_id, CAUSES["storage"], TEXTS["storage"]))
        self._host.has_answers(self)

    def refused(self, message_id: MessageId, worker: str, cause: str) -> None:
        """Refuse a share now."""
        self._open_shares -= 1
        self._host.rejected(worker, cause)
        self._answers.append(encode_error(message_id, CAUSES[cause], TEXTS[cause]))
        self._count_reject()
        self.flush()

    def flush(self) -> None:
        """Send the answers that have gathered, and read on where enough shares are through."""
        if self._answers:
            self.write(b"".join(self._answers))
            self._answers.clear()
        if self._reading_paused and self._open_shares <= self._config.max_open_shares // 2:
            self._reading_paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    def _count_reject(self) -> None:
        self._rejects_in_a_row += 1
        if self._rejects_in_a_row > self._config.max_rejects_in_a_row:
            self.drop()


def prepare_socket(sock: socket.socket | None) -> None:
    """No delay, and keep-alive that finds a half-open peer in two minutes (60 s, then 4 probes 15 s apart)."""
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 120_000)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
