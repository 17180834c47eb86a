"""The documents of the fleet's nodes: what each says of itself, how old that is, and what is wrong with it. Wall time."""

from typing import Literal

from photosynth.documents.base import Document

NodeState = Literal["healthy", "degraded", "down", "unknown"]


class NodeCondition(Document):
    """A judgement over what was seen of a node, with what to do."""

    kind: str
    """Which kind of fault."""
    severity: Literal["info", "warning", "critical"]
    """How urgent."""
    summary: str
    """What is wrong, in a sentence."""
    evidence: str
    """What was seen."""
    runbook: str
    """What to do."""
    since_ms: int
    """Since when."""


class ProcessDocument(Document):
    """The child process of a node that runs here."""

    pid: int
    """Its process id."""
    started_ms: int
    """Since when it runs."""
    restarts: int
    """How often it was started anew since the system runs."""


class NodeDocument(Document):
    """One node of the fleet."""

    id: str
    """In the fleet file."""
    network: str
    """Of which network."""
    chain: str
    """Of which of its chains."""
    role: str
    """What it is for."""
    site: str | None
    """Where it stands."""
    run: str
    """How it runs: embedded, process, external or simulated."""
    state: NodeState
    """Down stopped answering, unknown never answered; degraded answers and something is wrong."""
    head: int | None
    """Its newest block, as it said last; null where it never answered."""
    lag: int | None
    """Blocks behind the best head known on its chain; null where its own is unknown."""
    peers: int | None
    """Connected nodes."""
    version: str | None
    """Its software, as it says."""
    observed_ms: int | None
    """When it answered last."""
    conditions: list[NodeCondition]
    """What is wrong, the gravest first."""
    process: ProcessDocument | None
    """Its process, where it is our child and runs."""


class NodesStatus(Document):
    """How many nodes of the fleet are in which state."""

    healthy: int
    """They answer, and nothing is wrong."""
    degraded: int
    """They answer, and something is wrong."""
    down: int
    """They stopped answering."""
    unknown: int
    """They never answered."""
