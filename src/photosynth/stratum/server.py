"""The pool's side of Stratum V1 for one connection, sans-I/O: lines in, events and answers out.

The session knows the conversation (who is subscribed, authorized, what was negotiated) and the shape of every message.
Whether a share is worth anything is not for it to say: it hands the pool a :class:`Submit` in numbers and bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from photosynth.quantities.work import DIFFICULTY_1_TARGET, TWO_256
from photosynth.stratum.framing import MAX_LINE, LineBuffer
from photosynth.stratum.messages import (
    ErrorCode,
    MalformedError,
    Message,
    decode,
    encode_error,
    encode_request,
    encode_result,
)
from photosynth.stratum.names import objection_to_name, shown_text
from photosynth.stratum.work import parse_word

MAX_NAMES = 16
"""Worker names that one connection may authorize."""
MAX_MALFORMED = 5
"""Lines that are not Stratum until the session asks to hang up."""
MAX_EXTENSIONS = 16
MAX_EXTENSION = 64

MessageId = int | str | float | None


class Submit(msgspec.Struct, gc=False):
    """A share as handed in. ``job`` is the number that the job's id spells, -1 where it spells none."""

    id: MessageId
    worker: str
    job: int
    extranonce2: bytes
    time_s: int
    nonce: int
    version_bits: int


@dataclass(slots=True)
class SubmitRefused:
    """A share that was answered already, because its message was wrong; ``worker`` is None where nobody is named."""

    worker: str | None
    code: ErrorCode


@dataclass(slots=True)
class AuthorizeRequested:
    """Somebody wants to mine as ``worker``; answer with :meth:`ServerSession.authorize`."""

    id: MessageId
    worker: str


@dataclass(slots=True)
class Suggested:
    """The miner would like this difficulty (positive and finite)."""

    difficulty: float


@dataclass(slots=True)
class HangUp:
    """The peer does not speak Stratum: close the connection once the answers are out."""

    reason: str


SessionEvent = Submit | SubmitRefused | AuthorizeRequested | Suggested | HangUp


class ServerSession:
    """One connection's conversation.

    ``extranonce1`` is this connection's own, ``extranonce2_size`` the bytes left to the miner, ``version_mask`` the bits
    of the version that the pool lets miners roll. Never raises for what a peer sends.
    """

    __slots__ = (
        "_allowed_mask",
        "_lines",
        "_malformed",
        "_out",
        "_waiting",
        "_workers",
        "extranonce1",
        "extranonce2_size",
        "lines_read",
        "subscribed",
        "user_agent",
        "version_mask",
    )

    def __init__(self, extranonce1: bytes, extranonce2_size: int, version_mask: int, *, max_line: int = MAX_LINE) -> None:
        self.extranonce1 = extranonce1
        self.extranonce2_size = extranonce2_size
        self.subscribed = False
        self.user_agent: str | None = None
        self.version_mask = 0
        self._allowed_mask = version_mask
        self.lines_read = 0
        self._workers: dict[str, str] = {}
        self._lines = LineBuffer(max_line)
        self._waiting: list[bytes] = []
        self._malformed = 0
        self._out: list[bytes] = []

    @property
    def ready(self) -> bool:
        """Whether the miner is subscribed and authorized, so may have jobs."""
        return self.subscribed and bool(self._workers)

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers that this connection is authorized for, in order, as they are counted."""
        return tuple(dict.fromkeys(self._workers.values()))

    @property
    def waiting(self) -> int:
        """Whole lines that :meth:`receive` took and has not looked at."""
        return len(self._waiting)

    def receive(self, data: bytes = b"", most: int = 1 << 30) -> Iterator[SessionEvent]:
        """The events in these bytes and in what waits, line by line as they are asked for, from at most so many lines.

        So what is decided about one event holds for the next line: a share behind the request to authorize its worker, in
        the same packet, is the worker's. Answers that need no decision are in :meth:`outgoing`, in the lines' order.
        """
        try:
            lines = self._waiting + self._lines.feed(data) if self._waiting else self._lines.feed(data)
        except ValueError as error:
            yield self._hang_up(str(error))
            return
        if len(lines) > most:
            self._waiting, lines = lines[most:], lines[:most]
        elif self._waiting:
            self._waiting = []
        for line in lines:
            self.lines_read += 1
            try:
                message = decode(line)
                event = self._on_submit(message) if message.method == "mining.submit" else self._on_message(message)
            except MalformedError as error:
                self._malformed += 1
                self._refuse(None, ErrorCode.OTHER, f"not a Stratum message: {error}")
                event = self._hang_up("does not speak Stratum") if self._malformed >= MAX_MALFORMED else None
            if event is not None:
                yield event

    def _hang_up(self, reason: str) -> HangUp:
        self._waiting.clear()
        return HangUp(reason)

    def outgoing(self) -> bytes:
        """The answers owed to the miner; empties the buffer."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def authorize(self, request: AuthorizeRequested, accepted: bool, text: str = "", *, counted_as: str | None = None) -> None:
        """Answer a request to authorize; shares for this worker are events of ``counted_as`` where that is another name."""
        if accepted:
            self._workers[request.worker] = counted_as or request.worker
            self._out.append(encode_result(request.id, True))
        else:
            self._refuse(request.id, ErrorCode.UNAUTHORIZED, text or "unauthorized worker")

    def refuse(self, message_id: MessageId, code: ErrorCode, text: str) -> None:
        """Answer a share that is worth nothing, in its turn."""
        self._refuse(message_id, code, text)

    def _refuse(self, message_id: MessageId, code: ErrorCode, text: str) -> None:
        self._out.append(encode_error(message_id, code, text))

    def _on_submit(self, message: Message) -> Submit | SubmitRefused:
        params = message.params
        if not isinstance(params, list) or not 5 <= len(params) <= 6 or not isinstance(params[0], str):
            return self._refuse_share(message, None, ErrorCode.OTHER, "mining.submit has five or six texts")
        worker = self._workers.get(params[0])
        if not self.subscribed:
            return self._refuse_share(message, worker, ErrorCode.NOT_SUBSCRIBED, "not subscribed")
        if worker is None:
            return self._refuse_share(message, None, ErrorCode.UNAUTHORIZED, "unauthorized worker")
        try:
            extranonce2 = bytes.fromhex(params[2])
            time_s, nonce = parse_word(params[3]), parse_word(params[4])
            version_bits = parse_word(params[5]) if len(params) == 6 else 0
            job = _job_number(params[1])
        except ValueError as error:
            return self._refuse_share(message, worker, ErrorCode.OTHER, str(error))
        except (TypeError, AttributeError):  # one of them is no text
            return self._refuse_share(message, worker, ErrorCode.OTHER, "mining.submit has five or six texts")
        if len(extranonce2) != self.extranonce2_size:
            return self._refuse_share(message, worker, ErrorCode.OTHER, f"extranonce2 has {self.extranonce2_size} bytes")
        if version_bits & ~self.version_mask:
            return self._refuse_share(message, worker, ErrorCode.OTHER, "version bits outside the mask")
        return Submit(message.id, worker, job, extranonce2, time_s, nonce, version_bits)

    def _refuse_share(self, message: Message, worker: str | None, code: ErrorCode, text: str) -> SubmitRefused:
        self._refuse(message.id, code, text)
        return SubmitRefused(worker, code)

    def _on_message(self, message: Message) -> SessionEvent | None:  # noqa: PLR0912  one case a method
        params = message.params if isinstance(message.params, list) else []
        first = params[0] if params else None
        match message.method:
            case "mining.configure":
                self._answer(message, self._configure(params))
            case "mining.subscribe":
                if isinstance(first, str):
                    self.user_agent = shown_text(first)
                self.subscribed = True
                name = self.extranonce1.hex()
                subscriptions = [["mining.set_difficulty", name], ["mining.notify", name]]
                self._answer(message, [subscriptions, name, self.extranonce2_size])
                if self.user_agent is None:
                    self._out.append(encode_request(1, "client.get_version", []))
            case "mining.authorize":
                return self._authorize(message, first)
            case "mining.suggest_difficulty":
                return self._suggest(message, _difficulty(first))
            case "mining.suggest_target":
                return self._suggest(message, _difficulty_of_text(first))
            case "mining.extranonce.subscribe":
                self._answer(message, True)
            case "mining.ping":
                self._answer(message, "pong")
            case None:
                if message.id == 1 and self.user_agent is None and isinstance(message.result, str):
                    self.user_agent = shown_text(message.result)
            case _:
                if message.id is not None:
                    self._refuse(message.id, ErrorCode.OTHER, "this pool does not know that method")
        return None

    def _authorize(self, message: Message, name: object) -> AuthorizeRequested | None:
        if not isinstance(name, str):
            text: str | None = "mining.authorize wants a worker's name"
        elif name not in self._workers and len(self._workers) >= MAX_NAMES:
            text = f"a connection mines for at most {MAX_NAMES} workers"
        else:
            text = objection_to_name(name)
            if text is None:
                return AuthorizeRequested(message.id, name)
        self._refuse(message.id, ErrorCode.UNAUTHORIZED, text or "")
        return None

    def _answer(self, message: Message, result: Any) -> None:
        if message.id is not None:
            self._out.append(encode_result(message.id, result))

    def _suggest(self, message: Message, difficulty: float | None) -> Suggested | None:
        if difficulty is None:
            self._refuse(message.id, ErrorCode.OTHER, "not a difficulty")
            return None
        self._answer(message, True)
        return Suggested(difficulty)

    def _configure(self, params: list[Any]) -> dict[str, Any]:
        """Extensions answered one by one (BIP310): version rolling, and a polite no to the others."""
        extensions = params[0][:MAX_EXTENSIONS] if params and isinstance(params[0], list) else []
        options = params[1] if len(params) > 1 and isinstance(params[1], dict) else {}
        result: dict[str, Any] = {}
        for extension in extensions:
            if not isinstance(extension, str) or len(extension) > MAX_EXTENSION:
                continue
            result[extension] = False
            if extension == "version-rolling" and self._allowed_mask:
                wanted = options.get("version-rolling.mask", "ffffffff")
                try:
                    mask = parse_word(wanted) & self._allowed_mask if isinstance(wanted, str) else 0
                except ValueError:
                    mask = 0
                self.version_mask = mask
                result["version-rolling"] = bool(mask)
                if mask:
                    result["version-rolling.mask"] = f"{mask:08x}"
        return result


@lru_cache(maxsize=64)  # a few jobs are named again and again
def _job_number(text: str) -> int:
    try:
        return int(text, 16) if 0 < len(text) <= 16 and text.isalnum() and text.isascii() else -1
    except ValueError:
        return -1


def _difficulty(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e60 else None


def _difficulty_of_text(value: object) -> float | None:
    if not isinstance(value, str) or not 0 < len(value) <= 66 or not value.isalnum() or not value.isascii():
        return None
    try:
        target = int(value, 16)
    except ValueError:
        return None
    return DIFFICULTY_1_TARGET / target if 0 < target < TWO_256 else None
