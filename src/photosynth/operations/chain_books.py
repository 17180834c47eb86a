"""The books of one chain in operation: its blocks into the journal as its nodes have them, whichever sites mine on it."""

import asyncio
import contextlib

import structlog

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.storage import Database, Runner, StorageError
from photosynth.treasury.coinbase import ChainBooks
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
        self.fault: str | None = None
        """Why the journal cannot follow now; None where it does."""
        self._books, self._node, self._database, self._run = books, node, database, run

    async def run(self) -> None:
        """Follow until cancelled. Faults of node and disk, and what the books refuse, are conditions, and are retried."""
        loop = asyncio.get_running_loop()
        known, reconciled, reconciled_s = b"", b"", 0.0
        while True:
            try:
                tip = await self._node.wait_for_tip(known, TIP_POLL_S)
                if tip.hash != known:
                    followed = await self._books.follow(self._node, self._database, self._run)
                    known = followed.tip.hash
                if reconciled != known and loop.time() - reconciled_s > RECONCILE_EVERY_S:
                    reconciled, reconciled_s = known, loop.time()
                    await self._reconcile()
                self._well()
            except (NodeUnavailableError, StorageError, TreasuryError) as error:
                self._faulty(error)
                await asyncio.sleep(RETRY_S)

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
                chain_sat=result.chain_sat,
                missing=result.missing[:5],
                unknown=result.unknown[:5],
            )
        self.reconciled = result.agrees

    def _faulty(self, error: Exception) -> None:
        if self.fault is None:
            log.warning("the books have to wait", chain=self.chain, error=str(error))
        self.fault = str(error)

    def _well(self) -> None:
        if self.fault is not None:
            log.info("the books go on", chain=self.chain)
        self.fault = None


async def open_chain_books(chain: str, books: ChainBooks, node: BitcoinNode, database: Database, run: Runner) -> FollowedChain:
    """Bring the journal to the chain's tip; a long one that is new to the books is followed while everything runs.

    Raises WrongChainError and other TreasuryErrors, NodeUnavailableError, StorageError.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FOLLOW_AT_START_S):
            await books.follow(node, database, run)
    return FollowedChain(chain, books, node, database, run)
