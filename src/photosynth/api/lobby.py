"""Who may stay connected without being answered: idle sockets, half requests, and answers that nobody reads.

uvicorn counts every open socket against one limit and waits for ever for a request to be sent or an answer to be read,
so that a few hundred sockets that say nothing would shut everybody else out. Here a connection waits in one of two rows:
that of the new, which were never answered, and that of the idle, between two requests. Each row is bounded, for an address
and in all; where it is full its oldest is dropped for the newcomer, and whoever waits too long is dropped as well. An
attacker on the operator's own computer has the operator's address, so no address is ever refused, and what is being answered, an
open page's websocket above all, is in neither row. How many may be answered at a time is the ``guard``'s concern.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

PATIENCE_S = 15.0
"""Seconds that a connection gets to send a whole request, from its opening or from its last answer."""
STALL_S = 20.0
"""Seconds in which the reader of a long answer must take ``STALL_BYTES`` of it."""
STALL_BYTES = 20 * 1024
UNFINISHED_LIMIT_BYTES = 64 * 1024
"""Most bytes of a request's head, or of anything else that is neither a whole head nor a piece of a body."""
SENT_AHEAD = 16
"""Most whole requests that a connection may send before an answer is due to them; no browser sends any. One read of a socket
holds thousands, each of which would wait as some kilobytes of memory."""
SWEEP_S = 1.0
BACKLOG = 64
"""Connections that the system hands over in one go: fewer than a row holds, so that a request in hand is read before a crowd
that came after it could push it out."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many may wait in a row, and how many of them from one address."""

    total: int
    of_address: int


NEW_ROOM = Room(192, 128)
IDLE_ROOM = Room(128, 64)


@dataclass(slots=True, eq=False)
class Visitor:
    """One connection: how many of its requests are being answered, and since when it waits or its reader stalls."""

    transport: asyncio.Transport
    address: str
    since_s: float
    answering: int = 0
    answered: bool = False
    unread: int | None = None
    """Bytes that its reader had not taken when it was looked at last; None while writing to it is not held up."""
    unread_since_s: float = 0.0


class _Row:
    """Those who wait for one thing, the longest first."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._visitors: dict[Visitor, None] = {}
        self._of_address: Counter[str] = Counter()

    def enter(self, visitor: Visitor) -> Visitor | None:
        """Put a visitor at the end; returns whom it displaces."""
        displaced = None
        if self._of_address[visitor.address] >= self._room.of_address:
            displaced = next(other for other in self._visitors if other.address == visitor.address)
        elif len(self._visitors) >= self._room.total:
            displaced = next(iter(self._visitors))
        if displaced is not None:
            self.leave(displaced)
        self._visitors[visitor] = None
        self._of_address[visitor.address] += 1
        return displaced

    def leave(self, visitor: Visitor) -> None:
        """Take a visitor out, if it is here."""
        if visitor in self._visitors:
            del self._visitors[visitor]
            self._of_address[visitor.address] -= 1
            if not self._of_address[visitor.address]:
                del self._of_address[visitor.address]

    def waiting_since_before(self, instant_s: float) -> list[Visitor]:
        """Those who came before an instant."""
        found = []
        for visitor in self._visitors:
            if visitor.since_s >= instant_s:
                break
            found.append(visitor)
        return found

    def __len__(self) -> int:
        return len(self._visitors)


@dataclass
class Lobby:
    """Every connection of a server. ``clock`` tells seconds that never go back."""

    clock: Callable[[], float]
    new: _Row = field(default_factory=lambda: _Row(NEW_ROOM))
    idle: _Row = field(default_factory=lambda: _Row(IDLE_ROOM))
    visitors: dict[asyncio.BaseTransport, Visitor] = field(default_factory=dict)

    def arrived(self, transport: asyncio.Transport) -> Visitor:
        """Welcome a connection; one that is known already, which now speaks another protocol, stays what it was."""
        visitor = self.visitors.get(transport)
        if visitor is None:
            peer = transport.get_extra_info("peername")
            visitor = Visitor(transport, str(peer[0]) if isinstance(peer, tuple) and peer else "", self.clock())
            self.visitors[transport] = visitor
            self._wait(visitor)
        return visitor

    def left(self, visitor: Visitor) -> None:
        """Forget a connection that is closed."""
        self.visitors.pop(visitor.transport, None)
        self.new.leave(visitor)
        self.idle.leave(visitor)

    def began(self, visitor: Visitor) -> None:
        """A whole request came in."""
        visitor.answering += 1
        self.new.leave(visitor)
        self.idle.leave(visitor)

    def ended(self, visitor: Visitor) -> None:
        """An answer was given whole; with the last one the connection waits again."""
        visitor.answered = True
        visitor.answering = max(0, visitor.answering - 1)
        if not visitor.answering and visitor.transport in self.visitors:
            visitor.since_s = self.clock()
            self._wait(visitor)

    def held_up(self, visitor: Visitor) -> None:
        """What was written is not being taken."""
        visitor.unread, visitor.unread_since_s = visitor.transport.get_write_buffer_size(), self.clock()

    def flows(self, visitor: Visitor) -> None:
        """What was written is taken again."""
        visitor.unread = None

    def sweep(self) -> None:
        """Drop who waits too long, and who does not read."""
        now_s = self.clock()
        for row in (self.new, self.idle):
            for visitor in row.waiting_since_before(now_s - PATIENCE_S):
                if visitor.unread is None:
                    row.leave(visitor)
                    drop(visitor)
        for visitor in list(self.visitors.values()):
            if visitor.unread is None and visitor.transport.is_closing():
                self.held_up(visitor)  # it is closed once the last answer is taken, if ever
            if visitor.unread is None:
                continue
            unread = visitor.transport.get_write_buffer_size()
            if visitor.unread - unread >= STALL_BYTES:
                visitor.unread, visitor.unread_since_s = unread, now_s
            elif now_s - visitor.unread_since_s > STALL_S:
                drop(visitor)

    def _wait(self, visitor: Visitor) -> None:
        displaced = (self.idle if visitor.answered else self.new).enter(visitor)
        if displaced is not None:
            drop(displaced)


def drop(visitor: Visitor) -> None:
    """Close a connection, at once where something for it waits to be read: nobody knows whether it ever will be."""
    if visitor.transport.get_write_buffer_size():
        visitor.transport.abort()
    else:
        visitor.transport.close()


def protocols(lobby: Lobby) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol]]:
    """uvicorn's protocols for HTTP and for websockets, which tell a lobby what their connections do."""

    class Http(HttpToolsProtocol):
        """HTTP with bounded heads. ``_unfinished`` counts the bytes since the last whole head or piece of a body.

        ``_answered_now`` is the request that is being answered; uvicorn itself keeps in mind the last one that came.
        """

        _visitor: Visitor
        _unfinished = 0
        _answered_now: RequestResponseCycle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            self._visitor = lobby.arrived(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            lobby.left(self._visitor)
            if self._answered_now is not None and not self._answered_now.response_complete:
                self._answered_now.disconnected = True
                self._answered_now.message_event.set()
            self.pipeline.clear()
            super().connection_lost(exc)

        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            self._answered_now = cycle
            super()._start_asgi_task(cycle, app)

        def data_received(self, data: bytes) -> None:
            if self._unfinished > UNFINISHED_LIMIT_BYTES:
                self.transport.abort()
                return
            self._unfinished += len(data)
            super().data_received(data)

        def on_headers_complete(self) -> None:
            self._unfinished = 0
            if len(self.pipeline) >= SENT_AHEAD:
                self.transport.abort()
                return
            before = self.cycle
            super().on_headers_complete()
            if self.cycle is not before:  # a request to become a websocket begins there
                lobby.began(self._visitor)

        def on_body(self, body: bytes) -> None:
            self._unfinished = 0
            super().on_body(body)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            lobby.ended(self._visitor)

        def pause_writing(self) -> None:
            lobby.held_up(self._visitor)
            super().pause_writing()

        def resume_writing(self) -> None:
            lobby.flows(self._visitor)
            super().resume_writing()

    class WebSocket(WebSocketsSansIOProtocol):
        """A websocket, which takes over the connection that asked for it."""

        _visitor: Visitor

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._visitor = lobby.arrived(cast(asyncio.Transport, transport))
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            lobby.left(self._visitor)
            super().connection_lost(exc)

        def handle_connect(self, event: Any) -> None:
            lobby.began(self._visitor)
            super().handle_connect(event)

        def on_task_complete(self, task: asyncio.Task[None]) -> None:
            super().on_task_complete(task)
            lobby.ended(self._visitor)

        def pause_writing(self) -> None:
            lobby.held_up(self._visitor)
            super().pause_writing()

        def resume_writing(self) -> None:
            lobby.flows(self._visitor)
            super().resume_writing()

    return Http, WebSocket
