"""The machines of a fleet file: models by nameplate, groups of like machines, and the bad habits of simulated ones."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from photosynth.fleet.by_name import ByName
from photosynth.miners.driver import MACHINES
from photosynth.settings.part import Part
from photosynth.settings.units import HashRate, Money, PositiveSeconds, PositiveWatts, Seconds, Watts, mistake
from photosynth.settings.values import Address, Id, ListenAddress, Text, WorkerName


class Model(Part):
    """One model of machine by its nameplate."""

    id: Id
    """How groups refer to it."""
    name: Text
    """Name as the maker writes it."""
    hash_rate_hs: HashRate
    """Hash rate at full power."""
    power_w: PositiveWatts
    """Power at the plug at full hash rate."""
    min_power_w: PositiveWatts
    """Lowest power at which it mines."""
    profiles: int = Field(ge=1, le=32)
    """Steps of power between the lowest and the full one."""
    min_on_s: Seconds
    """It stays on at least so long."""
    min_off_s: Seconds
    """It stays off at least so long."""
    ramp_up_s: Seconds
    """From sleep to full power."""
    ramp_down_s: Seconds
    """From full power to sleep."""
    standby_w: Watts
    """Power while it sleeps."""
    start_cost_ueur: Money
    """Wear that one start costs."""

    @model_validator(mode="after")
    def _powers(self) -> "Model":
        if self.min_power_w > self.power_w:
            raise mistake("the lowest power is above the full power", "Write a min_power of at most power", "min_power")
        if self.standby_w >= self.min_power_w:
            raise mistake("standby takes as much as mining", "Write a standby below min_power", "standby")
        return self


class Group(Part):
    """Machines of one model that belong together."""

    id: Id
    """Its name; machines are called after it: hall-a-01, hall-a-02."""
    model: Id
    """Which model."""
    count: int = Field(ge=1, le=1000)
    """How many."""
    party: Id
    """Who owns them."""
    driver: str
    """The dialect in which they take commands."""
    worker: WorkerName = "{machine}"
    """Their name at the pool; {machine}, {group}, {model} and {party} are filled in."""
    addresses: tuple[ListenAddress, ...] = Field(default=(), max_length=1000)
    """Where real machines answer, address and port of each; without it they are simulated. They must mine from there too: who
    brings their name to the pool from another address is counted as a guest, under `NAME@ADDRESS`."""

    @model_validator(mode="after")
    def _addresses(self) -> "Group":
        if self.addresses and len(self.addresses) != self.count:
            raise mistake(
                f"{self.count} machines have {len(self.addresses)} addresses", "Give each machine its address", "addresses"
            )
        return self


DrivenGroup = Annotated[Group, ByName("driver", "driver of machines", MACHINES)]
"""A group with what its driver is told."""


class Habit(Part):
    """A real machine's bad habit, given to a simulated one, so that the system has something to name."""

    machine: Id
    """Which machine, like hall-b-07."""
    habit: Literal["ignores_power_limit", "says_ok_does_nothing", "drops_out"]
    """What it does wrong."""
    every_s: PositiveSeconds | None = None
    """How often it drops out."""
    for_s: PositiveSeconds | None = None
    """How long it stays away."""

    @model_validator(mode="after")
    def _times(self) -> "Habit":
        drops = self.habit == "drops_out"
        if drops and (self.every_s is None or self.for_s is None):
            raise mistake("drops_out needs to know how often and how long", "Add `every: 1800 s, for: 240 s`")
        if not drops and (self.every_s is not None or self.for_s is not None):
            raise mistake(f"{self.habit} has no times", "Remove `every` and `for`", "every" if self.every_s else "for")
        if self.every_s is not None and self.for_s is not None and self.for_s >= self.every_s:
            raise mistake("it would never be there", "Write a `for` shorter than `every`", "for")
        return self


class Machines(Part):
    """All machines of the site."""

    models: tuple[Model, ...] = Field(min_length=1, max_length=200)
    """The models."""
    groups: tuple[DrivenGroup, ...] = Field(min_length=1, max_length=200)
    """The groups."""
    habits: tuple[Habit, ...] = Field(default=(), max_length=1000)
    """Bad habits of simulated machines."""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """One machine as declared: where it stands, whose it is, how it is spoken to. ``address`` None means simulated.

    ``settings`` are its driver's, which are also its group."""

    id: str
    group: str
    model: Model
    party: str
    driver: str
    settings: Part
    worker: str
    address: Address | None
    habit: Habit | None


def machine_ids(group_id: str, count: int) -> list[str]:
    """The names of a group's machines: hall-a-01 to hall-a-36, as wide as the last needs, at least two digits."""
    width = max(2, len(str(count)))
    return [f"{group_id}-{number:0{width}}" for number in range(1, count + 1)]


def specs(machines: Machines) -> tuple[MachineSpec, ...]:
    """Every machine in the file's order."""
    models = {model.id: model for model in machines.models}
    habits = {habit.machine: habit for habit in machines.habits}
    found = []
    for group in machines.groups:
        for position, machine in enumerate(machine_ids(group.id, group.count)):
            names = {"machine": machine, "group": group.id, "model": group.model, "party": group.party}
            address = group.addresses[position] if group.addresses else None
            found.append(
                MachineSpec(
                    machine,
                    group.id,
                    models[group.model],
                    group.party,
                    group.driver,
                    group,
                    group.worker.format(**names),
                    address,
                    habits.get(machine),
                )
            )
    return tuple(found)
