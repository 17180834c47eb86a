"""The driver of a bitcoind: the BitcoinNode protocol over its JSON-RPC.

On a regtest node a demonstration target may be laid over the templates: the driver feeds it with every new tip that it
sees, and its long poll also returns when that target changes by itself.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import UNDECODABLE, Coin, NodeHealth, Template, Tip, Verdict, hash_bytes, hash_text
from photosynth.bitcoin.wire import FormatError, double_sha256
from photosynth.files.whole import write_whole
from photosynth.networks.bitcoin.answers import (
    MALFORMED,
    coins_of,
    hash_of,
    health_of,
    long_poll_id_of,
    satoshis,
    template_of,
    tip_of_header,
)
from photosynth.networks.bitcoin.document import hexadecimal, shown_text, whole_number
from photosynth.networks.bitcoin.longpoll import LongPoll
from photosynth.networks.bitcoin.rpc import (
    DEFAULT_TIMEOUT_S,
    RPC_DESERIALIZATION_ERROR,
    RPC_INVALID_ADDRESS_OR_KEY,
    RPC_INVALID_PARAMETER,
    RPC_MISC_ERROR,
    ConnectionLostError,
    Credentials,
    RpcClient,
    RpcError,
)

TIP_POLL_S = 0.25
LONG_POLL_CHECK_S = 5.0
"""How often a long poll that stays silent is checked against the node's best block."""
SCAN_TIMEOUT_S = 300.0
SCAN_RETRY_S = 0.5
MAX_REASON = 200
TEMPLATE_REQUEST = {"rules": ["segwit"], "capabilities": ["coinbasetxn", "workid", "coinbase/append"]}


class BitcoindNode:
    """A bitcoind at ``url`` (``http://host:port``) as a BitcoinNode; ``name`` is how messages speak of it.

    ``demonstration`` (regtest only) is learnt into from every new tip and, where ``state_file`` is given, kept there.
    ``clock`` tells seconds since the epoch.
    """

    def __init__(
        self,
        url: str,
        auth: Credentials,
        demonstration: DemonstrationTarget | None = None,
        *,
        name: str = "bitcoind",
        state_file: Path | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        clock: Callable[[], float] = time.time,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self._rpc = RpcClient(url, auth, name=name, timeout_s=timeout_s, transport=transport)
        self._demonstration = demonstration
        self._state_file = state_file
        self._clock = clock
        self._warnings: list[str] = []
        self._best: bytes | None = None
        self._tip_changed = asyncio.Event()
        self._long_poll = LongPoll(self._rpc, TEMPLATE_REQUEST)
        self._scan = asyncio.Lock()
        self._chain: str | None = None
        self._restore()

    @property
    def rpc(self) -> RpcClient:
        """The client beneath, for probes of the same node."""
        return self._rpc

    async def health(self) -> NodeHealth:
        """What the node says of itself now."""
        chain, network = await self._rpc.call("getblockchaininfo"), await self._rpc.call("getnetworkinfo")
        tip = await self.tip()
        try:
            return health_of(chain, network, tip, self._warnings)
        except MALFORMED as error:
            raise self._malformed("getblockchaininfo or getnetworkinfo", error) from error

    async def tip(self) -> Tip:
        """The best block now."""
        try:
            tip = tip_of_header(await self._rpc.call("getblockheader", hash_text(await self._best_now())))
        except MALFORMED as error:
            raise self._malformed("getblockheader", error) from error
        self._observe(tip.hash)
        return tip

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        """The best block as soon as it is another than ``known``, or after the time-out as it is."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            changed = self._tip_changed
            best = await self._best_hash()
            left = deadline - asyncio.get_running_loop().time()
            if best != known or left <= 0:
                return await self.tip()
            await _changed_or_done(changed, None, min(TIP_POLL_S, left))

    async def template(self, long_poll_id: str | None = None) -> Template:
        """A template for the next block; with an id, as soon as it differs from that one (BIP22 long polling)."""
        await self._check_demonstration()
        state = None if long_poll_id is None else _split(long_poll_id)
        answer: Any = None
        while state is not None and answer is None:
            known_target, known_best, node_id = state
            if known_target != self._demonstration_target() or known_best != self._best:
                break
            poll = self._long_poll.since(node_id)
            await _changed_or_done(self._tip_changed, poll, self._patience_s())
            if poll.done():
                answer = self._long_poll.take(poll)
            elif await self._best_hash() != known_best:
                break
        if answer is None:
            answer = await self._rpc.call("getblocktemplate", TEMPLATE_REQUEST)
        try:
            node_id = long_poll_id_of(answer)
            self._observe(hash_of(answer["previousblockhash"]))
            target = self._demonstration_target()
            return template_of(answer, _join(target, self._best, node_id), target)
        except MALFORMED as error:
            raise self._malformed("getblocktemplate", error) from error

    async def submit_block(self, raw: bytes) -> Verdict:
        """Hand over a whole serialised block and return the node's verdict, bitcoind's reason strings included."""
        text = raw.hex()
        try:
            try:
                reason = await self._rpc.call_once("submitblock", text)
            except ConnectionLostError:
                reason = await self._rpc.call_once("submitblock", text)
                if reason == "duplicate" and await self._best_hash() == double_sha256(raw[:80]):
                    reason = None
        except RpcError as error:
            if error.code != RPC_DESERIALIZATION_ERROR:
                raise
            return UNDECODABLE
        if reason is None:
            self._observe(double_sha256(raw[:80]))
            return Verdict(None)
        try:
            return Verdict(shown_text(reason, MAX_REASON))
        except MALFORMED as error:
            raise self._malformed("submitblock", error) from error

    async def block_hash(self, height: int) -> bytes | None:
        """The hash at a height of the active chain, None past the tip."""
        try:
            return hash_of(await self._rpc.call("getblockhash", height))
        except RpcError as error:
            if error.code == RPC_INVALID_PARAMETER:
                return None
            raise
        except MALFORMED as error:
            raise self._malformed("getblockhash", error) from error

    async def block(self, block_hash: bytes) -> bytes | None:
        """A whole serialised block of any branch, None where it is unknown."""
        try:
            raw = hexadecimal(await self._rpc.call("getblock", hash_text(block_hash), 0))
            if double_sha256(raw[:80]) != block_hash:
                raise ValueError("another block")
            return raw
        except RpcError as error:
            if "pruned" in error.message:
                raise self._rpc.unavailable(f"it has pruned the block {hash_text(block_hash)}: run it with -prune=0") from error
            if error.code in (RPC_INVALID_ADDRESS_OR_KEY, RPC_MISC_ERROR):
                return None
            raise
        except MALFORMED as error:
            raise self._malformed("getblock", error) from error

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of a block of the active chain, None where it is not in it."""
        try:
            header = await self._rpc.call("getblockheader", hash_text(block_hash))
            height = whole_number(header["height"])
            return height if whole_number(header["confirmations"], least=-1) >= 0 else None
        except RpcError as error:
            if error.code == RPC_INVALID_ADDRESS_OR_KEY:
                return None
            raise
        except MALFORMED as error:
            raise self._malformed("getblockheader", error) from error

    @property
    def coins_by_index(self) -> bool:
        """bitcoind has no index of them."""
        return False

    async def coin_value(self, txid: bytes, index: int) -> int | None:
        """Satoshis of one unspent output of the active chain, None where there is none: it was never made, or is spent."""
        answer = await self._rpc.call("gettxout", hash_text(txid), index, False)
        try:
            return None if answer is None else satoshis(answer["value"])
        except MALFORMED as error:
            raise self._malformed("gettxout", error) from error

    async def coins(self, script: bytes) -> tuple[Coin, ...]:
        """All unspent outputs that pay exactly this output script, immature ones included.

        A scan of the whole coin set: milliseconds on a regtest chain, a minute or more on mainnet.
        """
        async with self._scan:
            answer = await self._scan_coins([f"raw({script.hex()})"])
        try:
            return coins_of(answer, script)
        except MALFORMED as error:
            raise self._malformed("scantxoutset", error) from error

    async def close(self) -> None:
        """Release what the node holds; safe to call twice."""
        await self._long_poll.close()
        await self._rpc.close()

    async def _scan_coins(self, descriptors: list[str]) -> Any:
        deadline = asyncio.get_running_loop().time() + SCAN_TIMEOUT_S
        while True:
            try:
                return await self._rpc.call("scantxoutset", "start", descriptors, timeout_s=SCAN_TIMEOUT_S)
            except RpcError as error:
                # The node does one scan at a time; another program's is under way.
                under_way = error.code == RPC_INVALID_PARAMETER and "already in progress" in error.message
                if not under_way or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(SCAN_RETRY_S)

    async def _best_now(self) -> bytes:
        try:
            return hash_of(await self._rpc.call("getbestblockhash"))
        except MALFORMED as error:
            raise self._malformed("getbestblockhash", error) from error

    async def _best_hash(self) -> bytes:
        best = await self._best_now()
        self._observe(best)
        return best

    def _observe(self, best: bytes) -> None:
        """Take note of the node's best block; a new one wakes who waits and teaches the demonstration target."""
        known, self._best = self._best, best
        if known == best:
            return
        self._tip_changed.set()
        self._tip_changed = asyncio.Event()
        if known is None or self._demonstration is None:
            return
        now_s = self._clock()
        target = self._demonstration.target(now_s)
        if int.from_bytes(best, "little") <= target:
            self._demonstration.found(now_s, target)
        else:
            self._demonstration.interrupted(now_s)
        self._keep(self._demonstration)

    def _keep(self, demonstration: DemonstrationTarget) -> None:
        if self._state_file is None:
            return
        try:
            write_whole(self._state_file, demonstration.to_json().encode(), durable=False)
        except OSError as error:
            # The pace is learnt again in a few blocks: no reason to hold up the block that has just come.
            self._warn(f"the demonstration's pace cannot be kept in {self._state_file}: {error.strerror}")

    def _warn(self, warning: str) -> None:
        if warning not in self._warnings:
            self._warnings.append(warning)

    def _restore(self) -> None:
        if self._demonstration is None or self._state_file is None or not self._state_file.exists():
            return
        try:
            self._demonstration.restore(self._state_file.read_text())
        except (OSError, FormatError, UnicodeDecodeError) as error:
            self._warn(f"the demonstration's pace starts anew, {self._state_file} is not readable: {error}")

    async def _check_demonstration(self) -> None:
        if self._demonstration is None or self._chain == "regtest":
            return
        answer = await self._rpc.call("getblockchaininfo")
        try:
            self._chain = shown_text(answer["chain"], 32)
        except MALFORMED as error:
            raise self._malformed("getblockchaininfo", error) from error
        if self._chain != "regtest":
            raise self._rpc.unavailable(
                f"a demonstration is declared and it runs the chain {self._chain}: start it with -regtest, "
                "or remove the demonstration from the fleet file"
            )

    def _demonstration_target(self) -> int | None:
        return None if self._demonstration is None else self._demonstration.target(self._clock())

    def _patience_s(self) -> float:
        now_s = self._clock()
        change_s = None if self._demonstration is None else self._demonstration.next_change_s(now_s)
        return LONG_POLL_CHECK_S if change_s is None else min(LONG_POLL_CHECK_S, max(0.0, change_s - now_s))

    def _malformed(self, method: str, error: Exception) -> Exception:
        return self._rpc.unavailable(
            f"the answer to {method} is not what bitcoind answers ({type(error).__name__}: {str(error)[:200]}); "
            "which software is it?"
        )


async def _changed_or_done(changed: asyncio.Event, poll: asyncio.Task[Any] | None, timeout_s: float) -> None:
    """Wait for the event, for the long poll (which goes on where it is not done), or for the time."""
    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({waiting} if poll is None else {waiting, poll}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _join(target: int | None, best: bytes | None, node_id: str) -> str:
    return f"{'' if target is None else format(target, 'x')}.{'' if best is None else hash_text(best)}.{node_id}"


def _split(long_poll_id: str) -> tuple[int | None, bytes | None, str] | None:
    """Target, best block and the node's own id; None where the id is not one of ours."""
    parts = long_poll_id.split(".", 2)
    try:
        target, best, node_id = parts
        return int(target, 16) if target else None, hash_bytes(best) if best else None, node_id
    except ValueError:
        return None
