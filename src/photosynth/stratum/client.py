"""The miner's side of Stratum V1, sans-I/O.

Feed it what the socket gave; it returns events. After :meth:`StratumClient.receive`, send what
:meth:`StratumClient.outgoing` holds (answers that the protocol owes). A difficulty and an extranonce take effect at the
next job, so every :class:`~photosynth.stratum.work.Job` carries its own.
"""

from dataclasses import dataclass, replace
from typing import Any

from photosynth.quantities.work import DIFFICULTY_1_TARGET, difficulty_of_target, target_of_difficulty
from photosynth.stratum.framing import LineBuffer
from photosynth.stratum.messages import Message, decode, encode_request, encode_result
from photosynth.stratum.work import Job, parse_notify, parse_word

DEFAULT_MASK = 0x1FFFE000
"""The bits of a block's version that may be rolled (BIP320)."""
MAX_EXTRANONCE = 32
MAX_OPEN_REQUESTS = 4096
MAX_LINE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The pool answered mining.subscribe: our part of the extranonce, and the size of the part that we choose."""

    extranonce1: bytes
    extranonce2_size: int


@dataclass(frozen=True, slots=True)
class VersionRolling:
    """The pool allows these bits of the version to be rolled; zero is none."""

    mask: int


@dataclass(frozen=True, slots=True)
class Authorized:
    """The pool's answer to mining.authorize."""

    accepted: bool
    message: str


@dataclass(frozen=True, slots=True)
class DifficultyChanged:
    """From the next job on, a share's hash must not exceed this target."""

    target: int
    difficulty: float


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job; where ``job.clean`` is set, earlier ones are worth nothing any more."""

    job: Job


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """The pool's answer to the share that :meth:`StratumClient.submit` numbered ``id``."""

    id: int
    accepted: bool
    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The pool refused a request of ours that is not a share, or sent what we do not understand."""

    method: str
    message: str


Event = Subscribed | VersionRolling | Authorized | DifficultyChanged | NewJob | SubmitResult | Refused


class StratumClient:
    """One miner's conversation with a pool, under one worker name.

    ``version_mask`` is what the miner can roll (zero: it does not ask). ``suggested_difficulty`` is sent where given.
    """

    def __init__(
        self,
        worker: str,
        password: str = "x",  # noqa: S107  pools ignore it
        user_agent: str = "photosynth-miner/1",
        *,
        version_mask: int = DEFAULT_MASK,
        suggested_difficulty: float | None = None,
    ) -> None:
        self.worker = worker
        self.extranonce1 = b""
        self.extranonce2_size = 0
        self.version_mask = 0
        self.target = DIFFICULTY_1_TARGET
        self.job: Job | None = None
        self.authorized = False
        self.last_id = 0
        self._password = password
        self._user_agent = user_agent
        self._wanted_mask = version_mask
        self._suggested = suggested_difficulty
        self._lines = LineBuffer(MAX_LINE)
        self._open: dict[int, str] = {}
        self._out = bytearray()

    def start(self) -> bytes:
        """The lines that open the conversation: configure, subscribe, authorize, suggest_difficulty."""
        lines = b""
        if self._wanted_mask:
            rolling = {"version-rolling.mask": f"{self._wanted_mask:08x}", "version-rolling.min-bit-count": 2}
            lines += self._request("mining.configure", [["version-rolling"], rolling])
        lines += self._request("mining.subscribe", [self._user_agent])
        lines += self._request("mining.authorize", [self.worker, self._password])
        if self._suggested is not None:
            lines += self._request("mining.suggest_difficulty", [self._suggested])
        return lines

    def receive(self, data: bytes) -> list[Event]:
        """The events in these bytes. Raises LineTooLongError and MalformedError: hang up and dial again."""
        events: list[Event] = []
        for line in self._lines.feed(data):
            message = decode(line)
            if message.method is not None:
                self._on_request(message, events)
            else:
                self._on_response(message, events)
        return events

    def outgoing(self) -> bytes:
        """What the protocol makes us answer; send it. Empties the buffer."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def submit(self, job: Job, extranonce2: bytes, time_s: int, nonce: int, version_bits: int = 0) -> bytes:
        """The line that hands in a share; its number is then :attr:`last_id`.

        ``time_s`` is the header's time, ``version_bits`` the rolled bits (sent where the pool allows rolling).
        """
        params: list[Any] = [self.worker, job.id, extranonce2.hex(), f"{time_s:08x}", f"{nonce:08x}"]
        if job.version_mask:
            params.append(f"{version_bits & job.version_mask:08x}")
        return self._request("mining.submit", params)

    @property
    def open_shares(self) -> int:
        """Shares handed in and not answered yet."""
        return sum(method == "mining.submit" for method in self._open.values())

    def _request(self, method: str, params: list[Any]) -> bytes:
        self.last_id += 1
        if len(self._open) >= MAX_OPEN_REQUESTS:  # a pool that never answers costs no more memory than this
            del self._open[next(iter(self._open))]
        self._open[self.last_id] = method
        return encode_request(self.last_id, method, params)

    def _on_request(self, message: Message, events: list[Event]) -> None:
        params = message.params if isinstance(message.params, list) else []
        try:
            match message.method:
                case "mining.notify":
                    job = replace(
                        parse_notify(params),
                        extranonce1=self.extranonce1,
                        extranonce2_size=self.extranonce2_size,
                        target=self.target,
                        version_mask=self.version_mask,
                    )
                    self.job = job
                    events.append(NewJob(job))
                case "mining.set_difficulty":
                    difficulty = float(params[0])
                    self.target = target_of_difficulty(difficulty)
                    events.append(DifficultyChanged(self.target, difficulty))
                case "mining.set_target":
                    self.target = int(str(params[0])[:64], 16)
                    events.append(DifficultyChanged(self.target, difficulty_of_target(self.target)))
                case "mining.set_extranonce":
                    self._set_extranonce(params[0], params[1])
                    events.append(Subscribed(self.extranonce1, self.extranonce2_size))
                case "mining.set_version_mask":
                    self.version_mask = parse_word(params[0]) & self._wanted_mask
                    events.append(VersionRolling(self.version_mask))
                case "client.get_version":
                    self._out += encode_result(message.id, self._user_agent)
                case "mining.ping":
                    self._out += encode_result(message.id, "pong")
                case _:
                    events.append(Refused(str(message.method)[:64], "the pool sent a method that is not known here"))
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError) as error:
            events.append(Refused(str(message.method)[:64], str(error)[:200]))

    def _on_response(self, message: Message, events: list[Event]) -> None:
        method = self._open.pop(message.id, None) if isinstance(message.id, int) else None
        code, text = _error(message.error)
        accepted = message.error is None and message.result is True
        try:
            match method:
                case "mining.submit":
                    assert isinstance(message.id, int)
                    events.append(SubmitResult(message.id, accepted, None if accepted else code, text))
                case "mining.authorize":
                    self.authorized = accepted
                    events.append(Authorized(accepted, text))
                case "mining.subscribe":
                    if message.error is not None:
                        events.append(Refused(method, text))
                        return
                    self._set_extranonce(message.result[1], message.result[2])
                    events.append(Subscribed(self.extranonce1, self.extranonce2_size))
                case "mining.configure":
                    result = message.result if isinstance(message.result, dict) else {}
                    if result.get("version-rolling") is True:
                        self.version_mask = parse_word(result["version-rolling.mask"]) & self._wanted_mask
                    events.append(VersionRolling(self.version_mask))
                case None:
                    events.append(Refused("", text or "an answer to no question of ours"))
                case _ if message.error is not None:
                    events.append(Refused(method, text))
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            events.append(Refused(method or "", str(error)[:200]))

    def _set_extranonce(self, extranonce1: Any, size: Any) -> None:
        value = bytes.fromhex(extranonce1)
        if not isinstance(size, int) or not 0 < size <= MAX_EXTRANONCE or len(value) > MAX_EXTRANONCE:
            raise ValueError("an extranonce of an impossible size")
        self.extranonce1 = value
        self.extranonce2_size = size


def _error(error: Any) -> tuple[int | None, str]:
    if isinstance(error, list) and len(error) >= 2 and isinstance(error[0], int):
        return error[0], str(error[1])[:200]
    return None, "" if error is None else str(error)[:200]
