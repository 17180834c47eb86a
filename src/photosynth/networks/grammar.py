"""The words that every network's package is written in: what a network is, recipes, and values that a node may not have told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal


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


@dataclass(frozen=True, slots=True)
class Role:
    """What a node of a network may be for: how it can run here, where it is spoken to, and the ports it may be given.

    ``endpoints`` are the names of the addresses that a node run by somebody else is reached at, each with what it is.
    """

    runs: tuple[Run, ...]
    endpoints: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A network as its folder announces it: what a fleet file may say of its nodes.

    ``embedded`` names the chains that the embedded node serves.
    """

    name: str
    title: str
    chains: tuple[str, ...]
    roles: Mapping[str, Role]
    embedded: tuple[str, ...] = ()
