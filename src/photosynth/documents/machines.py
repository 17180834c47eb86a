"""Workers, machines, and the curve of the day."""

from typing import Literal

from pydantic import Field

from photosynth.documents.base import BigCount, Document
from photosynth.documents.status import Condition


class WorkerDocument(Document):
    """One worker of the pool over the life of the state."""

    site: str
    """Whose pool it mines at."""
    name: str
    """As the miner gave it."""
    party: str | None
    """Whose declared machine it is; null for a guest, and for every worker of a stopped site, which does not tell."""
    scale: BigCount = Field(description="hashes that one real hash stands for; a guest's is 1")
    connected: bool
    """Whether it is connected now."""
    difficulty: float | None
    """Of its shares now."""
    shares_accepted: int
    """Accepted shares."""
    rejected_by_cause: dict[str, int]
    """Rejected shares by cause."""
    work_hashes: BigCount
    represented_hashes: BigCount
    last_share_wall_ms: int | None
    """Machine's own time of its last accepted share."""
    user_agent: str | None
    """The miner's software, as it says."""


class WorkersDocument(Document):
    """`photosynth workers --json` and `GET /api/v1/workers`."""

    running: bool
    """Whether the system runs, or this is its state as it was left."""
    workers: list[WorkerDocument]
    """Every worker that ever mined here."""


class MachineDocument(Document):
    """One machine with what it was told, what it does, and why."""

    id: str
    """Its name in the fleet file, unique in its site."""
    site: str
    """Where it stands."""
    group: str
    """Its group."""
    model: str
    """Its model's name."""
    party: str
    """Who owns it."""
    driver: str
    """The dialect in which it is told."""
    address: str
    """Host and port of its API."""
    worker: str
    """Its name at the pool."""
    state: Literal["running", "starting", "stopping", "sleeping", "unreachable", "faulty", "unknown"]
    """What it does, as reading back shows."""
    power_w: int | None
    """As it says."""
    hash_rate_hs: BigCount | None
    """As it says, hashes per second."""
    commanded_w: int | None
    """What it was told last; 0 is asleep, none where it was never told anything."""
    commanded_ms: int | None
    """Site time when it was told that."""
    commanded_result: Literal["planned", "done", "refused", "failed", "unverified"] | None
    """What came of it: planned while its proof is awaited, failed where it was not taken, unverified where nothing showed it."""
    reason: str = Field(description="why it runs or sleeps, in a sentence")
    temperature_c: int | None
    """Of its chips, degrees Celsius."""
    observed_ms: int | None
    """Site time of the last reading."""
    state_since_ms: int | None
    """Site time since when it does that."""
    starts: int
    """How often it was started."""
    accepted: int
    """Shares accepted by the pool."""
    rejected: int
    """Shares rejected by the pool."""
    last_share_wall_ms: int | None
    """Machine's own time of its last accepted share."""
    strike_cent_per_mwh: int
    """The value of a megawatt-hour in it at full power."""
    conditions: list[Condition]
    """What is wrong with it."""


class DayPoint(Document):
    """One point of a site's curve of the day: powers in watts, price in cent/MWh; None where nothing was observed."""

    time_ms: int
    """Site time."""
    generation_w: int | None
    """What the sources made."""
    load_w: int | None
    """The factory without mining."""
    surplus_w: int | None
    """Generation less load."""
    set_point_w: int | None
    """What mining should draw."""
    mining_power_w: int | None
    """What mining drew."""
    grid_w: int | None
    """Import positive."""
    spot_cent_per_mwh: int | None
    """Spot price."""
