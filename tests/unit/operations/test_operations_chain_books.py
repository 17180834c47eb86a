"""The books of a chain that several nodes have: a node that is behind is passed over, and what it lacks is not reversed."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
from tests.unit.treasury.treasury_site import CHAIN, COIN, WALLET, FakeNode, ManualClock

from photosynth.bitcoin.node import NodeUnavailableError, Tip
from photosynth.operations import bitcoin_nodes, chain_books
from photosynth.operations.bitcoin_nodes import NodeChoice, OpenedNode
from photosynth.operations.chain_books import ChainFollower, FollowedChain
from photosynth.operations.supervisor import Unit
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, ledger_totals
from photosynth.treasury import journal as j
from photosynth.treasury.following import WrongChainError
from photosynth.treasury.glance import followed_top


class Node(FakeNode):
    """A node that may be away."""

    away = False

    async def tip(self) -> Tip:
        if self.away:
            raise NodeUnavailableError("nothing answers there")
        return await super().tip()

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        return await self.tip()

    async def block_hash(self, height: int) -> bytes | None:
        if self.away:
            raise NodeUnavailableError("nothing answers there")
        return await super().block_hash(height)

    def has(self, other: FakeNode, up_to: int) -> None:
        """Take over what another one has, up to a height."""
        self.blocks |= other.blocks
        self.chain = other.chain[: up_to + 1]


async def never() -> Any:
    raise AssertionError("no node is begun here")


class Books:
    """The books of two nodes that are not peers of each other."""

    def __init__(self, db: Database, run: DatabaseThread) -> None:
        self.db, self.run = db, run
        self.first, self.second = Node(), Node()
        units = {}
        for name, node in (("first", self.first), ("second", self.second)):
            units[name] = Unit[OpenedNode](f"node:{name}", "node", never)
            units[name].service = OpenedNode(cast(Any, node), node.genesis)
        books = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=ManualClock())
        self.units = units
        self.follower = ChainFollower(books, NodeChoice(units), db, run)

    @property
    def top(self) -> tuple[int, bytes] | None:
        with self.db.read() as tx:
            return followed_top(tx, CHAIN)

    @property
    def satoshis(self) -> int:
        with self.db.read() as tx:
            return ledger_totals(tx).immature_sat

    def reversals(self) -> int:
        with self.db.read() as tx:
            return sum(stored.posting.event.endswith("_reversed") for stored in j.postings(tx, limit=10_000))


@pytest.fixture
def two(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Books]:
    monkeypatch.setattr(bitcoin_nodes, "LOOK_AGAIN_S", 0.0)
    run = DatabaseThread()
    yield Books(db, run)
    run.close()


async def test_a_failover_to_a_node_that_is_behind_reverses_nothing(two: Books) -> None:
    two.first.extend(5)
    two.second.has(two.first, 3)
    assert not (await two.follower.follow()).behind
    top = two.top
    two.first.away = True
    assert (await two.follower.follow()).behind
    assert await two.follower.reconcile() is None, "coins of another moment say nothing"
    assert (two.top, two.reversals(), two.satoshis) == (top, 0, 25_000)
    # It catches up by itself and goes on: it is followed from there.
    two.second.has(two.first, 5)
    two.second.extend(2)
    assert not (await two.follower.follow()).behind
    assert (two.top, two.reversals()) == ((7, two.second.chain[-1]), 0)
    # The preferred one is back, and lacks those two: it is not gone back to before it has them.
    two.first.away = False
    assert not (await two.follower.follow()).behind
    assert (two.top, two.reversals()) == ((7, two.second.chain[-1]), 0)
    two.first.has(two.second, 7)
    two.first.extend(1)
    await two.follower.follow()
    assert (two.top, two.reversals()) == ((8, two.first.chain[-1]), 0)


async def test_another_tip_reverses_only_when_it_has_more_work(two: Books) -> None:
    two.first.extend(5)
    two.second.has(two.first, 4)
    two.second.extend(1, salt=3)
    await two.follower.follow()
    two.first.away = True
    assert (await two.follower.follow()).behind, "as heavy as the other: the first seen stays"
    assert (two.top, two.reversals()) == ((5, two.first.chain[-1]), 0)
    two.second.extend(1, salt=3)
    assert not (await two.follower.follow()).behind
    assert (two.top, two.reversals()) == ((6, two.second.chain[-1]), 1)
    assert (await two.follower.reconcile()) is not None
    two.first.away = False
    await two.follower.follow()
    assert two.top == (6, two.second.chain[-1]), "no going back to the lighter one"


async def test_the_first_that_has_what_they_know_is_followed(two: Books) -> None:
    two.second.extend(4)
    assert (await two.follower.follow()).tip.height == 0, "the first has a chain, and nothing says that it is late"
    two.first.has(two.second, 2)
    await two.follower.follow()
    assert two.top == (2, two.first.chain[-1])


async def test_a_node_of_another_chain_is_no_reason_to_stop_while_others_are_away(two: Books) -> None:
    two.first.extend(2)
    await two.follower.follow()
    two.second.genesis = b"\x07" * 32
    two.second.chain = [two.second.genesis]
    two.first.away = True
    with pytest.raises(NodeUnavailableError, match="another genesis"):
        await two.follower.follow()
    two.first.away = False
    assert not (await two.follower.follow()).behind
    two.units["first"].service = None
    with pytest.raises(NodeUnavailableError, match="not open yet"):
        await two.follower.follow()
    del two.units["first"]
    follower = ChainFollower(two.follower._books, NodeChoice(two.units), two.db, two.run)
    with pytest.raises(WrongChainError):
        await follower.follow()


async def test_it_is_said_while_nobody_has_what_they_know_and_the_next_one_is_followed_when_one_dies(
    two: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_books, "RETRY_S", 0.001)
    two.first.extend(5)
    two.second.has(two.first, 3)
    followed = FollowedChain(CHAIN, two.follower)

    async def waited(holds: Any) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.001)

    running = asyncio.create_task(followed.run())
    try:
        await waited(lambda: two.top == (5, two.first.chain[-1]))
        two.first.away = True
        await waited(lambda: followed.fault is not None and "behind what they know" in followed.fault)
        two.second.has(two.first, 5)
        two.second.extend(1)
        await waited(lambda: two.top == (6, two.second.chain[-1]) and followed.fault is None)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert two.reversals() == 0


async def test_a_node_that_tells_what_cannot_be_is_passed_over(two: Books) -> None:
    two.second.extend(5)
    two.first.has(two.second, 5)
    two.first.blocks[two.first.chain[3]] = b"\x00" * 80
    assert not (await two.follower.follow()).behind
    assert two.top == (5, two.second.chain[-1])
    two.second.away = True
    two.first.has(two.second, 5)
    two.first.chain.append(b"\x11" * 32)
    two.first.blocks[b"\x11" * 32] = two.first.blocks[two.first.chain[5]]
    with pytest.raises(NodeUnavailableError, match=r"first: the node answers for block 1111.* with another one"):
        await two.follower.follow()
