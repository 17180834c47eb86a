"""The web server: its port, and its end whoever is connected."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from photosynth.api import PortInUseError, WebServer, listen


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"tick\n"
        await asyncio.sleep(0.05)


APP = Starlette(
    routes=[
        Route("/", lambda _request: PlainTextResponse("here")),
        Route("/stream", lambda _request: StreamingResponse(_endless())),
    ]
)


async def _get(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return reader, writer


async def test_it_listens_on_a_free_port_and_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    server = WebServer(APP)
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    reader, writer = await _get(port, "/")  # waits until somebody serves
    await server.start(listener)
    assert signal.getsignal(signal.SIGINT) is before
    assert await reader.readuntil(b"here")
    writer.close()
    await server.stop()
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"{port}.*--port"):
            listen("127.0.0.1", port)


async def test_an_open_stream_does_not_hold_the_end() -> None:
    server = WebServer(APP)
    listener = listen("127.0.0.1", 0)
    await server.start(listener)
    reader, writer = await _get(listener.getsockname()[1], "/stream")
    await reader.readuntil(b"tick")
    async with asyncio.timeout(10):
        await server.stop()
        await reader.read()
    writer.close()


@pytest.mark.parametrize("begun", [False, True])
async def test_an_answer_that_the_end_cuts_off_is_said_so_and_leaves_no_traceback(
    begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    waits = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]})
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
        waits.set()
        await asyncio.Event().wait()

    server = WebServer(app)
    listener = listen("127.0.0.1", 0)
    await server.start(listener)
    reader, writer = await _get(listener.getsockname()[1], "/")
    await waits.wait()
    async with asyncio.timeout(10):
        await server.stop()
        answer = await reader.read()
    writer.close()
    if begun:
        assert answer.endswith(b"tick\r\n")  # and no last chunk, so that the reader knows that more should have come
    else:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"application/problem+json" in head
        assert "is stopping" in json.loads(body)["detail"]
    assert not [record for record in caplog.records if record.exc_info]
