"""Following a node: whatever its chain does, the journal does the same, in batches and off the event loop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from photosynth.bitcoin.block import HEADER_BYTES, Block, Header
from photosynth.bitcoin.node import BitcoinNode, Coin, Tip, hash_text
from photosynth.bitcoin.target import target_of_bits
from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.instants import Clock
from photosynth.quantities.work import work_of_target
from photosynth.storage import Database, Runner
from photosynth.storage.meta import forget_meta, get_meta, put_meta
from photosynth.storage.scopes import of_chain
from photosynth.treasury import chain
from photosynth.treasury.chain import ChainView, Moment, Outpoint
from photosynth.treasury.facts import CoinFact, Recognition, WalletFact
from photosynth.treasury.glance import followed_top
from photosynth.treasury.journal import TreasuryError
from photosynth.treasury.mining.blocks import FOLLOW_AGAIN
from photosynth.treasury.opening import open_wallet, unopened
from photosynth.treasury.parties import keep_wallets
from photosynth.treasury.reconciliation import MOST_DOUBTFUL, Reconciliation, compare, doubtful, next_coins

BATCH_BLOCKS = 50
"""Blocks of one transaction: some 150 ms of work, after which readers and the next commit have their turn."""
MAX_ROUNDS = 50
"""How often the chain may change under one call before it leaves the rest to the next one."""


SCANNED = "scanned_wall_ms"
"""Key in ``meta`` of a chain: when all coins were read off the node last."""
SCAN_EVERY_MS = 7 * 86_400_000
"""A bitcoind goes through all coins there are for it, minutes of work on mainnet."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What one call did: where the books stand now, and how many blocks entered and left."""

    tip: Tip
    connected: int
    disconnected: int
    complete: bool
    begun: bool = True
    """Whether the books have come to the first block that they look at: a node that is far behind is not there yet."""
    behind: bool = False
    """Whether the node lacks blocks that the books know, and has no branch with more work: they keep what they have then."""


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The work of a node's branch above a fork, up to one of its blocks."""

    fork: int
    height: int
    hash: bytes
    work: int


@dataclass(frozen=True, slots=True)
class _Stand:
    """Where the books stand: their top, the block above which they begin, from where to follow again, wallets to open."""

    height: int
    top: bytes
    bottom: int
    again: int | None
    unopened: tuple[WalletFact, ...]


class WrongChainError(TreasuryError):
    """The node's chain is another than that of the books below where they begin; the operator has mixed up two states."""


class NodeAtFaultError(TreasuryError):
    """The node tells of a block that no chain can have; another node may tell better."""


class NodeBehindError(Exception):
    """The node lacks blocks that the books know, so that its coins tell nothing of theirs."""


class ChainBooks:
    """Keeps the journal at the tip of one chain: coinbases, receipts and spends of our wallets, maturity, reorganisations.

    ``chain`` is its name (``NETWORK/CHAIN``), which begins every posting's key; the books look for ``wallets`` and for those
    that they looked for before. ``quote_at`` gives what a coin is worth at an instant of site time; ``found_by`` tells the
    site whose pool found a block, None where none did, and is called off the event loop. All coins are read off a node at
    most every ``scan_every_ms`` of wall time, but off one that finds them by an index every time.

    A block leaves the books for a branch with more work alone: a node that merely lacks it, as one that others have left behind,
    is waited for.
    """

    def __init__(
        self,
        chain_name: str,
        wallets: Sequence[WalletFact],
        policy: Recognition,
        quote_at: Callable[[int], CoinFact | None],
        *,
        clock: Clock,
        found_by: Callable[[bytes], str | None] = lambda _: None,
        scan_every_ms: int = SCAN_EVERY_MS,
    ) -> None:
        self.view = ChainView(chain_name, policy, found_by)
        self._wallets = tuple(wallets)
        self._quote_at = quote_at
        self._clock = clock
        self._scan_every_ms = scan_every_ms
        self._turn = asyncio.Lock()
        self._kept = False
        self._looked_at: Outpoint | None = None
        self._doubtful: set[Outpoint] = set()
        self._weighed: _Weighed | None = None

    async def follow(self, node: BitcoinNode, db: Database, run: Runner) -> Followed:
        """Bring the journal to the node's tip; calls wait for each other.

        Raises NodeUnavailableError, StorageError and TreasuryError; what was committed until then is complete, and the next
        call goes on.
        """
        async with self._turn:
            return await self._follow(node, db, run)

    async def reconcile(self, node: BitcoinNode, db: Database, run: Runner) -> Reconciliation:
        """Follow, then hold the journal against coins of the node: some of those in the books, now and then all of its own.

        What differs is looked at again in every call, coin by coin and at one and the same tip, until it agrees. Raises besides
        NodeBehindError: its coins are those of another moment than the books'.
        """
        followed = await self.follow(node, db, run)
        if not followed.begun:
            return Reconciliation(followed.tip.height, 0, 0, 0, (), ())
        if followed.behind:
            raise NodeBehindError
        if node.coins_by_index or await run(lambda: self._scan_is_due(db)):
            self._doubtful |= await self._scan(node, db, run)
        looked = self._doubtful | set(await run(lambda: self._next(db)))
        while True:
            followed = await self.follow(node, db, run)
            if followed.behind:
                raise NodeBehindError
            tip = followed.tip
            coins = {outpoint: await node.coin_value(*outpoint) for outpoint in looked}
            unchanged = (await node.tip()).hash == tip.hash
            result = await run(partial(self._compare, db, coins, tip)) if unchanged else None
            if result is not None:
                break
            looked = set(sorted(looked)[: len(looked) // 2])  # fewer are asked for while nothing changes
        differing = {*result.missing, *result.unknown}
        still = {outpoint for outpoint in looked if f"{hash_text(outpoint[0])}:{outpoint[1]}" in differing}
        self._doubtful = set(sorted((self._doubtful - looked) | still)[:MOST_DOUBTFUL])
        return result

    def _next(self, db: Database) -> list[Outpoint]:
        with db.read() as tx:
            found = next_coins(tx, self.view.chain, self._looked_at)
        self._looked_at = found[-1] if found else None
        return found

    def _scan_is_due(self, db: Database) -> bool:
        with db.read() as tx:
            scanned_ms = get_meta(tx, of_chain(self.view.chain), SCANNED)
        return scanned_ms is None or not 0 <= self._clock.wall_ms() - scanned_ms < self._scan_every_ms

    async def _scan(self, node: BitcoinNode, db: Database, run: Runner) -> set[Outpoint]:
        """Where the node's coins of our wallets and those of the books seem to differ."""
        found = set[Outpoint]()
        for wallet, _ in await run(lambda: self._looked_for(db)):
            coins = await node.coins(wallet.script)
            found |= await run(partial(self._differing, db, wallet.id, coins))
        if not node.coins_by_index:
            await run(lambda: self._note_scan(db))
        return set(sorted(found)[:MOST_DOUBTFUL])

    def _looked_for(self, db: Database) -> list[tuple[WalletFact, int]]:
        with db.read() as tx:
            return chain.looked_for(tx, self.view.chain)

    def _differing(self, db: Database, wallet: str, coins: Sequence[Coin]) -> set[Outpoint]:
        with db.read() as tx:
            return doubtful(tx, self.view.chain, wallet, coins)

    def _note_scan(self, db: Database) -> None:
        with db.begin() as tx:
            put_meta(tx, of_chain(self.view.chain), SCANNED, self._clock.wall_ms())

    def _compare(self, db: Database, coins: Mapping[Outpoint, int | None], tip: Tip) -> Reconciliation | None:
        with db.begin() as tx:
            return compare(tx, self.view.chain, coins, tip)

    async def _follow(self, node: BitcoinNode, db: Database, run: Runner) -> Followed:
        connected = disconnected = 0
        for _ in range(MAX_ROUNDS):
            tip = await node.tip()
            stand = await self._stand(node, db, run, tip)
            if stand is None:
                return Followed(tip, 0, 0, complete=True, begun=False)
            if stand.top == tip.hash and stand.again is None:
                return Followed(tip, connected, disconnected, complete=True)
            fork = await self._fork(node, db, run, stand)
            if fork < stand.height:
                more = await self._has_more_work(node, db, run, fork, tip)
                if more is None:
                    continue  # its chain changed while it was weighed
                if not more:
                    return Followed(tip, connected, disconnected, complete=True, behind=True)
            if stand.again is not None:
                fork = min(fork, max(stand.bottom, stand.again - 1))
            if fork < stand.height or stand.again is not None:
                disconnected += await run(self._disconnecting(db, fork, tip))
            connected += await self._climb(node, db, run, fork, tip)
        return Followed(tip, connected, disconnected, complete=False)

    async def _stand(self, node: BitcoinNode, db: Database, run: Runner, tip: Tip) -> _Stand | None:
        """Where the books stand, begun where they are new, with every wallet looked for whose time has come.

        None where the node has not yet come to the first block that any wallet is looked for in.
        """
        if not self._kept:
            await run(lambda: self._keep(db))
            self._kept = True
        stand = await run(lambda: self._read_stand(db))
        if stand is None:
            bottom = min((wallet.birth_height or 1 for wallet in self._wallets), default=tip.height + 1) - 1
            begin_hash = await node.block_hash(bottom)
            if begin_hash is None:
                return None
            await run(partial(self._begin, db, bottom, begin_hash))
            stand = _Stand(bottom, begin_hash, bottom, None, self._wallets)
        for wallet in stand.unopened:
            await self._open(node, db, run, stand, wallet)
        return stand

    async def _open(self, node: BitcoinNode, db: Database, run: Runner, stand: _Stand, wallet: WalletFact) -> None:
        """Begin to look for a wallet, above what the books have followed, with what it holds already."""
        first = max(wallet.birth_height or 1, stand.height + 1)
        tip = await node.tip()
        if tip.height < first - 1:
            return  # nobody knows yet what it will hold then
        coins = await node.coins(wallet.script) if first > 1 else ()

        def write() -> None:
            with db.begin() as tx:
                open_wallet(tx, self.view, wallet, first, coins=coins, tip=tip, now=self._now())

        await run(write)

    def _keep(self, db: Database) -> None:
        with db.begin() as tx:
            keep_wallets(tx, self._wallets)

    def _read_stand(self, db: Database) -> _Stand | None:
        with db.read() as tx:
            top = followed_top(tx, self.view.chain)
            if top is None:
                return None
            again = get_meta(tx, of_chain(self.view.chain), FOLLOW_AGAIN)
            return _Stand(*top, chain.followed_bottom(tx, self.view.chain), again, tuple(unopened(tx, self._wallets)))

    def _begin(self, db: Database, height: int, block_hash: bytes) -> None:
        with db.begin() as tx:
            chain.begin_at(tx, self.view.chain, height, block_hash)

    async def _fork(self, node: BitcoinNode, db: Database, run: Runner, stand: _Stand) -> int:
        """The highest height at which the books and the node have the same block."""

        async def agrees(height: int) -> bool:
            def read() -> bytes | None:
                with db.read() as tx:
                    return chain.followed_hash(tx, self.view.chain, height)

            return await node.block_hash(height) == await run(read)

        top, bottom = stand.height, stand.bottom
        if await agrees(top):
            return top
        step, low, high = 1, top, top
        while True:
            low = max(bottom, top - step)
            if await agrees(low):
                break
            if low == bottom:
                what = "begins with another genesis block than" if bottom == 0 else f"has another block {bottom} than"
                raise WrongChainError(f"the node's chain {what} the books of this state")
            high, step = low, step * 2
        while high - low > 1:
            middle = (low + high) // 2
            if await agrees(middle):
                low = middle
            else:
                high = middle
        return low

    async def _has_more_work(self, node: BitcoinNode, db: Database, run: Runner, fork: int, tip: Tip) -> bool | None:
        """Whether the node's branch above a fork has more work than the books'; None where it changed meanwhile.

        What was weighed before is not read again, so that a branch which never becomes the heavier one costs a block a block.
        """

        def ours_above() -> int:
            with db.read() as tx:
                return chain.work_above(tx, self.view.chain, fork)

        ours, known = await run(ours_above), self._weighed
        if known is None or known.fork != fork or await node.block_hash(known.height) != known.hash:
            begin_hash = await node.block_hash(fork)
            if begin_hash is None:
                return None
            known = _Weighed(fork, fork, begin_hash, 0)
        for height in range(known.height + 1, tip.height + 1):
            if known.work > ours:
                break
            block_hash = await node.block_hash(height)
            raw = None if block_hash is None else await node.block(block_hash)
            if block_hash is None or raw is None:
                return None
            try:
                header = Header.parse(raw[:HEADER_BYTES])
            except FormatError as error:
                raise NodeAtFaultError(f"the node's block {hash_text(block_hash)} cannot be read: {error}") from error
            work = _work_of(block_hash, header)
            if header.previous_hash != known.hash:
                return None
            known = _Weighed(fork, height, block_hash, known.work + work)
        self._weighed = known
        return known.work > ours

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
                again = get_meta(tx, of_chain(self.view.chain), FOLLOW_AGAIN)
                if again is not None and again > fork:  # one that was told of just now waits for the next call
                    forget_meta(tx, of_chain(self.view.chain), FOLLOW_AGAIN)
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
        previous = chain.followed_hash(tx, self.view.chain, first - 1)
        looked_for = chain.looked_for(tx, self.view.chain)
        for height, (block_hash, raw) in enumerate(batch, first):
            try:
                block = Block.parse(raw)
            except FormatError as error:
                raise NodeAtFaultError(f"the node's block {hash_text(block_hash)} cannot be read: {error}") from error
            _work_of(block_hash, block.header)
            if block.header.previous_hash != previous:
                break
            paid = {wallet.script: wallet for wallet, from_height in looked_for if from_height <= height}
            try:
                chain.connect(tx, self.view, height, block, now=now, paid=paid)
            except chain.ImpossibleBlockError as error:
                raise NodeAtFaultError(f"the node's block {hash_text(block_hash)} can be in no chain: {error}") from error
            previous = block_hash
            taken += 1
        chain.mature(tx, self.view, first + taken - 1, now)
        if previous == tip.hash:
            chain.settle(tx, self.view, tip.height, now)
        return taken

    def _now(self) -> Moment:
        site_ms = self._clock.site_ms()
        return Moment(site_ms, self._clock.wall_ms(), self._quote_at(site_ms))


def _work_of(block_hash: bytes, header: Header) -> int:
    """The work that a block has by its header. Raises NodeAtFaultError where it is another block, or claims more than it has.

    A claim that nobody did the work for would keep every true branch out of the books.
    """
    if header.hash != block_hash:
        raise NodeAtFaultError(f"the node answers for block {hash_text(block_hash)} with another one")
    try:
        target = target_of_bits(header.bits)
    except ValueError as error:
        raise NodeAtFaultError(f"the node's block {hash_text(block_hash)} claims no work that there is: {error}") from error
    if header.hash_number > target:
        raise NodeAtFaultError(f"the node's block {hash_text(block_hash)} does not have the work that it claims")
    return work_of_target(target)
