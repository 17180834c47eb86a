"""The world process as the main process meets it: starts, answers, remembers, ends with us; hostile lines hurt nobody."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from datetime import date
from pathlib import Path

import msgspec
import psutil
import pytest

from photosynth.energy.metering_protocol import LONGEST_LINE, Request, line_of, profile_answer, read_answer, request_of
from photosynth.energy.meters import IntervalReading, MeterError
from photosynth.energy.simulated_meters import SimulatedMeters
from photosynth.miners.model import MachineModel
from photosynth.quantities.balance import MeterRole
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.simulation import sun, sun_series
from photosynth.simulation.child import WorldError, WorldProcess
from photosynth.simulation.meter_server import MOST_CONNECTIONS, MeterServer
from photosynth.simulation.one_process import NOTE, end_left
from photosynth.simulation.series import Series, write_series
from photosynth.simulation.site_physics import SitePhysics
from photosynth.simulation.sun_series import SunSeries
from photosynth.simulation.world_config import (
    LoadConfig,
    MachineConfig,
    MeterConfig,
    TimeConfig,
    WorldConfig,
)

START_MS = 1_781_427_600_000
MODEL = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25, 50_000)
ROLES: tuple[MeterRole, ...] = ("own_generation", "import", "export", "factory", "mining")
METERS = tuple(MeterConfig(role, role, "party", 5_000, 360_000) for role in ROLES)


SOURCE = b'{"at_ms":1,"power_w":%d,"available_w":0,"throttled":false,"source_limit_w":null,"export_limit_w":null}'


def config(folder: Path, start_ms: int = START_MS, speed_milli: int = 300_000) -> WorldConfig:
    """A small world on a recorded series, far faster than the clock, without a pool to mine at."""
    write_series(folder / "series.json", Series(START_MS, tuple(range(100_000, 160_000, 100)), "test"))
    return WorldConfig(
        seed=1,
        zone="Europe/Berlin",
        folder=str(folder / "world"),
        time=TimeConfig(start_ms, time.monotonic_ns(), speed_milli),
        connection_w=400_000,
        curtailable=True,
        sources={},
        loads=(LoadConfig("factory", 38_000, 210_000, 62_000),),
        meters=METERS,
        models=(MODEL,),
        machines=(MachineConfig("a", "s21", "a", 10**12), MachineConfig("b", "s21", "b", 10**12)),
        pool_host="127.0.0.1",
        pool_port=1,
        series_path=str(folder / "series.json"),
    )


def steady_site(curtailable: bool = True) -> SitePhysics:
    site = SitePhysics.at(
        [meter.spec() for meter in METERS],
        START_MS,
        available_w=lambda at_ms: 100_000,
        load_w=lambda at_ms: 60_000,
        connection_w=400_000,
        curtailable=curtailable,
        seed=1,
    )
    site.advance(START_MS + INTERVAL_MS + 1_000, 0)
    return site


async def test_a_world_starts_answers_remembers_and_ends_with_us(tmp_path: Path) -> None:
    said: list[str] = []
    world = await WorldProcess.start(config(tmp_path), log=said.append)
    assert set(world.ready.machines) == {"a", "b"}
    assert not world.ready.resumed
    meters = SimulatedMeters(*world.ready.meters)
    await meters.limit(None, 0)
    profile = None
    while profile is None:
        profile = await meters.profile(START_MS)
        await asyncio.sleep(0.05)
    assert set(profile) == set(ROLES)
    assert profile["own_generation"].energy_j > 0
    source = await meters.read_source()
    assert (source.source_limit_w, source.export_limit_w) == (None, 0)
    before = await meters.read_all()
    await meters.close()
    await world.stop()
    assert world.returncode == 0, said

    world = await WorldProcess.start(config(tmp_path, before.at_ms + 60_000), log=said.append)
    assert world.ready.resumed
    meters = SimulatedMeters(*world.ready.meters)
    after = await meters.read_all()
    assert await meters.profile(START_MS) == profile
    assert after.source.export_limit_w == 0
    for role in ROLES:
        assert after.meters[role].register_j >= before.meters[role].register_j
    await meters.close()
    await world.stop()


PARENT = """
import asyncio, sys
import msgspec
from photosynth.simulation.child import WorldProcess
from photosynth.simulation.world_config import WorldConfig

async def main():
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorldConfig)
    world = await WorldProcess.start(config, log=print)
    print(world.ready.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def killed_parent(config: WorldConfig, while_it_runs: signal.Signals | None) -> psutil.Process:
    """The world of a process that is killed; stopped in its tracks before that."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdin=PIPE, stdout=PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(msgspec.json.encode(config) + b"\n")
    await parent.stdin.drain()
    world = psutil.Process(int(await parent.stdout.readline()))
    if while_it_runs is not None:
        world.send_signal(while_it_runs)
    parent.kill()
    await parent.wait()
    return world


async def test_a_world_that_stood_still_when_its_parent_was_killed_ends_once_it_goes_on(tmp_path: Path) -> None:
    world = await killed_parent(config(tmp_path), signal.SIGSTOP)
    assert world.is_running()
    world.send_signal(signal.SIGCONT)
    await asyncio.to_thread(world.wait, 60)


async def test_a_world_that_stands_still_is_ended_by_its_successor_and_remembers_nothing_over_it(tmp_path: Path) -> None:
    given = config(tmp_path)
    left = await killed_parent(given, signal.SIGSTOP)
    world = await WorldProcess.start(given, log=lambda line: None)
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert world.ready.resumed
    assert json.loads((tmp_path / "world" / NOTE).read_bytes())["pid"] == world.ready.pid
    await world.stop()
    assert world.returncode == 0


@pytest.mark.parametrize(
    "note", [b"", b"[]", b"{}", b'{"pid": -1, "created": 1}', b'{"pid": 1e400}', b'{"pid": %d, "created": 1.5}']
)
def test_only_the_process_that_is_noted_is_ended(note: bytes, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        (tmp_path / NOTE).write_bytes(note % other.pid if b"%d" in note else note)
        end_left(tmp_path)
        assert other.poll() is None, "another one has its number now"
        here = tmp_path.stat()
        known = {
            "pid": other.pid,
            "created": psutil.Process(other.pid).create_time(),
            "folder": [here.st_dev, here.st_ino],
        }
        (tmp_path / NOTE).write_text(json.dumps(known))
        end_left(tmp_path)
        assert not psutil.pid_exists(other.pid)
        end_left(tmp_path)


async def test_the_world_of_a_copied_folder_leaves_the_originals_alone(tmp_path: Path) -> None:
    """A backup of a running site is tried beside it: its world's folder came with the note."""
    given = config(tmp_path)
    original = await WorldProcess.start(given, log=lambda line: None)
    shutil.copytree(tmp_path / "world", tmp_path / "copied")
    end_left(tmp_path / "copied")
    assert psutil.pid_exists(original.ready.pid)
    await original.stop()
    assert original.returncode == 0


async def test_a_world_that_cannot_start_says_why(tmp_path: Path) -> None:
    good = config(tmp_path)
    (tmp_path / "series.json").unlink()
    with pytest.raises(WorldError, match=r"did not start: world: .*series\.json"):
        await WorldProcess.start(good, log=lambda text: None)


async def test_limits_and_readings_over_the_wire() -> None:
    server = MeterServer(steady_site(), "127.0.0.1", 0)
    await server.start()
    meters = SimulatedMeters("127.0.0.1", server.port)
    reading = (await meters.read())["factory"]
    assert reading.at_ms == START_MS + INTERVAL_MS + 1_000
    assert await meters.profile(START_MS + INTERVAL_MS) is None
    kept = await meters.profile(START_MS)
    assert kept is not None
    assert kept["factory"].end_j <= reading.register_j
    await asyncio.gather(*(meters.read() for _ in range(20)))
    await meters.limit(5, 6)
    assert (server.site.source_limit_w, server.site.export_limit_w) == (5, 6)
    server.site.curtailable = False
    with pytest.raises(MeterError, match="refused: these inverters take no limit"):
        await meters.limit(None, None)
    await meters.close()
    await server.close()
    with pytest.raises(MeterError, match="cannot be asked"):
        await meters.read()


async def test_hostile_clients_hurt_nobody_else() -> None:
    server = MeterServer(steady_site(), "127.0.0.1", 0)
    await server.start()
    good = SimulatedMeters("127.0.0.1", server.port)
    await good.read()
    for line in (b"\xff\xfe\n", b"[]\n", b'{"op":"read"', b'{"op":"limit","export_w":-1}\n', b"{" * LONGEST_LINE * 2 + b"\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(line)
        if line.endswith(b"\n"):
            try:
                answer = await reader.readline()
            except ConnectionResetError:
                answer = b""
            assert answer == b"" or b'"ok":false' in answer
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(MOST_CONNECTIONS + 4)]
    await good.read()
    for _, writer in crowd:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    await good.close()
    await server.close()


async def test_a_silent_meter_is_given_up_on_and_asked_anew() -> None:
    silent = True

    done: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        done.append(task)
        await reader.readline()
        if not silent:
            writer.write(b'{"meters":null,"ok":true}\n')
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    meters = SimulatedMeters("127.0.0.1", port, timeout_s=0.05)
    with pytest.raises(MeterError, match=r"did not answer within 0\.05 s"):
        await meters.read()
    silent = False
    meters.timeout_s = 5
    assert await meters.profile(0) is None
    await meters.close()
    server.close()
    await asyncio.gather(*done)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b'{"ok":false,"error":"no"}',
        b'{"at_ms":1,"meters":{"a":{"at_ms":1,"register_j":-1,"power_w":0,"quality":"good"}},"source":%b}' % (SOURCE % 0),
        b'{"at_ms":1,"meters":{},"source":%b}' % (SOURCE % -5),
    ],
)
def test_nonsense_from_the_meters_is_refused(line: bytes) -> None:
    with pytest.raises(MeterError):
        read_answer(line)


def test_a_register_that_runs_backwards_or_beyond_reason_makes_no_other_meter_unknown() -> None:
    line = (
        b'{"meters":{"changed":{"start_j":5,"end_j":4,"quality":"good"},"far":{"start_j":5,"end_j":9000000000000000000,'
        b'"quality":"good"},"sound":{"start_j":4,"end_j":5,"quality":"good"}}}'
    )
    assert profile_answer(line) == {"sound": IntervalReading(4, 5, "good")}
    assert request_of(line_of(Request("read"))) == Request("read")


async def test_tomorrows_sun_is_computed_in_the_afternoon_and_a_failure_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[date] = []

    async def compute(request: sun.SunRequest) -> sun.SunDay:
        asked.append(request.day)
        if len(asked) == 2:
            raise sun.SunError("no luck")
        return sun.SunDay(request.day, tuple(range(1440)))

    monkeypatch.setattr(sun, "compute_day", compute)
    monkeypatch.setattr(sun_series, "SUN_RETRY_S", 0.0)
    series = SunSeries((), 1, tmp_path)
    morning_ms = START_MS - START_MS % 86_400_000
    today = date(2026, 6, 14)
    await series.need(today)
    assert asked == [today]
    assert series.watts(morning_ms + 61 * 60_000) == 61
    assert series.ready_for(morning_ms + 3_600_000)
    await asyncio.sleep(0)
    assert asked == [today], "in the morning there is time"
    afternoon_ms = morning_ms + 13 * 3_600_000
    while len(asked) < 3:
        assert series.ready_for(afternoon_ms)
        await asyncio.sleep(0)
    assert asked[1:] == [date(2026, 6, 15)] * 2
    await asyncio.sleep(0)
    assert series.watts(morning_ms + 86_400_000) == 0
    assert not series.ready_for(morning_ms + 5 * 86_400_000), "time stands still for a day that is not known"
    with pytest.raises(sun.SunError, match="2026-06-19 is not known"):
        series.watts(morning_ms + 5 * 86_400_000)
    await series.close()
