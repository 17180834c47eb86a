"""Where a simulated node has its blocks from: the fleet's embedded node, asked through our process, or a chain of its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec

from photosynth.bitcoin.block import Header, assemble_block, merkle_root
from photosynth.bitcoin.coinbase import build_coinbase, with_witness
from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError, Template, Tip
from photosynth.bitcoin.wire import double_sha256
from photosynth.simulation.networks.messages import LONGEST_WAIT_S, MOST_ASKED, Answer, Ask, NewTip

OP_TRUE = b"\x51"
"""Whom the blocks of a chain of its own pay: anybody, as its coins are worth nothing."""
_RETRY_S = 1.0


class Blocks(Protocol):
    """A node's blocks, read only: what of ``BitcoinNode`` a simulated node needs. Raises NodeUnavailableError."""

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        """The best block as soon as it is another than ``known``, or after the time-out as it is."""
        ...

    async def block_hash(self, height: int) -> bytes | None:
        """The hash at a height of the active chain, None past the tip."""
        ...

    async def block(self, block_hash: bytes) -> bytes | None:
        """A whole serialised block, None where it is unknown."""
        ...

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of a block of the active chain, None where it is not in it."""
        ...


class FollowedBlocks:
    """The blocks of another process's node; ``send`` writes one line to it and waits until it has left."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._tip: Tip | None = None
        self._changed = asyncio.Event()
        self._room = asyncio.Semaphore(MOST_ASKED)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last_id = 0

    def take(self, message: NewTip | Answer) -> None:
        """Take in what the other process said."""
        if isinstance(message, NewTip):
            self._tip = Tip(message.height, message.hash, message.time_s)
            self._changed.set()
            self._changed = asyncio.Event()
            return
        waiting = self._waiting.pop(message.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        """The best block as soon as it is another than ``known``, or after the time-out as it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._tip is None or self._tip.hash == known:
                    await self._changed.wait()
        if self._tip is None:
            raise NodeUnavailableError("the followed node has not told its best block yet")
        return self._tip

    async def block_hash(self, height: int) -> bytes | None:
        """The hash at a height of the active chain, None past the tip."""
        return (await self._ask(Ask(0, "block_hash", height=height))).raw

    async def block(self, block_hash: bytes) -> bytes | None:
        """A whole serialised block, None where it is unknown."""
        return (await self._ask(Ask(0, "block", block_hash))).raw

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of a block of the active chain, None where it is not in it."""
        return (await self._ask(Ask(0, "height_of", block_hash))).number

    async def _ask(self, question: Ask) -> Answer:
        async with self._room:
            self._last_id += 1
            number = self._last_id
            waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._waiting[number] = waiting
            try:
                async with asyncio.timeout(LONGEST_WAIT_S):
                    await self._send(msgspec.json.encode(msgspec.structs.replace(question, id=number)) + b"\n")
                    answer = await waiting
            except TimeoutError:
                raise NodeUnavailableError(f"the followed node did not answer within {LONGEST_WAIT_S:g} s") from None
            finally:
                self._waiting.pop(number, None)
        if answer.problem is not None:
            raise NodeUnavailableError(answer.problem)
        return answer


async def open_own_chain(folder: Path) -> BitcoinNode:
    """A chain of their own, on Bitcoin Core's consensus library as the embedded node's is. Raises NodeUnavailableError."""
    from photosynth.bitcoin_node import open_node

    return await open_node(folder, "regtest", payout_scripts=[OP_TRUE])


async def keep_mining(node: BitcoinNode, interval_s: float, log: Callable[[str], None]) -> None:
    """Add a block each interval (wall seconds) until cancelled; what goes wrong is told and tried again."""
    number = 0
    while True:
        await asyncio.sleep(interval_s)
        try:
            verdict = await node.submit_block(solved(await node.template(), number))
        except NodeUnavailableError as error:
            log(f"no block could be added: {error}")
            await asyncio.sleep(_RETRY_S)
        else:
            if not verdict.accepted:
                log(f"a block was refused: {verdict.reason}")
        number += 1


def solved(template: Template, number: int) -> bytes:
    """A block of a template without other transactions, whose nonce meets the network's target (on regtest two tries)."""
    outputs = [(template.coinbase_value_sat, OP_TRUE)]
    parts = build_coinbase(template.height, outputs, template.witness_commitment, b"", 8, tag=b"/simulated/")
    coinbase = parts.with_extranonce((number % 2**64).to_bytes(8, "little"))
    root = merkle_root([double_sha256(coinbase), *(transaction.txid for transaction in template.transactions)])
    for nonce in range(2**32):
        header = Header(template.version, template.previous_hash, root, template.time_s, template.bits, nonce)
        if header.hash_number <= template.network_target:
            others = [transaction.raw for transaction in template.transactions]
            return assemble_block(header.serialise(), with_witness(coinbase), others)
    raise AssertionError("no nonce of 2^32 met regtest's target")
