"""What stands before every request and websocket: host, origin, size, number, and the headers that every answer carries.

The API listens on loopback, where a browser's pages of other sites are the danger: a name that they make resolve to
127.0.0.1 (DNS rebinding) is refused by its ``Host``, and a request or websocket that they send (CSRF) by its
``Origin``, which a browser always tells. Writes need the token besides; whoever shows it is never one too many. Others wait
for nothing but an answer: a request whose body is still on its way holds no place among those that are being answered.
"""

import asyncio
import hmac
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photosynth.api.problems import problem

BODY_LIMIT_BYTES = 64 * 1024
"""Most bytes of a request's body, but for a stream that bounds its own lines."""
SOCKET_BODY_LIMIT_BYTES = 1024 * 1024
BODY_TIMEOUT_S = 10
ANSWERED_AT_A_TIME = 192
"""Most requests and websockets that are being answered together, but for those that show the token."""
ANSWERED_OF_ADDRESS = 128
"""Most of them from one address; an open page is one."""
BODIES_AT_A_TIME = 192
"""Most bodies that may be on their way, but for those that show the token; the eldest gives way to a new one."""
BODIES_OF_ADDRESS = 64
"""Most of them from one address, whose eldest gives way then."""
STREAMED_PATHS = frozenset({"/api/v1/chain/import"})
CONTENT_SECURITY_POLICY = (
    # NiceGUI compiles templates in the browser and writes its import map inline: hence unsafe-inline and unsafe-eval.
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=()"),
)
DROPPED_REQUEST_HEADERS = frozenset({b"x-forwarded-prefix"})


_NETLOC = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?")


def host_name(netloc: str) -> str:
    """The name in ``name:port`` or ``[address]:port``, in lower case, without brackets; empty where it is neither."""
    match = _NETLOC.fullmatch(netloc.strip().lower())
    return "" if match is None else match[1] or match[2]


def _headers(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


class Guard:
    """ASGI middleware that refuses what is not for us and adds the security headers to what we answer."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str], token: str) -> None:
        """Guard an application; ``allowed_hosts`` are names or addresses without port, ``*`` allows every one."""
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in allowed_hosts)
        self._bearer = f"Bearer {token}".encode()
        self._answering: Counter[str] = Counter()
        # Bodies on their way, the eldest first: the time-out of each, which ends it when it is brought forward, and its address.
        self._coming: dict[asyncio.Timeout, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        refusal = self._refusal(scope)
        known = any(hmac.compare_digest(v.encode("latin-1"), self._bearer) for v in _headers(scope, b"authorization"))
        if refusal is None and _has_body(scope):
            limit = SOCKET_BODY_LIMIT_BYTES if scope["path"].startswith("/_nicegui_ws/") else BODY_LIMIT_BYTES
            body = await self._body(scope, receive, limit, None if known else address)
            if isinstance(body, int):
                refusal = body, f"The body is larger than {limit} bytes." if body == 413 else "The body did not arrive in time."
            else:
                receive = _replay(body, receive)
        if refusal is None and not known:
            refusal = self._one_too_many(address)
        self._answering[address] += 1
        try:
            await self._answer(scope, receive, send, refusal)
        finally:
            self._answering[address] -= 1
            if not self._answering[address]:
                del self._answering[address]

    async def _answer(self, scope: Scope, receive: Receive, send: Send, refusal: tuple[int, str] | None) -> None:
        scope = {**scope, "headers": [h for h in scope["headers"] if h[0] not in DROPPED_REQUEST_HEADERS]}
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refusal[1][:120]})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *SECURITY_HEADERS]}
            await send(message)

        if refusal is None:
            await self._app(scope, receive, send_guarded)
            return
        headers = {"Connection": "close"} if refusal[0] in (408, 413, 503) else {}
        if refusal[0] == 503:
            headers["Retry-After"] = "1"
        await problem(*refusal, headers=headers or None)(scope, receive, send_guarded)

    async def _body(self, scope: Scope, receive: Receive, limit: int, address: str | None) -> Sequence[bytes] | int:
        """The whole body in its pieces, or the status to refuse it with. ``address`` is None where it need not give way."""
        if any(not text.isdigit() or int(text) > limit for text in _headers(scope, b"content-length")):
            return 413
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S) as patience:
                if address is not None:
                    self._make_room(address)
                    self._coming[patience] = address
                try:
                    return await _read(receive, limit)
                finally:
                    self._coming.pop(patience, None)
        except TimeoutError:
            return 408

    def _make_room(self, address: str) -> None:
        eldest = None
        if sum(other == address for other in self._coming.values()) >= BODIES_OF_ADDRESS:
            eldest = next(patience for patience, other in self._coming.items() if other == address)
        elif len(self._coming) >= BODIES_AT_A_TIME:
            eldest = next(iter(self._coming))
        if eldest is not None:
            del self._coming[eldest]
            if not eldest.expired():
                eldest.reschedule(asyncio.get_running_loop().time())

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        hosts = _headers(scope, b"host")
        name = host_name(hosts[0]) if len(hosts) == 1 else ""
        if not name or not ({name, "*"} & self._hosts):
            return 400, "This host name is not one that Photosynth answers to; see console.listen in the fleet file."
        for origin in _headers(scope, b"origin"):
            _, separator, netloc = origin.partition("://")
            if not separator or netloc.lower() != hosts[0].strip().lower():
                return 403, "The request comes from a page of another origin."
        return None

    def _one_too_many(self, address: str) -> tuple[int, str] | None:
        if self._answering.total() < ANSWERED_AT_A_TIME and self._answering[address] < ANSWERED_OF_ADDRESS:
            return None
        return (
            503,
            f"{ANSWERED_OF_ADDRESS} requests of one address, or {ANSWERED_AT_A_TIME} in all, are being answered: try again.",
        )


def _has_body(scope: Scope) -> bool:
    """Whether a request may have a body that is read before it is passed on."""
    return scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS") and scope["path"] not in STREAMED_PATHS


async def _read(receive: Receive, limit: int) -> Sequence[bytes] | int:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return pieces
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            return 413
        pieces.append(piece)
        if not message.get("more_body", False):
            return pieces


def _replay(body: Sequence[bytes], receive: Receive) -> Receive:
    """A receive that tells an application the body that was read, and then what follows it."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": b"".join(body), "more_body": False}

    return replay
