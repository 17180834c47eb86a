"""The fleet's Bitcoin nodes: opened as units, and shared by the pools and books that name them."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import BitcoinNode, Coin, NodeHealth, NodeUnavailableError, Template, Tip, Verdict
from photosynth.fleet import Node
from photosynth.networks.grammar import Access
from photosynth.operations.node_access import access_of
from photosynth.operations.supervisor import Unit

T = TypeVar("T")

PATIENCE_S = 3.0
"""A node that takes longer over a question is asked whether it is there at all, and given so long for that, too."""
LOOK_AGAIN_S = 10.0
"""How often a node that did not answer is asked whether it does again; until then the others are asked first."""


class OpenedNode:
    """A node as long as it is open; ``genesis_hash`` is its chain's first block, None of one that was not asked for it."""

    def __init__(self, node: BitcoinNode, genesis_hash: bytes | None) -> None:
        self.node, self.genesis_hash = node, genesis_hash

    async def run(self) -> None:
        """It lives by itself."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let it go; what is inside this program writes everything down."""
        await self.node.close()


async def open_bitcoin_node(
    node: Node, folder: Path, payout_scripts: Sequence[bytes], demonstration: DemonstrationTarget | None
) -> BitcoinNode:
    """Open a node of the fleet file with its data in a folder. Raises NodeUnavailableError with what to do, OSError."""
    await asyncio.to_thread(folder.mkdir, 0o700, parents=True, exist_ok=True)
    if node.run == "embedded":
        from photosynth.bitcoin_node import open_node

        return await open_node(folder, node.chain, payout_scripts=payout_scripts, demonstration=demonstration)
    access = access_of(node, folder.parent)
    if access is None:
        raise NodeUnavailableError(f"{node.id} is a model of a node, which nobody can mine on; name a real one")
    return bitcoind(access, demonstration, folder / "demonstration.json")


def bitcoind(access: Access, demonstration: DemonstrationTarget | None = None, remembered: Path | None = None) -> BitcoinNode:
    """A bitcoind through its JSON-RPC, whether it answers or not. Raises NodeUnavailableError where nothing lets us in."""
    from photosynth.networks.bitcoin.node import BitcoindNode
    from photosynth.networks.bitcoin.rpc import credentials_of

    try:
        credentials = credentials_of(access)
    except ValueError as error:
        raise NodeUnavailableError(str(error)) from error
    return BitcoindNode(access.endpoints["rpc"], credentials, demonstration, name=access.name, state_file=remembered)


async def answering(node: BitcoinNode) -> OpenedNode:
    """A node once it answers. Raises NodeUnavailableError, and closes it then."""
    try:
        genesis_hash = await node.block_hash(0)
        if genesis_hash is None:
            raise NodeUnavailableError("the Bitcoin node knows no genesis block; let it finish its start and try again")
    except BaseException:
        await node.close()
        raise
    return OpenedNode(node, genesis_hash)


class _Questions:
    """The questions to a node, however they are put; with what follows a ``bitcoin.node.BitcoinNode``."""

    async def _ask(self, question: Callable[[BitcoinNode], Awaitable[T]]) -> T:
        """Put one. Raises NodeUnavailableError where nobody answers."""
        raise NotImplementedError

    async def health(self) -> NodeHealth:
        """What the node says of itself now."""
        return await self._ask(lambda node: node.health())

    async def tip(self) -> Tip:
        """The best block now."""
        return await self._ask(lambda node: node.tip())

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        """The best block as soon as it is another than ``known``, or after the time-out as it is."""
        return await self._ask(lambda node: node.wait_for_tip(known, timeout_s))

    async def template(self, long_poll_id: str | None = None) -> Template:
        """A template for the next block; with an id, as soon as it differs from that one."""
        return await self._ask(lambda node: node.template(long_poll_id))

    async def block_hash(self, height: int) -> bytes | None:
        """The hash at a height of the active chain, None past the tip."""
        return await self._ask(lambda node: node.block_hash(height))

    async def block(self, block_hash: bytes) -> bytes | None:
        """A whole serialised block of any branch, None where it is unknown."""
        return await self._ask(lambda node: node.block(block_hash))

    async def height_of(self, block_hash: bytes) -> int | None:
        """The height of a block of the active chain, None where it is not in it."""
        return await self._ask(lambda node: node.height_of(block_hash))

    async def coins(self, script: bytes) -> tuple[Coin, ...]:
        """All unspent outputs that pay exactly this output script, immature ones included."""
        return await self._ask(lambda node: node.coins(script))

    async def coin_value(self, txid: bytes, index: int) -> int | None:
        """Satoshis of one unspent output of the active chain, None where there is none: it was never made, or is spent."""
        return await self._ask(lambda node: node.coin_value(txid, index))

    async def close(self) -> None:
        """Nothing is held: the nodes are the fleet's."""


class OneOfThem(_Questions):
    """One of several nodes alone, which holds nobody up either: what is read of it is of one chain."""

    def __init__(self, choice: "NodeChoice", name: str, opened: OpenedNode) -> None:
        self.name = name
        self._choice, self._opened = choice, opened

    async def submit_block(self, raw: bytes) -> Verdict:
        """Hand over a block."""
        return await self._ask(lambda node: node.submit_block(raw))

    @property
    def coins_by_index(self) -> bool:
        """Whether it finds coins by an index."""
        return self._opened.node.coins_by_index

    async def _ask(self, question: Callable[[BitcoinNode], Awaitable[T]]) -> T:
        return await self._choice.ask_one(self.name, self._opened, question)


class NodeChoice(_Questions):
    """Some nodes of one chain in order of preference, as one; satisfies ``bitcoin.node.BitcoinNode``.

    The first that answers is asked. One that does not is passed over until it does again, so that a node that takes questions
    and never answers holds up one of them, and none after it. It is there whether any of them is open or not: then it is
    unavailable.
    """

    def __init__(self, nodes: Mapping[str, Unit[OpenedNode]]) -> None:
        self._nodes = dict(nodes)
        self._silent: dict[str, _Silent] = {}
        self._met: dict[str, OpenedNode] = {}
        """Those that were opened without an answer, as they were when they were first looked at."""
        self._left: set[asyncio.Future[Any]] = set()
        """Questions whose answers nobody waits for; each of them ends by the node's own time-outs."""

    @property
    def genesis_hash(self) -> bytes:
        """The hash of the chain's first block. Raises NodeUnavailableError."""
        for unit in self._nodes.values():
            if unit.service is not None and unit.service.genesis_hash is not None:
                return unit.service.genesis_hash
        raise NodeUnavailableError(self._none_open())

    def one_by_one(self) -> "list[OneOfThem]":
        """Each of them that is open and not silent, in the order in which they are asked."""
        opened = [(name, self._nodes[name].service) for name in self._in_order() if name not in self._silent]
        return [OneOfThem(self, name, service) for name, service in opened if service is not None]

    def not_open(self) -> list[str]:
        """Those that are not, and those that do not answer, with why."""
        closed = [(name, unit) for name, unit in self._nodes.items() if unit.service is None]
        silent = [f"{name}: it does not answer" for name in self._silent if self._nodes[name].service is not None]
        return [f"{name}: {unit.fault or 'it is not open yet'}" for name, unit in closed] + silent

    async def submit_block(self, raw: bytes) -> Verdict:
        """Hand over a block to all at once: a block that waits is lost to another one.

        The verdict is the most preferred node's. Where that is late, the first acceptance counts; where nobody accepts it, the
        most preferred answer does.
        """
        opened = {name: unit.service for name in self._in_order() if (unit := self._nodes[name]).service is not None}
        asked = {name: asyncio.ensure_future(found.node.submit_block(raw)) for name, found in opened.items()}
        for task in asked.values():
            self._leave(task)  # whoever ceases to wait does not take the block back
        if not asked:
            raise NodeUnavailableError(self._none_open())
        first, waiting, faults = next(iter(asked)), dict(asked), list[str]()
        late_s = asyncio.get_running_loop().time() + PATIENCE_S
        answers: dict[str, Verdict] = {}
        while waiting:
            left_s = late_s - asyncio.get_running_loop().time()
            await asyncio.wait(waiting.values(), timeout=max(0.0, left_s) if left_s > 0 else None, return_when=FIRST_COMPLETED)
            for name in [name for name, task in waiting.items() if task.done()]:
                try:
                    answers[name] = waiting.pop(name).result()
                except NodeUnavailableError as error:
                    faults.append(str(error))
                    self._passed_over(name, opened[name])
            late = first not in waiting or asyncio.get_running_loop().time() >= late_s
            accepted = next((found for name, found in answers.items() if found.accepted), None)
            if first in answers or (late and accepted is not None):
                break
        if first in answers:
            return answers[first]
        best = [answers[name] for name in asked if name in answers]
        if not best:
            raise NodeUnavailableError("; ".join(faults))
        return next((found for found in best if found.accepted), best[0])

    @property
    def coins_by_index(self) -> bool:
        """Whether every node that may be asked finds coins by an index."""
        return all(unit.service.node.coins_by_index for unit in self._nodes.values() if unit.service is not None)

    async def _ask(self, question: Callable[[BitcoinNode], Awaitable[T]]) -> T:
        """The first answer. Raises NodeUnavailableError where nobody answers.

        Those that were silent are asked where nobody else is left, all at once: there may be many. Whoever answers by then, or is
        opened, comes before them.
        """
        faults, asked, asking = list[str](), set[str](), dict[asyncio.Future[T], str]()
        try:
            while True:
                opened = {n: unit.service for n in self._in_order() if (unit := self._nodes[n]).service is not None}
                left = {name: node for name, node in opened.items() if name not in asked}
                awake = next((name for name in left if name not in self._silent), None)
                if awake is not None:
                    asked.add(awake)
                    try:
                        return await self.ask_one(awake, left[awake], question)
                    except NodeUnavailableError as error:
                        faults.append(str(error))
                    continue
                asking |= {asyncio.ensure_future(self.ask_one(name, node, question)): name for name, node in left.items()}
                asked |= left.keys()
                if not asking:
                    raise NodeUnavailableError("; ".join(faults) or self._none_open())
                done, _ = await asyncio.wait(asking, timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
                for task in sorted(done, key=lambda task: list(self._nodes).index(asking[task])):
                    del asking[task]
                    try:
                        return task.result()
                    except NodeUnavailableError as error:
                        faults.append(str(error))
        finally:
            for task in asking:
                task.cancel()
                self._leave(task)

    async def ask_one(self, name: str, opened: OpenedNode, question: Callable[[BitcoinNode], Awaitable[T]]) -> T:
        """One node's answer; it is passed over where it has none. Raises NodeUnavailableError."""
        try:
            answer = await self._answer(name, opened.node, question)
        except NodeUnavailableError:
            self._passed_over(name, opened)
            raise
        self._silent.pop(name, None)
        return answer

    async def _answer(self, name: str, node: BitcoinNode, question: Callable[[BitcoinNode], Awaitable[T]]) -> T:
        """One node's answer, however long that takes as long as it is there, or nobody else is to be asked."""
        asking = asyncio.ensure_future(question(node))
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=PATIENCE_S)
                if not asking.done() and self._another_than(name) and not await self._is_there(node):
                    raise NodeUnavailableError(f"{name} takes questions and does not answer: is it overloaded or stuck?")
            return asking.result()
        finally:
            if not asking.done():
                asking.cancel()
                self._leave(asking)

    async def _is_there(self, node: BitcoinNode) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await node.tip()
        except (NodeUnavailableError, TimeoutError):
            return False
        return True

    def _another_than(self, name: str) -> bool:
        """Whether somebody else can be asked."""
        return any(
            unit.service is not None and other != name and other not in self._silent for other, unit in self._nodes.items()
        )

    def _in_order(self) -> list[str]:
        """The nodes as they are asked: in order of preference, but those last that did not answer, and do not yet."""
        for name, unit in self._nodes.items():
            if unit.service is not None and unit.service.genesis_hash is None and self._met.get(name) is not unit.service:
                # Nobody has heard of it yet, and it may never answer.
                self._met[name] = unit.service
                self._silent[name] = _Silent(unit.service, asyncio.get_running_loop().time())
        for name in list(self._silent):
            self._look_again(name)
        return sorted(self._nodes, key=lambda name: name in self._silent)

    def _passed_over(self, name: str, opened: OpenedNode) -> None:
        self._silent[name] = _Silent(opened, asyncio.get_running_loop().time() + LOOK_AGAIN_S)

    def _look_again(self, name: str) -> None:
        """Ask one that did not answer whether it does again; nobody waits for that."""
        silent = self._silent[name]
        if self._nodes[name].service is not silent.opened:
            del self._silent[name]  # closed, or opened anew, and it answered to that
            return
        if asyncio.get_running_loop().time() < silent.again_s:
            return
        silent.again_s = asyncio.get_running_loop().time() + LOOK_AGAIN_S

        async def look() -> None:
            if await self._is_there(silent.opened.node) and self._silent.get(name) is silent:
                del self._silent[name]

        self._leave(asyncio.ensure_future(look()))

    def _none_open(self) -> str:
        return f"no Bitcoin node is open ({'; '.join(self.not_open()) or 'there is none'})"

    def _leave(self, task: "asyncio.Future[Any]") -> None:
        """Let a question run to its end."""
        self._left.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Future[Any]") -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # whoever has the block needs it not, and whoever is silent gets it from others


@dataclass(slots=True)
class _Silent:
    """A node that did not answer, as it was opened, and when it is asked again."""

    opened: OpenedNode
    again_s: float
