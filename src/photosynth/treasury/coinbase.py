"""Following a node: whatever its chain does, the journal does the same, in batches and off the event loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from photosynth.bitcoin.block import Block
from photosynth.bitcoin.node import BitcoinNode, Tip, hash_text
from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.instants import Clock
from photosynth.storage import Database, Runner
from photosynth.treasury import chain
from photosynth.treasury.chain import ChainView, Moment
from photosynth.treasury.facts import CoinFact, Recognition
from photosynth.treasury.glance import followed_top
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.reconciliation import Reconciliation, reconcile

BATCH_BLOCKS = 50
"""Blocks of one transaction: some 150 ms of work, after which readers and the next commit have their turn."""
MAX_ROUNDS = 50
"""How often the chain may change under one call before it leaves the rest to the next one."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What one call did: where the books stand now, and how many blocks entered and left."""

    tip: Tip
    connected: int
    disconnected: int
    complete: bool


class WrongChainError(TreasuryError):
    """The node's chain begins with another genesis block than the books; the operator has mixed up two states."""


class ChainBooks:
    """Keeps the journal at the tip of a node's chain: coinbases of one script, their maturity, and reorganisations.

    ``quote_at`` gives what a coin is worth at an instant of site time; ``chain_name`` begins every posting's key;
    ``wallet`` and ``party`` are rows of the books that the coins are of.
    """

    def __init__(
        self,
        payout_script: bytes,
        policy: Recognition,
        quote_at: Callable[[int], CoinFact | None],
        *,
        clock: Clock,
        chain_name: str = "regtest",
        wallet: str | None = None,
        party: str | None = None,
    ) -> None:
        self.view = ChainView(chain_name, payout_script, policy, wallet, party)
        self._quote_at = quote_at
        self._clock = clock
        self._turn = asyncio.Lock()

    async def follow(self, node: BitcoinNode, db: Database, run: Runner) -> Followed:
        """Bring the journal to the node's tip; calls wait for each other.

        Raises NodeUnavailableError and StorageError; what was committed until then is complete, and the next call goes on.
        """
        async with self._turn:
            return await self._follow(node, db, run)

    async def reconcile(self, node: BitcoinNode, db: Database, run: Runner) -> Reconciliation:
        """Follow, then hold the journal against the node's coins of the script at one and the same tip."""
        while True:
            tip = (await self.follow(node, db, run)).tip
            coins = await node.coins(self.view.payout_script)
            if (await node.tip()).hash == tip.hash:
                break

        def compare() -> Reconciliation:
            with db.begin() as tx:
                return reconcile(tx, coins, tip)

        return await run(compare)

    async def _follow(self, node: BitcoinNode, db: Database, run: Runner) -> Followed:
        connected = disconnected = 0
        for _ in range(MAX_ROUNDS):
            tip = await node.tip()
            height, top = await self._top(node, db, run)
            if top == tip.hash:
                return Followed(tip, connected, disconnected, complete=True)
            fork = await self._fork(node, db, run, height)
            if fork < height:
                disconnected += await run(self._disconnecting(db, fork, tip))
            connected += await self._climb(node, db, run, fork, tip)
        return Followed(tip, connected, disconnected, complete=False)

    async def _top(self, node: BitcoinNode, db: Database, run: Runner) -> tuple[int, bytes]:
        def read() -> tuple[int, bytes] | None:
            with db.read() as tx:
                return followed_top(tx)

        top = await run(read)
        if top is not None:
            return top
        genesis = await node.block_hash(0)
        if genesis is None:
            raise TreasuryError("the node knows no genesis block")

        def begin() -> None:
            with db.begin() as tx:
                chain.begin_at(tx, 0, genesis)

        await run(begin)
        return 0, genesis

    async def _fork(self, node: BitcoinNode, db: Database, run: Runner, top: int) -> int:
        """The highest height at which the books and the node have the same block."""

        async def agrees(height: int) -> bool:
            def read() -> bytes | None:
                with db.read() as tx:
                    return chain.followed_hash(tx, height)

            return await node.block_hash(height) == await run(read)

        if await agrees(top):
            return top
        step, low, high = 1, top, top
        while True:
            low = max(0, top - step)
            if await agrees(low):
                break
            if low == 0:
                raise WrongChainError("the node's chain begins with another genesis block than the books of this state")
            high, step = low, step * 2
        while high - low > 1:
            middle = (low + high) // 2
            if await agrees(middle):
                low = middle
            else:
                high = middle
        return low

    async def _climb(self, node: BitcoinNode, db: Database, run: Runner, fork: int, tip: Tip) -> int:
        """Connect what lies above the fork in batches; stops early where the chain changed while it was read."""
        connected = 0
        for first in range(fork + 1, tip.height + 1, BATCH_BLOCKS):
            batch: list[tuple[bytes, bytes]] = []
            for height in range(first, min(first + BATCH_BLOCKS, tip.height + 1)):
                block_hash = await node.block_hash(height)
                raw = None if block_hash is None else await node.block(block_hash)
                if block_hash is None or raw is None:
                    break
                batch.append((block_hash, raw))
            taken = await run(self._connecting(db, first, batch, tip))
            connected += taken
            if taken < min(BATCH_BLOCKS, tip.height + 1 - first):
                break
        return connected

    def _disconnecting(self, db: Database, fork: int, tip: Tip) -> Callable[[], int]:
        def disconnect() -> int:
            with db.begin() as tx:
                left = chain.disconnect(tx, self.view, fork, self._now())
                if fork == tip.height:
                    chain.settle(tx, self.view, fork, self._now())
                return left

        return disconnect

    def _connecting(self, db: Database, first: int, batch: list[tuple[bytes, bytes]], tip: Tip) -> Callable[[], int]:
        def connect() -> int:
            with db.begin() as tx:
                return self._connect(tx, first, batch, tip)

        return connect

    def _connect(self, tx: Connection, first: int, batch: list[tuple[bytes, bytes]], tip: Tip) -> int:
        taken, now = 0, self._now()
        previous = chain.followed_hash(tx, first - 1)
        for height, (block_hash, raw) in enumerate(batch, first):
            try:
                block = Block.parse(raw)
            except FormatError as error:
                raise TreasuryError(f"the node's block {hash_text(block_hash)} cannot be read: {error}") from error
            if block.hash != block_hash:
                raise TreasuryError(f"the node answers for block {hash_text(block_hash)} with another one")
            if block.header.previous_hash != previous:
                break
            chain.connect(tx, self.view, height, block, now)
            previous = block_hash
            taken += 1
        chain.mature(tx, self.view, first + taken - 1, now)
        if previous == tip.hash:
            chain.settle(tx, self.view, tip.height, now)
        return taken

    def _now(self) -> Moment:
        site_ms = self._clock.site_ms()
        return Moment(site_ms, self._clock.wall_ms(), self._quote_at(site_ms))
