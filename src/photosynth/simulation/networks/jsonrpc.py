"""JSON-RPC over HTTP as bitcoind serves it: basic authentication by cookie, versions 1 and 2, batches, its status codes.

Source: Bitcoin Core 29, ``httpserver.cpp``, ``httprpc.cpp``, ``rpc/request.cpp``, and what a bitcoind 29 answered. Bounded in
header, body, connections and time.
"""

import asyncio
import base64
import contextlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from photosynth.files.whole import write_whole

MOST_HEADER_BYTES = 8192
MOST_BODY_BYTES = 1 << 20
"""bitcoind takes 32 MiB; no call that is served here needs more."""
MOST_CONNECTIONS = 64
MOST_IN_BATCH = 1000
LONGEST_IDLE_S = 30.0
"""bitcoind's -rpcservertimeout."""
QUIET_LOOK_S = 0.25
WRONG_PASSWORD_S = 0.25
"""How long bitcoind lets one wait who gave a wrong password (``httprpc.cpp``)."""
_REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}
_HTML = "text/html; charset=ISO-8859-1"
INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR = -32600, -32601, -32700


class RpcFaultError(Exception):
    """A refusal of a call: bitcoind's code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Served(Protocol):
    """What is served."""

    def silent(self) -> bool:
        """Whether nothing is answered now."""
        ...

    async def call(self, method: str, given: Sequence[Any] | Mapping[str, Any]) -> Any:
        """The result of a method. Raises RpcFaultError."""
        ...


class _RefusedRequestError(Exception):
    """A request that is answered by a status alone."""

    def __init__(self, status: int, body: bytes = b"", headers: str = "") -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers


@dataclass(frozen=True, slots=True)
class _Request:
    """The head of a request."""

    method: str
    path: str
    length: int
    stays: bool
    authorization: bytes

    @classmethod
    def read(cls, head: bytes) -> "_Request":
        """Read it. Raises _RefusedRequestError where it is none, or announces more than is taken."""
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _RefusedRequestError(400)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()) or len(length) > 9:
            raise _RefusedRequestError(400)
        if int(length) > MOST_BODY_BYTES:
            raise _RefusedRequestError(413)
        stays = headers.get("connection", "").lower() != "close" and words[2] == "HTTP/1.1"
        return cls(words[0], words[1], int(length), stays, headers.get("authorization", "").encode("latin-1"))


class RpcServer:
    """Serves one node on loopback. ``start`` writes the cookie and raises OSError where the port is in use."""

    def __init__(self, node: Served, folder: Path, port: int) -> None:
        self._node, self._cookie, self.port = node, folder / ".cookie", port
        self._wanted = b""
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self) -> None:
        """Listen; afterwards ``port`` is the real one, and the cookie is there."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=MOST_HEADER_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        self._cookie.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        cookie = f"__cookie__:{secrets.token_hex(32)}".encode()
        self._wanted = b"Basic " + base64.b64encode(cookie)
        write_whole(self._cookie, cookie, durable=False)

    async def close(self) -> None:
        """Stop listening, hang up, and remove the cookie, as bitcoind does at its end."""
        if self._server is not None:
            self._server.close()
        sessions = [task for task in self._open.values() if task is not None]
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.gather(*sessions, return_exceptions=True)
        self._cookie.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            writer.close()
            return
        self._open[writer] = asyncio.current_task()
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, ValueError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            return  # broken, endless, or no HTTP at all: only this connection ends
        finally:
            del self._open[writer]
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection stays."""
        async with asyncio.timeout(LONGEST_IDLE_S):
            head = await reader.readuntil(b"\r\n\r\n")
        stays = False
        try:
            request = _Request.read(head)
            async with asyncio.timeout(LONGEST_IDLE_S):
                body = await reader.readexactly(request.length)
            stays = request.stays
            await self._admit(request)
            while self._node.silent():
                await asyncio.sleep(QUIET_LOOK_S)
                if reader.at_eof() or writer.is_closing():
                    return False
            status, answer = await self._answered(body)
            kind, extra = "application/json", ""
        except _RefusedRequestError as refused:
            status, answer, kind, extra = refused.status, refused.body, _HTML, refused.headers
        lines = f"HTTP/1.1 {status} {_REASONS.get(status, 'Internal Server Error')}\r\n{extra}"
        if status != 204:
            lines += f"Content-Type: {kind}\r\nContent-Length: {len(answer)}\r\n"
        writer.write(lines.encode() + b"\r\n" + answer)
        async with asyncio.timeout(LONGEST_IDLE_S):
            await writer.drain()
        return stays

    async def _admit(self, request: _Request) -> None:
        """Raises _RefusedRequestError where a request is not answered; after a wrong password that takes a moment."""
        if request.path != "/":
            raise _RefusedRequestError(404)
        if request.method != "POST":
            raise _RefusedRequestError(405, b"JSONRPC server handles only POST requests")
        if not hmac.compare_digest(request.authorization, self._wanted):
            if request.authorization:
                await asyncio.sleep(WRONG_PASSWORD_S)
            raise _RefusedRequestError(401, headers='WWW-Authenticate: Basic realm="jsonrpc"\r\n')

    async def _answered(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of what a request's JSON asks for."""
        try:
            asked = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return 500, _line(_failed(RpcFaultError(PARSE_ERROR, "Parse error"), None, second=False))
        if isinstance(asked, list):
            answers = [answer for item in asked[:MOST_IN_BATCH] if (answer := (await self._call(item))[1]) is not None]
            return (200, _line(answers)) if answers or not asked else (204, b"")
        if not isinstance(asked, dict):
            return 500, _line(_failed(RpcFaultError(PARSE_ERROR, "Top-level object parse error"), None, second=False))
        status, answer = await self._call(asked)
        return (status, _line(answer)) if answer is not None else (204, b"")

    async def _call(self, asked: Any) -> tuple[int, dict[str, Any] | None]:
        """Status and answer of one call; no answer to a notification, which version 2 has."""
        second = isinstance(asked, dict) and asked.get("jsonrpc") == "2.0"
        number = asked.get("id") if isinstance(asked, dict) else None
        try:
            method, given = _read(asked)
            result = await self._node.call(method, given)
        except RpcFaultError as fault:
            status = {INVALID_REQUEST: 400, METHOD_NOT_FOUND: 404}.get(fault.code, 500)
            answer = _failed(fault, number, second=second)
            return (200 if second and fault.code != INVALID_REQUEST else status), answer
        if second and isinstance(asked, dict) and "id" not in asked:
            return 204, None
        return 200, {"jsonrpc": "2.0", "result": result, "id": number} if second else {
            "result": result,
            "error": None,
            "id": number,
        }


def _read(asked: Any) -> tuple[str, Sequence[Any] | Mapping[str, Any]]:
    """Method and parameters of a call. Raises RpcFaultError."""
    if not isinstance(asked, dict):
        raise RpcFaultError(INVALID_REQUEST, "Invalid Request object")
    if "method" not in asked or asked["method"] is None:
        raise RpcFaultError(INVALID_REQUEST, "Missing method")
    if not isinstance(asked["method"], str):
        raise RpcFaultError(INVALID_REQUEST, "Method must be a string")
    given = asked.get("params")
    if given is not None and not isinstance(given, (list, dict)):
        raise RpcFaultError(INVALID_REQUEST, "Params must be an array or object")
    return asked["method"], given or []


def _failed(fault: RpcFaultError, number: Any, *, second: bool) -> dict[str, Any]:
    error = {"code": fault.code, "message": fault.message}
    return {"jsonrpc": "2.0", "error": error, "id": number} if second else {"result": None, "error": error, "id": number}


def _line(document: Any) -> bytes:
    return msgspec.json.encode(document) + b"\n"
