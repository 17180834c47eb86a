"""The guard: other hosts, other origins and large bodies do not get past it, websockets included."""

import json
from collections.abc import MutableMapping
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from photosynth.api.guard import BODY_LIMIT_BYTES, Guard, host_name

TOKEN = "a-token"


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts every websocket, and answers every request with the length of its body."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await PlainTextResponse(str(size))(scope, receive, send)


GUARD = Guard(inner, ["127.0.0.1", "localhost", "::1"], TOKEN)


async def request(method: str, headers: dict[str, str], body: bytes = b"", path: str = "/x") -> httpx2.Response:
    transport = httpx2.ASGITransport(app=GUARD)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480") as http:
        return await http.request(method, path, headers=headers, content=body)


@pytest.mark.parametrize(
    ("netloc", "name"),
    [("Localhost:80", "localhost"), ("[::1]:8480", "::1"), ("127.0.0.1", "127.0.0.1"), ("", ""), ("[::1", "")],
)
def test_host_name(netloc: str, name: str) -> None:
    assert host_name(netloc) == name


@pytest.mark.parametrize("host", ["127.0.0.1:8480", "localhost:8480", "LOCALHOST", "[::1]:8480"])
async def test_our_hosts_are_answered(host: str) -> None:
    assert (await request("GET", {"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example:8480",
        "",
        "localhost.evil:8480",
        "127.0.0.1:8480@evil.example",
        "[127.0.0.1]evil.example",
        "localhost:1/",
    ],
)
async def test_a_name_made_to_resolve_here_is_refused(host: str) -> None:
    answer = await request("GET", {"host": host})
    assert answer.status_code == 400
    assert "x-frame-options" in answer.headers


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1:8480.evil.example", "127.0.0.1:8480"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_another_origin_is_refused(method: str, origin: str) -> None:
    assert (await request(method, {"origin": origin})).status_code == 403


async def test_our_own_origin_is_let_through() -> None:
    assert (await request("POST", {"origin": "http://127.0.0.1:8480"})).status_code == 200


async def test_a_body_is_bounded_whether_it_tells_its_length_or_not() -> None:
    assert (await request("POST", {}, b"x" * BODY_LIMIT_BYTES)).text == str(BODY_LIMIT_BYTES)
    assert (await request("POST", {}, b"x" * (BODY_LIMIT_BYTES + 1))).status_code == 413
    assert (await request("POST", {"content-length": "-1"}, b"x")).status_code == 413

    async def chunks() -> Any:
        for _ in range(3):
            yield b"x" * (BODY_LIMIT_BYTES // 2)

    transport = httpx2.ASGITransport(app=GUARD)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480") as http:
        assert (await http.post("/x", content=chunks())).status_code == 413
        assert (await http.post("/api/v1/chain/import", content=chunks())).status_code == 200


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([(b"host", b"127.0.0.1:8480")], "websocket.accept"),
        ([(b"host", b"127.0.0.1:8480"), (b"origin", b"http://127.0.0.1:8480")], "websocket.accept"),
        ([(b"host", b"127.0.0.1:8480"), (b"origin", b"http://evil.example")], "websocket.close"),
        ([(b"host", b"evil.example")], "websocket.close"),
        ([(b"host", b"127.0.0.1"), (b"host", b"evil.example")], "websocket.close"),
        ([], "websocket.close"),
    ],
)
async def test_websockets_are_guarded_too(headers: list[tuple[bytes, bytes]], told: str) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await GUARD({"type": "websocket", "path": "/_nicegui_ws/", "headers": headers}, receive, send)
    assert sent[0]["type"] == told


async def test_a_refusal_is_a_problem_document() -> None:
    answer = await request("POST", {"origin": "null"})
    assert json.loads(answer.text)["status"] == 403
