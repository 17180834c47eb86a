"""The lobby: who says nothing, or reads nothing, shuts nobody else out."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.browser.fake_site import FakeSite
from websockets.asyncio.client import connect

from photosynth.api import WebServer, create_app, listen
from photosynth.api.guard import ANSWERED_OF_ADDRESS
from photosynth.api.lobby import (
    IDLE_ROOM,
    NEW_ROOM,
    PATIENCE_S,
    SENT_AHEAD,
    STALL_BYTES,
    STALL_S,
    UNFINISHED_LIMIT_BYTES,
    Lobby,
    Visitor,
)
from photosynth.documents import WorkersDocument

CROWD = 600  # three times what a server has room for
GET = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def served(server: WebServer) -> int:
    """The free port on which a server is started."""
    listener = listen("127.0.0.1", 0)
    await server.start(listener)
    port: int = listener.getsockname()[1]
    return port


class Transport(asyncio.Transport):
    """A connection that is not there."""

    def __init__(self, address: str = "10.0.0.1", unread: int = 0) -> None:
        super().__init__({"peername": (address, 1)})
        self.unread = unread
        self.ended = ""

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Hall:
    """A lobby with a clock that the test turns."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.lobby = Lobby(lambda: self.now_s)

    def enter(self, address: str = "10.0.0.1", unread: int = 0) -> tuple[Transport, Visitor]:
        transport = Transport(address, unread)
        return transport, self.lobby.arrived(transport)

    def served(self, address: str = "10.0.0.1") -> tuple[Transport, Visitor]:
        transport, visitor = self.enter(address)
        self.lobby.began(visitor)
        self.lobby.ended(visitor)
        return transport, visitor


def test_who_waits_too_long_is_dropped_and_who_is_answered_stays() -> None:
    hall = Hall()
    silent, _ = hall.enter()
    page, visitor = hall.enter()
    hall.lobby.began(visitor)
    idle, _ = hall.served()
    hall.now_s = PATIENCE_S
    hall.lobby.sweep()
    assert (silent.ended, page.ended, idle.ended) == ("", "", "")
    hall.now_s += 0.1
    hall.lobby.sweep()
    assert (silent.ended, page.ended, idle.ended) == ("closed", "", "closed")


def test_bytes_that_trickle_in_buy_no_time_and_an_answer_does() -> None:
    hall = Hall()
    transport, visitor = hall.enter()
    hall.now_s = PATIENCE_S - 1
    hall.lobby.began(visitor)
    hall.now_s = 10 * PATIENCE_S
    hall.lobby.ended(visitor)
    hall.lobby.sweep()
    assert transport.ended == ""
    hall.now_s += PATIENCE_S + 0.1
    hall.lobby.sweep()
    assert transport.ended == "closed"


def test_a_crowd_displaces_its_own_eldest_and_nobody_who_was_answered() -> None:
    hall = Hall()
    elsewhere, _ = hall.enter("10.0.0.2")
    idle, _ = hall.served()
    page, visitor = hall.enter()
    hall.lobby.began(visitor)
    crowd = [hall.enter()[0] for _ in range(CROWD)]
    assert [t.ended for t in (elsewhere, idle, page)] == ["", "", ""]
    assert [t.ended for t in crowd] == ["closed"] * (CROWD - NEW_ROOM.of_address) + [""] * NEW_ROOM.of_address


def test_a_crowd_from_many_addresses_displaces_the_eldest_of_all() -> None:
    hall = Hall()
    crowd = [hall.enter(f"10.0.{n // 250}.{n % 250}")[0] for n in range(CROWD)]
    assert sum(not t.ended for t in crowd) == NEW_ROOM.total
    assert not crowd[-1].ended


def test_idle_connections_are_bounded_apart_from_new_ones() -> None:
    hall = Hall()
    new, _ = hall.enter()
    idle = [hall.served()[0] for _ in range(CROWD)]
    assert not new.ended
    assert sum(not t.ended for t in idle) == IDLE_ROOM.of_address


def test_who_does_not_read_is_dropped_and_who_reads_slowly_is_not() -> None:
    hall = Hall()
    (deaf, one), (slow, two) = hall.enter(unread=10**6), hall.enter(unread=10**6)
    for visitor in (one, two):
        hall.lobby.began(visitor)
        hall.lobby.held_up(visitor)
    for _ in range(3):
        hall.now_s += STALL_S + 1
        slow.unread -= STALL_BYTES
        hall.lobby.sweep()
    assert (deaf.ended, slow.ended) == ("aborted", "")
    hall.lobby.flows(two)
    hall.now_s += 10 * STALL_S
    hall.lobby.sweep()
    assert slow.ended == ""


def test_a_closed_connection_whose_end_is_never_read_is_cut() -> None:
    hall = Hall()
    transport, visitor = hall.enter(unread=1000)
    hall.lobby.began(visitor)
    transport.close()
    hall.lobby.sweep()
    hall.now_s = STALL_S + 1
    hall.lobby.sweep()
    assert transport.ended == "aborted"
    hall.lobby.left(visitor)
    assert (len(hall.lobby.visitors), len(hall.lobby.new), len(hall.lobby.idle)) == (0, 0, 0)


# with real sockets


@pytest.fixture
def files() -> Iterator[None]:
    """Room for both ends of a crowd in one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * CROWD
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this system allows {hard} open files; the crowd needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    async for word in socket.iter_text():
        await socket.send_text(word)


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"tick\n" * 10_000
        await asyncio.sleep(0)  # whoever is gone is noticed in between


async def _last_words(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


APP = Starlette(
    routes=[
        Route("/", lambda _request: PlainTextResponse("here")),
        Route("/stream", lambda _request: StreamingResponse(_endless())),
        Route("/body", _last_words, methods=["POST"]),
        WebSocketRoute("/echo", _echo),
    ]
)


@contextlib.asynccontextmanager
async def crowd(port: int, says: bytes, size: int = CROWD) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Many connections that say something unfinished, or nothing."""
    writers: list[asyncio.StreamWriter] = []
    try:
        while len(writers) < size:
            for _, writer in await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(50))):
                writer.write(says)
                writers.append(writer)
        yield writers
    finally:
        for writer in writers:
            writer.transport.abort()


async def ask(port: int, request: bytes = GET) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.partition(b"\r\n")[0]


@pytest.mark.parametrize("says", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "], ids=["idle", "half"])
async def test_a_crowd_that_says_nothing_takes_nothing_away(files: None, says: bytes) -> None:
    server = WebServer(APP)
    port = await served(server)
    async with connect(f"ws://127.0.0.1:{port}/echo") as page:
        kept_reader, kept = await asyncio.open_connection("127.0.0.1", port)
        kept.write(GET)
        await kept_reader.readuntil(b"here")
        async with crowd(port, says):
            assert await ask(port) == b"HTTP/1.1 200 OK"
            await page.send("still here?")
            async with asyncio.timeout(20):
                assert await page.recv() == "still here?"
            kept.write(GET)
            assert await kept_reader.readuntil(b"here")
            assert len(server.lobby.new) <= NEW_ROOM.of_address
        kept.close()
    await server.stop()


async def test_a_head_without_end_is_cut(files: None) -> None:
    server = WebServer(APP)
    port = await served(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nX-Long: ")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 1000 * UNFINISHED_LIMIT_BYTES:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()
        await reader.read()
    assert sent < 1000 * UNFINISHED_LIMIT_BYTES
    await server.stop()


def later(server: WebServer, seconds: float) -> None:
    """Let so many seconds pass for a server's lobby, and let it look."""
    now = server.lobby.clock
    server.lobby.clock = lambda: now() + seconds
    server.lobby.sweep()


async def test_requests_sent_ahead_are_answered_in_their_order_up_to_a_bound() -> None:
    server = WebServer(APP)
    port = await served(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET * (SENT_AHEAD + 1))
    async with asyncio.timeout(20):
        for _ in range(SENT_AHEAD + 1):
            await reader.readuntil(b"here")
        writer.write(GET * 2000)
        answers = b""
        with contextlib.suppress(ConnectionError):
            while (piece := await reader.read(65_536)) != b"":
                answers += piece
                assert answers.count(b"here") < 2000
        while server.lobby.visitors:
            await asyncio.sleep(0)
    writer.close()
    await server.stop()


async def test_what_is_being_answered_is_told_that_its_reader_went_though_more_was_sent_ahead() -> None:
    begun, told = asyncio.Event(), asyncio.Event()

    async def waiting(request: Request) -> PlainTextResponse:
        begun.set()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        told.set()
        return PlainTextResponse("")

    server = WebServer(Starlette(routes=[Route("/", waiting)]))
    _, writer = await asyncio.open_connection("127.0.0.1", await served(server))
    writer.write(GET * 2)
    async with asyncio.timeout(20):
        await begun.wait()
        writer.transport.abort()
        await told.wait()
    await server.stop()


async def test_half_a_request_is_dropped_in_time() -> None:
    server = WebServer(APP)
    reader, writer = await asyncio.open_connection("127.0.0.1", await served(server))
    writer.write(GET[:-2])
    while not server.lobby.visitors:
        await asyncio.sleep(0)
    later(server, PATIENCE_S + 1)
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionResetError):  # where the half came after the last look
            assert await reader.read() == b""
        while server.lobby.visitors:
            await asyncio.sleep(0)
    writer.close()
    await server.stop()


async def test_a_stream_that_nobody_reads_is_cut() -> None:
    server = WebServer(APP)
    reader, writer = await asyncio.open_connection("127.0.0.1", await served(server), limit=1024)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(20):
        while not any(visitor.unread for visitor in server.lobby.visitors.values()):
            await asyncio.sleep(0.01)
    later(server, PATIENCE_S + 1)
    assert server.lobby.visitors  # it is being answered, so it has time
    later(server, STALL_S + 1)
    async with asyncio.timeout(20):
        while server.lobby.visitors:
            await asyncio.sleep(0)
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass
    writer.close()
    await server.stop()


async def test_bodies_are_not_cut_as_heads() -> None:
    server = WebServer(APP)
    port = await served(server)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    size = 40 * UNFINISHED_LIMIT_BYTES
    writer.write(b"POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    async with asyncio.timeout(20):
        assert str(size).encode() in await reader.readuntil(str(size).encode())
    writer.close()
    await server.stop()


async def test_answers_at_a_time_are_bounded_and_the_token_is_never_one_too_many(files: None) -> None:
    class Waiting(FakeSite):
        gate = asyncio.Event()

        async def workers(self, site: str | None = None) -> WorkersDocument:
            await self.gate.wait()
            return await super().workers()

    site = Waiting()
    server = WebServer(create_app(site, token="a-token"))
    port = await served(server)
    request = b"GET /api/v1/workers HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with crowd(port, request, ANSWERED_OF_ADDRESS + 50):
        status = b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n"
        async with asyncio.timeout(20):
            while (answer := await ask(port, status % b"")) == b"HTTP/1.1 200 OK":
                await asyncio.sleep(0)
        assert answer == b"HTTP/1.1 503 Service Unavailable"
        assert await ask(port, status % b"Authorization: Bearer a-token\r\n") == b"HTTP/1.1 200 OK"
        assert await ask(port, status % b"Authorization: Bearer another\r\n") == b"HTTP/1.1 503 Service Unavailable"
        site.gate.set()
        async with asyncio.timeout(20):
            while await ask(port, status % b"") != b"HTTP/1.1 200 OK":
                await asyncio.sleep(0)
    await server.stop()
