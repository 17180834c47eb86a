"""The cgminer API's client: whatever comes back, it is an answer or a typed error that names the machine."""

import asyncio
import contextlib
import string
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from photosynth.miners.cgminer import (
    MAX_ANSWER_BYTES,
    CgminerClient,
    count,
    entries,
    number,
    parse_answer,
    section,
    status_of,
    text,
)
from photosynth.miners.machine import MalformedError, RefusedError, UnreachableError

HUGE = st.sampled_from([10**400, -(10**400), 10**4200, 1 << 63])
"""A float has no room for them; JSON may have numbers of up to 4,300 digits."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | HUGE | st.floats() | st.text(string.printable, max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(string.printable, max_size=8), inner, max_size=4),
    max_leaves=20,
)
SHAPES = st.dictionaries(st.sampled_from(["STATUS", "SUMMARY", "POWER", "id"]), JSON)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=2000))
def test_any_bytes_are_an_object_or_malformed(raw: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert isinstance(parse_answer("m1", raw), dict)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES)
def test_any_shape_can_be_looked_into(answer: dict[str, object]) -> None:
    severity, code, said = status_of(answer)
    assert isinstance(severity, str)
    assert code is None or 0 <= code < 10**18
    assert isinstance(said, str)
    assert isinstance(section(answer, "SUMMARY"), dict)
    assert isinstance(entries(answer, "SUMMARY"), list)
    assert len(text(answer, "id") or "") <= 200
    for field in ("GHS 5s", "Watts", ""):
        value = number(section(answer, "SUMMARY"), field)
        assert value is None or 0 <= value < 1e18


def test_deep_nesting_is_malformed_and_not_a_crash() -> None:
    with pytest.raises(MalformedError, match="m1"):
        parse_answer("m1", b"[" * 100_000)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        ("5.9", 5),
        (5.9, 5),
        (-1, None),
        (True, None),
        ("x", None),
        (None, None),
        (10**30, None),
        (10**400, None),
        (-(10**400), None),
        ("nan", None),
        ("1e400", None),
        ("1" * 100_000, None),
        ([5], None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_numbers_are_read_with_care(value: object, expected: int | None) -> None:
    assert count({"Watts": value}, "Watts") == expected


@contextlib.asynccontextmanager
async def answering(answer: bytes, hang: bool = False) -> AsyncIterator[CgminerClient]:
    """A client whose machine sends these bytes to whatever it is asked."""

    ended: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over = asyncio.get_running_loop().create_future()
        ended.append(over)
        with contextlib.suppress(ConnectionError):
            await reader.read(100)
            writer.write(answer)
            await writer.drain()
            if hang:
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        over.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield CgminerClient("m1", "127.0.0.1", server.sockets[0].getsockname()[1], timeout_s=0.2)
        await asyncio.gather(*ended)


async def test_an_answer_may_end_with_a_nul_or_with_the_connection() -> None:
    body = msgspec.json.encode({"STATUS": [{"STATUS": "S", "Code": 11}], "SUMMARY": [{"Accepted": 3}]})
    async with answering(body + b"\0", hang=True) as client:
        assert await client.summary() == {"Accepted": 3}
    async with answering(body) as client:
        assert await client.summary() == {"Accepted": 3}


async def test_an_error_status_is_a_refusal_with_its_text() -> None:
    body = msgspec.json.encode({"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}]})
    async with answering(body) as client:
        with pytest.raises(RefusedError, match=r"m1: refused 'stats': Invalid command \(code 14\)"):
            await client.stats()
    async with answering(body) as client:
        with pytest.raises(MalformedError, match="none of summary, power: Invalid command"):
            await client.several("summary", "power")


async def test_silence_and_absence_are_unreachable() -> None:
    async with answering(b'{"STATUS":', hang=True) as client:
        with pytest.raises(UnreachableError, match=r"m1: no whole answer to 'pools'"):
            await client.pools()
    with pytest.raises(UnreachableError, match="m1: no connection"):
        await client.devs()
    async with answering(b"") as client:
        with pytest.raises(UnreachableError, match="closed the connection"):
            await client.version()


@pytest.mark.parametrize(("host", "port"), [("a..b", 4028), ("x" * 300, 4028), ("127.0.0.1", 70_000), ("127.0.0.1", -1)])
async def test_an_address_that_cannot_be_one_is_unreachable(host: str, port: int) -> None:
    with pytest.raises(UnreachableError, match="no connection"):
        await CgminerClient("m1", host, port).version()


async def test_a_number_without_bound_in_a_refusal_is_no_crash() -> None:
    code = b"9" * 400
    async with answering(b'{"STATUS":[{"STATUS":"E","Code":' + code + b',"Msg":' + code + b"}]}") as client:
        with pytest.raises(RefusedError, match=r"m1: refused 'stats':  \(code None\)"):
            await client.stats()


async def test_an_endless_answer_is_cut_off() -> None:
    async with answering(b"x" * (MAX_ANSWER_BYTES + 5), hang=True) as client:
        client.timeout_s = 5
        with pytest.raises(MalformedError, match="more than"):
            await client.version()
