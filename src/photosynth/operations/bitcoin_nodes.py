"""The fleet's Bitcoin nodes: opened as units, and shared by the pools and books that name them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import BitcoinNode, Coin, NodeHealth, NodeUnavailableError, Template, Tip, Verdict
from photosynth.fleet import Node
from photosynth.operations.supervisor import Unit

T = TypeVar("T")

PASSED_OVER_S = 10.0
"""How long a node that did not answer is passed over, where there is another: each question to it may take its time-out."""


class OpenedNode:
    """A node that answers, as long as it is open."""

    def __init__(self, node: BitcoinNode, genesis_hash: bytes) -> None:
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
    from photosynth.networks.bitcoin.node import BitcoindNode
    from photosynth.networks.bitcoin.rpc import CredentialsFile, UserWithPasswordFile

    how, url = node.credentials, node.endpoints["rpc"]
    assert how is not None, "a node that somebody else runs is declared with its credentials"
    remembered = folder / "demonstration.json"
    if how.cookie_file is not None:
        return BitcoindNode(url, CredentialsFile(how.cookie_file), demonstration, name=node.id, state_file=remembered)
    assert how.user is not None
    assert how.password_file is not None
    credentials = UserWithPasswordFile(how.user, how.password_file)
    return BitcoindNode(url, credentials, demonstration, name=node.id, state_file=remembered)


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


class NodeChoice:
    """Some nodes of one chain in order of preference, as one; satisfies ``bitcoin.node.BitcoinNode``.

    The first that answers is asked. It is there whether any of them is open or not: then it is unavailable.
    """

    def __init__(self, nodes: Mapping[str, Unit[OpenedNode]]) -> None:
        self._nodes = dict(nodes)
        self._silent_until_s: dict[str, float] = {}
        self._told: set[asyncio.Task[Verdict]] = set()

    @property
    def genesis_hash(self) -> bytes:
        """The hash of the chain's first block. Raises NodeUnavailableError."""
        for unit in self._nodes.values():
            if unit.service is not None:
                return unit.service.genesis_hash
        raise NodeUnavailableError(self._none_open())

    def serving(self) -> str | None:
        """The node that would be asked now, None where none is open."""
        return next((name for name in self._in_order() if self._nodes[name].service is not None), None)

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

    async def submit_block(self, raw: bytes) -> Verdict:
        """Hand over a block: the verdict is the preferred node's, and the others get it as well."""
        asked = self.serving()
        verdict = await self._ask(lambda node: node.submit_block(raw))
        for name, unit in self._nodes.items():
            if name != asked and unit.service is not None:
                task = asyncio.ensure_future(unit.service.node.submit_block(raw))
                self._told.add(task)
                task.add_done_callback(self._heard)
        return verdict

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

    @property
    def coins_by_index(self) -> bool:
        """Whether every node that may be asked finds coins by an index."""
        return all(unit.service.node.coins_by_index for unit in self._nodes.values() if unit.service is not None)

    async def coin_value(self, txid: bytes, index: int) -> int | None:
        """Satoshis of one unspent output of the active chain, None where there is none: it was never made, or is spent."""
        return await self._ask(lambda node: node.coin_value(txid, index))

    async def close(self) -> None:
        """Nothing is held: the nodes are the fleet's."""

    async def _ask(self, question: Callable[[BitcoinNode], Awaitable[T]]) -> T:
        """The first answer. Raises NodeUnavailableError where nobody answers."""
        faults: list[str] = []
        for name in self._in_order():
            opened = self._nodes[name].service
            if opened is None:
                continue
            try:
                answer = await question(opened.node)
            except NodeUnavailableError as error:
                faults.append(str(error))
                self._silent_until_s[name] = asyncio.get_running_loop().time() + PASSED_OVER_S
            else:
                self._silent_until_s.pop(name, None)
                return answer
        raise NodeUnavailableError("; ".join(faults) or self._none_open())

    def _in_order(self) -> list[str]:
        """The nodes as they are asked: in order of preference, those that were silent a moment ago last."""
        now_s = asyncio.get_running_loop().time()
        return sorted(self._nodes, key=lambda name: self._silent_until_s.get(name, 0.0) > now_s)

    def _none_open(self) -> str:
        said = [f"{name}: {unit.fault or 'it is not open yet'}" for name, unit in self._nodes.items()]
        return f"no Bitcoin node is open ({'; '.join(said)})"

    def _heard(self, task: "asyncio.Task[Verdict]") -> None:
        self._told.discard(task)
        if not task.cancelled():
            task.exception()  # whoever has the block needs it not, and whoever is silent gets it from others
