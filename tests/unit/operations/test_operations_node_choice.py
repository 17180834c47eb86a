"""Several nodes as one: a silent one holds nobody up, blocks go to all, and the preferred one comes back when it answers."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from photosynth.bitcoin.node import NodeUnavailableError, Tip, Verdict
from photosynth.operations import bitcoin_nodes
from photosynth.operations.bitcoin_nodes import NodeChoice, OpenedNode
from photosynth.operations.supervisor import Unit


class Node:
    """A node that answers, refuses, or takes questions and never answers; it counts what it was asked."""

    def __init__(self, height: int) -> None:
        self.height = height
        self.mode = "answers"
        self.asked: list[str] = []
        self.blocks: list[bytes] = []
        self.verdict: Verdict = Verdict(None)
        self.answer_again = asyncio.Event()

    async def _asked(self, what: str) -> None:
        self.asked.append(what)
        if self.mode == "hangs":
            await self.answer_again.wait()
        if self.mode == "refuses":
            raise NodeUnavailableError("nothing answers there")

    async def tip(self) -> Tip:
        await self._asked("tip")
        return Tip(self.height, bytes(32), 0)

    async def block_hash(self, height: int) -> bytes | None:
        await self._asked("block_hash")
        return bytes([self.height]) * 32

    async def coins(self, script: bytes) -> tuple[()]:
        """A question that takes long and is answered."""
        self.asked.append("coins")
        await self.answer_again.wait()
        return ()

    async def submit_block(self, raw: bytes) -> Verdict:
        self.blocks.append(raw)
        await self._asked("submit_block")
        return self.verdict


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitcoin_nodes, "PATIENCE_S", 0.02)
    monkeypatch.setattr(bitcoin_nodes, "LOOK_AGAIN_S", 0.0)


async def never() -> Any:
    raise AssertionError("no node is begun here")


def unit_of(number: int, node: Node, genesis_hash: bytes | None = bytes(32)) -> Unit[OpenedNode]:
    unit: Unit[OpenedNode] = Unit(f"node:{number}", "node", never)
    unit.service = OpenedNode(cast(Any, node), genesis_hash)
    return unit


def choice(*nodes: Node) -> NodeChoice:
    return NodeChoice({str(number): unit_of(number, node) for number, node in enumerate(nodes)})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


async def hash_says(nodes: NodeChoice) -> int:
    found = await nodes.block_hash(1)
    assert found is not None
    return found[0]


async def test_one_that_takes_questions_and_never_answers_is_passed_over_until_it_does() -> None:
    first, second = Node(1), Node(2)
    nodes = choice(first, second)
    assert await hash_says(nodes) == 1
    first.mode = "hangs"
    async with asyncio.timeout(20):
        assert await hash_says(nodes) == 2
    questions = first.asked.count("block_hash")
    for _ in range(30):
        assert await hash_says(nodes) == 2
        await asyncio.sleep(0.002)
    assert first.asked.count("block_hash") == questions, "no question waits for it again while it is silent"
    first.mode = "answers"
    first.answer_again.set()
    said: list[int] = []

    async def asked_again() -> None:
        while not said or said[-1] == 2:
            said.append(await hash_says(nodes))
            await asyncio.sleep(0.001)

    async with asyncio.timeout(20):
        await asked_again()
    assert said[-1] == 1, "it is the preferred one again"


async def test_one_that_dies_is_passed_over_and_comes_back() -> None:
    first, second = Node(1), Node(2)
    nodes = choice(first, second)
    first.mode = "refuses"
    assert [await hash_says(nodes) for _ in range(3)] == [2, 2, 2]
    assert first.asked.count("block_hash") == 1
    first.mode = "answers"
    async with asyncio.timeout(20):
        while await hash_says(nodes) == 2:
            await asyncio.sleep(0.001)


async def test_a_block_goes_to_all_at_once_and_is_taken_although_the_preferred_node_hangs() -> None:
    first, second = Node(1), Node(2)
    nodes = choice(first, second)
    first.mode = "hangs"
    async with asyncio.timeout(20):
        assert (await nodes.submit_block(b"block")).accepted
    assert (first.blocks, second.blocks) == ([b"block"], [b"block"])
    first.answer_again.set()
    first.mode = "answers"


async def test_whoever_ceases_to_wait_for_a_verdict_takes_the_block_from_nobody() -> None:
    first, second = Node(1), Node(2)
    nodes = choice(first, second)
    first.mode = second.mode = "hangs"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await nodes.submit_block(b"block")
    assert (first.blocks, second.blocks) == ([b"block"], [b"block"])
    first.answer_again.set()
    second.answer_again.set()


@pytest.mark.parametrize(
    ("modes", "verdicts", "said"),
    [
        (("answers", "answers"), ("inconclusive", None), "inconclusive"),
        (("answers", "answers"), (None, "duplicate"), None),
        (("refuses", "answers"), (None, "duplicate"), "duplicate"),
        (("refuses", "answers"), (None, None), None),
    ],
)
async def test_the_verdict_is_that_of_the_most_preferred_that_answers(
    modes: tuple[str, str], verdicts: tuple[str | None, str | None], said: str | None
) -> None:
    given = Node(1), Node(2)
    for node, mode, verdict in zip(given, modes, verdicts, strict=True):
        node.mode, node.verdict = mode, Verdict(verdict)
    assert (await choice(*given).submit_block(b"block")).reason == said


async def test_where_nobody_answers_it_says_so_of_each() -> None:
    first, second = Node(1), Node(2)
    first.mode = second.mode = "refuses"
    nodes = choice(first, second)
    for question in (nodes.tip(), nodes.submit_block(b"block")):
        with pytest.raises(NodeUnavailableError, match="nothing answers there; nothing answers there"):
            await question
    second.mode = "answers"
    assert (await nodes.tip()).height == 2


async def test_a_question_that_takes_long_is_waited_for_where_the_node_is_there() -> None:
    first, second = Node(1), Node(2)
    nodes = choice(first, second)
    asking = asyncio.ensure_future(nodes.coins(b""))
    await until(lambda: first.asked.count("tip") >= 2)
    assert not asking.done()
    first.answer_again.set()
    assert await asking == ()
    assert second.asked == []


async def test_the_only_one_is_waited_for() -> None:
    only = Node(1)
    only.mode = "hangs"
    nodes = choice(only)
    asking = asyncio.ensure_future(hash_says(nodes))
    await asyncio.sleep(0.1)
    assert not asking.done()
    only.answer_again.set()
    assert await asking == 1


async def test_of_many_that_never_answered_nobody_is_waited_for_in_turn() -> None:
    many = [Node(number) for number in range(48)]
    for node in many:
        node.mode = "hangs"
    units = {str(number): unit_of(number, node, None) for number, node in enumerate(many)}
    ours = unit_of(48, Node(48))
    opened, ours.service = ours.service, None
    nodes = NodeChoice({**units, "48": ours})
    asking = asyncio.ensure_future(hash_says(nodes))
    await until(lambda: all(node.asked.count("block_hash") == 1 for node in many))
    ours.service = opened
    async with asyncio.timeout(20):
        assert await asking == 48, "one that is opened meanwhile is asked"
    assert await hash_says(nodes) == 48
    assert {node.asked.count("block_hash") for node in many} == {1}, "and no silent one again"
    assert [node.name for node in nodes.one_by_one()] == ["48"]
    many[0].mode = "answers"
    many[0].answer_again.set()
    async with asyncio.timeout(20):
        while await hash_says(nodes) == 48:
            await asyncio.sleep(0.001)
    assert [node.name for node in nodes.one_by_one()] == ["0", "48"]
