"""What the probe sees of every Bitcoin node that speaks bitcoind's JSON-RPC: a real bitcoind, and the simulated one.

Both have the same blocks: the simulated one follows an embedded node, and the bitcoind is given what that node has. So the model
is held to the software that it stands for, key by key and value by value.
"""

import asyncio
import base64
import http.client
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.contract.solving import OP_TRUE_SCRIPT, Recipe, branch, mine
from tests.peers.bitcoind import RunningBitcoind

from photosynth import bitcoin_node
from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError, hash_text
from photosynth.cli.simulated_nodes import StartSimulatedNodes
from photosynth.fleet import Node
from photosynth.networks.bitcoin.network import NETWORK
from photosynth.networks.bitcoin.node import BitcoindNode
from photosynth.networks.bitcoin.rpc import CredentialsFile, RefusedError, RpcClient, RpcError
from photosynth.networks.grammar import Access, Probe, Report
from photosynth.operations.simulated_nodes import SimulatedNodes
from photosynth.sites.clock import RunningClock

KNOTS_ALONE = {"txcount", "header_version", "dustrelayfee", "dustrelayfeefloor", "dustdynamic", "rbf_policy", "truc_policy"}
"""Keys that Bitcoin Core does not have."""
DECLARED = Node.model_validate({"id": "btc-2", "network": "bitcoin", "chain": "regtest", "role": "full", "run": "simulated"})
BLOCKS = 14


@dataclass(slots=True)
class Served:
    """A node that is served over JSON-RPC, and the node whose blocks it has."""

    access: Access
    source: BitcoinNode

    @property
    def credentials(self) -> CredentialsFile:
        assert self.access.cookie_file is not None
        return CredentialsFile(self.access.cookie_file)

    @property
    def port(self) -> int:
        return int(self.access.endpoints["rpc"].rpartition(":")[2])

    def client(self) -> RpcClient:
        return RpcClient(self.access.endpoints["rpc"], self.credentials, name="node")

    def probe(self) -> Probe:
        role = NETWORK.roles["full"]
        assert role.probe is not None
        return role.probe(self.access)

    def raw(self, body: str, *, method: str = "POST", path: str = "/", signed: bool = True) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        assert self.access.cookie_file is not None
        token = base64.b64encode(self.access.cookie_file.read_bytes()).decode()
        try:
            connection.request(method, path, body, {"Authorization": f"Basic {token}"} if signed else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[BitcoinNode]:
    """The embedded node that the simulated one follows, with a short chain and one branch that lost."""
    node = await bitcoin_node.open_node(tmp_path / "chain", payout_scripts=[OP_TRUE_SCRIPT])
    start = await node.template()
    await mine(node, BLOCKS)
    await node.submit_block(branch(start, 1, Recipe(extranonce=b"side"))[0])
    yield node
    await node.close()


async def simulated(source: BitcoinNode | None, folder: Path, *nodes: Node, speed: int = 1) -> SimulatedNodes:
    """Simulated nodes that follow a node."""
    clock = RunningClock.starting_at(1_781_427_600_000, speed * 1000)
    return await StartSimulatedNodes(lambda line: None)(nodes or (DECLARED,), folder / "nodes", clock, source)


@pytest.fixture
async def both(source: BitcoinNode, bitcoind: RunningBitcoind, tmp_path: Path) -> AsyncIterator[tuple[Served, Served]]:
    """The simulated node and a real bitcoind, on the same blocks."""
    driver = BitcoindNode(bitcoind.url, CredentialsFile(bitcoind.cookie))
    for height in range(1, BLOCKS + 1):
        raw = await source.block(await source.block_hash(height) or b"")
        assert (await driver.submit_block(raw or b"")).accepted
    await driver.close()
    opened = await simulated(source, tmp_path)
    real = Access("real", "regtest", {"rpc": bitcoind.url}, bitcoind.cookie)
    try:
        served = Served(opened.access["btc-2"], source)
        await head_is(served, BLOCKS)
        yield served, Served(real, source)
    finally:
        await opened.close()


@pytest.fixture(params=["simulated", "bitcoind"])
async def node(request: pytest.FixtureRequest, source: BitcoinNode, tmp_path: Path) -> AsyncIterator[Served]:
    """Each kind in turn."""
    if request.param == "simulated":
        opened = await simulated(source, tmp_path)
        try:
            served = Served(opened.access["btc-2"], source)
            await head_is(served, BLOCKS)
            yield served
        finally:
            await opened.close()
        return
    running: RunningBitcoind = request.getfixturevalue("bitcoind")
    driver = BitcoindNode(running.url, CredentialsFile(running.cookie))
    for height in range(1, BLOCKS + 1):
        await driver.submit_block(await source.block(await source.block_hash(height) or b"") or b"")
    await driver.close()
    yield Served(Access("real", "regtest", {"rpc": running.url}, running.cookie), source)


async def head_is(served: Served, height: int) -> Report:
    """Wait until the probe sees a head."""
    probe = served.probe()
    try:
        async with asyncio.timeout(20):
            while (report := await probe.look(time.time_ns() // 1_000_000)).head != height:
                await asyncio.sleep(0.05)
        return report
    finally:
        await probe.close()


async def test_the_probe_sees_a_healthy_node(node: Served) -> None:
    report = await head_is(node, BLOCKS)
    assert (report.problem, report.judgements) == (None, ())
    assert report.version is not None
    assert report.version.startswith("/Satoshi:29.")
    assert report.peers is not None


async def test_the_driver_reads_the_chain(node: Served) -> None:
    driver = BitcoindNode(node.access.endpoints["rpc"], node.credentials)
    try:
        tip = await node.source.tip()
        assert await driver.tip() == tip
        for height in (0, 1, BLOCKS):
            found = await node.source.block_hash(height)
            assert found is not None
            assert await driver.block_hash(height) == found
            assert await driver.block(found) == await node.source.block(found)
            assert await driver.height_of(found) == height
        assert await driver.block_hash(BLOCKS + 1) is None
        assert await driver.block_hash(-1) is None
        assert await driver.block(bytes(32)) is None
        assert await driver.height_of(bytes(32)) is None
        health = await driver.health()
        assert (health.chain, health.tip, health.headers, health.synchronised) == ("regtest", tip, BLOCKS, True)
    finally:
        await driver.close()


async def test_who_is_not_let_in_is_told_so(node: Served, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("__cookie__:0000")
    client = RpcClient(node.access.endpoints["rpc"], CredentialsFile(wrong), name="node")
    with pytest.raises(RefusedError, match="401"):
        await client.call("getblockcount")
    await client.close()
    assert node.access.cookie_file is not None
    assert node.access.cookie_file.stat().st_mode & 0o077 == 0
    assert node.access.cookie_file.read_text().startswith("__cookie__:")


@pytest.mark.interop
async def test_every_answer_about_blocks_is_a_bitcoinds_to_the_value(both: tuple[Served, Served]) -> None:
    ours, real = (served.client() for served in both)
    hashes = [hash_text(await both[0].source.block_hash(height) or b"") for height in (0, 1, 7, BLOCKS - 1, BLOCKS)]
    calls: list[tuple[str, list[Any]]] = [
        ("getbestblockhash", []),
        ("getblockcount", []),
        ("getrawmempool", []),
        ("getindexinfo", []),
    ]
    calls += [("getblockhash", [height]) for height in (0, 1, BLOCKS)]
    calls += [("getblockheader", [block, *more]) for block in hashes for more in ([], [True], [False])]
    calls += [("getblock", [block, *more]) for block in hashes for more in ([], [0], [1], [2], [True], [False])]
    for method, parameters in calls:
        told, wanted = await ours.call(method, *parameters), without(await real.call(method, *parameters))
        if method == "getblock" and parameters[-1] == 2:
            wanted = without(wanted, "fee")
        assert told == wanted, (method, parameters)
    tips = await real.call("getchaintips")
    assert await ours.call("getchaintips") == [tip for tip in tips if tip["status"] == "active"]
    for client in (ours, real):
        await client.close()


@pytest.mark.interop
async def test_what_a_node_says_of_itself_has_a_bitcoinds_keys_and_kinds(both: tuple[Served, Served]) -> None:
    ours, real = (served.client() for served in both)
    for method in ("getblockchaininfo", "getnetworkinfo", "getmempoolinfo"):
        told, wanted = await ours.call(method), without(await real.call(method))
        assert list(told) == list(wanted), method
        for key in wanted:
            assert kinds(told[key]) == kinds(wanted[key]), (method, key)
    told, wanted = await ours.call("getblockchaininfo"), await real.call("getblockchaininfo")
    for key in told.keys() - {"size_on_disk"}:
        assert told[key] == wanted[key], key
    for method in ("uptime", "getconnectioncount"):
        assert type(await ours.call(method)) is type(await real.call(method))
    for client in (ours, real):
        await client.close()


@pytest.mark.interop
async def test_a_connection_is_told_of_as_a_bitcoind_does(both: tuple[Served, Served], bitcoind: RunningBitcoind) -> None:
    """A bitcoind's help has the keys of a connection."""
    ours = both[0].client()
    peers = await ours.call("getpeerinfo")
    await ours.close()
    text = bitcoind.rpc("help", "getpeerinfo")
    told = {line.split('"')[1] for line in text.splitlines() if line.startswith('    "')}
    optional = {"addrlocal", "mapped_as", "presynced_headers"} | {key for key in told if key.startswith(("misbehavior", "cpu_"))}
    knots = told - set(peers[0]) - optional
    assert set(peers[0]) <= told, set(peers[0]) - told
    assert knots <= {"forced_inbound", "last_block_announcement", "pingwait"}, knots


REFUSED: tuple[tuple[str, list[Any]], ...] = (
    ("nosuch", []),
    ("getblockhash", [BLOCKS + 1]),
    ("getblockhash", [-1]),
    ("getblockhash", ["x"]),
    ("getblockhash", [1.5]),
    ("getblockhash", [True]),
    ("getblockheader", ["zz"]),
    ("getblockheader", ["z" * 64]),
    ("getblockheader", ["00" * 32]),
    ("getblockheader", ["00" * 32, "x"]),
    ("getblock", ["00" * 32]),
    ("getblock", ["00" * 31]),
    ("getblock", [5]),
    ("getblock", [[]]),
)


@pytest.mark.interop
async def test_refusals_are_a_bitcoinds_in_code_and_words(both: tuple[Served, Served]) -> None:
    said: list[list[tuple[int, str]]] = []
    for served in both:
        client, found = served.client(), []
        for method, parameters in REFUSED:
            with pytest.raises(RpcError) as refused:
                await client.call(method, *parameters)
            found.append((refused.value.code, refused.value.message))
        for method, parameters in (("getblockhash", []), ("getblockcount", [1])):  # the message is the whole help
            with pytest.raises(RpcError) as refused:
                await client.call(method, *parameters)
            found.append((refused.value.code, refused.value.message.split("\n")[0].split("�")[0]))
        await client.close()
        said.append(found)
    for ours, real, call in zip(*said, (*REFUSED, "no height", "one too many"), strict=True):
        assert ours == real, call


BODIES = (
    '{"id":1,"method":"getblockcount","params":[]}',
    '{"jsonrpc":"2.0","id":1,"method":"getblockcount","params":[]}',
    '{"jsonrpc":"2.0","method":"getblockcount","params":[]}',
    '{"jsonrpc":"2.0","id":1,"method":"nosuch","params":[]}',
    '{"jsonrpc":"2.0","id":1,"method":"getblockhash","params":[99]}',
    '{"id":1,"method":"nosuch","params":[]}',
    '{"id":"x","method":"getblockhash","params":[99]}',
    '{"id":1,"method":"getblockhash","params":{"height":1}}',
    '{"id":1,"method":"getblockhash","params":{"hight":1}}',
    '[{"id":1,"method":"getblockcount"},{"id":2,"method":"nosuch"}]',
    "[]",
    "nonsense",
    "5",
    '{"id":1,"method":5}',
    '{"id":1}',
    '{"id":1,"method":"getblockcount","params":5}',
)


@pytest.mark.interop
async def test_http_is_spoken_as_a_bitcoind_does(both: tuple[Served, Served]) -> None:
    ours, real = both
    for body in BODIES:
        assert await asyncio.to_thread(ours.raw, body) == await asyncio.to_thread(real.raw, body), body
    for other in ({"method": "GET"}, {"path": "/x"}, {"signed": False}):
        answers = [await asyncio.to_thread(served.raw, BODIES[0], **other) for served in both]
        assert answers[0] == answers[1], other


def without(value: Any, *names: str) -> Any:
    """A document without the keys that Knots alone has."""
    if isinstance(value, dict):
        return {key: without(item, *names) for key, item in value.items() if key not in KNOTS_ALONE and key not in names}
    return [without(item, *names) for item in value] if isinstance(value, list) else value


def kinds(value: Any) -> Any:
    """What kinds of values a document has, its numbers alike."""
    if isinstance(value, dict):
        return {key: kinds(item) for key, item in value.items()}
    if isinstance(value, list):
        return kinds(value[0]) if value and not isinstance(value[0], str) else "list"
    return "number" if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else type(value).__name__


async def test_a_node_that_ends_is_a_node_that_does_not_answer(source: BitcoinNode, tmp_path: Path) -> None:
    opened = await simulated(source, tmp_path)
    served = Served(opened.access["btc-2"], source)
    await head_is(served, BLOCKS)
    await opened.close()
    assert await opened.ended() == "the process of the simulated nodes ended with code 0"
    assert served.access.cookie_file is not None
    assert not served.access.cookie_file.exists(), "as a bitcoind removes its cookie at its end"
    probe = served.probe()
    report = await probe.look(0)
    await probe.close()
    assert report.problem is not None
    driver = BitcoindNode(served.access.endpoints["rpc"], served.credentials)
    with pytest.raises(NodeUnavailableError):
        await driver.tip()
    await driver.close()
    json.dumps(report.problem)
