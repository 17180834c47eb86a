"""The envelope of every line's body: the stream that it is of, its place there, its kind and that kind's version.

BODY is ``{"data":{...},"kind":K,"previous":HEX,"seq":N,"stream":S,"version":V}`` in canonical JSON.
"""

import re
from binascii import unhexlify
from functools import lru_cache
from typing import Any

from msgspec import Struct

from photosynth.treasury.evidence.canonical import canonical, parse_canonical
from photosynth.treasury.evidence.reading import EvidenceError, Members

FORMAT = "photosynth-evidence"
VERSION = 2
"""The version of every kind of line that there is; a later one gets another number, kind by kind."""
BOOKS = "books"
"""The stream of the fleet's books; every other one is named as its site is."""
STREAM_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_HEAD = b'{"data":'
_KIND = b',"kind":"'
_TAIL = re.compile(
    rb',"kind":"([a-z_]{1,16})","previous":"([0-9a-f]{64})","seq":(0|[1-9][0-9]{0,14}),"stream":"([a-z0-9-]{1,32})","version":2\}'
)


class Envelope(Struct, frozen=True, gc=False):
    """A body taken apart. ``raw`` are the bytes of its data, which nobody has looked at yet."""

    stream: str
    seq: int
    kind: str
    previous: bytes
    body: bytes
    raw: bytes

    def data(self) -> Any:
        """What the line says, read with care. Raises CanonicalError where the body is not in its one canonical spelling."""
        return parse_canonical(self.body)["data"]


def body_of(stream: str, seq: int, kind: str, previous: bytes, data: dict[str, Any]) -> bytes:
    """The canonical bytes of a body. Raises CanonicalError."""
    members = {"kind": kind, "previous": previous.hex(), "seq": seq, "stream": stream, "version": VERSION}
    return canonical({"data": data, **members})


def open_envelope(body: bytes) -> Envelope:
    """Take a body apart; its data stays unread. Raises CanonicalError or EvidenceError where it has no such envelope."""
    at = body.rfind(_KIND)
    found = _TAIL.fullmatch(body, at) if at > 0 and body.startswith(_HEAD) else None
    # A name of digits, letters and dashes alone: no quote in it ends the stream's text early.
    if found is not None:
        kind, previous, seq, stream = found.groups()
        if (name := _stream_name(stream)) is not None:
            return Envelope(name, int(seq), _text(kind), unhexlify(previous), body, body[len(_HEAD) : at])
    raise EvidenceError(_what_is_wrong(body))


@lru_cache(maxsize=64)
def _stream_name(raw: bytes) -> str | None:
    """A stream's name, None where it is none."""
    name = raw.decode()
    return name if STREAM_NAME.fullmatch(name) else None


@lru_cache(maxsize=64)
def _text(raw: bytes) -> str:
    return raw.decode()


def _what_is_wrong(body: bytes) -> str:
    """Why an envelope cannot be opened. Raises CanonicalError where the body is not even canonical, or EvidenceError."""
    m = Members(parse_canonical(body), "its body")
    m.take("data")
    kind, stream = m.text("kind"), m.text("stream")
    m.octets("previous", 32)
    m.count("seq")
    if m.integer("version") != VERSION:
        return f"it is a {kind[:40]} of a version that is not {VERSION}"
    m.finish()
    if not STREAM_NAME.fullmatch(stream):
        return "its stream has no name of small letters, digits and dashes, 32 at most"
    return "its kind is none that version 2 knows"
