"""Simulated nodes: their habits in the fleet's time, their server against hostile callers, and the narrow protocol beneath."""

import asyncio
import base64
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from tests.contract.solving import OP_TRUE_SCRIPT, Recipe, branch, mine
from tests.peers.bitcoind import free_port
from tests.unit.clock_and_audit import RememberingAudit

from photosynth import bitcoin_node
from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError, Tip, hash_text
from photosynth.cli.simulated_nodes import OWN_CHAIN, PROCESS, StartSimulatedNodes, networks_config
from photosynth.fleet import Node
from photosynth.networks.bitcoin.network import NETWORK
from photosynth.operations.node_watch import NodeWatch
from photosynth.simulation.networks import jsonrpc
from photosynth.simulation.networks.bitcoin import SimulatedBitcoind
from photosynth.simulation.networks.bitcoin_json import asm, coins, kind_of
from photosynth.simulation.networks.blocks import FollowedBlocks, solved
from photosynth.simulation.networks.habits import USUAL_PEERS, Habits
from photosynth.simulation.networks.jsonrpc import RpcFaultError, RpcServer
from photosynth.simulation.networks.messages import Answer, Ask, HabitConfig, NetworksConfig, NewTip
from photosynth.simulation.one_process import NOTE
from photosynth.sites.clock import RunningClock

START_MS = 1_781_427_600_000
HOUR_MS = 3_600_000


def node(name: str = "btc-2", run: str = "simulated", **more: Any) -> Node:
    declared = {"id": name, "network": "bitcoin", "chain": "regtest", "role": "full", "run": run, **more}
    return Node.model_validate(declared)


STALLS_SOON = {"habit": "stalls", "every": "1000 h", "for": "999 h"}
SILENT_NOW_AND_THEN = {"habit": "falls_silent", "every": "9 h", "for": "5 h"}


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[BitcoinNode]:
    """An embedded node with five blocks."""
    opened = await bitcoin_node.open_node(tmp_path / "chain", payout_scripts=[OP_TRUE_SCRIPT])
    await mine(opened, 5)
    yield opened
    await opened.close()


async def until(seen: Callable[[], bool], timeout_s: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while not seen():
            await asyncio.sleep(0.02)


# Habits


def test_spells_come_in_the_fleets_time_and_each_period_begins_well() -> None:
    habits = Habits(
        (HabitConfig("stalls", 8 * 3600, 3600), HabitConfig("falls_silent", 10 * 3600, 7200), HabitConfig("few_peers", peers=3)),
        START_MS,
    )
    stalled = [hour for hour in range(48) if habits.stalls(START_MS + hour * HOUR_MS)]
    assert stalled == [7, 15, 23, 31, 39, 47]
    assert [hour for hour in range(24) if habits.silent(START_MS + hour * HOUR_MS)] == [8, 9, 18, 19]
    assert (habits.peers(), habits.lag()) == (3, 0)
    well = Habits((), START_MS)
    assert not any(well.stalls(START_MS + hour * HOUR_MS) or well.silent(START_MS + hour * HOUR_MS) for hour in range(48))
    assert (well.peers(), Habits((HabitConfig("lags", blocks=4),), 0).lag()) == (USUAL_PEERS, 4)


class Clock:
    """The fleet's time, set by hand."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


async def test_a_node_that_stalls_stands_still_with_a_healthy_port_and_then_catches_up(chain: BitcoinNode) -> None:
    clock = Clock()
    ours = SimulatedBitcoind("regtest", chain, Habits((HabitConfig("stalls", 7200, 3600),), START_MS), clock)
    following = asyncio.create_task(ours.follow())
    try:
        await until(lambda: ours._head is not None)
        assert await ours.call("getblockcount", []) == 5
        clock.ms += HOUR_MS
        await mine(chain, 3)
        await asyncio.sleep(0)
        assert await ours.call("getblockcount", []) == 5
        best = await ours.call("getbestblockhash", [])
        assert (await ours.call("getblockheader", [best]))["confirmations"] == 1
        newer = hash_text((await chain.tip()).hash)
        with pytest.raises(RpcFaultError, match="Block not found"):
            await ours.call("getblock", [newer])
        with pytest.raises(RpcFaultError, match="out of range"):
            await ours.call("getblockhash", [6])
        clock.ms += HOUR_MS
        await until(lambda: ours._head is not None and ours._head.height == 8)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_a_node_that_lags_is_so_many_blocks_behind_and_follows_another_branch(chain: BitcoinNode) -> None:
    ours = SimulatedBitcoind("regtest", chain, Habits((HabitConfig("lags", blocks=2),), START_MS), Clock())
    following = asyncio.create_task(ours.follow())
    try:
        await until(lambda: ours._head is not None and ours._head.height == 3)
        start = await chain.template()
        main = await mine(chain, 2)
        await until(lambda: ours._head is not None and ours._head.height == 5)
        for raw in branch(start, 3, Recipe(extranonce=b"side")):
            await chain.submit_block(raw)
        await until(lambda: ours._head is not None and ours._head.height == 6)
        assert await ours.call("getblockhash", [6]) == hash_text(await chain.block_hash(6) or b"")
        with pytest.raises(RpcFaultError, match="Block not found"):
            await ours.call("getblockheader", [hash_text(_hash_of(main[0]))])
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _hash_of(raw: bytes) -> bytes:
    from photosynth.bitcoin.wire import double_sha256

    return double_sha256(raw[:80])


async def test_a_node_without_blocks_still_starts() -> None:
    async def nowhere(line: bytes) -> None:
        """Nobody reads."""

    ours = SimulatedBitcoind("regtest", FollowedBlocks(nowhere), Habits((), 0), Clock())
    with pytest.raises(RpcFaultError) as refused:
        await ours.call("getblockcount", [])
    assert refused.value.code == -28


# The protocol between the processes


async def test_questions_are_few_at_a_time_and_answers_find_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Ask] = []

    async def send(line: bytes) -> None:
        sent.append(msgspec.json.decode(line, type=Ask))

    blocks = FollowedBlocks(send)
    asking = [asyncio.create_task(blocks.block_hash(height)) for height in range(20)]
    await until(lambda: len(sent) == 8)
    await asyncio.sleep(0)
    assert len(sent) == 8, "no more are open than the other side is known to take"
    while len(sent) < 20 or not all(task.done() for task in asking):
        for question in sent:
            blocks.take(Answer(question.id, raw=bytes([question.height]) * 32))
        await asyncio.sleep(0)
    assert [await task for task in asking] == [bytes([height]) * 32 for height in range(20)]
    blocks.take(Answer(999, raw=b"nobody asked"))
    trouble = asyncio.create_task(blocks.block(bytes(32)))
    await until(lambda: len(sent) == 21)
    blocks.take(Answer(sent[-1].id, problem="its disk is full"))
    with pytest.raises(NodeUnavailableError, match="its disk is full"):
        await trouble
    monkeypatch.setattr("photosynth.simulation.networks.blocks.LONGEST_WAIT_S", 0.01)
    with pytest.raises(NodeUnavailableError, match="did not answer"):
        await blocks.height_of(bytes(32))
    assert not blocks._waiting


async def test_of_tips_only_the_newest_counts() -> None:
    async def send(line: bytes) -> None:
        """Nothing is asked."""

    blocks = FollowedBlocks(send)
    with pytest.raises(NodeUnavailableError):
        await blocks.wait_for_tip(b"", 0.01)
    for height in range(1, 1000):
        blocks.take(NewTip(height, height.to_bytes(32, "little"), 5))
    newest = Tip(999, (999).to_bytes(32, "little"), 5)
    assert await blocks.wait_for_tip(b"", 0.01) == newest
    assert await blocks.wait_for_tip(newest.hash, 0.01) == newest, "after the time-out as it is"


def test_the_child_is_told_what_the_fleet_file_says(tmp_path: Path) -> None:
    habits = ({"habit": "stalls", "every": "8 h", "for": "50 min"}, {"habit": "lags", "blocks": 2})
    declared = node(ports={"rpc": 18453}, habits=habits)
    config = networks_config([declared], tmp_path, RunningClock.starting_at(START_MS, 60_000), {}, own_chain=False)
    assert config.nodes[0].port == 18453
    assert config.nodes[0].habits == (HabitConfig("stalls", 28_800, 3000), HabitConfig("lags", blocks=2))
    assert (config.own_chain, config.nodes[0].folder) == (None, str(tmp_path / "btc-2"))
    assert msgspec.json.decode(msgspec.json.encode(config), type=NetworksConfig) == config


async def test_without_an_embedded_node_they_have_one_growing_chain_that_outlives_them(tmp_path: Path) -> None:
    clock = RunningClock.starting_at(START_MS, 3_600_000)
    heads: list[int] = []
    for _ in range(2):
        opened = await StartSimulatedNodes(lambda line: None)([node("a"), node("b")], tmp_path, clock, None)
        role = NETWORK.roles["full"]
        assert role.probe is not None
        probes = [role.probe(opened.access[name]) for name in ("a", "b")]
        try:
            async with asyncio.timeout(30):
                while True:
                    seen = [(await probe.look(time.time_ns() // 1_000_000)) for probe in probes]
                    known = [report.head for report in seen if report.head is not None]
                    if len(known) == 2 and min(known) > max(heads, default=0):
                        break
                    await asyncio.sleep(0.05)
            assert all(report.judgements == () for report in seen)
            heads.append(max(known))
        finally:
            for probe in probes:
                await probe.close()
            await opened.close()
    assert heads[1] > heads[0], "it went on where it was"
    assert (tmp_path / OWN_CHAIN).is_dir()


async def test_a_process_that_stands_still_is_ended_by_its_successor_which_has_its_ports_and_its_chain(tmp_path: Path) -> None:
    """As a kill of ours leaves it: nobody waits for it, and it sees no end of its input."""
    clock, port = RunningClock.starting_at(START_MS, 60_000), free_port()
    declared = [node(ports={"rpc": port})]
    left = await StartSimulatedNodes(lambda line: None)(declared, tmp_path, clock, None)
    process = psutil.Process(json.loads((tmp_path / PROCESS / NOTE).read_bytes())["pid"])
    process.send_signal(signal.SIGSTOP)
    opened = await StartSimulatedNodes(lambda line: None)(declared, tmp_path, clock, None)
    assert opened.access["btc-2"].endpoints["rpc"].endswith(f":{port}")
    assert "ended with code -9" in await left.ended()
    await opened.close()
    await left.close()


async def test_a_port_that_is_taken_is_said_with_its_node(tmp_path: Path, chain: BitcoinNode) -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    with pytest.raises(NodeUnavailableError, match=f"did not start: simulated networks: btc-2 cannot listen on port {port}"):
        await StartSimulatedNodes(lambda line: None)(
            [node(ports={"rpc": port})], tmp_path, RunningClock.starting_at(START_MS, 1000), chain
        )
    taken.close()


async def test_solved_blocks_are_taken_by_the_consensus_library(chain: BitcoinNode) -> None:
    for number in range(3):
        assert (await chain.submit_block(solved(await chain.template(), number))).accepted


# The watch meets it as any node


@asynccontextmanager
async def watched(tmp_path: Path, chain: BitcoinNode, *habits: dict[str, str]) -> AsyncIterator[tuple[NodeWatch, RunningClock]]:
    """A watch over the embedded node and a simulated one; an hour of the fleet's time is a second."""
    declared = [node("btc-1", "embedded"), node("btc-2", habits=habits)]
    clock = RunningClock.starting_at(START_MS, 3_600_000)
    opened = await StartSimulatedNodes(lambda line: None)([declared[1]], tmp_path / "nodes", clock, chain)
    watch = NodeWatch(
        declared,
        tmp_path / "nodes",
        "test",
        RememberingAudit(),
        embedded={"btc-1": chain},
        simulated=opened.access.__getitem__,
    )
    watching = asyncio.create_task(watch.run())
    try:
        yield watch, clock
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await watch.close()
        await opened.close()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come quickly, and wait a short time for an answer."""
    monkeypatch.setattr("photosynth.networks.bitcoin.probe.LOOK_S", 0.5)
    monkeypatch.setattr("photosynth.operations.node_watch.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("photosynth.operations.node_watch.JITTER_S", 0.01)


@pytest.mark.usefixtures("often")
async def test_the_watch_names_a_simulated_node_that_stalls(tmp_path: Path, chain: BitcoinNode) -> None:
    async with watched(tmp_path, chain, STALLS_SOON) as (watch, clock):
        stalled_ms = clock.site_ms() + HOUR_MS + HOUR_MS // 10
        await until(lambda: watch.node("btc-2").head == 5 and clock.site_ms() > stalled_ms)
        seen = watch.node("btc-2")
        assert (seen.run, seen.state, seen.peers, seen.process) == ("simulated", "healthy", 10, None)
        await mine(chain, 10)
        await until(lambda: watch.node("btc-2").lag == 10)
        seen = watch.node("btc-2")
        assert (seen.state, seen.head, [item.kind for item in seen.conditions]) == ("degraded", 5, ["lags"])
        assert watch.node("btc-1").state == "healthy"


@pytest.mark.usefixtures("often")
async def test_the_watch_names_a_simulated_node_that_falls_silent_and_sees_it_come_back(
    tmp_path: Path, chain: BitcoinNode
) -> None:
    async with watched(tmp_path, chain, SILENT_NOW_AND_THEN) as (watch, _):
        for state in ("healthy", "down", "healthy"):
            await until(lambda wanted=state: watch.node("btc-2").state == wanted, 40)  # type: ignore[misc]
            assert watch.node("btc-1").state == "healthy"


async def test_a_simulated_node_that_nobody_started_is_unknown_and_says_so(tmp_path: Path) -> None:
    watch = NodeWatch([node()], tmp_path, "test", RememberingAudit())
    assert watch.node("btc-2").state == "unknown"
    assert [item.kind for item in watch.node("btc-2").conditions] == ["not_watched"]


# The server against hostile callers


class Echo:
    """A node that answers what it is asked, and may be silent."""

    quiet = False

    def silent(self) -> bool:
        return self.quiet

    async def call(self, method: str, given: Any) -> Any:
        return [method, given]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[RpcServer, Echo, bytes]]:
    """A server, its node, and the header that lets one in."""
    echo = Echo()
    server = RpcServer(echo, tmp_path, 0)
    await server.start()
    token = base64.b64encode((tmp_path / ".cookie").read_bytes())
    yield server, echo, b"Authorization: Basic " + token + b"\r\n"
    await server.close()


async def ask(server: RpcServer, sent: bytes) -> bytes:
    """All that comes back until the server hangs up or has been still for a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    received = b""
    try:
        async with asyncio.timeout(5):
            while not received.endswith(b"}\n") and (part := await reader.read(65_536)):
                received += part
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return received


def request(auth: bytes, body: bytes, head: bytes = b"POST / HTTP/1.1\r\n", more: bytes = b"") -> bytes:
    return head + auth + more + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body


async def test_requests_sent_ahead_are_answered_in_order(served: tuple[RpcServer, Echo, bytes]) -> None:
    server, _, auth = served
    both = request(auth, b'{"id":1,"method":"a"}') + request(auth, b'{"id":2,"method":"b"}', more=b"Connection: close\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(both)
    async with asyncio.timeout(5):
        received = await reader.read()
    writer.close()
    assert received.index(b'["a",[]]') < received.index(b'["b",[]]')


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n\r\n", b"401"),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b""),
        (b"\x16\x03\x01\x02\x00" * 3000, b""),
    ],
)
async def test_what_is_no_request_is_refused(served: tuple[RpcServer, Echo, bytes], sent: bytes, status: bytes) -> None:
    server, _, auth = served
    received = await asyncio.wait_for(ask(server, sent), 10) if status != b"401" else await _first_line(server, sent)
    assert received.startswith(b"HTTP/1.1 " + status) if status else received == b""
    assert b'["ok",[]]' in await ask(server, request(auth, b'{"id":1,"method":"ok"}')), "it serves the next one"


async def _first_line(server: RpcServer, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    async with asyncio.timeout(5):
        line = await reader.readline()
    writer.close()
    return line


async def test_deep_json_and_huge_batches_end_in_an_answer(served: tuple[RpcServer, Echo, bytes]) -> None:
    server, _, auth = served
    assert b"Parse error" in await ask(server, request(auth, b"[" * 100_000))
    calls = b"[" + b",".join([b'{"id":1,"method":"x"}'] * 5000) + b"]"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 22)
    writer.write(request(auth, calls, more=b"Connection: close\r\n"))
    async with asyncio.timeout(10):
        received = await reader.read()
    writer.close()
    assert received.count(b'["x",[]]') == jsonrpc.MOST_IN_BATCH


async def test_a_silent_node_takes_calls_and_answers_none_and_drops_those_who_left(
    served: tuple[RpcServer, Echo, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonrpc, "QUIET_LOOK_S", 0.01)
    server, echo, auth = served
    echo.quiet = True
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request(auth, b'{"id":1,"method":"x"}'))
    await until(lambda: len(server._open) == 1)
    leaving = await asyncio.open_connection("127.0.0.1", server.port)
    leaving[1].write(request(auth, b'{"id":2,"method":"x"}'))
    await until(lambda: len(server._open) == 2)
    leaving[1].close()
    await until(lambda: len(server._open) == 1)
    echo.quiet = False
    async with asyncio.timeout(5):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_connections_are_bounded(served: tuple[RpcServer, Echo, bytes]) -> None:
    server, _, _ = served
    crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(jsonrpc.MOST_CONNECTIONS)]
    await until(lambda: len(server._open) == jsonrpc.MOST_CONNECTIONS)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    for _, other in (*crowd, (reader, writer)):
        other.close()


# How bitcoind writes


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("0014" + "11" * 20, "witness_v0_keyhash", "0 " + "11" * 20),
        ("0020" + "11" * 32, "witness_v0_scripthash", "0 " + "11" * 32),
        ("5120" + "11" * 32, "witness_v1_taproot", "1 " + "11" * 32),
        ("51024e73", "anchor", "1 29518"),
        ("5202abcd", "witness_unknown", "2 -19883"),
        ("76a914" + "11" * 20 + "88ac", "pubkeyhash", f"OP_DUP OP_HASH160 {'11' * 20} OP_EQUALVERIFY OP_CHECKSIG"),
        ("a914" + "11" * 20 + "87", "scripthash", f"OP_HASH160 {'11' * 20} OP_EQUAL"),
        ("21" + "02" * 33 + "ac", "pubkey", "02" * 33 + " OP_CHECKSIG"),
        ("6a0411223344", "nulldata", "OP_RETURN 1144201745"),
        ("6aac", "nonstandard", "OP_RETURN OP_CHECKSIG"),
        ("51", "nonstandard", "1"),
        ("05", "nonstandard", "[error]"),
    ],
)
def test_scripts_have_bitcoinds_kinds_and_words(script: str, kind: str, words: str) -> None:
    assert (kind_of(bytes.fromhex(script)), asm(bytes.fromhex(script))) == (kind, words)


def test_amounts_have_eight_decimals() -> None:
    assert [bytes(coins(value)) for value in (0, 1, 5_000_000_000, 2_100_000_000_000_000)] == [
        b"0.00000000",
        b"0.00000001",
        b"50.00000000",
        b"21000000.00000000",
    ]
