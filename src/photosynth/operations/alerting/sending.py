"""Sending one message to one target: through a process of its own, within a time, and with no secret in what it says."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

from photosynth.files.bounded import read_file
from photosynth.fleet.alerts import AlertTarget
from photosynth.operations.alerting.child import LIFE_S
from photosynth.quantities.texts import printable

SEND_S = 20.0
"""Whoever takes no message in so long has not got it. It is shorter than the process's own life."""
LONGEST_URL = 4096
LONGEST_WHY = 300
SHORTEST_SECRET = 4
_CHILD = ("-m", "photosynth.operations.alerting.child")
assert SEND_S < LIFE_S


def address_of(target: AlertTarget) -> str:
    """A target's address. Raises OSError, ValueError where its file holds none; neither names what is in it."""
    if target.url is not None:
        return target.url
    assert target.url_file is not None
    raw = read_file(target.url_file, LONGEST_URL + 1)
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{target.url_file} is no text") from None
    if not text or len(raw) > LONGEST_URL or not text.isprintable():
        raise ValueError(f"{target.url_file} has to hold one line with an address of at most {LONGEST_URL} bytes")
    return text


async def send(target: AlertTarget, title: str, body: str) -> str | None:
    """Send a message; why it did not arrive, None where it did. Raises nothing but a cancellation."""
    try:
        url = await asyncio.to_thread(address_of, target)
    except OSError as error:
        return printable(f"{target.url_file} cannot be read: {error.strerror or error}", LONGEST_WHY)
    except ValueError as error:
        return printable(str(error), LONGEST_WHY)
    try:
        said = await _through_a_child(json.dumps({"url": url, "title": title, "body": body}).encode())
    except TimeoutError:
        return f"it did not take the message within {SEND_S:g} s"
    except OSError as error:
        return printable(f"no process can be started to send it: {error.strerror or error}", LONGEST_WHY)
    try:
        answer = json.loads(said)
        delivered, why = answer["delivered"] is True, str(answer["why"])
    except (ValueError, KeyError, TypeError):
        return "its answer was more than a process may hold, or ended the process"
    return None if delivered else printable(redacted(why, url), LONGEST_WHY)


async def _through_a_child(told: bytes) -> bytes:
    """What the sending process says. Raises OSError, TimeoutError; no process is left behind."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *_CHILD,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SEND_S):
            with contextlib.suppress(ConnectionError):
                process.stdin.write(told)
                await process.stdin.drain()
            process.stdin.close()
            said = await process.stdout.readline()
            await process.wait()
            return said
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def redacted(text: str, url: str) -> str:
    """A text without anything of an address that may be a secret: all but its scheme, host and port."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(url: str) -> Sequence[str]:
    found = {url, unquote(url)}
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        pieces = [parts.username or "", parts.password or "", *parts.path.split("/"), parts.fragment]
        pieces += [value for _, value in parse_qsl(parts.query)]
        # Of what is no address of a host, like a token in its place, the host is a secret too.
        if parts.scheme.rstrip("s") not in ("json", "xml", "form", "mailto"):
            pieces.append(parts.netloc.rpartition("@")[2])
        found |= {piece for part in pieces for piece in (part, unquote(part))}
    return [piece for piece in found if len(piece) >= SHORTEST_SECRET]
