"""JSON-RPC to a bitcoind: authentication by file, time-outs, bounded answers, and errors that say what to do.

Source: Bitcoin Core, ``doc/JSON-RPC-interface.md`` and ``rpc/protocol.h`` (error codes).
"""

import asyncio
import json
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Protocol

import httpx2

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.files.bounded import read_file
from photosynth.networks.bitcoin.document import NotAnAnswerError, parse, shown_text
from photosynth.networks.grammar import Access

DEFAULT_TIMEOUT_S = 30.0
MAX_CREDENTIAL_BYTES = 1024
MAX_MESSAGE = 500
RPC_MISC_ERROR = -1
RPC_INVALID_ADDRESS_OR_KEY = -5
RPC_INVALID_PARAMETER = -8
RPC_CLIENT_NOT_CONNECTED = -9
RPC_CLIENT_IN_INITIAL_DOWNLOAD = -10
RPC_DESERIALIZATION_ERROR = -22
RPC_IN_WARMUP = -28


@dataclass(frozen=True, slots=True)
class AnswerLimit:
    """How much an answer may be: bytes on the wire, and values in it, each of which costs up to 200 bytes of memory."""

    most_bytes: int
    most_values: int


MIB = 1 << 20
ANSWER_LIMITS = {
    # 4,000,000 bytes in hexadecimal, and nothing else.
    "getblock": AnswerLimit(8 * MIB, 100),
    # The same in at most 16,000 transactions with a dozen values each.
    "getblocktemplate": AnswerLimit(24 * MIB, 400_000),
    # 200,000 coins of ten values and 300 bytes each.
    "scantxoutset": AnswerLimit(64 * MIB, 3_000_000),
}
OTHER_ANSWER_LIMIT = AnswerLimit(1 * MIB, 50_000)
"""Everything else that is called tells of one node or one header."""


class RefusedError(NodeUnavailableError):
    """The node answered, and does not do what was asked: it still starts, or lets nobody in. It does not hang."""


class RpcError(RefusedError):
    """The node understood a call and refused it: ``code`` and ``message`` are its own."""

    def __init__(self, node: str, method: str, code: int, message: str) -> None:
        super().__init__(f"{node}: it refused {method}: {message} ({code})")
        self.method = method
        self.code = code
        self.message = message


class ConnectionLostError(NodeUnavailableError):
    """The connection broke after a call was sent: whether the node acted on it is not known."""


class Credentials(Protocol):
    """Where user and password come from; read again after the node refused them, because a cookie changes."""

    def read(self) -> tuple[str, str]:
        """User and password now. Raises NodeUnavailableError that says what to do."""
        ...


@dataclass(frozen=True, slots=True)
class CredentialsFile:
    """A file with one line ``user:password``: bitcoind's own ``.cookie``, or one that the operator wrote."""

    path: Path

    def read(self) -> tuple[str, str]:
        """User and password as the file has them now."""
        user, colon, password = _read_line(self.path).partition(":")
        if not colon:
            raise NodeUnavailableError(f"{self.path} does not hold 'user:password': write one such line, mode 0600")
        return user, password


@dataclass(frozen=True, slots=True)
class UserWithPasswordFile:
    """A user name, and a file whose only line is the password."""

    user: str
    path: Path

    def read(self) -> tuple[str, str]:
        """User and the password that the file has now."""
        return self.user, _read_line(self.path)


def credentials_of(access: Access) -> CredentialsFile | UserWithPasswordFile:
    """How a bitcoind lets us in. Raises ValueError where nothing says so."""
    if access.cookie_file is not None:
        return CredentialsFile(access.cookie_file)
    if access.user is not None and access.password_file is not None:
        return UserWithPasswordFile(access.user, access.password_file)
    raise ValueError(f"{access.name}: bitcoind lets nobody in without a cookie file, or a user and a password file")


def _read_line(path: Path) -> str:
    try:
        raw = read_file(path, MAX_CREDENTIAL_BYTES + 1)
        text = raw.decode().rstrip("\r\n")
    except OSError as error:
        raise NodeUnavailableError(
            f"the credentials {path} cannot be read ({error.strerror}): is bitcoind running, and may this user read the file?"
        ) from error
    except UnicodeDecodeError as error:
        raise NodeUnavailableError(f"the credentials {path} are not text") from error
    if not text or "\n" in text or len(raw) > MAX_CREDENTIAL_BYTES:
        raise NodeUnavailableError(f"the credentials {path} must be one line of at most {MAX_CREDENTIAL_BYTES} bytes")
    return text


class RpcClient:
    """Calls methods of one bitcoind; ``name`` is how errors speak of it. Close it when done."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        name: str = "bitcoind",
        timeout_s: float = DEFAULT_TIMEOUT_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self._credentials = credentials
        self._auth: httpx2.BasicAuth | None = None
        self._next_id = 0
        self._timeout_s = timeout_s
        # bitcoind closes a silent connection after 30 s (-rpcservertimeout): let go of it before.
        limits = httpx2.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=20)
        self._http = httpx2.AsyncClient(
            transport=transport,
            limits=limits,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # bitcoind sets none, and none are kept
        )

    async def call(self, method: str, *params: Any, timeout_s: float | None = None) -> Any:
        """Call a method that changes nothing, a second time where the connection broke; fractions come as Decimal.

        Raises RpcError where the node refuses, and NodeUnavailableError where it does not answer, is not ready, or
        answers something that is not JSON-RPC.
        """
        try:
            return await self.call_once(method, *params, timeout_s=timeout_s)
        except ConnectionLostError:
            # The node had closed a connection that was kept alive.
            return await self.call_once(method, *params, timeout_s=timeout_s)

    async def call_once(self, method: str, *params: Any, timeout_s: float | None = None) -> Any:
        """Call a method; as :meth:`call`, but raises ConnectionLostError where it is not known what the node did."""
        self._next_id += 1
        body = json.dumps({"jsonrpc": "1.0", "id": self._next_id, "method": method, "params": params}).encode()
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        status, answer = await self._exchange(method, body, limit_s)
        if status == 401:
            self._auth = None
            status, answer = await self._exchange(method, body, limit_s)
        return self._result(method, status, answer)

    async def close(self) -> None:
        """Close the connections; safe to call twice."""
        await self._http.aclose()

    def unavailable(self, what: str) -> NodeUnavailableError:
        """The exception that names this node."""
        return NodeUnavailableError(f"{self.name} at {self.url}: {what}")

    def refused(self, what: str) -> RefusedError:
        """The same for what it answered."""
        return RefusedError(f"{self.name} at {self.url}: {what}")

    async def _exchange(self, method: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        if self._auth is None:
            self._auth = httpx2.BasicAuth(*self._credentials.read())
        try:
            async with asyncio.timeout(timeout_s + 5):
                return await self._post(method, body, timeout_s)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise self.unavailable(f"no answer to {method} within {timeout_s:g} s; is it overloaded or stuck?") from error
        except httpx2.ConnectError as error:
            raise self.unavailable(f"nothing answers there ({error}): start bitcoind, or correct the address") from error
        except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError) as error:
            raise ConnectionLostError(
                f"{self.name} at {self.url}: the connection broke during {method} ({type(error).__name__}); did it stop?"
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self.unavailable(f"{method} failed in transport: {type(error).__name__}: {error}") from error

    async def _post(self, method: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
        timeout = httpx2.Timeout(timeout_s, connect=min(10.0, timeout_s))
        auth = self._auth or httpx2.USE_CLIENT_DEFAULT
        most_bytes = ANSWER_LIMITS.get(method, OTHER_ANSWER_LIMIT).most_bytes
        parts: list[bytes] = []
        size = 0
        async with self._http.stream("POST", self.url, content=body, auth=auth, timeout=timeout) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                # A few bytes may unpack to gigabytes, and bitcoind packs nothing.
                raise self.unavailable(f"the answer to {method} is packed, which was not asked for; is this a bitcoind?")
            async for part in response.aiter_bytes():
                size += len(part)
                if size > most_bytes:
                    raise self.unavailable(f"the answer to {method} is longer than {most_bytes} bytes; is this a bitcoind?")
                parts.append(part)
            return response.status_code, b"".join(parts)

    def _result(self, method: str, status: int, answer: bytes) -> Any:
        if status == 401:
            raise self.refused("it refuses user and password (401): check the cookie file or rpcauth")
        if status == 403:
            raise self.refused("it refuses this address or method (403): check rpcallowip and rpcwhitelist")
        if status == 503:
            raise self.unavailable("its work queue is full (503): raise rpcworkqueue or ask less often")
        try:
            document = parse(answer, ANSWER_LIMITS.get(method, OTHER_ANSWER_LIMIT).most_values)
            error = document.get("error")
            if error is None and status == 200:
                return document["result"]
            code, message = error["code"], shown_text(error["message"], MAX_MESSAGE)
            if type(code) is not int:
                raise TypeError("the code is not a whole number")
        except (NotAnAnswerError, TypeError, KeyError, AttributeError) as problem:
            start = answer[:60].decode("utf-8", "replace")
            raise self.unavailable(
                f"the answer to {method} is not JSON-RPC (HTTP {status}): {start!r}; is this bitcoind's RPC port?"
            ) from problem
        if code == RPC_IN_WARMUP:
            raise self.refused(f"it is still starting: {message} Wait until it has.")
        if code == RPC_CLIENT_IN_INITIAL_DOWNLOAD:
            raise self.refused(f"it is still downloading the chain: {message} Mining must wait until it has caught up.")
        if code == RPC_CLIENT_NOT_CONNECTED:
            raise self.refused(f"it has no peers: {message} Check its network connection (addnode, firewall, proxy).")
        raise RpcError(f"{self.name} at {self.url}", method, code, message)
