"""What starts the simulated nodes of a fleet: whoever looks at them meets their API, and cannot tell them from real ones."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from photosynth.bitcoin.node import BitcoinNode, NodeUnavailableError
from photosynth.fleet import Node
from photosynth.networks.grammar import Access
from photosynth.sites.clock import RunningClock


@dataclass(frozen=True, slots=True)
class SimulatedNodes:
    """Simulated nodes that run, a service: how each is spoken to, what tells that they ended by themselves, what ends them."""

    access: Mapping[str, Access]
    ended: Callable[[], Awaitable[str]]
    """Waits for that, and gives what is to be said of it."""
    end: Callable[[], Awaitable[None]]

    async def run(self) -> None:
        """Watch them. Raises NodeUnavailableError where they end by themselves."""
        raise NodeUnavailableError(await self.ended())

    async def close(self) -> None:
        """End them."""
        await self.end()


class OpenSimulatedNodes(Protocol):
    """Opens the simulated nodes of a fleet."""

    async def __call__(
        self, nodes: Sequence[Node], folder: Path, clock: RunningClock, followed: BitcoinNode | None
    ) -> SimulatedNodes:
        """Start them, each with a folder of its own under ``folder``, over the blocks of ``followed``.

        ``followed`` is the fleet's first embedded Bitcoin node; None where it has none, and they run a chain of their own.
        Raises NodeUnavailableError, saying why.
        """
        ...
