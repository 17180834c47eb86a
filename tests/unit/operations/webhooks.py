"""Servers on loopback that alerts are sent to: a webhook with habits, and a mailbox."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from typing import Any, cast

from aiosmtpd.controller import UnthreadedController


@dataclass
class Webhook:
    """What a webhook was told, and how it answers: ok, silent, drips, endless, long, redirects, refuses."""

    habit: str = "ok"
    port: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0

    @property
    def url(self) -> str:
        """Its address for apprise."""
        return f"json://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            body = json.loads(await reader.readexactly(length))
            await self._answer(writer)
            if self.habit in ("ok", "long"):
                self.heard.append(body)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if self.habit == "silent":
            await asyncio.Event().wait()
        if self.habit == "redirects":
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{self.port}/on\r\nContent-Length: 0\r\n\r\n".encode())
        elif self.habit == "refuses":
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        elif self.habit == "long":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 10_000_000)
        elif self.habit in ("drips", "endless"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * (1 if self.habit == "drips" else 1 << 20))
                await writer.drain()
                await asyncio.sleep(0.2 if self.habit == "drips" else 0)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def webhook(habit: str = "ok") -> AsyncIterator[Webhook]:
    """A webhook that listens."""
    found, tasks = Webhook(habit), set[asyncio.Task[None]]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(found.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # connections that are closed are let go of in the loop's next turn


class Mailbox:
    """What came by mail."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.port = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """One mail."""
        from email import message_from_bytes
        from email.policy import default

        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"

    def texts(self) -> list[tuple[str, str]]:
        """Subject and text of each."""
        found = []
        for mail in self.mails:
            body = cast(EmailMessage, mail).get_body(("plain", "html"))
            assert body is not None
            found.append((str(mail["Subject"]), str(body.get_content())))
        return found


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mail server that listens."""
    box = Mailbox()
    server = UnthreadedController(box, hostname="127.0.0.1", port=0, loop=asyncio.get_running_loop())
    listening = cast(asyncio.Server, await server._create_server())
    box.port = listening.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        listening.close()
        await listening.wait_closed()
