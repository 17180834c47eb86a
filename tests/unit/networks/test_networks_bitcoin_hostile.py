"""A bitcoind that answers anything at all: only the declared errors come out, and nothing is converted before it is bounded."""

import copy
import gzip
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from photosynth.bitcoin.node import Coin, NodeHealth, NodeUnavailableError, Template, Tip, Verdict
from photosynth.networks.bitcoin.answers import satoshis
from photosynth.networks.bitcoin.document import NotAnAnswerError, parse
from photosynth.networks.bitcoin.node import BitcoindNode
from photosynth.networks.bitcoin.probe import NodeObservation, probe
from photosynth.networks.bitcoin.rpc import OTHER_ANSWER_LIMIT, CredentialsFile, RpcClient

URL = "http://127.0.0.1:18443"
SCRIPT = b"\x51"
ANSWERS: dict[str, Any] = {
    "getblockchaininfo": {
        "chain": "regtest", "blocks": 5, "headers": 5, "bestblockhash": "aa" * 32, "initialblockdownload": False,
        "pruned": False, "size_on_disk": 1000, "warnings": ["a warning"],
    },
    "getnetworkinfo": {
        "subversion": "/Satoshi:29/", "version": 290000, "connections": 8, "connections_in": 1, "connections_out": 7,
        "warnings": [],
    },
    "getmempoolinfo": {"size": 3, "bytes": 900},
    "uptime": 77,
    "getbestblockhash": "aa" * 32,
    "getblockheader": {"height": 5, "hash": "aa" * 32, "time": 1_800_000_000, "confirmations": 1},
    "getblockhash": "aa" * 32,
    "getblock": "00" * 81,
    "getblocktemplate": {
        "height": 6, "previousblockhash": "aa" * 32, "version": 0x20000000, "bits": "207fffff", "target": "7fffff" + "00" * 29,
        "curtime": 1_800_000_000, "mintime": 1_700_000_000, "coinbasevalue": 5_000_000_000, "longpollid": "x1",
        "transactions": [{"data": "00", "txid": "bb" * 32, "hash": "cc" * 32, "fee": 1, "weight": 4}],
        "default_witness_commitment": "6a24aa21a9ed" + "00" * 32,
    },
    "scantxoutset": {
        "success": True,
        "unspents": [{"txid": "bb" * 32, "vout": 0, "scriptPubKey": "51", "amount": 0.5, "coinbase": True, "height": 1}],
    },
    "submitblock": "inconclusive",
}  # fmt: skip
NUMBERS = (
    "0.1e400000", "1E+999999999999", "-1E+9", "1e-400000", "1" + "0" * 4299, "9" * 100_000, "0." + "1" * 100_000, "-0.0",
    "1" * 400 + ".5", "NaN", "-Infinity", "Infinity", "1e5", "0.1", "-1", "18446744073709551616", "1e308", "0e999999",
)  # fmt: skip
"""Numbers as they may stand in JSON, most of them not from any bitcoind."""
VALUES = (
    *(
        "null",
        "true",
        "[]",
        "{}",
        '""',
        '"1e400000"',
        '"\\ud800"',
        '"\\u001b[2J"',
        '"' + "9" * 5000 + '"',
        '"' + "ab" * 100_000 + '"',
    ),
    *('"0x' + "f" * 62 + '"', '"' + "f" * 64 + '"', "[" * 900 + "]" * 900, '{"a":' * 500 + "1" + "}" * 500),
    *("[" + "1," * 10_000 + "1]", "[" + '"w",' * 5_000 + '"w"]'),
)
MARK = "here the hostile value is put"


def places(answer: Any) -> Iterator[Any]:
    """The answer once for each place in it, with the mark put there."""
    yield MARK
    keys = answer.keys() if isinstance(answer, dict) else range(len(answer)) if isinstance(answer, list) else ()
    for key in keys:
        for marked in places(answer[key]):
            changed = copy.copy(answer)
            changed[key] = marked
            yield changed


class Hostile:
    """Answers as a bitcoind does, but one method with a body of the test's."""

    def __init__(self) -> None:
        self.method = ""
        self.body = b""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        method = json.loads(request.content)["method"]
        if method == self.method:
            return httpx2.Response(200, content=self.body)
        return httpx2.Response(200, content=json.dumps({"result": ANSWERS[method], "error": None, "id": 1}))


@pytest.fixture
def cookie(tmp_path: Path) -> Path:
    path = tmp_path / ".cookie"
    path.write_text("a:b")
    return path


@pytest.fixture
async def hostile(cookie: Path) -> AsyncIterator[tuple[Hostile, BitcoindNode]]:
    bitcoind = Hostile()
    node = BitcoindNode(URL, CredentialsFile(cookie), transport=httpx2.MockTransport(bitcoind))
    yield bitcoind, node
    await node.close()


def questions(node: BitcoindNode) -> dict[str, tuple[Callable[[], Awaitable[Any]], ...]]:
    """What is asked of the node whose answer depends on a method."""

    async def looked_at() -> NodeObservation:
        return await probe(node.rpc, 1_800_000_000_000)

    return {
        "getblockchaininfo": (node.health, looked_at),
        "getnetworkinfo": (node.health, looked_at),
        "getmempoolinfo": (looked_at,),
        "uptime": (looked_at,),
        "getbestblockhash": (node.tip, lambda: node.wait_for_tip(bytes(32), 0)),
        "getblockheader": (node.tip, lambda: node.height_of(b"\xaa" * 32), looked_at),
        "getblockhash": (lambda: node.block_hash(5),),
        "getblock": (lambda: node.block(b"\xaa" * 32),),
        "getblocktemplate": (node.template,),
        "scantxoutset": (lambda: node.coins(SCRIPT),),
        "submitblock": (lambda: node.submit_block(bytes(81)),),
    }


def check(value: Any) -> None:
    """Whatever was made of the answer holds plain numbers of at most 256 bits and texts that can be shown."""
    if isinstance(value, Template | Tip | Coin | NodeHealth | NodeObservation | Verdict):
        for name in value.__slots__:
            check(getattr(value, name))
    elif isinstance(value, tuple):
        for entry in value:
            check(entry)
    elif isinstance(value, int):
        assert value.bit_length() <= 256
    elif isinstance(value, str):
        assert len(value) <= 1000
        assert value.isprintable()
        value.encode()
    else:
        assert not isinstance(value, float | Decimal | dict | list)


async def answered(ask: Callable[[], Awaitable[Any]]) -> None:
    """Ask, and see that an answer or the error that is declared comes of it, which repeats nothing of any length."""
    said = ""
    try:
        check(await ask())
    except NodeUnavailableError as error:
        said = str(error)
    assert len(said) < 1500


@pytest.mark.parametrize("method", ANSWERS)
async def test_any_value_in_any_place_is_an_answer_or_a_declared_error(
    hostile: tuple[Hostile, BitcoindNode], method: str
) -> None:
    bitcoind, node = hostile
    bitcoind.method = method
    for place in places({"result": ANSWERS[method], "error": None, "id": 1}):
        frame = json.dumps(place)
        for value in NUMBERS + VALUES:
            bitcoind.body = frame.replace(json.dumps(MARK), value).encode()
            for ask in questions(node)[method]:
                await answered(ask)


@pytest.mark.parametrize("method", ANSWERS)
async def test_bytes_changed_anywhere_are_an_answer_or_a_declared_error(
    hostile: tuple[Hostile, BitcoindNode], method: str
) -> None:
    bitcoind, node = hostile
    bitcoind.method = method
    chance = random.Random(method)
    whole = json.dumps({"result": ANSWERS[method], "error": None, "id": 1}).encode()
    for _ in range(100):
        body = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(body))
            body[at : at + chance.randrange(3)] = chance.choice((b"", b'"', b"9", b"e9", b"[", b"}", b"\\", b",", b"\xff"))
        bitcoind.body = bytes(body)
        for ask in questions(node)[method]:
            await answered(ask)


@pytest.mark.parametrize(
    "number", ["0.1e400000", "1E+999999999999999999", "1e-400000", "9" * 21, "0." + "1" * 40, "NaN", "-Infinity"]
)
def test_a_number_that_no_bitcoind_writes_is_refused_before_it_is_converted(number: str) -> None:
    with pytest.raises(NotAnAnswerError):
        parse(f'{{"result": {number}}}'.encode(), 10)


@pytest.mark.parametrize(
    "number", ["18446744073709551615", "-9223372036854775808", "4.656542373906925e-10", "1.7976931348623157e+308", "0.00000001"]
)
def test_the_numbers_that_a_bitcoind_writes_are_exact(number: str) -> None:
    assert parse(number.encode(), 10) == Decimal(number)


@pytest.mark.parametrize(
    "amount",
    [
        "0.1e400000",
        "1E+400000",
        "-1E+400000",
        "1E-400000",
        "NaN",
        "sNaN",
        "Infinity",
        "20999999.999999990000000000000000001",
        "1e8",
    ],
)
def test_amounts_are_judged_before_they_are_computed_with(amount: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of bitcoin"):
        satoshis(Decimal(amount))


@pytest.mark.parametrize("amount", ["1", 0.5, True, None, []])
def test_only_numbers_are_amounts(amount: object) -> None:
    with pytest.raises(ValueError, match="an amount of bitcoin is expected"):
        satoshis(amount)


async def test_an_error_whose_code_is_no_whole_number_is_none(cookie: Path) -> None:
    for code in ("1E+300", "0.5", "true", "null", '"5"', "[]"):
        body = f'{{"result": null, "error": {{"code": {code}, "message": "x"}}}}'
        rpc = RpcClient(
            URL, CredentialsFile(cookie), transport=httpx2.MockTransport(lambda _, b=body: httpx2.Response(500, content=b))
        )
        with pytest.raises(NodeUnavailableError, match="not JSON-RPC"):
            await rpc.call("uptime")
        await rpc.close()


async def test_more_values_than_an_answer_has_are_refused_before_they_are_made(cookie: Path) -> None:
    body = b'{"error":null,"result":[' + b"{}," * OTHER_ANSWER_LIMIT.most_values + b"{}]}"
    assert len(body) < OTHER_ANSWER_LIMIT.most_bytes
    rpc = RpcClient(URL, CredentialsFile(cookie), transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=body)))
    with pytest.raises(NodeUnavailableError, match="not JSON-RPC"):
        await rpc.call("getblockchaininfo")
    assert len(await rpc.call("scantxoutset")) == OTHER_ANSWER_LIMIT.most_values + 1
    await rpc.close()


async def test_a_packed_answer_is_not_unpacked(cookie: Path) -> None:
    packed = gzip.compress(b'{"error":null,"result":"' + bytes([65]) * (2 * OTHER_ANSWER_LIMIT.most_bytes) + b'"}')
    assert len(packed) < OTHER_ANSWER_LIMIT.most_bytes

    def handler(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx2.ByteStream(packed))

    rpc = RpcClient(URL, CredentialsFile(cookie), transport=httpx2.MockTransport(handler))
    with pytest.raises(NodeUnavailableError, match="is packed"):
        await rpc.call("uptime")
    await rpc.close()


async def test_cookies_that_a_node_sets_are_not_kept(cookie: Path) -> None:
    seen: list[str | None] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("cookie"))
        return httpx2.Response(200, headers={"Set-Cookie": f"a{len(seen)}=b"}, content='{"result": 1, "error": null}')

    rpc = RpcClient(URL, CredentialsFile(cookie), transport=httpx2.MockTransport(handler))
    for _ in range(3):
        await rpc.call("uptime")
    assert seen == [None] * 3
    await rpc.close()
