"""JSON-RPC to a bitcoind whose every answer is made up: what each failure is called and what it says to do."""

import base64
import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.networks.bitcoin.probe import probe, report_of
from photosynth.networks.bitcoin.rpc import (
    OTHER_ANSWER_LIMIT,
    ConnectionLostError,
    CredentialsFile,
    RpcClient,
    RpcError,
    UserWithPasswordFile,
)

URL = "http://127.0.0.1:18443"
Handler = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture
def cookie(tmp_path: Path) -> Path:
    path = tmp_path / ".cookie"
    path.write_text("__cookie__:first")
    return path


def client(handler: Handler, cookie: Path) -> RpcClient:
    return RpcClient(URL, CredentialsFile(cookie), name="Backnang's node", transport=httpx2.MockTransport(handler))


def answering(status: int, body: bytes | str) -> Handler:
    return lambda _: httpx2.Response(status, content=body)


def error_body(code: int, message: str) -> str:
    return json.dumps({"result": None, "error": {"code": code, "message": message}, "id": 1})


async def test_a_result_keeps_amounts_exact(cookie: Path) -> None:
    rpc = client(answering(200, '{"result": {"amount": 0.1}, "error": null, "id": 1}'), cookie)
    assert await rpc.call("anything") == {"amount": Decimal("0.1")}
    await rpc.close()


async def test_a_call_carries_method_parameters_and_credentials(cookie: Path) -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, content='{"result": 1, "error": null, "id": 1}')

    rpc = client(handler, cookie)
    await rpc.call("getblockhash", 7)
    body = json.loads(seen[0].content)
    assert (body["method"], body["params"]) == ("getblockhash", [7])
    assert seen[0].headers["authorization"] == "Basic " + base64.b64encode(b"__cookie__:first").decode()
    await rpc.close()


async def test_a_cookie_that_changed_is_read_again(cookie: Path) -> None:
    expected = "Basic " + base64.b64encode(b"__cookie__:second").decode()

    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.headers["authorization"] == expected:
            return httpx2.Response(200, content='{"result": "fine", "error": null, "id": 1}')
        cookie.write_text("__cookie__:second")
        return httpx2.Response(401)

    rpc = client(handler, cookie)
    assert await rpc.call("uptime") == "fine"
    await rpc.close()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"", "refuses user and password"),
        (403, b"", "rpcallowip"),
        (503, b"Work queue depth exceeded", "rpcworkqueue"),
        (500, error_body(-28, "Loading block index"), "still starting: Loading block index"),
        (500, error_body(-10, "in initial sync"), "still downloading"),
        (500, error_body(-9, "not connected"), "no peers"),
        (200, b"<html>", "not JSON-RPC"),
        (200, b"\xff\xfe", "not JSON-RPC"),
        (200, b"[]", "not JSON-RPC"),
        (200, b"5", "not JSON-RPC"),
        (200, b"{}", "not JSON-RPC"),
        (404, b"{}", "not JSON-RPC"),
        (500, b'{"error": {}}', "not JSON-RPC"),
        (500, b'{"error": {"code": "x", "message": 5}}', "not JSON-RPC"),
        (500, b'{"error": 5}', "not JSON-RPC"),
        (200, b"[" * 200_000, "not JSON-RPC"),
        (302, b"", "not JSON-RPC"),
    ],
)
async def test_failures_name_the_node_and_what_to_do(cookie: Path, status: int, body: bytes, says: str) -> None:
    rpc = client(answering(status, body), cookie)
    with pytest.raises(NodeUnavailableError, match=says) as caught:
        await rpc.call("getblockchaininfo")
    assert str(caught.value).startswith(f"Backnang's node at {URL}: ")
    await rpc.close()


async def test_other_errors_keep_their_code(cookie: Path) -> None:
    rpc = client(answering(500, error_body(-5, "Block not found")), cookie)
    with pytest.raises(RpcError, match="Block not found") as caught:
        await rpc.call("getblock", "00")
    assert caught.value.code == -5
    await rpc.close()


async def test_an_endless_answer_is_cut_off_at_what_the_method_may_answer(cookie: Path) -> None:
    most_bytes = OTHER_ANSWER_LIMIT.most_bytes
    rpc = client(answering(200, b"x" * (most_bytes + 1)), cookie)
    with pytest.raises(NodeUnavailableError, match=f"the answer to uptime is longer than {most_bytes} bytes"):
        await rpc.call("uptime")
    with pytest.raises(NodeUnavailableError, match="not JSON-RPC"):
        await rpc.call("getblock")
    await rpc.close()


async def test_a_call_is_repeated_once_after_a_broken_connection(cookie: Path) -> None:
    calls: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        calls.append(json.loads(request.content)["method"])
        if len(calls) == 1:
            raise httpx2.RemoteProtocolError("closed", request=request)
        return httpx2.Response(200, content='{"result": 3, "error": null, "id": 1}')

    rpc = client(handler, cookie)
    assert await rpc.call("getblockcount") == 3
    assert calls == ["getblockcount"] * 2
    calls.clear()
    with pytest.raises(ConnectionLostError, match="the connection broke during submitblock"):
        await rpc.call_once("submitblock", "00")
    assert calls == ["submitblock"]
    await rpc.close()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx2.ConnectError, "start bitcoind"),
        (httpx2.ConnectTimeout, "no answer"),
        (httpx2.ReadTimeout, "no answer to getblockcount within 30 s"),
        (httpx2.ReadError, "connection broke"),
        (httpx2.UnsupportedProtocol, "failed in transport"),
    ],
)
async def test_a_transport_that_fails_says_how(cookie: Path, error: type[httpx2.TransportError], says: str) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise error("no", request=request)

    rpc = client(handler, cookie)
    with pytest.raises(NodeUnavailableError, match=says):
        await rpc.call("getblockcount")
    await rpc.close()


@pytest.mark.parametrize("content", [b"", b"nocolon", b"\xff\xfe:", b"a:b\nc:d\n", b"u:" + b"p" * 2000])
def test_credentials_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "credentials"
    path.write_bytes(content)
    with pytest.raises(NodeUnavailableError, match="credentials"):
        CredentialsFile(path).read()


def test_credentials(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("pass:word\n")
    assert CredentialsFile(path).read() == ("pass", "word")
    assert UserWithPasswordFile("miner", path).read() == ("miner", "pass:word")
    with pytest.raises(NodeUnavailableError, match="is bitcoind running"):
        CredentialsFile(tmp_path / "missing").read()


@pytest.mark.parametrize(
    ("status", "body", "alive"),
    [
        (500, error_body(-28, "Loading block index"), True),
        (401, b"", True),
        (500, error_body(-1, "no"), True),
        (503, b"Work queue depth exceeded", False),
        (200, b"<html>", False),
    ],
)
async def test_a_look_tells_one_that_answers_from_one_that_hangs(cookie: Path, status: int, body: bytes, alive: bool) -> None:
    rpc = client(answering(status, body), cookie)
    report = report_of(await probe(rpc, 0), "main")
    await rpc.close()
    assert (report.problem is not None, report.alive) == (True, alive)


async def test_credentials_that_are_no_file_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cookie")
    rpc = client(answering(200, b""), tmp_path / "cookie")
    with pytest.raises(NodeUnavailableError, match=r"cannot be read \(it is no file\)"):
        await rpc.call("uptime")
    await rpc.close()
