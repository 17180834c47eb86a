"""The embedded Bitcoin node: the stored chain behind the ``BitcoinNode`` protocol, for an event loop that never waits.

Whatever changes the chain runs on one thread of the node's own, in order; look-ups read the index and the log beside it.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import Coin, NodeHealth, NodeUnavailableError, Template, Tip, Verdict, hash_text
from photosynth.bitcoin_node.block_log import BlockLogError
from photosynth.bitcoin_node.chain import StartReport, StoredChain
from photosynth.bitcoin_node.coins import IndexDamagedError, spendable
from photosynth.bitcoin_node.intake import Answer
from photosynth.bitcoin_node.kernel import CHAINS, SOFTWARE
from photosynth.bitcoin_node.pacing import Pacing
from photosynth.bitcoin_node.template import MAX_FUTURE_S, MEDIAN_TIME_SPAN, build_template

QUIET_S = 0.5
"""How long no block must come before the library is reopened, which takes up to 0.1 s that a block would wait."""
MOST_IN_GROUP = 32
"""Blocks that are taken in together where so many wait."""
GROUP_BYTES = 4_000_000
"""Bytes after which no more are: what is answered together is judged in half a second."""
_READ_AHEAD = 64


class EmbeddedNode:
    """A Bitcoin node in this process; made by :func:`open_node`."""

    def __init__(self, stored: StoredChain, writer: ThreadPoolExecutor, chain: str, now_s: Callable[[], float]) -> None:
        self._stored = stored
        self._writer = writer
        self._waiting: deque[tuple[bytes, Future[Verdict]]] = deque()
        self._readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="bitcoin-node-read")
        self._chain = chain
        self._now_s = now_s
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._closing = False
        self._reopening: asyncio.TimerHandle | None = None
        self._mending: Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None

    @property
    def start_report(self) -> StartReport:
        """What opening the folder took."""
        return self._stored.report

    def _check(self) -> None:
        if self._closing:
            raise NodeUnavailableError("the embedded Bitcoin node is closed: open it again")

    def _announce(self) -> None:
        """Wake whoever waits for a change; later waiters wait for the next one."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait(self, changed: asyncio.Event, timeout_s: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await changed.wait()

    async def health(self) -> NodeHealth:
        """What the node says of itself now; it has no peers and is as synchronised as what it is given.

        A disk that runs full is warned of before a block does not fit: until then the node is as good as any.
        """
        self._check()
        self._mend_when_possible()
        tip, failures = self._stored.tip, []
        if (failure := self._stored.failure) is not None:
            failures.append(failure)
        if tip.time_s > self._now_s() + MAX_FUTURE_S:
            failures.append("the best block's time is more than two hours ahead of this machine's clock: set the clock")
        warnings = tuple(failures)
        if failure is None and (short := self._stored.short_of_space) is not None:
            warnings += (short,)
        return NodeHealth(SOFTWARE, self._chain, tip, tip.height, 0, not failures, warnings)

    async def tip(self) -> Tip:
        """The best block now."""
        self._check()
        return self._stored.tip

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        """The best block as soon as it is another than ``known``, or after the time-out as it is."""
        self._check()
        deadline = self._loop.time() + timeout_s
        while self._stored.tip.hash == known and (left_s := deadline - self._loop.time()) > 0:
            await self._wait(self._changed, left_s)
            self._check()
        return self._stored.tip

    async def template(self, long_poll_id: str | None = None) -> Template:
        """A template for the next block; with an id, as soon as tip or target differ from what it names.

        Raises NodeUnavailableError on chains other than regtest, which this node does not mine on.
        """
        if self._chain != "regtest":
            raise NodeUnavailableError(f"the embedded node mines on regtest only, not on {self._chain}: use a bitcoind")
        while True:
            self._check()
            if self._stored.failure is not None:
                self._mend_when_possible()
                raise NodeUnavailableError(self._stored.failure)
            changed = self._changed
            template, next_change_s = self._template_now()
            if template.long_poll_id != long_poll_id:
                return template
            # A millisecond more than asked for, because the wall clock is not the one that the loop waits by.
            wait_s = None if next_change_s is None else max(0.0, next_change_s - self._now_s()) + 0.001
            await self._wait(changed, wait_s)

    def _template_now(self) -> tuple[Template, float | None]:
        tip, headers = self._stored.index.last_headers(MEDIAN_TIME_SPAN)
        target, next_change_s = self._stored.pacing.target()
        return build_template(tip, headers, int(self._now_s()), target), next_change_s

    async def submit_block(self, raw: bytes) -> Verdict:
        """Hand over a whole serialised block and return the verdict, with bitcoind's reason where it is refused.

        Bytes that are not exactly one block are ``Block decode failed``, more than 4 MB of them ``bad-blk-length``. Calls that
        wait for each other are judged in their order and taken in as a group, which is cheaper; each has its own verdict.
        Raises NodeUnavailableError where the disk is full: then nothing of the block counts.
        """
        self._check()
        raw = bytes(raw)
        self._stay_open()
        answer: Future[Verdict] = Future()
        self._waiting.append((raw, answer))
        self._writer.submit(self._take_in)
        verdict = await asyncio.wrap_future(answer)
        self._reopen_in_time()
        return verdict

    def _stay_open(self) -> None:
        """A block came, so the library is not reopened for want of one; judging it may take longer than the wait for it."""
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None

    def _reopen_in_time(self) -> None:
        """Have the library write its databases when no block has come for a moment, or when it cannot wait any longer."""
        self._stay_open()
        if self._closing or not self._stored.wants_reopen:
            return
        if self._stored.needs_reopen:
            self._writer.submit(self._reopen)
        else:
            self._reopening = self._loop.call_later(QUIET_S, self._writer.submit, self._reopen)

    def _take_in(self) -> None:
        """Take in a group of what waits; nothing where an earlier turn had it all."""
        group = self._next_group()
        if not group:
            return
        before = self._stored.tip
        try:
            answers: Sequence[Answer | Exception] = self._stored.submit([raw for raw, _ in group])
        except Exception as error:  # noqa: BLE001 - raised again by each of those who wait
            answers = [error] * len(group)
        if self._stored.tip != before or self._stored.failure is not None:
            self._loop.call_soon_threadsafe(self._announce)
        for (_, waiting), answer in zip(group, answers, strict=True):
            if isinstance(answer, Verdict):
                waiting.set_result(answer)
            else:
                waiting.set_exception(answer)

    def _next_group(self) -> list[tuple[bytes, Future[Verdict]]]:
        """The next blocks that wait, without those that nobody waits for any more."""
        group: list[tuple[bytes, Future[Verdict]]] = []
        size = 0
        while self._waiting and len(group) < MOST_IN_GROUP:
            raw, answer = self._waiting[0]
            if group and size + len(raw) > GROUP_BYTES:
                break
            self._waiting.popleft()
            if answer.set_running_or_notify_cancel():
                group.append((raw, answer))
                size += len(raw)
        return group

    def _reopen(self) -> None:
        if not self._stored.wants_reopen:
            return
        try:
            self._stored.reopen()
        except NodeUnavailableError:
            self._loop.call_soon_threadsafe(self._announce)

    def _mend_when_possible(self) -> None:
        """Have the chain go on where a full disk stopped it and there is room again; whoever asks us sets it off."""
        if self._mending is None and self._stored.wants_mending:
            self._mending = self._writer.submit(self._mend)

    def _mend(self) -> None:
        try:
            self._stored.mend()
        except NodeUnavailableError:
            return  # the failure is told to whoever asks
        finally:
            self._mending = None
            self._loop.call_soon_threadsafe(self._announce)

    async def block_hash(self, height: int) -> bytes | None:
        """The hash at a height of the active chain, None past the tip."""
        self._check()
        return self._stored.index.hash_at(height)

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of a block of the active chain, None where it is not in it."""
        self._check()
        entry = self._stored.index.entry(block_hash) if len(block_hash) == 32 else None
        if entry is None or self._stored.index.hash_at(entry.height) != block_hash:
            return None
        return entry.height

    async def block(self, block_hash: bytes) -> bytes | None:
        """A whole serialised block of any branch, None where it is unknown."""
        self._check()
        if len(block_hash) != 32:
            return None
        try:
            return await self._loop.run_in_executor(self._readers, self._stored.read, block_hash)
        except BlockLogError as error:
            self._check()
            copy = await self._loop.run_in_executor(self._writer, self._stored.read_from_kernel, block_hash)
            if copy is None:
                raise NodeUnavailableError(
                    f"block {hash_text(block_hash)} cannot be read: {error}, and the consensus library has no copy of it"
                ) from error
            return copy

    async def blocks(self, from_height: int = 1) -> AsyncIterator[bytes]:
        """The raw blocks of the active chain from a height to the tip, as it is when the first is asked for."""
        self._check()
        hashes = self._stored.index.hashes(from_height)
        for start in range(0, len(hashes), _READ_AHEAD):
            self._check()
            batch = hashes[start : start + _READ_AHEAD]
            for block_hash, raw in await self._loop.run_in_executor(self._readers, self._read_many, batch):
                whole = await self.block(block_hash) if raw is None else raw
                if whole is None:
                    raise NodeUnavailableError(f"block {hash_text(block_hash)} of the active chain cannot be read")
                yield whole

    def _read_many(self, hashes: Sequence[bytes]) -> list[tuple[bytes, bytes | None]]:
        """The blocks of these hashes, None for one that is damaged in the log."""
        found: list[tuple[bytes, bytes | None]] = []
        for block_hash in hashes:
            try:
                found.append((block_hash, self._stored.read(block_hash)))
            except BlockLogError:
                found.append((block_hash, None))
        return found

    async def coins(self, script: bytes) -> tuple[Coin, ...]:
        """All unspent outputs that pay exactly this output script, immature ones included, by height, txid and index."""
        self._check()
        try:
            return await self._loop.run_in_executor(self._readers, self._stored.index.coins.of, script)
        except IndexDamagedError as error:
            raise NodeUnavailableError(
                self._stored.failure or f"the Bitcoin node's index is damaged: {error}. Restart: it is made anew where it must be"
            ) from error

    async def close(self) -> None:
        """Write everything and release the folder; safe to call twice. Waiters get NodeUnavailableError."""
        if self._closed is None:
            self._closing = True
            if self._reopening is not None:
                self._reopening.cancel()
            self._announce()
            self._closed = self._loop.run_in_executor(self._writer, self._close)
            self._writer.shutdown(wait=False)
        await asyncio.shield(self._closed)

    def _close(self) -> None:
        self._readers.shutdown(wait=True)  # the files are not closed under a reader
        self._stored.close()


async def open_node(
    folder: Path,
    chain: str = "regtest",
    *,
    payout_scripts: Sequence[bytes] = (),
    demonstration: DemonstrationTarget | None = None,
    now_s: Callable[[], float] = time.time,
) -> EmbeddedNode:
    """Open the node in a folder, made where it is missing, on ``regtest``, ``signet`` or ``testnet4``.

    ``payout_scripts`` are refused with ValueError where an output with one could never be spent; the index keeps the
    coins of every script, so they need not be complete. ``demonstration`` shapes templates alone, and its state is kept
    in the folder: what was learnt is restored, its interval and declared hash rate are those given here. ``now_s`` is
    the wall clock.
    Raises FolderInUseError where another process has the folder, NodeUnavailableError where it cannot be opened.
    """
    if chain not in CHAINS:
        raise ValueError(f"the embedded node knows the chains {', '.join(CHAINS)}, not {chain}")
    for script in payout_scripts:
        if not script or not spendable(script):
            raise ValueError(f"what is paid to the script {script.hex()[:80]} could never be spent")
    writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bitcoin-node")
    opening = writer.submit(StoredChain, folder, chain, Pacing(demonstration, now_s))
    try:
        stored = await asyncio.wrap_future(opening)
    except asyncio.CancelledError:
        writer.submit(_close_if_opened, opening)
        writer.shutdown(wait=False)
        raise
    except BaseException:
        writer.shutdown(wait=False)
        raise
    return EmbeddedNode(stored, writer, chain, now_s)


def _close_if_opened(opening: Future[StoredChain]) -> None:
    """Let go of a folder whose opener gave up waiting; it has finished, because this runs after it on the same thread."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
