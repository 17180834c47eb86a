"""What the world process is told when it starts: one JSON line, checked against these types."""

from typing import Any, Literal

import msgspec

from photosynth.energy.meters import MeterSpec
from photosynth.miners.model import MachineModel
from photosynth.quantities.balance import MeterRole
from photosynth.quantities.instants import ScaledTime
from photosynth.simulation.asics import AsicSpec
from photosynth.simulation.habits import Habit


class TimeConfig(msgspec.Struct, frozen=True):
    """The anchor of site time, which every process of the site shares (CLOCK_MONOTONIC)."""

    anchor_site_ms: int
    anchor_monotonic_ns: int
    speed_milli: int
    end_ms: int | None = None

    @classmethod
    def of(cls, time: ScaledTime) -> "TimeConfig":
        """The anchor of a running clock."""
        return cls(time.anchor_site_ms, time.anchor_monotonic_ns, time.speed_milli, time.end_ms)

    def scaled(self) -> ScaledTime:
        """The clock itself."""
        return ScaledTime(self.anchor_site_ms, self.anchor_monotonic_ns, self.speed_milli, self.end_ms)


class LoadConfig(msgspec.Struct, frozen=True):
    """One factory's load (watts)."""

    id: str
    base_w: int
    weekday_peak_w: int
    weekend_peak_w: int


class MeterConfig(msgspec.Struct, frozen=True):
    """One meter; see ``energy.meters.MeterSpec``."""

    id: str
    role: MeterRole
    party: str
    class_ppm: int
    register_step_j: int

    def spec(self) -> MeterSpec:
        """The same as the energy package names it."""
        return MeterSpec(self.id, self.role, self.party, self.class_ppm, self.register_step_j)


class MachineConfig(msgspec.Struct, frozen=True):
    """One machine; ``model`` names an entry of ``WorldConfig.models``."""

    id: str
    model: str
    worker: str
    scale: int
    habit: Literal["ignores_power_limit", "says_ok_does_nothing", "drops_out"] | None = None
    every_s: int = 0
    for_s: int = 0
    api_port: int = 0


class WorldConfig(msgspec.Struct, frozen=True):
    """The whole simulated site. ``series_path`` names a recorded day's generation (``simulation.series``) instead of what
    ``sources`` would make: by kind, what its model (``simulation.source_model``) tells of each plant.

    Powers in watts; ``folder`` keeps the devices' own memory and the sun's cache; port 0 takes a free one.
    """

    seed: int
    zone: str
    folder: str
    time: TimeConfig
    connection_w: int
    curtailable: bool
    sources: dict[str, tuple[Any, ...]]
    loads: tuple[LoadConfig, ...]
    meters: tuple[MeterConfig, ...]
    models: tuple[MachineModel, ...]
    machines: tuple[MachineConfig, ...]
    pool_host: str
    pool_port: int
    series_path: str | None = None
    warm: bool = True
    asleep: bool = False
    """Whether machines that have no memory begin asleep, as on a day that begins at night."""
    meter_host: str = "127.0.0.1"
    meter_port: int = 0

    def asics(self) -> list[AsicSpec]:
        """The machines as the simulation of machines takes them. Raises KeyError or ValueError where they are wrong."""
        models = {model.id: model for model in self.models}
        return [
            AsicSpec(
                id=item.id,
                model=models[item.model],
                worker=item.worker,
                scale=item.scale,
                habit=None if item.habit is None else Habit(item.habit, item.every_s, item.for_s),
                api_port=item.api_port,
            )
            for item in self.machines
        ]


class WorldReady(msgspec.Struct, frozen=True):
    """What the world says on standard output once everything listens."""

    meters: tuple[str, int]
    machines: dict[str, tuple[str, int]]
    pid: int
    resumed: bool
