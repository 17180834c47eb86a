"""The simulated nodes of a fleet file: one child process for all of them, met through the real nodes' API."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.fleet import Node
from photosynth.networks.grammar import Access
from photosynth.operations.simulated_nodes import SimulatedNodes
from photosynth.simulation.networks.messages import HabitConfig, NetworksConfig, NodeConfig
from photosynth.simulation.networks.process import NetworksError, NetworksProcess
from photosynth.simulation.world_config import TimeConfig
from photosynth.sites.clock import RunningClock

OWN_CHAIN = "simulated-chain"
"""The folder beside the nodes' own where the chain lies that they have where there is no node to follow."""
PROCESS = "simulated-nodes"
"""The folder beside the nodes' own where their process notes who it is."""


def networks_config(
    nodes: Sequence[Node], folder: Path, clock: RunningClock, listened: Mapping[str, int], *, own_chain: bool
) -> NetworksConfig:
    """What the process of the simulated networks is told of a fleet's nodes."""
    interval_s = next((node.demonstration.block_interval_s for node in nodes if node.demonstration is not None), 600)
    return NetworksConfig(
        time=TimeConfig.of(clock.time),
        folder=str(folder / PROCESS),
        nodes=tuple(
            NodeConfig(node.id, node.network, node.chain, str(folder / node.id), _port(node, listened), _habits(node))
            for node in nodes
        ),
        own_chain=str(folder / OWN_CHAIN) if own_chain else None,
        block_interval_s=interval_s,
    )


def _port(node: Node, listened: Mapping[str, int]) -> int:
    return node.ports.get("rpc", listened.get(node.id, 0))


def _habits(node: Node) -> tuple[HabitConfig, ...]:
    return tuple(
        HabitConfig(item.habit, item.every_s or 0, item.for_s or 0, item.blocks or 0, item.peers or 0) for item in node.habits
    )


class StartSimulatedNodes:
    """Starts them; satisfies ``operations.simulated_nodes.OpenSimulatedNodes``."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._ports: dict[str, int] = {}
        """Where they listened: whoever looks at them finds them there again."""

    async def __call__(
        self, nodes: Sequence[Node], folder: Path, clock: RunningClock, followed: BitcoinNode | None
    ) -> SimulatedNodes:
        """Start the process and wait until every node listens. Raises NodeUnavailableError."""
        config = networks_config(nodes, folder, clock, self._ports, own_chain=followed is None)
        try:
            process = await NetworksProcess.start(config, followed, log=self._log)
        except NetworksError as error:
            raise NodeUnavailableError(str(error)) from error
        ports = process.ready.ports
        self._ports.update(ports)
        access = {
            node.id: Access(
                name=node.id,
                chain=node.chain,
                endpoints={"rpc": f"http://127.0.0.1:{ports[node.id]}"},
                cookie_file=folder / node.id / ".cookie",
            )
            for node in nodes
        }

        async def ended() -> str:
            return f"the process of the simulated nodes ended with code {await process.wait()}"

        return SimulatedNodes(access, ended, process.stop)
