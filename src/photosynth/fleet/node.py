"""The nodes of a fleet: of which network, in which role, how they run, and where they are spoken to."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from photosynth.settings.part import Part
from photosynth.settings.units import CoinPrice, PositiveSeconds, Satoshis, mistake, shown
from photosynth.settings.values import Day, FilePath, Id, RpcUrl

LONGEST_BLOCK_INTERVAL_S = 86_400
"""Seconds that the demonstration's target is steered to at most."""
Port = Annotated[int, Field(ge=1, le=65535)]


class Demonstration(Part):
    """A demonstration's difficulty and money: what the represented work would have earned on mainnet at a date."""

    block_interval_s: PositiveSeconds
    """Site time between blocks that the demonstration difficulty aims at."""
    difficulty: int = Field(ge=1, le=2**63)
    """Mainnet's difficulty at the date, as a whole number."""
    subsidy_sat: Satoshis
    """Mainnet's block subsidy at the date."""
    fees_sat: Satoshis
    """Mean fees of a mainnet block at the date."""
    price_cent_per_btc: CoinPrice
    """Price of a bitcoin at the date."""
    date: Day
    """The date of these figures."""

    @model_validator(mode="after")
    def _paced(self) -> "Demonstration":
        if self.block_interval_s > LONGEST_BLOCK_INTERVAL_S:
            raise mistake("blocks that lie more than a day apart cannot be paced", "Write at most `24 h`", "block_interval")
        return self


class Credentials(Part):
    """How a node lets us in: a cookie file, a user with a password's file, or a token's file. Secrets stay in files."""

    cookie_file: FilePath | None = None
    """bitcoind's cookie file, like ~/.bitcoin/regtest/.cookie."""
    user: str | None = Field(default=None, min_length=1, max_length=100)
    """Name of an RPC user, where no cookie is used."""
    password_file: FilePath | None = None
    """File that holds the user's password and nothing else; readable by you alone."""
    token_file: FilePath | None = None
    """File that holds a token and nothing else; readable by you alone."""

    @model_validator(mode="after")
    def _one_way_in(self) -> "Credentials":
        keys = ("cookie_file", "user", "password_file", "token_file")
        given = [key for key in keys if getattr(self, key) is not None]
        if given not in (["cookie_file"], ["user", "password_file"], ["token_file"]):
            raise mistake(
                "there is more or less than one way to sign in",
                "Give `cookie_file`, or both `user` and `password_file`, or `token_file`",
            )
        return self


NodeHabitName = Literal["stalls", "falls_silent", "lags", "few_peers"]


class NodeHabit(Part):
    """A real node's bad habit, given to a simulated one, so that the system has something to name."""

    habit: NodeHabitName
    """`stalls`: its head stands still while it answers. `falls_silent`: it takes calls and answers none. `lags`: its head is some
    blocks behind. `few_peers`: it has few connections."""
    every_s: PositiveSeconds | None = None
    """How often it stalls or falls silent, in the fleet's time."""
    for_s: PositiveSeconds | None = None
    """How long, in the fleet's time."""
    blocks: int | None = Field(default=None, ge=1, le=1000)
    """How many blocks it lags behind."""
    peers: int | None = Field(default=None, ge=0, le=7)
    """How many connections it has; a node that nothing hinders has 10."""

    @model_validator(mode="after")
    def _fits(self) -> "NodeHabit":
        needed = {"lags": ("blocks",), "few_peers": ("peers",)}.get(self.habit, ("every", "for"))
        given = {"every": self.every_s, "for": self.for_s, "blocks": self.blocks, "peers": self.peers}
        examples = {"every": "every: 8 h", "for": "for: 50 min", "blocks": "blocks: 2", "peers": "peers: 3"}
        for key, value in given.items():
            if key in needed and value is None:
                raise mistake(f"{self.habit} needs `{key}`", f"Add `{', '.join(examples[name] for name in needed)}`")
            if key not in needed and value is not None:
                raise mistake(f"{self.habit} takes no {key}", f"Remove `{key}`", key)
        if self.every_s is not None and self.for_s is not None and self.for_s >= self.every_s:
            raise mistake("it would never be well", "Write a `for` shorter than `every`", "for")
        return self


class Node(Part):
    """One member of a network, in one role."""

    id: Id
    """Its name, once in the fleet."""
    network: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    """Which network, like bitcoin."""
    chain: Annotated[str, Field(min_length=1, max_length=60)]
    """Which of the network's chains, like main or regtest."""
    role: Annotated[str, Field(min_length=1, max_length=60)]
    """What it is for, like full."""
    run: Literal["embedded", "process", "external", "simulated"]
    """Inside this program, as its child process, by somebody else, or as a model of a node."""
    site: Id | None = None
    """The site where it stands, if it stands at one."""
    ports: dict[str, Port] = Field(default={}, max_length=10)
    """The ports that it shall listen on, by name, like `{rpc: 18443, p2p: 18444}`."""
    endpoints: dict[str, RpcUrl] = Field(default={}, max_length=10)
    """Where a node that somebody else runs is spoken to, by name, like `{rpc: http://127.0.0.1:8332}`."""
    credentials: Credentials | None = None
    """How it lets us in."""
    program: FilePath | None = None
    """The program of a node that runs as a child process."""
    data: FilePath | None = None
    """The folder where such a program keeps its data."""
    flags: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """What such a program is told beside what its recipe says."""
    habits: Annotated[tuple[NodeHabit, ...], Field(max_length=10)] = ()
    """Bad habits of a simulated node, each at most once."""
    demonstration: Demonstration | None = None
    """Difficulty and money of a demonstration on Bitcoin's regtest."""

    @model_validator(mode="after")
    def _fits_its_run(self) -> "Node":
        only = {
            "endpoints": "external",
            "credentials": "external",
            "program": "process",
            "data": "process",
            "flags": "process",
            "habits": "simulated",
        }
        for key, run in only.items():
            if getattr(self, key) and self.run != run:
                raise mistake(f"{key} belong to a node with `run: {run}`", f"Remove {key}, or write `run: {run}`", key)
        if self.run == "process" and self.program is None:
            raise mistake("a child process needs its program", "Add `program:` with the path of the node's program")
        names = [habit.habit for habit in self.habits]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise mistake(f"{shown(twice)} is there twice", "Keep one of them", "habits")
        if self.demonstration is not None and (self.network, self.chain) != ("bitcoin", "regtest"):
            mend = "Remove `demonstration`, or write `chain: regtest`"
            raise mistake("a demonstration runs on Bitcoin's regtest alone", mend, "demonstration")
        return self
