"""The words that every network's package is written in: what a network is, recipes, and values that a node may not have told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal, Protocol

from photosynth.quantities.assets import Asset
from photosynth.registry import Tier


class Unknown(Enum):
    """The value of an observation that was not answered; never zero, never healthy."""

    UNKNOWN = "unknown"


UNKNOWN: Literal[Unknown.UNKNOWN] = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of a node's command line, and why it is set. ``value`` may hold {placeholders} of the recipe."""

    name: str
    value: str
    reason: str

    def argument(self, **places: str | int) -> str:
        """The argument with its placeholders filled in. Raises KeyError where one is missing."""
        return f"{self.name}={self.value.format_map(places)}" if self.value else self.name


@dataclass(frozen=True, slots=True)
class Port:
    """A port that the software listens on, and whom it is for."""

    name: str
    number: int
    public: bool
    purpose: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder that outlives the process: what is in it, how much it needs (bytes), and whether losing it loses value."""

    name: str
    path: str
    size_bytes: int
    precious: bool
    purpose: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a node's software is run: command, flags, ports, volumes, health and upgrades, versioned together."""

    name: str
    version: int
    software: str
    tested: tuple[str, ...]
    program: str
    flags: tuple[Flag, ...]
    ports: tuple[Port, ...]
    volumes: tuple[Volume, ...]
    health: tuple[str, ...]
    stop_timeout_s: int
    upgrade_notes: tuple[str, ...]

    def command(self, **places: str | int) -> list[str]:
        """The whole command line with its placeholders filled in. Raises KeyError where one is missing."""
        return [self.program, *(flag.argument(**places) for flag in self.flags)]


Run = Literal["embedded", "process", "external", "simulated"]
"""How a node comes to run: inside this program, as its child process, by somebody else, or as a model of one."""
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is wrong with a node: of which kind, how urgent, what was seen, and what to do about it."""

    kind: str
    severity: Severity
    summary: str
    evidence: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Report:
    """One look at a node: when (wall milliseconds since the epoch), what it told of itself, and what is wrong with that.

    ``problem`` says why it did not answer; then nothing else was told. None is a value that it did not tell.
    ``alive`` is a node with a problem that answered nevertheless, like one that still starts: it does not hang.
    """

    at_ms: int
    problem: str | None = None
    head: int | None = None
    peers: int | None = None
    version: str | None = None
    judgements: tuple[Judgement, ...] = ()
    alive: bool = False


class Probe(Protocol):
    """Looks at one node again and again."""

    async def look(self, now_ms: int) -> Report:
        """One look, which never raises for what the node does: a silent node is a report with its problem."""
        ...

    async def close(self) -> None:
        """Let its connections go; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """How a node is spoken to: its chain, its addresses by name, and the files that let us in."""

    name: str
    chain: str
    endpoints: Mapping[str, str]
    cookie_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a child process of a node shall live: its program, its folder, its ports, and what it is told beside its recipe."""

    name: str
    chain: str
    program: Path
    data: Path
    ports: Mapping[str, int]
    flags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """How a child process is started, how long it may take to end (seconds), and how it is spoken to once it runs."""

    arguments: tuple[str, ...]
    stop_s: int
    access: Access


DutyState = Literal["DONE", "LATE", "MISSED", "UNKNOWN"]
"""What became of something that a network expected; UNKNOWN is not MISSED."""
IncomeState = Literal["accrued", "claimed", "received"]
"""How far a payment has come: owed by the network, asked for, or in one's own wallet."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something that a network expects of a node at a time: its kind in the network's word, and what became of it.

    ``position`` is where on the chain it belongs (an epoch, a slot, a round), ``cause`` why it is late or missed, where known.
    """

    id: str
    kind: str
    position: str
    due_ms: int
    state: DutyState
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of a posting: the account by its code, and on which side the amount stands."""

    account: str
    side: Literal["debit", "credit"]


@dataclass(frozen=True, slots=True)
class PostingRule:
    """How the books write that a payment has reached a state: as data, so that no network's package writes into the journal.

    The legs of both sides must be there; each gets the event's whole amount in its asset.
    """

    state: IncomeState
    legs: tuple[Leg, ...]
    text: str

    def balanced(self) -> bool:
        """Whether what it debits is what it credits."""
        sides = [leg.side for leg in self.legs]
        return sides.count("debit") == sides.count("credit") > 0


@dataclass(frozen=True, slots=True)
class IncomeKind:
    """One way in which a network pays: in which asset, by its code, and how each state of it is booked."""

    name: str
    title: str
    asset: str
    postings: tuple[PostingRule, ...]


@dataclass(frozen=True, slots=True)
class IncomeEvent:
    """What a network paid: of which kind, how much in base units of an asset, how far it has come, and where on its chain.

    ``id`` is the same whenever the same payment is seen again, on every node of its chain, so that it is booked once a state.
    ``amount`` is of any size, and negative where the network took something away. ``time_ms`` is the network's time, as the
    fleet's clock counts it; ``height`` is where on the chain it reached this state, as a number that grows (a block, a slot,
    a round), and ``position`` the same in the network's words. ``paid_to`` is the address that it goes to, as a wallet of the
    fleet file has it, None where the network has not said so yet.
    """

    id: str
    kind: str
    asset: str
    amount: int
    state: IncomeState
    time_ms: int
    height: int
    position: str
    paid_to: str | None = None
    validator: str | None = None


@dataclass(frozen=True, slots=True)
class IncomePage:
    """All that a network paid at the heights from ``first`` to ``last``, both included, as far as a node knows.

    What was told of these heights before and is not among ``events`` has vanished, as by a reorganisation: whoever reads what
    is not final goes back to where the chain still is what it was. ``cursor`` is where the next page begins, in the package's
    own words; ``more`` is whether there is one already.
    """

    first: int
    last: int
    events: tuple[IncomeEvent, ...]
    cursor: str
    more: bool = False


class IncomeReader(Protocol):
    """Reads what a network pays for one node, page by page."""

    async def read(self, cursor: str | None) -> IncomePage:
        """The page that begins at a cursor, None at the beginning. Raises where the node does not answer; it is asked again."""
        ...

    async def close(self) -> None:
        """Let its connections go; safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class Deadline:
    """Something that a network's nodes must be ready for: at a height of a chain or at a time; at neither where it has come.

    ``source`` says who says so.
    """

    id: str
    what: str
    source: str
    chain: str | None = None
    height: int | None = None
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """What a node of a network may be for: how it can run here, where it is spoken to, and how it is looked at and started.

    ``endpoints`` are the names of the addresses that a node run by somebody else is reached at, each with what it is;
    ``ports`` the names of those that it may be given, each with its usual number by chain.
    """

    runs: tuple[Run, ...]
    endpoints: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    probe: Callable[[Access], Probe] | None = None
    income: Callable[[Access], IncomeReader] | None = None
    command: Callable[[Place], Command] | None = None
    recipe: Callable[[], Recipe] | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A network as its folder announces it: what a fleet file may say of its nodes.

    ``embedded`` names the chains that the embedded node serves, ``simulated`` those that a model of a node can be of;
    ``private`` those that everybody makes for himself, so that two nodes of one need not have the same blocks.
    ``income`` is empty where a network pays no node for being one; ``assets`` are those that it pays in and that no other
    network has declared.
    """

    name: str
    title: str
    chains: tuple[str, ...]
    roles: Mapping[str, Role]
    embedded: tuple[str, ...] = ()
    simulated: tuple[str, ...] = ()
    tier: Tier = "specification"
    income: tuple[IncomeKind, ...] = ()
    assets: tuple[Asset, ...] = ()
    deadlines: tuple[Deadline, ...] = ()
    private: tuple[str, ...] = ()
