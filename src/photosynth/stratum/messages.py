"""The messages of Stratum V1: JSON-RPC 1.0 with the pool's own error numbers.

Decoding is strict about structure and bounded by the line's length; whatever the parts of ``params`` are, is judged by
who uses them.
"""

from enum import IntEnum
from typing import Any

import msgspec


class ErrorCode(IntEnum):
    """What a refusal says in its first number, the same in every pool since Slush's first description of Stratum."""

    OTHER = 20
    JOB_NOT_FOUND = 21
    DUPLICATE = 22
    LOW_DIFFICULTY = 23
    UNAUTHORIZED = 24
    NOT_SUBSCRIBED = 25


class Message(msgspec.Struct, gc=False):
    """One line: a request (method), a notification (method, no id) or a response (result or error)."""

    id: int | str | float | None = None
    method: str | None = None
    params: list[Any] | dict[str, Any] | None = None
    result: Any = None
    error: Any = None


class MalformedError(ValueError):
    """A line is not a Stratum message; the text says why."""


_decoder = msgspec.json.Decoder(Message)
_encoder = msgspec.json.Encoder()


def decode(line: bytes) -> Message:
    """Read one line. Raises MalformedError for anything else than a JSON object of the right structure."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(str(error)[:200]) from None


def encode_request(message_id: int | None, method: str, params: list[Any]) -> bytes:
    """One line with a request, or a notification where the id is None."""
    return _encoder.encode({"id": message_id, "method": method, "params": params}) + b"\n"


def encode_result(message_id: int | str | float | None, result: Any) -> bytes:
    """One line with a successful answer."""
    return _encoder.encode({"id": message_id, "result": result, "error": None}) + b"\n"


def encode_error(message_id: int | str | float | None, code: int, text: str) -> bytes:
    """One line with a refusal: ``[code, text, null]``."""
    return _encoder.encode({"id": message_id, "result": None, "error": [code, text, None]}) + b"\n"


def encode_true(message_id: int | str | float | None) -> bytes:
    """One line that says true: the answer to a good share, so the most frequent of all."""
    if type(message_id) is int:
        return b'{"id":%d,"result":true,"error":null}\n' % message_id
    return encode_result(message_id, True)
