"""The door to one running site: a node that takes questions and keeps silent holds up no page, and is soon not shown as well."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from photosynth.bitcoin.node import NodeHealth, NodeUnavailableError, Tip
from photosynth.fleet import load_fleet
from photosynth.operations import site_door
from photosynth.operations.site_door import SiteDoor

(MINING,) = load_fleet(Path(__file__).parents[3] / "examples/backnang.yaml").mining_sites()
WELL = NodeHealth("fake", "regtest", Tip(1, bytes(32), 0), 1, 0, True, ())


class Node:
    """A node that answers, or waits."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.answer: NodeHealth | Exception = WELL
        self.asked = 0
        self.wall_ms = 1_000

    async def health(self) -> NodeHealth:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def door_to(node: Node) -> SiteDoor:
    clock = SimpleNamespace(site_ms=lambda: 0, wall_ms=lambda: node.wall_ms)
    site = SimpleNamespace(name="south", clock=clock, mining=MINING)
    units = SimpleNamespace(site=site, node=node, mining=SimpleNamespace(service=None))
    return SiteDoor(cast(Any, None), cast(Any, units), cast(Any, None))


async def test_a_silent_node_holds_up_no_page_and_is_not_shown_as_well_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_door, "HEALTH_AGE_S", -1.0)
    monkeypatch.setattr(site_door, "HEALTH_PATIENCE_S", 0.01)
    node = Node()
    door = door_to(node)
    assert await door.health() == WELL
    node.gate.clear()
    async with asyncio.timeout(20):
        assert [await door.health() for _ in range(5)] == [WELL] * 5, "what it said a moment ago"
    assert node.asked == 2, "one question at a time"
    monkeypatch.setattr(site_door, "HEALTH_PATIENCE_S", 3600.0)
    async with asyncio.timeout(20):
        assert await door.health() == WELL, "and nobody waits for it again"
    monkeypatch.setattr(site_door, "HEALTH_KEPT_S", -1.0)
    node.wall_ms += 30_000
    assert await door.health() is None
    told = door.chain_status(None)
    assert (told.height, told.observed_ms, told.synchronised) == (1, 1_000, False), "what it said last, with its age"
    assert "30 s ago" in told.warnings[0]
    node.gate.set()
    await asyncio.sleep(0.01)
    assert await door.health() == WELL


async def test_one_that_says_that_it_cannot_answer_is_not_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_door, "HEALTH_AGE_S", -1.0)
    node = Node()
    door = door_to(node)
    assert await door.health() == WELL
    node.answer = NodeUnavailableError("stopped")
    assert await door.health() is None


async def test_an_answer_serves_every_question_of_a_second() -> None:
    node = Node()
    door = door_to(node)
    assert {await door.health() for _ in range(3)} == {WELL}
    assert node.asked == 1
