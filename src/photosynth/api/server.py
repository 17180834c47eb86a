"""The web server in the process's own event loop: stopped in time whoever is connected."""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photosynth.api.lobby import BACKLOG, PATIENCE_S, SWEEP_S, Lobby, protocols
from photosynth.api.problems import problem

GRACE_S = 1
"""Seconds that open answers get at the end; without a limit an event stream holds the process while its client stays."""
STOP_LIMIT_S = 1.4
WEBSOCKET_MESSAGE_LIMIT_BYTES = 1024 * 1024
_CUT_OFF = (
    "The system is stopping, and this request was cut off. Where it was an action, the audit says how far it came: ask after the "
    "next start."
)


class PortInUseError(Exception):
    """The port is taken by another process; the message says how to choose another."""

    def __init__(self, host: str, port: int, another: str) -> None:
        """Name the port and the way out."""
        super().__init__(
            f"Port {port} of {host} is in use by another process. Choose another with {another} in the fleet file; "
            f"`ss -ltnp 'sport = :{port}'` names the process that holds it."
        )
        self.host = host
        self.port = port


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the process that owns the loop handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals as they are."""
        yield


class WebServer:
    """Serves one ASGI application in the running loop."""

    def __init__(self, app: ASGIApp) -> None:
        """Prepare; nothing listens before :meth:`start`."""
        self.lobby = Lobby(time.monotonic)
        http, websocket = protocols(self.lobby)
        config = uvicorn.Config(
            self._cut_off_in_words(app),
            http=http,
            ws=websocket,
            backlog=BACKLOG,
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=int(PATIENCE_S),
            ws_max_size=WEBSOCKET_MESSAGE_LIMIT_BYTES,
            ws_per_message_deflate=False,
            proxy_headers=False,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve whoever connects to a socket that :func:`listen` opened, and those who wait there already."""
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="web server")
        while not self._server.started:
            if self._task.done():
                listener.close()
                self._task.result()
                raise RuntimeError("the web server ended before it began")
            await asyncio.sleep(0.005)
        self._sweeper = asyncio.create_task(self._sweep(), name="web server's lobby")

    async def stop(self) -> None:
        """Stop within 1.5 s even where websockets and streams are open; safe to call twice and before a start."""
        if self._task is None:
            return
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._server.should_exit = True
        _, pending = await asyncio.wait({self._task}, timeout=STOP_LIMIT_S)
        if pending:
            self._server.force_exit = True
            self._task.cancel()
            await asyncio.wait(pending, timeout=0.1)
        elif not self._task.cancelled():
            self._task.result()
        self._task = None

    def _cut_off_in_words(self, app: ASGIApp) -> ASGIApp:
        """The same application; an answer that the server's end cuts off is said to be so, and is no fault of the program."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            begun = False

            async def noting(message: Message) -> None:
                nonlocal begun
                begun = True
                await send(message)

            try:
                await app(scope, receive, noting)
            except asyncio.CancelledError:
                if scope["type"] != "http" or not self._server.should_exit:
                    raise
                if not begun:
                    await problem(503, _CUT_OFF)(scope, receive, send)

        return answer

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self.lobby.sweep()


def listen(host: str, port: int, another: str = "--port N or console.listen") -> socket.socket:
    """Take a port (0: a free one) before anything is served; whoever connects waits until somebody does.

    ``another`` says how to choose another one. Raises PortInUseError, and OSError where the host is not this machine's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(host, port, another) from error
        raise
    return listener
