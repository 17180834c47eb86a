"""The books of one chain in operation: its blocks into the journal as its nodes have them, whichever sites mine on it."""

import asyncio
import contextlib

import structlog

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.storage import Database, Runner, StorageError
from photosynth.treasury.following import ChainBooks
from photosynth.treasury.journal import TreasuryError

log = structlog.get_logger()

RETRY_S = 1.0
TIP_POLL_S = 5.0
RECONCILE_EVERY_S = 10.0
FOLLOW_AT_START_S = 2.0


class FollowedChain:
    """Keeps the journal at the tip of a chain, and holds it against the node's coins; made by :func:`open_chain_books`."""

    def __init__(self, chain: str, books: ChainBooks, node: BitcoinNode, database: Database, run: Runner) -> None:
        self.chain = chain
        self.reconciled: bool | None = None
        """Whether journal and chain agreed when they were last compared; None before that."""
        self._books, self._node, self._database, self._run = books, node, database, run
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
                tip = await self._node.wait_for_tip(known, TIP_POLL_S)
                if tip.hash != known:
                    followed = await self._books.follow(self._node, self._database, self._run)
                    known = followed.tip.hash
                self._well("blocks")
            except (NodeUnavailableError, StorageError, TreasuryError) as error:
                self._faulty("blocks", error)
                await asyncio.sleep(RETRY_S)

    async def _compare(self) -> None:
        """Hold the journal against the node's coins; the chain is followed meanwhile, however long that takes."""
        while True:
            try:
                await self._reconcile()
                self._well("coins")
            except (NodeUnavailableError, StorageError, TreasuryError) as error:
                self._faulty("coins", error)
            await asyncio.sleep(RECONCILE_EVERY_S)

    async def close(self) -> None:
        """Nothing is held: what was committed is complete."""

    async def _reconcile(self) -> None:
        result = await self._books.reconcile(self._node, self._database, self._run)
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

    def _faulty(self, what: str, error: Exception) -> None:
        if what not in self._faults:
            log.warning("the books have to wait", chain=self.chain, what=what, error=str(error))
        self._faults[what] = str(error)

    def _well(self, what: str) -> None:
        if self._faults.pop(what, None) is not None:
            log.info("the books go on", chain=self.chain, what=what)


async def open_chain_books(chain: str, books: ChainBooks, node: BitcoinNode, database: Database, run: Runner) -> FollowedChain:
    """Bring the journal to the chain's tip; a long one that is new to the books is followed while everything runs.

    Raises WrongChainError and other TreasuryErrors, NodeUnavailableError, StorageError.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FOLLOW_AT_START_S):
            await books.follow(node, database, run)
    return FollowedChain(chain, books, node, database, run)
