"""The door to the chains of a running fleet: blocks out of any of its Bitcoin nodes, and into those that may take them."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.fleet import Fleet, Node
from photosynth.operations.bitcoin_nodes import NodeChoice, OpenedNode, bitcoind
from photosynth.operations.node_watch import NodeWatch
from photosynth.operations.supervisor import Unit
from photosynth.operations.view import NAMED, NotKnownError


class ChainDoor:
    """The API's door to the chains of a fleet; satisfies ``api.chain_port.ChainPort``.

    A node inside this program is asked as it is open, any other over its JSON-RPC, as long as somebody asks for it.
    """

    def __init__(self, fleet: Fleet, opened: Mapping[str, Unit[OpenedNode]], watch: NodeWatch) -> None:
        self._nodes = {node.id: node for node in fleet.nodes}
        self._opened, self._watch = opened, watch

    async def blocks(self, from_height: int, node: str | None = None) -> AsyncIterator[bytes]:
        """Serialised blocks of a node's active chain, from a height to the tip, in order; without a name the first one's.

        Raises NotKnownError, and NodeUnavailableError where a block cannot be had, or is no longer on the one given before.
        """
        async with self._open(self._named(node, "give")) as found:
            async for raw in blocks_of(found, from_height):
                yield raw

    def taking(self, node: str | None = None) -> contextlib.AbstractAsyncContextManager[BitcoinNode]:
        """A node that blocks can be handed to, once it answers. Raises NotKnownError, and NodeUnavailableError when entered."""
        found = self._named(node, "take")
        if found.run == "simulated":
            real = [other.id for other in self._bitcoin() if other.run != "simulated"]
            mend = f"hand them to {_listed(real)}" if real else "declare a node that keeps a chain, as `run: embedded`"
            raise NotKnownError(f"{found.id} takes no blocks: it is a model (`run: simulated`) over another node's; {mend}.")
        return self._answering(found)

    def _bitcoin(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.network == "bitcoin"]

    def _named(self, name: str | None, verb: str) -> Node:
        known = self._bitcoin()
        if not known:
            raise NotKnownError(f"This fleet has no Bitcoin node that could {verb} blocks.")
        if name is None:
            return known[0]
        there = f"its Bitcoin nodes are {_listed([node.id for node in known])}"
        found = self._nodes.get(name)
        if found is None:
            raise NotKnownError(f"There is no node {name[:80]!r} in this fleet; {there}.")
        if found.network != "bitcoin":
            raise NotKnownError(f"{found.id} is a node of {found.network} and has no blocks of Bitcoin to {verb}; {there}.")
        return found

    @contextlib.asynccontextmanager
    async def _open(self, node: Node) -> AsyncIterator[BitcoinNode]:
        if node.run == "embedded":
            yield NodeChoice({node.id: self._opened[node.id]})
            return
        access = self._watch.access(node.id)
        if access is None:
            raise NodeUnavailableError(f"{node.id} cannot be spoken to from here")
        opened = bitcoind(access())
        try:
            yield opened
        finally:
            await opened.close()

    @contextlib.asynccontextmanager
    async def _answering(self, node: Node) -> AsyncIterator[BitcoinNode]:
        async with self._open(node) as opened:
            await opened.tip()
            yield opened


async def blocks_of(node: BitcoinNode, from_height: int) -> AsyncIterator[bytes]:
    """Serialised blocks of a node's active chain, from a height to the tip. Raises NodeUnavailableError where that changes."""
    height, before = from_height, b""
    while (block_hash := await node.block_hash(height)) is not None:
        raw = await node.block(block_hash)
        if raw is None:
            raise NodeUnavailableError(f"the node cannot give block {height} of its chain: it may be pruned")
        if before and raw[4:36] != before:
            raise NodeUnavailableError(f"the chain was reorganised at block {height} while it was read: read it again")
        yield raw
        height, before = height + 1, block_hash


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
