"""A simulated machine's API port: every request gets an answer or is cut off, and nobody else is hurt."""

import asyncio
import random
import string

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photosynth.miners.model import MachineModel
from photosynth.simulation import cgminer_server
from photosynth.simulation.cgminer_server import MAX_CONNECTIONS, MAX_REQUEST_BYTES, CgminerServer
from photosynth.simulation.luxos import LuxosDialect
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.stratum_link import StratumLink

S21 = MachineModel("s21", "Antminer S21", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25)
COMMANDS = (
    *("version", "summary", "power", "config", "pools", "groups", "devs", "edevs", "devdetails", "stats", "estats"),
    *("temps", "tempctrl", "fans", "profiles", "profileget", "atm", "session", "logon", "kill"),
)


def dialect() -> LuxosDialect:
    link = StratumLink("m1", "127.0.0.1", 3333, random.Random(1))
    return LuxosDialect("m1", SimulatedMachine(S21, random.Random(1), 0), link, lambda: 0.0, random.Random(1))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_succeeds_with_a_status(command: str) -> None:
    raw = dialect().answer(msgspec.json.encode({"command": command}))
    assert raw.endswith(b"\0")
    answer = msgspec.json.decode(raw[:-1])
    assert answer["STATUS"][0]["STATUS"] == "S"
    assert answer["id"] == 1


def test_several_commands_are_answered_together() -> None:
    answer = msgspec.json.decode(dialect().answer(b'{"command":"summary+power+nonsense"}')[:-1])
    assert set(answer) == {"summary", "power", "nonsense", "id"}
    assert answer["power"][0]["POWER"][0]["PSU"] is True
    assert answer["nonsense"][0]["STATUS"][0]["STATUS"] == "E"


@pytest.mark.parametrize("command", ["curtail", "profileset", "logoff", "ledset"])
def test_changes_need_a_session(command: str) -> None:
    device = dialect()
    for parameter in ("", "wrong,sleep", ",sleep"):
        answer = device.answer(msgspec.json.encode({"command": command, "parameter": parameter}))
        assert b'"STATUS":"E"' in answer
    assert not device.machine.asleep


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300) | st.text(string.printable, max_size=100).map(lambda text: msgspec.json.encode({"command": text})))
def test_whatever_is_asked_it_answers(request: bytes) -> None:
    assert msgspec.json.decode(dialect().answer(request)[:-1])


async def ask(server: CgminerServer, request: bytes, then_eof: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(request)
        if then_eof:
            writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_garbage_oversized_and_half_open_connections_are_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgminer_server, "PATIENCE_S", 0.2)
    server = CgminerServer(dialect().answer)
    await server.start()
    try:
        half_open = await asyncio.open_connection(server.host, server.port)
        half_open[1].write(b'{"command":')
        good = b'{"command":"version"}'
        answers = await asyncio.gather(
            ask(server, b"\x00\xff" * 50 + b"\n"),
            ask(server, b"{" * (MAX_REQUEST_BYTES + 10)),
            ask(server, b"version|", then_eof=True),
            *(ask(server, good) for _ in range(20)),
        )
        assert b"Invalid JSON" in answers[0]
        assert answers[1] == b""
        assert b"Invalid JSON" in answers[2]
        assert all(b"LUXminer" in answer for answer in answers[3:])
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await half_open[0].readexactly(1)
        half_open[1].close()
        assert not server.connections
    finally:
        await server.close()


async def test_too_many_connections_are_turned_away_and_the_rest_served() -> None:
    server = CgminerServer(dialect().answer)
    await server.start()
    try:
        idle = [await asyncio.open_connection(server.host, server.port) for _ in range(MAX_CONNECTIONS)]
        assert await ask(server, b'{"command":"version"}') == b""
        for _, writer in idle[:5]:
            writer.close()
            await writer.wait_closed()
        while len(server.connections) == MAX_CONNECTIONS:
            await asyncio.sleep(0)
        assert b"LUXminer" in await ask(server, b'{"command":"version"}')
        for _, writer in idle[5:]:
            writer.close()
            await writer.wait_closed()
    finally:
        await server.close()
