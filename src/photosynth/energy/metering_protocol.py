"""The small protocol that simulated meters and inverters speak: one JSON object a line, over TCP; sans-I/O.

Requests: ``{"op":"read"}``, ``{"op":"profile","start_ms":N}``, ``{"op":"limit","source_w":N|null,"export_w":N|null}``.
Every answer has ``ok``; where it is false, ``error`` says why. A line is at most ``LONGEST_LINE`` bytes, either way.
"""

import msgspec

from photosynth.energy.meters import IntervalReading, MeterError, MeterReading, SourceReading

LONGEST_LINE = 65_536
MOST_J = 1 << 62
MOST_W = 10**12


class Request(msgspec.Struct, frozen=True):
    """What a client asks."""

    op: str
    start_ms: int | None = None
    source_w: int | None = None
    export_w: int | None = None


class ReadAnswer(msgspec.Struct, frozen=True):
    """Every meter and the sources at one instant."""

    at_ms: int
    meters: dict[str, MeterReading]
    source: SourceReading
    ok: bool = True


class ProfileAnswer(msgspec.Struct, frozen=True):
    """Latched registers of one quarter hour; None where it is not kept or has not ended."""

    meters: dict[str, IntervalReading] | None
    ok: bool = True


class DoneAnswer(msgspec.Struct, frozen=True):
    """A limit was taken, or something was refused."""

    ok: bool
    error: str | None = None


_REQUEST = msgspec.json.Decoder(Request)
_READ = msgspec.json.Decoder(ReadAnswer)
_PROFILE = msgspec.json.Decoder(ProfileAnswer)
_DONE = msgspec.json.Decoder(DoneAnswer)


def request_of(line: bytes) -> Request:
    """Parse a request. Raises MeterError where it is none or its figures are out of bounds."""
    try:
        request = _REQUEST.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeterError(f"not a request: {error}") from error
    for watts in (request.source_w, request.export_w):
        if watts is not None and not 0 <= watts <= MOST_W:
            raise MeterError(f"a limit lies between 0 and {MOST_W} W, not at {watts}")
    return request


def line_of(message: msgspec.Struct) -> bytes:
    """A message as it goes over the wire."""
    return msgspec.json.encode(message) + b"\n"


def read_answer(line: bytes) -> ReadAnswer:
    """Parse the answer to ``read``. Raises MeterError where it is not one or claims impossible figures."""
    try:
        answer = _READ.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeterError(f"the meters answered nonsense: {_refusal(line) or error}") from error
    for name, reading in answer.meters.items():
        if not 0 <= reading.register_j <= MOST_J or abs(reading.power_w or 0) > MOST_W:
            raise MeterError(f"meter {name[:60]!r} answered an impossible figure")
    if not 0 <= answer.source.power_w <= MOST_W or not 0 <= (answer.source.available_w or 0) <= MOST_W:
        raise MeterError("the inverters answered an impossible power")
    return answer


def profile_answer(line: bytes) -> dict[str, IntervalReading] | None:
    """Parse the answer to ``profile``. Raises MeterError where it is not one.

    A meter whose register runs backwards (it was changed within the quarter hour) or beyond reason is left out: it alone is
    unknown.
    """
    try:
        meters = _PROFILE.decode(line).meters
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MeterError(f"the meters answered nonsense: {_refusal(line) or error}") from error
    if meters is None:
        return None
    return {name: reading for name, reading in meters.items() if 0 <= reading.start_j <= reading.end_j <= MOST_J}


def done_answer(line: bytes) -> None:
    """Parse the answer to ``limit``. Raises MeterError where it was refused."""
    refusal = _refusal(line)
    if refusal is not None:
        raise MeterError(refusal)


def _refusal(line: bytes) -> str | None:
    try:
        answer = _DONE.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "the meters answered nonsense"
    return None if answer.ok else f"the meters refused: {(answer.error or 'no reason given')[:200]}"
