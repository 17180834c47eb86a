"""The port where the simulated meters and inverters answer; bounded in line length, connections and idle time."""

import asyncio
import contextlib

from photosynth.energy.metering_protocol import LONGEST_LINE, DoneAnswer, ProfileAnswer, ReadAnswer, Request, line_of, request_of
from photosynth.energy.meters import IntervalReading, MeterError, MeterReading, SourceReading
from photosynth.simulation.site_physics import SitePhysics

MOST_CONNECTIONS = 16
LONGEST_IDLE_S = 600.0


def answer_to(request: Request, site: SitePhysics) -> bytes:
    """The line that answers a request, after doing what it asks."""
    match request.op:
        case "read":
            return line_of(_read(site))
        case "profile":
            return line_of(ProfileAnswer(_profile(site, request.start_ms)))
        case "limit" if site.curtailable:
            site.source_limit_w, site.export_limit_w = request.source_w, request.export_w
            return line_of(DoneAnswer(ok=True))
        case "limit":
            return line_of(DoneAnswer(ok=False, error="these inverters take no limit"))
        case _:
            return line_of(DoneAnswer(ok=False, error="op is read, profile or limit"))


def _read(site: SitePhysics) -> ReadAnswer:
    power_w, available_w, throttled = site.source()
    return ReadAnswer(
        at_ms=site.now_ms,
        meters={name: MeterReading(site.now_ms, meter.register_j, meter.power_w, "good") for name, meter in site.meters.items()},
        source=SourceReading(
            at_ms=site.now_ms,
            power_w=power_w,
            available_w=available_w,
            throttled=throttled,
            source_limit_w=site.source_limit_w,
            export_limit_w=site.export_limit_w,
        ),
    )


def _profile(site: SitePhysics, start_ms: int | None) -> dict[str, IntervalReading] | None:
    kept: dict[str, IntervalReading] = {}
    for name, meter in site.meters.items():
        reading = None if start_ms is None else meter.interval(start_ms)
        if reading is None:
            return None
        kept[name] = reading
    return kept


class MeterServer:
    """Serves a site's meters. ``start`` raises OSError where the port is in use."""

    def __init__(self, site: SitePhysics, host: str, port: int) -> None:
        self.site, self.host, self.port = site, host, port
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def start(self) -> None:
        """Listen; afterwards ``port`` is the real one."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._server is not None:
            self._server.close()
        sessions = [task for task in self._open.values() if task is not None]
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            writer.close()
            return
        self._open[writer] = asyncio.current_task()
        try:
            while True:
                async with asyncio.timeout(LONGEST_IDLE_S):
                    line = await reader.readline()
                if not line.endswith(b"\n"):
                    return
                try:
                    answer = answer_to(request_of(line), self.site)
                except MeterError as error:
                    answer = line_of(DoneAnswer(ok=False, error=str(error)))
                writer.write(answer)
                async with asyncio.timeout(LONGEST_IDLE_S):
                    await writer.drain()
        except (OSError, ValueError, TimeoutError):
            return  # an oversized line, a half-open or broken connection: only this one ends
        finally:
            del self._open[writer]
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
