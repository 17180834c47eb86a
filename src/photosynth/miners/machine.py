"""The door to one machine: the protocol that every driver keeps, and what passes through it."""

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

from msgspec import Meta

Activity = Literal["mining", "sleeping", "unknown"]

MOST_W = 10_000_000
MOST_HS = 10**20
MOST_SHARES = 10**18
HOTTEST_C = 1_000
"""No machine has ten megawatts, a hundred exahash or a thousand degrees: whoever reads so is wrong."""
LONGEST_TEXT = 300
"""Characters of a machine's own words that are kept."""

Watts = Annotated[int, Meta(ge=0, le=MOST_W)]
Instant = Annotated[int, Meta(ge=0, le=1 << 53)]
Words = Annotated[str, Meta(max_length=10 * LONGEST_TEXT)]


class MachineError(Exception):
    """Something went wrong between us and a machine; the message names the machine and says what to do."""

    def __init__(self, machine: str, text: str) -> None:
        super().__init__(f"{machine}: {text}")
        self.machine = machine


class UnreachableError(MachineError):
    """No connection, or no whole answer in time. Try again later."""


class MalformedError(MachineError):
    """It answered, but not in its protocol, or with more than the bound allows."""


class RefusedError(MachineError):
    """It answered properly, and the answer is no."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a machine says it is."""

    model: str
    firmware: str
    serial: str | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class MachineReading:
    """What a machine says of itself at a site time; None is unknown. Power in W, hash rate in hashes per second."""

    at_ms: int
    power_w: int | None
    hash_rate_hs: int | None
    activity: Activity = "unknown"
    temperature_c: int | None = None
    accepted: int | None = None
    rejected: int | None = None
    pool_url: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A machine's answer to a command. That it was accepted proves nothing: read back."""

    accepted: bool
    text: str


class Machine(Protocol):
    """A driver of one machine. Every method raises UnreachableError or MalformedError; none waits without a bound.

    This is what every machine can do; what only some can has a protocol of its own, and a driver of others no such method.
    """

    @property
    def id(self) -> str:
        """The name in the fleet file."""
        ...

    async def read(self, full: bool = False) -> MachineReading:
        """What it does now: power and hash rate; with ``full`` also temperature, pool and what it says it is doing."""
        ...

    async def sleep(self) -> Answer:
        """Stop hashing and draw next to nothing."""
        ...

    async def wake(self) -> Answer:
        """Hash again, at the power last set."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


@runtime_checkable
class TakesPower(Protocol):
    """A machine that can be told how much to draw; any other is switched only."""

    async def set_power(self, watts: int) -> Answer:
        """Draw about so many watts when awake, as near below as its profiles allow."""
        ...


@runtime_checkable
class Identifies(Protocol):
    """A machine that says what it is."""

    async def identify(self) -> Identity:
        """What it is."""
        ...
