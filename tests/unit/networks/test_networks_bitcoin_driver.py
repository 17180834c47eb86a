"""The driver of a bitcoind against made-up answers: hostile ones, lost connections, the demonstration's rules."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import NodeUnavailableError, Verdict, hash_text
from photosynth.bitcoin.wire import double_sha256
from photosynth.networks.bitcoin.answers import satoshis
from photosynth.networks.bitcoin.conditions import judge
from photosynth.networks.bitcoin.node import BitcoindNode
from photosynth.networks.bitcoin.probe import probe
from photosynth.networks.bitcoin.recipe import BITCOIND
from photosynth.networks.bitcoin.rpc import CredentialsFile, RpcClient
from photosynth.networks.grammar import UNKNOWN

URL = "http://127.0.0.1:18443"
HARD = 0x7FFFFF << 200
TEMPLATE: dict[str, Any] = {
    "height": 1,
    "previousblockhash": "aa" * 32,
    "version": 0x20000000,
    "bits": "207fffff",
    "target": "7fffff" + "00" * 29,
    "curtime": 1_800_000_000,
    "mintime": 1_700_000_000,
    "coinbasevalue": 5_000_000_000,
    "transactions": [],
    "longpollid": "x1",
}


class FakeBitcoind:
    """Answers each method with what the test says: a value, an exception to raise, or a function of the parameters."""

    def __init__(self, folder: Path, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"getblockchaininfo": {"chain": "regtest"}, **answers}
        self.calls: list[str] = []
        self.cookie = folder / ".cookie"
        self.cookie.write_text("a:b")

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        call = json.loads(request.content)
        self.calls.append(call["method"])
        answer = self.answers.get(call["method"], KeyError)
        if isinstance(answer, Callable) and not isinstance(answer, type):  # type: ignore[arg-type]
            answer = answer(*call["params"])
        if answer is KeyError:
            error = {"code": -32601, "message": "Method not found"}
            return httpx2.Response(404, content=json.dumps({"result": None, "error": error, "id": 1}))
        return httpx2.Response(200, content=json.dumps({"result": answer, "error": None, "id": 1}))

    def node(self, demonstration: DemonstrationTarget | None = None, **options: Any) -> BitcoindNode:
        transport = httpx2.MockTransport(self)
        return BitcoindNode(URL, CredentialsFile(self.cookie), demonstration, transport=transport, **options)

    def client(self) -> RpcClient:
        return RpcClient(URL, CredentialsFile(self.cookie), transport=httpx2.MockTransport(self))


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {**TEMPLATE, "height": "1"},
        {**TEMPLATE, "height": True},
        {**TEMPLATE, "coinbasevalue": 0.5},
        {**TEMPLATE, "coinbasevalue": -1},
        {**TEMPLATE, "coinbasevalue": 21_000_000 * 10**8 + 1},
        {**TEMPLATE, "version": 2**31},
        {**TEMPLATE, "curtime": 2**32},
        {**TEMPLATE, "mintime": -1},
        {**TEMPLATE, "bits": "1207fffff"},
        {**TEMPLATE, "previousblockhash": "aa"},
        {**TEMPLATE, "target": "zz"},
        {**TEMPLATE, "target": "0"},
        {**TEMPLATE, "target": "f" * 65},
        {**TEMPLATE, "transactions": [{}]},
        {**TEMPLATE, "transactions": 5},
        {**TEMPLATE, "transactions": [{"data": "zz", "txid": "00" * 32, "hash": "00" * 32, "fee": 1, "weight": 4}]},
    ],
)
async def test_a_template_that_is_none_is_refused(tmp_path: Path, broken: Any) -> None:
    node = FakeBitcoind(tmp_path, getblocktemplate=broken).node()
    with pytest.raises(NodeUnavailableError, match="getblocktemplate"):
        await node.template()
    await node.close()


@pytest.mark.parametrize("answer", [None, 5, "aa", [], {"hash": "00" * 32}])
async def test_other_answers_that_are_none_are_refused(tmp_path: Path, answer: Any) -> None:
    methods = ("getbestblockhash", "getblockheader", "getblockhash", "getblock", "scantxoutset")
    node = FakeBitcoind(tmp_path, **dict.fromkeys(methods, answer)).node()
    for ask in (
        node.tip,
        lambda: node.wait_for_tip(bytes(32), 0),
        lambda: node.block_hash(1),
        lambda: node.height_of(bytes(32)),
        lambda: node.coins(b"\x51"),
        node.health,
    ):
        with pytest.raises(NodeUnavailableError):
            await ask()
    await node.close()


async def test_a_block_that_arrived_before_the_connection_broke_is_accepted(tmp_path: Path) -> None:
    raw = bytes(81)
    fake = FakeBitcoind(tmp_path, submitblock="duplicate", getbestblockhash=hash_text(double_sha256(raw[:80])))
    sent: list[int] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        if json.loads(request.content)["method"] == "submitblock" and not sent:
            sent.append(1)
            raise httpx2.ReadError("broken", request=request)
        return fake(request)

    node = BitcoindNode(URL, CredentialsFile(fake.cookie), transport=httpx2.MockTransport(handler))
    assert await node.submit_block(raw) == Verdict(None)
    assert await node.submit_block(raw) == Verdict("duplicate")
    await node.close()


async def test_a_demonstration_is_for_regtest_alone(tmp_path: Path) -> None:
    fake = FakeBitcoind(tmp_path, getblockchaininfo={"chain": "main"}, getblocktemplate=TEMPLATE)
    node = fake.node(DemonstrationTarget(10, 1000))
    with pytest.raises(NodeUnavailableError, match="runs the chain main: start it with -regtest"):
        await node.template()
    assert "getblocktemplate" not in fake.calls
    await node.close()


async def test_the_demonstration_learns_from_its_own_blocks_and_keeps_what_it_learnt(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    state = tmp_path / "pace.json"
    fake = FakeBitcoind(tmp_path, getblocktemplate=TEMPLATE)
    demonstration = DemonstrationTarget(10, 1000)
    node = fake.node(demonstration, state_file=state, clock=lambda: now[0])
    first = await node.template()
    assert first.target == demonstration.target(now[0]) < first.network_target
    now[0] += 1
    fake.answers["getblocktemplate"] = {**TEMPLATE, "previousblockhash": "00" * 31 + "01", "height": 2}
    second = await node.template(first.long_poll_id)
    assert (second.target, demonstration.blocks) == (0, 1)
    now[0] += 0.6
    third = await node.template(second.long_poll_id)
    assert 0 < third.target < third.network_target
    fake.answers["getblocktemplate"] = {**TEMPLATE, "previousblockhash": "7f" * 32, "height": 3}
    foreign = await node.template()
    assert (foreign.target, demonstration.blocks) == (0, 1)
    await node.close()
    kept = DemonstrationTarget(10, 1000)
    again = fake.node(kept, state_file=state, clock=lambda: now[0])
    assert kept.to_json() == demonstration.to_json()
    await again.close()


async def test_a_damaged_state_is_a_warning(tmp_path: Path) -> None:
    state = tmp_path / "pace.json"
    state.write_bytes(b"\xff{")
    tip = {"height": 1, "hash": "aa" * 32, "time": 5}
    chain = {"chain": "regtest", "blocks": 1, "headers": 1, "initialblockdownload": True, "warnings": "pre-release"}
    fake = FakeBitcoind(
        tmp_path,
        getblockchaininfo=chain,
        getnetworkinfo={"subversion": "/Satoshi:0.21.0/", "connections": 0, "warnings": "pre-release"},
        getbestblockhash="aa" * 32,
        getblockheader=tip,
    )
    node = fake.node(DemonstrationTarget(10, 1000), state_file=state)
    health = await node.health()
    assert health.synchronised
    assert health.warnings[0] == "pre-release"
    assert "starts anew" in health.warnings[1]
    await node.close()


async def test_a_pruned_block_says_what_to_do(tmp_path: Path) -> None:
    def handler(_: httpx2.Request) -> httpx2.Response:
        error = {"code": -1, "message": "Block not available (pruned data)"}
        return httpx2.Response(500, content=json.dumps({"result": None, "error": error, "id": 1}))

    fake = FakeBitcoind(tmp_path)
    node = BitcoindNode(URL, CredentialsFile(fake.cookie), transport=httpx2.MockTransport(handler))
    with pytest.raises(NodeUnavailableError, match="-prune=0"):
        await node.block(bytes(32))
    await node.close()


async def test_a_probe_leaves_unknown_what_was_not_answered(tmp_path: Path) -> None:
    rpc = FakeBitcoind(tmp_path, getblockchaininfo={"chain": "main", "blocks": 5, "headers": "x"}).client()
    seen = await probe(rpc, 1_800_000_000_000)
    assert (seen.chain, seen.height, seen.problem) == ("main", 5, None)
    assert {seen.headers, seen.peers_in, seen.warnings, seen.tip_age_s, seen.software, seen.uptime_s} == {UNKNOWN}
    assert [found.summary for found in judge(seen, "main")] == [
        "it does not tell what would show that it is on Bitcoin",
        "it does not tell its height",
    ]
    await rpc.close()


async def test_a_probe_of_a_silent_node_is_an_observation_with_its_problem(tmp_path: Path) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    fake = FakeBitcoind(tmp_path)
    rpc = RpcClient(URL, CredentialsFile(fake.cookie), name="far node", transport=httpx2.MockTransport(handler))
    seen = await probe(rpc, 0)
    assert seen.problem is not None
    assert [(found.kind, found.evidence) for found in judge(seen, "main")] == [("node_unreachable", seen.problem)]
    assert seen.height is UNKNOWN
    await rpc.close()


async def test_a_probe_names_every_concern_of_a_node_on_the_main_chain(tmp_path: Path) -> None:
    fake = FakeBitcoind(
        tmp_path,
        getblockchaininfo={
            "chain": "main",
            "blocks": 100,
            "headers": 130,
            "bestblockhash": "aa" * 32,
            "initialblockdownload": True,
            "pruned": False,
            "size_on_disk": 5,
            "warnings": ["a", "b"],
        },
        getnetworkinfo={"subversion": "/Satoshi:29/", "version": 290000, "connections_in": 0, "connections_out": 0},
        getmempoolinfo={"size": 1, "bytes": 200},
        uptime=77,
        getblockheader=(68 * b"\0" + (1_800_000_000 - 3 * 3600).to_bytes(4, "little") + 8 * b"\0").hex(),
    )
    rpc = fake.client()
    seen = await probe(rpc, 1_800_000_000_000)
    assert seen.tip_age_s == 3 * 3600
    assert seen.uptime_s == 77
    assert tuple(found.summary for found in judge(seen, "main")) == (
        "its best block breaks Bitcoin's proof of work",
        "it does not tell what would show that it is on Bitcoin",
        "it knows 30 headers whose blocks it has not checked",
        "it is still downloading the chain",
        "its last block is 180 minutes old",
        "it has no peers",
        "it warns: a",
        "it warns: b",
    )
    await rpc.close()


@pytest.mark.parametrize("amount", ["-1", "0.000000001", "21000000.00000001", "NaN"])
def test_amounts_that_are_none(amount: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        satoshis(Decimal(amount))


def test_the_recipe_is_a_whole_command() -> None:
    command = BITCOIND.command(chain="regtest", data="/data", rpc_port=18443, p2p_bind="127.0.0.1", p2p_port=18444, cache_mib=450)
    assert command[0] == "bitcoind"
    assert "-rpcbind=127.0.0.1:18443" in command
    assert not any("{" in argument for argument in command)
    assert all(flag.reason for flag in BITCOIND.flags)
    with pytest.raises(KeyError):
        BITCOIND.command(chain="regtest")
