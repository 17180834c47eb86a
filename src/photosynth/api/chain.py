"""The chain through the API: an export of one line of hex per block, and an import of such lines."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from photosynth.api.chain_port import BlockTaker
from photosynth.bitcoin.node import NodeUnavailableError

BLOCK_LIMIT_BYTES = 4_000_000
"""A block's weight is at most 4,000,000 and a byte weighs at least one (BIP141)."""
LINE_LIMIT = 2 * BLOCK_LIMIT_BYTES
PROGRESS_S = 0.5


class LineTooLongError(Exception):
    """A line is longer than the largest block in hexadecimal; the message names the line."""


async def hex_lines(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One line of hexadecimal for each block, ended by a line feed."""
    async for raw in blocks:
        yield raw.hex().encode() + b"\n"


async def split_lines(pieces: AsyncIterator[bytes], limit: int = LINE_LIMIT) -> AsyncIterator[tuple[int, bytes]]:
    """Numbered lines (from 1) of a body that arrives in pieces, without blank ones; holds one line at most."""
    rest = bytearray()
    number = 0
    async for piece in pieces:
        rest += piece
        while (end := rest.find(b"\n")) >= 0:
            number += 1
            line = bytes(rest[:end]).strip()
            del rest[: end + 1]
            if len(line) > limit:
                raise LineTooLongError(f"line {number} is longer than {limit} characters")
            if line:
                yield number, line
        if len(rest) > limit + 2:
            raise LineTooLongError(f"line {number + 1} is longer than {limit} characters")
    if last := bytes(rest).strip():
        yield number + 1, last


class ChainImport(Response):
    """Reads lines, submits each as a block, and answers with lines of JSON while it goes.

    One block at a time, so that one that the pool finds meanwhile waits for no more than that.
    A line ``{"line": n, "accepted": a, "reasons": {...}}`` at most every half second; the last has ``"done"``, true
    where every line was read, and ``"error"`` where it stopped; with ``"unavailable"`` where that is the node's fault and not
    the line's. Starlette's streaming response listens for a disconnect by
    reading the request's messages, which are the body here; so this one speaks ASGI itself.
    """

    media_type = "application/x-ndjson"

    def __init__(self, request: Request, taker: BlockTaker, held: AsyncExitStack) -> None:
        """Prepare the import of a request's body; ``held`` is closed when it is over."""
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._request = request
        self._taker, self._held = taker, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        async with self._held:
            await self._answer(send)

    async def _answer(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        read = accepted = number = 0
        reasons: Counter[str] = Counter()
        told = time.monotonic()

        async def tell(**more: object) -> None:
            line = {"line": number, "blocks": read, "accepted": accepted, "reasons": dict(reasons), **more}
            last = "done" in more
            await send({"type": "http.response.body", "body": msgspec.json.encode(line) + b"\n", "more_body": not last})

        try:
            async for number, line in split_lines(self._request.stream()):  # noqa: B007
                raw = bytes.fromhex(line.decode("ascii"))
                verdict = await self._taker.submit_block(raw)
                read += 1
                if verdict.reason is None:
                    accepted += 1
                else:
                    reasons[verdict.reason[:100]] += 1
                if time.monotonic() - told >= PROGRESS_S:
                    told = time.monotonic()
                    await tell()
        except ClientDisconnect:
            return
        except ValueError:
            await tell(done=False, error=f"line {number} is not a block in hexadecimal")
        except LineTooLongError as error:
            await tell(done=False, error=str(error))
        except NodeUnavailableError as error:
            await tell(done=False, error=str(error), unavailable=True)
        else:
            await tell(done=True)
