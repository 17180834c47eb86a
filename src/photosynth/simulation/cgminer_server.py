"""A machine's API port: bounded, short-lived connections on loopback that carry one request and one answer each."""

import asyncio
from collections.abc import Callable
from typing import cast

MAX_REQUEST_BYTES = 4096
MAX_CONNECTIONS = 32
PATIENCE_S = 5.0
"""How long a connection may stay without a whole request."""


class _Connection(asyncio.Protocol):
    def __init__(self, server: "CgminerServer") -> None:
        self._server = server
        self._request = b""
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        if self._server.gone or len(self._server.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._server.connections.add(self)
        self._patience = asyncio.get_running_loop().call_later(PATIENCE_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._request += data
        if len(self._request) > MAX_REQUEST_BYTES:
            transport.abort()
        elif data.endswith((b"\0", b"\n")) or _whole(self._request):
            self._answer(transport)

    def eof_received(self) -> bool:
        if self._request and self._transport is not None and not self._transport.is_closing():
            self._answer(self._transport)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        if self._patience is not None:
            self._patience.cancel()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, transport: asyncio.Transport) -> None:
        transport.write(self._server.answer(self._request.rstrip(b"\0\r\n ")))
        transport.close()


class CgminerServer:
    """Listens for one machine. ``answer`` maps a request's bytes to an answer's and must not raise.

    While :attr:`gone` is set the port keeps its number, and every connection is reset before it can say anything.
    """

    def __init__(self, answer: Callable[[bytes], bytes], host: str = "127.0.0.1", port: int = 0) -> None:
        self.answer = answer
        self.host, self.port = host, port
        self.connections: set[_Connection] = set()
        self.gone = False
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a port of 0 becomes one that was free. Raises OSError where it is in use."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), self.host, self.port, backlog=64)
        self.port = self._server.sockets[0].getsockname()[1]

    def leave(self) -> None:
        """Drop out of the network."""
        self.gone = True
        for connection in tuple(self.connections):
            connection.abort()

    def come_back(self) -> None:
        """Be there again."""
        self.gone = False

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.abort()
        if self._server is not None:
            await self._server.wait_closed()


def _whole(request: bytes) -> bool:
    """Whether a JSON object seems to have ended; cgminer's clients send no terminator and wait."""
    return request.rstrip().endswith(b"}") and request.count(b"{") <= request.count(b"}")
