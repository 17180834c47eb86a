"""Driver of the simulated meters and inverters: one connection, made again after a fault; every call has a time-out."""

import asyncio
import contextlib
from collections.abc import Sequence

from photosynth.energy.meter_driver import SIMULATED, DeclaredMeter, MeterAccess, MeterDriver
from photosynth.energy.metering_protocol import (
    LONGEST_LINE,
    ReadAnswer,
    Request,
    done_answer,
    line_of,
    profile_answer,
    read_answer,
)
from photosynth.energy.meters import IntervalReading, MeterError, MeterReading, SourceReading


class SimulatedMeters:
    """Meters and sources of a simulated site behind one TCP port; implements ``Meters`` and ``Sources``.

    Calls may overlap; they are sent one after the other. Each raises MeterError within ``timeout_s`` wall seconds.
    """

    def __init__(self, host: str, port: int, timeout_s: float = 2.0) -> None:
        self.host, self.port, self.timeout_s = host, port, timeout_s
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def read_all(self) -> ReadAnswer:
        """Every meter and the sources, of one instant."""
        return read_answer(await self._ask(Request("read")))

    async def read(self) -> dict[str, MeterReading]:
        """Every meter's register and power now, by its id."""
        return (await self.read_all()).meters

    async def read_source(self) -> SourceReading:
        """What the inverters say now."""
        return (await self.read_all()).source

    async def profile(self, interval_start_ms: int) -> dict[str, IntervalReading] | None:
        """Every meter's latched registers of a quarter hour; None where it has not ended or is kept no longer."""
        return profile_answer(await self._ask(Request("profile", start_ms=interval_start_ms)))

    async def limit(self, source_w: int | None, export_w: int | None) -> None:
        """Set both limits (watts), None lifting one; verify with :meth:`read_source`."""
        done_answer(await self._ask(Request("limit", source_w=source_w, export_w=export_w)))

    async def close(self) -> None:
        """Hang up."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(self.timeout_s):
                    await streams[1].wait_closed()

    def _drop(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()

    async def _ask(self, request: Request) -> bytes:
        try:
            async with asyncio.timeout(self.timeout_s), self._lock:
                try:
                    return await self._exchange(line_of(request))
                except BaseException:
                    self._drop()  # an answer that comes late must not be taken for the next one's
                    raise
        except TimeoutError as error:
            raise MeterError(f"the meters at {self.host}:{self.port} did not answer within {self.timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            raise MeterError(f"the meters at {self.host}:{self.port} cannot be asked: {error}") from error

    async def _exchange(self, line: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port, limit=LONGEST_LINE)
        reader, writer = self._streams
        writer.write(line)
        await writer.drain()
        answer = await reader.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionError("the connection was closed")
        return answer


def _open(at: MeterAccess, meters: Sequence[DeclaredMeter]) -> SimulatedMeters:
    if at.simulation is None:
        raise MeterError(f"nothing simulates the meters {', '.join(meter.spec.id for meter in meters)} here")
    return SimulatedMeters(*at.simulation)


DRIVER = MeterDriver(
    name=SIMULATED,
    title="A simulated meter, read from its site's simulation",
    tier="specification",
    simulated=True,
    open=_open,
)
