"""One miner's connection: its socket, its conversation, and its limits.

A client that is slow, half-open, silent or talks nonsense costs a bounded amount and is dropped; the others do not notice.
Of what it sends, some lines are looked at in its turn, then it is the others' turn. Lines that bring no share have an
allowance; past it the connection is not read for a while, so that the flood stays where it comes from.
"""

import asyncio
import contextlib
import socket
from typing import Protocol, cast

import msgspec

from photosynth.pool.allowance import Allowance
from photosynth.pool.config import PoolConfig
from photosynth.pool.difficulty import Difficulty
from photosynth.pool.jobs import ALIASES, PoolJob
from photosynth.pool.places import source_of
from photosynth.pool.results import CAUSES
from photosynth.pool.vardiff import Vardiff
from photosynth.stratum.messages import encode_error, encode_true
from photosynth.stratum.server import (
    AuthorizeRequested,
    HangUp,
    MessageId,
    ServerSession,
    Submit,
    SubmitRefused,
    Suggested,
)

MAX_LINES = 32
"""Lines of one connection that are looked at in its turn: about a millisecond."""
IDLE_BURST_S = 20.0
"""Seconds of the allowance for lines without a share that may be used at once."""
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

    def connected(self, connection: "Connection", address: str) -> bool:
        """Whether it may stay until it logs in."""
        ...

    def disconnected(self, connection: "Connection") -> None:
        """Forget a connection."""
        ...

    def name_for(self, connection: "Connection", worker: str) -> str:
        """The name that is counted when it logs in with this one."""
        ...

    def admit_worker(self, connection: "Connection", worker: str) -> str | None:
        """Let a worker mine, or say why not."""
        ...

    def remembered(self, worker: str) -> Vardiff | None:
        """Where a worker was when it mined last."""
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

    def misbehaved(self, connection: "Connection") -> None:
        """It is dropped for what it sent; who comes from there next has no allowance for a while."""
        ...

    def has_answers(self, connection: "Connection") -> None:
        """Have :meth:`Connection.flush` called when the present batch is through."""
        ...

    def renew(self, connection: "Connection") -> None:
        """Send the current job again under a new id, for a difficulty that cannot wait."""
        ...


class Unanswered(msgspec.Struct, gc=False):
    """A share that waits for the disk; called with whether it is durable."""

    connection: "Connection"
    message_id: MessageId
    worker: str
    job: PoolJob
    hash: bytes

    def __call__(self, durable: bool) -> None:
        if durable:
            self.connection.answer(encode_true(self.message_id))
        else:
            self.job.seen.discard(self.hash)  # it may be handed in again
            self.connection.not_stored(self.message_id, self.worker)


class Connection(asyncio.Protocol):
    """A miner's connection. ``number`` is unique in the pool's life, ``extranonce1`` among present connections."""

    def __init__(self, host: Host, number: int, extranonce1: bytes) -> None:
        config = host.config
        self.number = number
        self.source = ""
        self.session = ServerSession(extranonce1, config.extranonce2_size, config.version_mask)
        self.since_s = self.last_line_s = 0.0
        self.ready = False
        self.idle_allowance = Allowance(config.idle_requests_per_s, config.idle_requests_per_s * IDLE_BURST_S)
        self._host = host
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.difficulty = Difficulty(config, self._loop.time)
        self._answers: list[bytes] = []
        self._open_shares = 0
        self._in_turn = False
        self._next_turn: asyncio.Handle | None = None
        self._reading_paused = False
        self._rejects_in_a_row = 0
        self._refused_in_turn = 0
        self.refusals: dict[str, int] = {}
        """What was refused on this connection, by cause: all that is told of a guest who brought no share yet."""

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit and prepare the socket: no delay, keep-alive, and a bounded buffer for what a slow client leaves unread."""
        self._transport = cast(asyncio.Transport, transport)
        self.since_s = self.last_line_s = self._loop.time()
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        own = transport.get_extra_info("sockname")
        self.source = source_of(address, str(own[0]) if isinstance(own, tuple) else "")
        self._transport.set_write_buffer_limits(high=self._config.max_write_buffer)
        if not self._host.connected(self, address):
            self._transport.abort()
            return
        prepare_socket(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._transport = None
        if self._next_turn is not None:
            self._next_turn.cancel()
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
        self._turn(data, self._loop.time())

    def _turn(self, data: bytes, now_s: float) -> None:
        """Look at some of the lines that are there; the rest waits until others had their turn."""
        self.last_line_s = now_s
        session = self.session
        self._in_turn = True
        self._refused_in_turn = 0
        idle = -session.lines_read
        for event in session.receive(data, MAX_LINES):
            if isinstance(event, Submit):
                idle -= 1
                self._open_shares += 1
                if not self.ready:
                    self._begin_if_ready()
                self._host.share(self, event)
            elif isinstance(event, AuthorizeRequested):
                self._authorize(event)
            elif isinstance(event, SubmitRefused):
                cause = next(name for name, code in CAUSES.items() if code == event.code)
                self._host.rejected(event.worker, cause)
                self._count_reject(cause)
            elif isinstance(event, Suggested):
                if self.difficulty.suggest(event.difficulty):
                    self._host.renew(self)
            elif isinstance(event, HangUp):
                self._write_answers()
                self.hang_up()
                return
        self._in_turn = False
        idle += session.lines_read + self._refused_in_turn
        self._write_answers()
        if not self.ready:
            self._begin_if_ready()
        if idle:
            self.idle_allowance.spend(idle, now_s)
        if idle or session.waiting or self._open_shares > self._config.max_open_shares:
            self._pace(now_s)

    def _authorize(self, event: AuthorizeRequested) -> None:
        name = self._host.name_for(self, event.worker)
        reason = None if name in self.session.workers else self._host.admit_worker(self, name)
        self.session.authorize(event, reason is None, reason or "", counted_as=name)
        if reason is None and self.difficulty.also_for(self._host.remembered(name)):
            self._host.renew(self)

    def _begin_if_ready(self) -> None:
        if self.session.ready:
            self.ready = True
            self._write_answers()
            self._host.became_ready(self)

    def _pace(self, now_s: float) -> None:
        """Decide whether to read on now, after the others' turn, or when the allowance or the open shares permit it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        crowded = self._open_shares > self._config.max_open_shares
        if self._next_turn is None and not crowded:
            wait_s = self.idle_allowance.wait_s(now_s)
            if wait_s > 0:
                self._next_turn = self._loop.call_later(wait_s, self._go_on)
            elif self.session.waiting:
                self._next_turn = self._loop.call_soon(self._go_on)
        pause = crowded or self._next_turn is not None
        if pause and not self._reading_paused:
            transport.pause_reading()
        elif self._reading_paused and not pause:
            transport.resume_reading()
        self._reading_paused = pause

    def _go_on(self) -> None:
        self._next_turn = None
        if self._transport is None or self._transport.is_closing():
            return
        now_s = self._loop.time()
        if self.session.waiting and self._open_shares <= self._config.max_open_shares:
            self._turn(b"", now_s)
        self._pace(now_s)

    def _write_answers(self) -> None:
        data = self.session.outgoing()
        if data:
            self.write(data)

    # Difficulty and jobs.

    def send_job(self, job: PoolJob, line: bytes, alias: int = 0) -> None:
        """Send a job's line; a changed difficulty goes before it and holds from this job on."""
        if self.difficulty.begun:
            self.write(self.difficulty.sent(job.key * ALIASES + alias) + line)

    def send_job_again(self, job: PoolJob) -> None:
        """Send the current job under its next alias; where they are used up, the next job has to do."""
        alias = self.difficulty.next_alias(job.key)
        if alias is not None:
            self.send_job(job, job.notify_line(clean=False, alias=alias), alias)

    @property
    def open_shares(self) -> int:
        """Shares that wait for their answer."""
        return self._open_shares

    def tick(self, now_s: float) -> None:
        """Look at the clock: time-outs, and the difficulty."""
        if not self.ready:
            if now_s - self.since_s > self._config.login_timeout_s:
                self.drop()
        elif now_s - self.last_line_s > self._config.idle_timeout_s:
            self.drop()
        elif self.difficulty.check(now_s):
            self._host.renew(self)

    # Answers to shares.

    def good(self, difficulty: float) -> None:
        """Count an accepted share towards the difficulty; a burst renews it at once."""
        self._rejects_in_a_row = 0
        if self.difficulty.good(difficulty):
            self._host.renew(self)

    def answer(self, line: bytes) -> None:
        """Have an answer to a share sent with the others of its batch."""
        self._open_shares -= 1
        if not self._answers:
            self._host.has_answers(self)
        self._answers.append(line)

    def not_stored(self, message_id: MessageId, worker: str) -> None:
        """The disk did not take a share."""
        self._host.rejected(worker, "storage")
        self.answer(encode_error(message_id, CAUSES["storage"], TEXTS["storage"]))

    def refused(self, message_id: MessageId, worker: str, cause: str) -> None:
        """Refuse a share now."""
        self._open_shares -= 1
        self._refused_in_turn += 1
        self._host.rejected(worker, cause)
        self.session.refuse(message_id, CAUSES[cause], TEXTS[cause])
        self._count_reject(cause)
        if not self._in_turn:
            self._write_answers()

    def flush(self) -> None:
        """Send the answers that have gathered, and read on where enough shares are through."""
        if self._answers:
            self.write(self._answers[0] if len(self._answers) == 1 else b"".join(self._answers))
            self._answers.clear()
        if self._reading_paused and self._open_shares <= self._config.max_open_shares // 2:
            self._pace(self._loop.time())

    def _count_reject(self, cause: str) -> None:
        self.refusals[cause] = self.refusals.get(cause, 0) + 1
        self._rejects_in_a_row += 1
        if self._rejects_in_a_row > self._config.max_rejects_in_a_row:
            self._host.misbehaved(self)
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
