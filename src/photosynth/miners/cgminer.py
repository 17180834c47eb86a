"""The cgminer API: one JSON request, one JSON answer, one TCP connection each, as nearly every firmware speaks it.

Source: cgminer's API-README. The answer ends with a NUL or with the connection; some firmwares send both.
"""

import asyncio
from typing import Any, cast

import msgspec

from photosynth.miners.machine import MalformedError, RefusedError, UnreachableError

MAX_ANSWER_BYTES = 1 << 20
"""A 100-chip machine's `stats` has some 20 kB; what is far beyond is a fault, and is not read."""
DEFAULT_TIMEOUT_S = 3.0

LONGEST_NUMBER = 40
"""Characters of a number that is written as text."""

AnswerDict = dict[str, Any]


class _Exchange(asyncio.Protocol):
    """One request and its bounded answer; cheaper than a pair of streams, since a poll does this for every machine."""

    def __init__(self, request: bytes, done: "asyncio.Future[bytes]") -> None:
        self.request, self.done = request, done
        self.answer = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        if len(self.answer) > MAX_ANSWER_BYTES or data.endswith(b"\0"):
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done.done():
            return
        if exc is not None:
            self.done.set_exception(exc)
        else:
            self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(bytes(self.answer))
        if self.transport is not None:
            self.transport.abort()


def parse_answer(machine: str, raw: bytes) -> AnswerDict:
    """The JSON object in an answer's bytes. Raises MalformedError; whatever the bytes are, nothing else."""
    if len(raw) > MAX_ANSWER_BYTES:
        raise MalformedError(machine, f"answered with more than {MAX_ANSWER_BYTES} bytes")
    try:
        answer = msgspec.json.decode(raw.rstrip(b"\0\r\n "))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(machine, f"answered with something that is not JSON ({error})") from error
    if not isinstance(answer, dict):
        raise MalformedError(machine, "answered with JSON that is not an object")
    return answer


def text(entry: AnswerDict, field: str, longest: int = 200) -> str | None:
    """Text in a field, cut at a length, also where it is a small whole number; or None."""
    value = entry.get(field)
    if isinstance(value, str):
        return value[:longest]
    # An integer of JSON may have thousands of digits: it is bounded before it is written out.
    return str(value) if type(value) is int and abs(value) < 1 << 63 else None


def status_of(answer: AnswerDict) -> tuple[str, int | None, str]:
    """The severity letter (S, I, W, E, F, or empty where there is none), code and message of an answer."""
    status = answer.get("STATUS")
    entry = status[0] if isinstance(status, list) and status else status
    if not isinstance(entry, dict):
        return "", None, ""
    return text(entry, "STATUS", 8) or "", count(entry, "Code"), text(entry, "Msg") or ""


def section(answer: AnswerDict, name: str, index: int = 0) -> AnswerDict:
    """One entry of a section (``SUMMARY``, ``POWER``), or nothing where it is missing or not an object."""
    entries = answer.get(name)
    if not isinstance(entries, list) or not -len(entries) <= index < len(entries):
        return {}
    entry = entries[index]
    return entry if isinstance(entry, dict) else {}


def entries(answer: AnswerDict, name: str) -> list[AnswerDict]:
    """Every entry of a section that is an object."""
    found = answer.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def number(entry: AnswerDict, field: str, below: float = 1e18) -> float | None:
    """A finite number in a field, not negative and below a bound, also where it is written as text; or None.

    It is bounded before it is converted: an integer of JSON may have hundreds of digits, and a float has no room for them.
    """
    value: Any = entry.get(field)
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= LONGEST_NUMBER else None
        except ValueError:
            return None
    return float(value) if type(value) in (int, float) and 0 <= value < below else None


def count(entry: AnswerDict, field: str, below: float = 1e18) -> int | None:
    """The same as a whole number."""
    value = number(entry, field, below)
    return None if value is None else int(value)


class CgminerClient:
    """Asks one machine over the cgminer API. Errors are typed and name the machine; every exchange ends in time."""

    def __init__(self, machine: str, host: str, port: int, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.machine, self.host, self.port, self.timeout_s = machine, host, port, timeout_s

    async def exchange(self, command: str, parameter: str | None = None) -> AnswerDict:
        """Send a command and read its answer, without judging its status. Raises UnreachableError or MalformedError."""
        request = {"command": command} if parameter is None else {"command": command, "parameter": parameter}
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()
        exchange = _Exchange(msgspec.json.encode(request), done)
        try:
            async with asyncio.timeout(self.timeout_s):
                await loop.create_connection(lambda: exchange, self.host, self.port)
                raw = await done
        except TimeoutError as error:
            sentence = f"no whole answer to '{command}' from {self.host}:{self.port} within {self.timeout_s:g} s"
            raise UnreachableError(self.machine, sentence) from error
        except (OSError, UnicodeError, OverflowError) as error:  # the latter two: a host or a port that cannot be one
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            sentence = f"no connection to {self.host}:{self.port} ({reason}): is it on, and in the network?"
            raise UnreachableError(self.machine, sentence) from error
        finally:
            if exchange.transport is not None:
                exchange.transport.abort()
        if not raw:
            raise UnreachableError(self.machine, f"{self.host}:{self.port} closed the connection without an answer")
        return parse_answer(self.machine, raw)

    async def command(self, command: str, parameter: str | None = None) -> AnswerDict:
        """The same for one command, whose status must be success or information; else RefusedError with its message."""
        answer = await self.exchange(command, parameter)
        severity, code, said = status_of(answer)
        if severity in ("E", "F"):
            raise RefusedError(self.machine, f"refused '{command}': {said} (code {code})")
        if not severity:
            raise MalformedError(self.machine, f"answered '{command}' without a status")
        return answer

    async def several(self, *commands: str) -> dict[str, AnswerDict]:
        """Several commands without parameters in one exchange (`summary+power`); those that it refuses are left out."""
        answer = await self.exchange("+".join(commands))
        found = {name: section(answer, name) for name in commands}
        whole = {name: part for name, part in found.items() if part and status_of(part)[0] not in ("E", "F")}
        if not whole:
            reason = status_of(answer)[2] or "no message"
            raise MalformedError(self.machine, f"answered none of {', '.join(commands)}: {reason}")
        return whole

    async def version(self) -> AnswerDict:
        """Firmware and model."""
        return section(await self.command("version"), "VERSION")

    async def summary(self) -> AnswerDict:
        """Hash rate, shares, errors since the start."""
        return section(await self.command("summary"), "SUMMARY")

    async def stats(self) -> list[AnswerDict]:
        """What the firmware says of boards, chips, fans; the first entry names it."""
        return entries(await self.command("stats"), "STATS")

    async def pools(self) -> list[AnswerDict]:
        """The pools it is told to mine at."""
        return entries(await self.command("pools"), "POOLS")

    async def devs(self) -> list[AnswerDict]:
        """Its hash boards."""
        return entries(await self.command("devs"), "DEVS")
