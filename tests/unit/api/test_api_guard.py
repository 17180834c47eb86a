"""The guard: other hosts, other origins and large bodies do not get past it, websockets included."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from photosynth.api.guard import ANSWERED_AT_A_TIME, BODIES_OF_ADDRESS, BODY_LIMIT_BYTES, Guard, host_name

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


def post(client: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Scope:
    head = [(b"host", b"127.0.0.1:8480"), *headers]
    return {"type": "http", "method": "POST", "path": "/x", "client": (client, 1), "headers": head, "query_string": b""}


async def test_bodies_that_do_not_come_keep_nobody_out_and_give_way_to_newer_ones() -> None:
    guard = Guard(inner, ["127.0.0.1"], TOKEN)
    answers: dict[str, list[int]] = {"slow": [], "known": [], "other": []}
    bearer = ((b"authorization", f"Bearer {TOKEN}".encode()),)

    async def never() -> MutableMapping[str, Any]:
        return await asyncio.Future()

    async def slow(who: str, client: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answers[who].append(message["status"])

        await guard(post(client, headers), never, send)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(slow("known", "127.0.0.1", bearer)), group.create_task(slow("other", "10.0.0.9"))]
        tasks += [group.create_task(slow("slow", "127.0.0.1")) for _ in range(ANSWERED_AT_A_TIME + 10)]
        for method in ("GET", "POST"):
            transport = httpx2.ASGITransport(app=guard)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8480") as http:
                assert (await http.request(method, "/x")).status_code == 200
        while len(answers["slow"]) < ANSWERED_AT_A_TIME + 10 - BODIES_OF_ADDRESS:
            await asyncio.sleep(0)
        assert set(answers["slow"]) == {408}
        assert answers["known"] == answers["other"] == []
        for task in tasks:
            task.cancel()
    assert guard._coming == {}
    assert not guard._answering
