"""The door to the chains of a running fleet: each node by its name, and what one gives is one chain."""

from pathlib import Path
from typing import Any, cast

import pytest

from photosynth.bitcoin.node import NodeUnavailableError, Tip, Verdict
from photosynth.fleet import load_fleet
from photosynth.networks.grammar import Access
from photosynth.operations import chain_door
from photosynth.operations.bitcoin_nodes import OpenedNode
from photosynth.operations.chain_door import ChainDoor, blocks_of
from photosynth.operations.supervisor import Unit
from photosynth.operations.view import NotKnownError


def raw(previous: bytes, name: bytes) -> bytes:
    return bytes(4) + previous + name


class Node:
    """Two chains that share their first block; the second becomes the active one after so many reads."""

    def __init__(self, changes_after: int) -> None:
        one, two, three = (bytes([number]) * 32 for number in (1, 2, 3))
        self.blocks = {one: raw(bytes(32), b"one"), two: raw(one, b"two"), three: raw(two, b"three")}
        self.other = {2: b"\x22" * 32, 3: b"\x33" * 32}
        self.blocks |= {self.other[2]: raw(one, b"TWO"), self.other[3]: raw(self.other[2], b"THREE")}
        self.active = {1: one, 2: two, 3: three}
        self.left = changes_after

    async def block_hash(self, height: int) -> bytes | None:
        return self.active.get(height)

    async def block(self, block_hash: bytes) -> bytes | None:
        self.left -= 1
        if self.left == 0:
            self.active |= self.other
        return self.blocks.get(block_hash)


def names(node: Node) -> Any:
    return blocks_of(cast(Any, node), 1)


async def test_a_chain_is_given_from_block_to_block() -> None:
    assert [block[36:] async for block in names(Node(9))] == [b"one", b"two", b"three"]
    assert [block[36:] async for block in names(Node(1))] == [b"one", b"TWO", b"THREE"]


async def test_a_reorganisation_meanwhile_is_told_and_no_mixture_given() -> None:
    with pytest.raises(NodeUnavailableError, match="reorganised at block 3 while it was read: read it again"):
        [block async for block in names(Node(2))]


FLEET = """
version: 2
operator: someone
nodes:
  - {id: sim, network: bitcoin, chain: regtest, role: full, run: simulated}
  - {id: own, network: bitcoin, chain: regtest, role: full, run: embedded}
  - {id: far, network: bitcoin, chain: regtest, role: full, run: external, endpoints: {rpc: "http://127.0.0.1:1"},
     credentials: {cookie_file: COOKIE}}
"""


class Closing(Node):
    """A node that counts how often it was let go, and may be away."""

    def __init__(self) -> None:
        super().__init__(9)
        self.closed, self.away = 0, False

    async def tip(self) -> Tip:
        if self.away:
            raise NodeUnavailableError("nothing answers there")
        return Tip(3, b"\x03" * 32, 0)

    async def submit_block(self, raw: bytes) -> Verdict:
        return Verdict("duplicate")

    async def close(self) -> None:
        self.closed += 1


class Watch:
    """Knows how nodes outside the program are spoken to."""

    def access(self, node_id: str) -> Any:
        return lambda: Access(node_id, "regtest", {"rpc": "http://127.0.0.1:1"})


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Closing:
    node = Closing()
    monkeypatch.setattr(chain_door, "bitcoind", lambda _access: node)
    return node


async def never() -> Any:
    raise AssertionError("no node is begun here")


def door(tmp_path: Path, text: str = FLEET) -> ChainDoor:
    (tmp_path / "fleet.yaml").write_text(text.replace("COOKIE", str(tmp_path / "cookie")))
    unit: Unit[OpenedNode] = Unit("node:own", "node", never)
    unit.service = OpenedNode(cast(Any, Closing()), bytes(32))
    return ChainDoor(load_fleet(tmp_path / "fleet.yaml"), {"own": unit}, cast(Any, Watch()))


async def test_each_node_is_asked_as_it_is_run_and_a_connection_is_let_go(tmp_path: Path, far: Closing) -> None:
    nodes = door(tmp_path)
    assert [raw[36:] async for raw in nodes.blocks(2, "own")] == [b"two", b"three"]
    assert far.closed == 0
    assert [raw[36:] async for raw in nodes.blocks(2, "far")] == [b"two", b"three"]
    assert [raw[36:] async for raw in nodes.blocks(3)] == [b"three"], "the first is the model, which can be read"
    async with nodes.taking("far") as taker:
        assert (await taker.submit_block(b"raw")).reason == "duplicate"
    assert far.closed == 3
    async with nodes.taking("own") as taker:
        assert (await taker.submit_block(b"raw")).reason == "duplicate"


async def test_a_node_that_does_not_answer_takes_nothing(tmp_path: Path, far: Closing) -> None:
    far.away = True
    with pytest.raises(NodeUnavailableError, match="nothing answers"):
        async with door(tmp_path).taking("far"):
            raise AssertionError("it was opened")
    assert far.closed == 1


@pytest.mark.parametrize("name", ["btc-9", "x" * 128])
async def test_an_unknown_node_is_refused_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    nodes = door(tmp_path)
    with pytest.raises(NotKnownError, match="its Bitcoin nodes are sim, own, far"):
        await anext(nodes.blocks(1, name))
    with pytest.raises(NotKnownError, match="its Bitcoin nodes are sim, own, far"):
        nodes.taking(name)


@pytest.mark.parametrize("name", [None, "sim"])
async def test_a_model_takes_no_blocks_and_says_who_does(tmp_path: Path, name: str | None) -> None:
    with pytest.raises(NotKnownError, match=r"sim takes no blocks: it is a model .*; hand them to own, far"):
        door(tmp_path).taking(name)


async def test_a_fleet_without_bitcoin_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotKnownError, match="no Bitcoin node"):
        door(tmp_path, "version: 2\noperator: someone\n").taking()
