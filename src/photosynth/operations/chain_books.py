"""The books of one chain in operation: its blocks into the journal as its nodes have them, whichever sites mine on it."""

import asyncio
import contextlib

import structlog

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.operations.bitcoin_nodes import NodeChoice
from photosynth.storage import Database, Runner, StorageError
from photosynth.treasury.following import ChainBooks, Followed, NodeAtFaultError, NodeBehindError, WrongChainError
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.reconciliation import Reconciliation

log = structlog.get_logger()

RETRY_S = 1.0
TIP_POLL_S = 5.0
RECONCILE_EVERY_S = 10.0
FOLLOW_AT_START_S = 2.0


class ChainFollower:
    """Brings the journal to the tip of a chain by one of its nodes: the first in order of preference that has what it knows.

    A node that is behind the books, or on a branch with less work, is passed over: what others have is no reorganisation. So is
    one that tells what cannot be.
    """

    def __init__(self, books: ChainBooks, nodes: NodeChoice, database: Database, run: Runner) -> None:
        self._books, self._nodes, self._database, self._run = books, nodes, database, run
        self.source: BitcoinNode = nodes
        """Who was followed last."""

    async def follow(self) -> Followed:
        """Follow whoever has what the books know; where nobody has, what the first one said who answers.

        Raises NodeUnavailableError where nobody answers, WrongChainError where every node has another chain, other
        TreasuryErrors, and StorageError.
        """
        await self._nodes.tip()  # by then, whoever answers is known
        lagging: list[tuple[Followed, BitcoinNode]] = []
        faults, wrong = self._nodes.not_open(), list[WrongChainError]()
        for node in self._nodes.one_by_one():
            try:
                followed = await self._books.follow(node, self._database, self._run)
            except NodeUnavailableError as error:
                faults.append(str(error))
            except NodeAtFaultError as error:
                faults.append(f"{node.name}: {error}")
            except WrongChainError as error:
                wrong.append(error)
            else:
                if followed.begun and not followed.behind:
                    self.source = node
                    return followed
                lagging.append((followed, node))
        if lagging:
            followed, self.source = lagging[0]
            return followed
        if wrong and not faults:
            raise wrong[0]
        raise NodeUnavailableError("; ".join([*faults, *map(str, wrong)]) or "no node of this chain is declared")

    async def reconcile(self) -> Reconciliation | None:
        """Hold the journal against the coins of who was followed last; None where that one is behind. Raises as a follow does."""
        try:
            return await self._books.reconcile(self.source, self._database, self._run)
        except NodeBehindError:
            return None


class FollowedChain:
    """Keeps the journal at the tip of a chain, and holds it against the node's coins; made by :func:`open_chain_books`."""

    def __init__(self, chain: str, follower: ChainFollower) -> None:
        self.chain = chain
        self.reconciled: bool | None = None
        """Whether journal and chain agreed when they were last compared; None before that."""
        self._follower = follower
        self._faults: dict[str, str] = {}

    @property
    def fault(self) -> str | None:
        """Why the journal cannot follow or be compared now; None where it can."""
        return next(iter(self._faults.values()), None)

    async def run(self) -> None:
        """Follow and compare until cancelled. Faults of node and disk, and what the books refuse, are told, and are retried."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name="follow")
            tasks.create_task(self._compare(), name="compare")

    async def _follow(self) -> None:
        known = b""
        while True:
            try:
                with contextlib.suppress(NodeUnavailableError):  # another one may answer
                    known = (await self._follower.source.wait_for_tip(known, TIP_POLL_S)).hash
                followed = await self._follower.follow()  # also where it is the same: one that is preferred may have caught up
                if followed.behind:
                    why = f"the best block {followed.tip.height} of their node is behind what they know; they keep that until"
                    self._faulty("blocks", f"{why} a branch with more work is told of")
                else:
                    self._well("blocks")
            except (NodeUnavailableError, StorageError, TreasuryError) as error:
                self._faulty("blocks", str(error))
                await asyncio.sleep(RETRY_S)

    async def _compare(self) -> None:
        """Hold the journal against the node's coins; the chain is followed meanwhile, however long that takes."""
        while True:
            try:
                await self._reconcile()
                self._well("coins")
            except (NodeUnavailableError, StorageError, TreasuryError) as error:
                self._faulty("coins", str(error))
            await asyncio.sleep(RECONCILE_EVERY_S)

    async def close(self) -> None:
        """Nothing is held: what was committed is complete."""

    async def _reconcile(self) -> None:
        result = await self._follower.reconcile()
        if result is None:
            return
        if self.reconciled is not False and not result.agrees:
            log.error(
                "journal and chain disagree",
                chain=self.chain,
                height=result.height,
                journal_sat=result.journal_sat,
                coins_sat=result.books_sat,
                missing=result.missing[:5],
                unknown=result.unknown[:5],
            )
        self.reconciled = result.agrees

    def _faulty(self, what: str, why: str) -> None:
        if what not in self._faults:
            log.warning("the books have to wait", chain=self.chain, what=what, error=why)
        self._faults[what] = why

    def _well(self, what: str) -> None:
        if self._faults.pop(what, None) is not None:
            log.info("the books go on", chain=self.chain, what=what)


async def open_chain_books(chain: str, books: ChainBooks, nodes: NodeChoice, database: Database, run: Runner) -> FollowedChain:
    """Bring the journal to the chain's tip; a long one that is new to the books is followed while everything runs.

    Raises WrongChainError and other TreasuryErrors, NodeUnavailableError, StorageError.
    """
    follower = ChainFollower(books, nodes, database, run)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FOLLOW_AT_START_S):
            await follower.follow()
    return FollowedChain(chain, follower)
