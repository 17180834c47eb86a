"""What the process of the simulated networks and ours say to each other: one JSON line each, checked against these types.

Ours begins with :class:`NetworksConfig`, and the child answers :class:`NetworksReady` once everything listens. From then on ours
tells :class:`NewTip`, the newest alone, and answers each :class:`Ask` in its order. Neither side sends more than the other
reads: a tip is not sent before the one before it has left, and no more than ``MOST_ASKED`` questions are open.
"""

from typing import Literal

import msgspec

from photosynth.simulation.world_config import TimeConfig

LONGEST_LINE = 16 << 20
"""A block of 4 MB in base64, and room."""
MOST_ASKED = 8
LONGEST_WAIT_S = 15.0
"""How long an answer may take; longer than a probe looks, so that it is the probe that gives up."""


class HabitConfig(msgspec.Struct, frozen=True):
    """One bad habit of a node; times in seconds of the fleet's clock."""

    habit: Literal["stalls", "falls_silent", "lags", "few_peers"]
    every_s: int = 0
    for_s: int = 0
    blocks: int = 0
    peers: int = 0


class NodeConfig(msgspec.Struct, frozen=True):
    """One simulated node: its chain, the folder with its cookie, its port (0 takes a free one), and its habits."""

    id: str
    network: str
    chain: str
    folder: str
    port: int
    habits: tuple[HabitConfig, ...] = ()


class NetworksConfig(msgspec.Struct, frozen=True):
    """All simulated nodes of a fleet. ``own_chain`` is the folder of a chain of their own, which grows by a block in
    ``block_interval_s`` of the fleet's time; None where they follow the blocks that ours tells of. ``folder`` is the place that
    one such process has."""

    time: TimeConfig
    folder: str
    nodes: tuple[NodeConfig, ...]
    own_chain: str | None = None
    block_interval_s: int = 600


class NetworksReady(msgspec.Struct, frozen=True):
    """What the child says once everything listens: the port of each node, and its own process."""

    ports: dict[str, int]
    pid: int


class NewTip(msgspec.Struct, frozen=True, tag="tip"):
    """The best block of the followed node: hash in the order of the wire."""

    height: int
    hash: bytes
    time_s: int


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """The answer to a question: bytes of a block or a hash, or a height; neither where there is none.

    ``problem`` says why the followed node cannot tell.
    """

    id: int
    raw: bytes | None = None
    number: int | None = None
    problem: str | None = None


ToChild = NewTip | Answer


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """A question to the followed node: the block of a hash, the height of a hash, or the hash at a height."""

    id: int
    what: Literal["block", "height_of", "block_hash"]
    hash: bytes = b""
    height: int = 0
