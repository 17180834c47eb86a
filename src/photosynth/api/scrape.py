"""``GET /metrics``: a page that is made at most once a second, however many scrape, and that no scrape waits long for."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from prometheus_client import exposition as text
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from photosynth.api.metric_family import Seen
from photosynth.api.metrics import collect, wall_ms
from photosynth.api.own_process import LoopLag, own_process
from photosynth.documents import Status
from photosynth.operations.view import FleetView
from photosynth.storage import StorageError

T = TypeVar("T")

KEPT_S = 1.0
"""A page is given to whoever asks so soon after it was made."""
PATIENCE_S = 5.0
"""A scrape waits so long; a status bounds its own waits at some two seconds, and Prometheus gives a scrape ten."""
TEXT_TYPE = text.CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS_TYPE = openmetrics.CONTENT_TYPE_LATEST


@dataclass
class _Page(Collector):
    """What was seen at one time, written in each of the two formats once it is asked for."""

    families: Sequence[Metric]
    written: dict[bool, "asyncio.Future[bytes]"] = field(default_factory=dict)

    def collect(self) -> Sequence[Metric]:
        """As a writer of the library asks for it."""
        return self.families

    def write(self, wants_openmetrics: bool) -> "asyncio.Future[bytes]":
        if wants_openmetrics not in self.written:
            writer = openmetrics.generate_latest if wants_openmetrics else text.generate_latest
            self.written[wants_openmetrics] = _heard(asyncio.to_thread(writer, self))  # others go on meanwhile
        return self.written[wants_openmetrics]


class Scrape:
    """Makes the page of a fleet. ``monotonic`` tells seconds that never go back."""

    def __init__(self, view: FleetView, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._view, self._monotonic = view, monotonic
        self._page: asyncio.Future[_Page] | None = None
        self._made_s = 0.0
        self._lag = LoopLag()

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Watch the event loop while an application serves."""
        watching = asyncio.create_task(self._lag.watch(), name="lag of the event loop")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def answer(self, request: Request) -> Response:
        """The answer to a request. Raises HTTPException 503 where the page is not made in time."""
        try:
            body, media_type = await self.page(request.headers.get("accept", ""))
        except TimeoutError:
            detail = f"The fleet's documents were not there within {PATIENCE_S:g} s; the log of the state folder may say why."
            raise HTTPException(503, detail, headers={"Retry-After": "1"}) from None
        return Response(body, headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The page in the format that an Accept header prefers, and its media type. Raises TimeoutError."""
        wanted = wants_openmetrics(accept)
        async with asyncio.timeout(PATIENCE_S):
            page = await asyncio.shield(self._current())
            body = await asyncio.shield(page.write(wanted))
        return body, OPENMETRICS_TYPE if wanted else TEXT_TYPE

    def _current(self) -> "asyncio.Future[_Page]":
        """The page that is being made, or was just made; else a new one."""
        page = self._page
        if page is None or (page.done() and self._monotonic() - self._made_s > KEPT_S):
            page = self._page = _heard(self._make())
        return page

    async def _make(self) -> _Page:
        status: Status | None = None
        try:
            with contextlib.suppress(StorageError):  # nothing was seen of the books yet; what else is known is told
                status = await self._view.status()
            nodes = await self._view.nodes()
            return _Page(collect(Seen(status, nodes, own_process(self._lag), wall_ms())))
        finally:
            self._made_s = self._monotonic()


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header names OpenMetrics among what it takes; Prometheus names it first where it can read it."""
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name == "application/openmetrics-text" and not any(part in ("q=0", "q=0.0") for part in parameters):
            return True
    return False


def _heard(work: Awaitable[T]) -> "asyncio.Future[T]":
    """Work that goes on where nobody waits for it any more; an error that nobody hears of is no mistake then."""
    future = asyncio.ensure_future(work)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
