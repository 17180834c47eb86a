"""The LuxOS driver against a simulated machine's API over loopback: readings, profiles, sessions."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from unittest import mock

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.miners.fleet_in_memory import S21

from photosynth.miners import luxos as module
from photosynth.miners.cgminer import CgminerClient
from photosynth.miners.guard import sound_answer, sound_reading
from photosynth.miners.luxos import LuxosMachine
from photosynth.miners.machine import MachineError, MalformedError, UnreachableError
from photosynth.simulation.cgminer_server import CgminerServer
from photosynth.simulation.habits import Habit
from photosynth.simulation.luxos import LuxosDialect
from photosynth.simulation.machine import SimulatedMachine
from photosynth.simulation.stratum_link import StratumLink


@dataclass
class Bench:
    """One machine on the bench: its driver, its body and its API."""

    driver: LuxosMachine
    body: SimulatedMachine
    dialect: LuxosDialect
    server: CgminerServer
    seconds: float = 0.0

    def later(self, site_s: int) -> None:
        self.body.advance(self.body.now_ms + site_s * 1000)


@contextlib.asynccontextmanager
async def bench(habit: Habit | None = None) -> AsyncIterator[Bench]:
    body = SimulatedMachine(S21, random.Random(3), 0, habit=habit)
    link = StratumLink("m1", "127.0.0.1", 3333, random.Random(3))
    link.connected = True
    clock: list[Bench] = []
    dialect = LuxosDialect("m1", body, link, lambda: clock[0].seconds, random.Random(3))
    server = CgminerServer(dialect.answer)
    await server.start()
    driver = LuxosMachine("m1", server.host, server.port, lambda: body.now_ms, timeout_s=1)
    clock.append(Bench(driver, body, dialect, server))
    try:
        yield clock[0]
    finally:
        await driver.close()
        await server.close()


async def test_it_says_what_it_is() -> None:
    async with bench() as on:
        identity = await on.driver.identify()
    assert identity.model == "Antminer S21"
    assert "simulated" in identity.firmware
    assert identity.serial == "SIMM1"


async def test_a_reading_has_power_hash_rate_and_in_full_more() -> None:
    async with bench() as on:
        on.later(600)
        quick, full = await on.driver.read(), await on.driver.read(full=True)
    assert quick.at_ms == 600_000
    assert abs((quick.power_w or 0) - 3500) < 120
    assert abs((quick.hash_rate_hs or 0) / 200e12 - 1) < 0.03
    assert quick.temperature_c is None
    assert full.activity == "mining"
    assert full.temperature_c is not None
    assert 55 < full.temperature_c < 80
    assert full.pool_url == "stratum+tcp://127.0.0.1:3333"


async def test_it_sleeps_wakes_and_takes_the_highest_profile_within_the_watts() -> None:
    async with bench() as on:
        answer = await on.driver.sleep()
        assert answer.accepted
        assert answer.text == "Curtailment command sent"
        on.later(60)
        reading = await on.driver.read(full=True)
        assert reading.activity == "sleeping"
        assert (reading.power_w or 0) < 40
        assert (await on.driver.set_power(2600)).accepted
        assert on.body.profile == 2
        assert (await on.driver.wake()).accepted
        on.later(200)
        assert abs(((await on.driver.read()).power_w or 0) - 2510) < 90
        refused = await on.driver.set_power(1000)
        assert not refused.accepted
        assert "no profile within 1000 W" in refused.text


async def test_no_session_is_left_behind() -> None:
    async with bench() as on:
        for _ in range(3):
            assert (await on.driver.sleep()).accepted
            assert (await on.driver.wake()).accepted
        assert b'"SessionID":""' in on.dialect.answer(b'{"command":"session"}')


async def test_another_actors_session_is_respected_but_not_by_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photosynth.miners.luxos._BUSY_WAIT_S", 0.0)
    async with bench() as on:
        on.dialect.answer(b'{"command":"logon"}')
        answer = await on.driver.wake()
        assert not answer.accepted
        assert "another actor" in answer.text
        assert (await on.driver.sleep()).accepted
        assert on.body.asleep


async def test_a_session_ends_after_a_minute_without_use() -> None:
    async with bench() as on:
        on.dialect.answer(b'{"command":"logon"}')
        on.seconds = 61
        assert (await on.driver.wake()).accepted


async def test_a_session_that_is_ended_in_between_is_taken_again() -> None:
    async with bench() as on:
        plain: Callable[[bytes], bytes] = on.dialect.answer
        killed: list[bytes] = []

        def answer(request: bytes) -> bytes:
            if b'"curtail"' in request and not killed:
                killed.append(request)
                plain(b'{"command":"kill"}')
            return plain(request)

        on.server.answer = answer
        assert (await on.driver.sleep()).accepted
        assert on.body.asleep


async def test_a_machine_of_another_make_is_not_taken_for_luxos() -> None:
    async with bench() as on:
        other = {"STATUS": [{"STATUS": "S", "Code": 22, "Msg": "CGMiner versions"}], "VERSION": [{"CGMiner": "4.11"}]}
        on.server.answer = lambda request: msgspec.json.encode({"version": [other], "config": [other], "id": 1})
        with pytest.raises(MalformedError, match="check its driver"):
            await on.driver.identify()


async def test_a_part_that_it_cannot_tell_is_unknown_and_not_zero() -> None:
    async with bench() as on:
        good = {"STATUS": [{"STATUS": "S", "Code": 11}], "SUMMARY": [{"GHS 5s": 5.0, "Accepted": 2}]}
        bad = {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "no power supply data"}]}
        on.server.answer = lambda request: msgspec.json.encode({"summary": [good], "power": [bad], "id": 1})
        reading = await on.driver.read()
    assert reading.power_w is None
    assert reading.hash_rate_hs == 5_000_000_000
    assert reading.accepted == 2


async def test_one_that_is_gone_is_unreachable() -> None:
    async with bench() as on:
        on.server.leave()
        with pytest.raises(UnreachableError, match="m1"):
            await on.driver.read()
        on.server.come_back()
        assert (await on.driver.read()).power_w is not None


async def test_one_that_does_nothing_says_ok() -> None:
    async with bench(Habit("says_ok_does_nothing")) as on:
        assert (await on.driver.sleep()).accepted
        on.later(60)
        assert ((await on.driver.read()).power_w or 0) > 3000


HUGE = st.sampled_from([10**400, -(10**400), 10**4200, 1 << 63, "9" * 5_000, "S", "OK", "session", 402])
FLAT = st.none() | st.booleans() | st.integers() | HUGE | st.floats(allow_nan=False) | st.text(max_size=10)
ANYTHING = FLAT | st.lists(FLAT, max_size=2) | st.dictionaries(st.text(max_size=8), FLAT, max_size=2)
SECTIONS = {
    "STATUS": ("STATUS", "Code", "Msg"),
    "SUMMARY": ("GHS 5s", "Accepted", "Rejected"),
    "POWER": ("Watts",),
    "CONFIG": ("CurtailMode", "SerialNumber", "MACAddr"),
    "TEMPS": ("TopLeft", "BottomRight"),
    "POOLS": ("URL",),
    "VERSION": ("Type", "LUXminer"),
    "PROFILES": ("Profile Name", "Watts"),
    "SESSION": ("SessionID",),
}
PART = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(fields, ANYTHING)), max_size=3) | ANYTHING
        for name, fields in SECTIONS.items()
    },
)
ANSWER = PART | st.dictionaries(
    st.sampled_from(["summary", "power", "config", "temps", "pools", "version"]), st.lists(PART, max_size=2)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ANSWER | ANSWER.map(lambda answer: {**answer, "STATUS": [{"STATUS": "S"}]}), min_size=1, max_size=6))
def test_whatever_a_machine_answers_comes_out_sound_or_as_its_error(answers: list[dict[str, object]]) -> None:
    driver = LuxosMachine("m1", "127.0.0.1", 1, lambda: 5)
    waiting = itertools.cycle(answers)

    class Scripted(CgminerClient):
        async def exchange(self, command: str, parameter: str | None = None) -> dict[str, object]:
            return next(waiting)

    driver._client = Scripted("m1", "127.0.0.1", 1)

    async def ask() -> None:
        for full in (False, True):
            with contextlib.suppress(MachineError):
                sound_reading(await driver.read(full), 5, 5)
        with contextlib.suppress(MachineError):
            identity = await driver.identify()
            assert all(len(part or "") <= 64 for part in (identity.model, identity.firmware, identity.serial, identity.mac))
        for command in (driver.sleep, driver.wake, lambda: driver.set_power(1850)):
            with contextlib.suppress(MachineError):
                assert len(sound_answer(await command()).text) <= 300

    with mock.patch.object(module, "_BUSY_WAIT_S", 0):
        asyncio.run(ask())
