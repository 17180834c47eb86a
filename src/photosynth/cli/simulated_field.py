"""The simulation of a site: the world process, whose meters and machines are met through the same drivers as real ones."""

from pathlib import Path
from typing import Any

import structlog

from photosynth.energy.simulated_meters import SimulatedMeters
from photosynth.fleet import MachineSpec, Site
from photosynth.simulation.child import WorldProcess
from photosynth.simulation.source_model import SOURCE_MODELS
from photosynth.simulation.world_config import (
    LoadConfig,
    MachineConfig,
    MeterConfig,
    TimeConfig,
    WorldConfig,
)
from photosynth.sites.clock import RunningClock
from photosynth.sites.configuration import machine_model
from photosynth.sites.field import Field


def world_config(site: Site, folder: Path, clock: RunningClock, pool: tuple[str, int], series: Path | None) -> WorldConfig:
    """What the world process is told of a site; ``series`` is a recorded day's generation in place of the computed one."""
    scales = site.scale_of_worker(clock.time.speed_milli)
    return WorldConfig(
        seed=site.simulation.seed,
        zone=str(site.zone),
        folder=str(folder),
        time=TimeConfig.of(clock.time),
        connection_w=site.grid.connection_w,
        curtailable=site.grid.curtailable,
        sources=_plants(site),
        loads=tuple(LoadConfig(load.id, load.base_w, load.weekday_peak_w, load.weekend_peak_w) for load in site.loads),
        meters=tuple(MeterConfig(m.id, m.role, m.party, m.class_ppm, m.register_step_j) for m in site.meters),
        models=tuple(machine_model(model) for model in site.machines.models),
        machines=tuple(_machine(spec, scales[spec.worker]) for spec in site.machine_specs() if spec.address is None),
        pool_host=pool[0],
        pool_port=pool[1],
        series_path=None if series is None else str(series),
        warm=site.simulation.warm,
        asleep=series is not None,  # a recorded day begins at midnight
    )


def _plants(site: Site) -> dict[str, tuple[Any, ...]]:
    """What the world process is told of each source, by kind."""
    plants: dict[str, tuple[Any, ...]] = {}
    for source in site.sources:
        told = SOURCE_MODELS.need(source.kind).plant(source.id, source, site)
        plants[source.kind] = (*plants.get(source.kind, ()), told)
    return plants


def _machine(spec: MachineSpec, scale: int) -> MachineConfig:
    habit = spec.habit
    return MachineConfig(
        id=spec.id,
        model=spec.model.id,
        worker=spec.worker,
        scale=scale,
        habit=None if habit is None else habit.habit,
        every_s=0 if habit is None else habit.every_s or 0,
        for_s=0 if habit is None else habit.for_s or 0,
    )


class SimulatedField:
    """Opens the simulated field of one site, a world of its own each time; satisfies ``sites.field.OpenField``."""

    def __init__(self, site: Site, folder: Path, series: Path | None) -> None:
        self._site, self._folder, self._series = site, folder, series

    async def __call__(self, clock: RunningClock, pool: tuple[str, int]) -> Field:
        """Start the world; its machines connect to the pool by themselves."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = world_config(self._site, self._folder, clock, pool, self._series)
        world = await WorldProcess.start(config, log=self._said)
        sources = SimulatedMeters(*world.ready.meters)

        async def close() -> None:
            await sources.close()
            await world.stop()

        async def ended() -> str:
            code = await world.wait()
            return f"the simulated site's process ended with code {code}; its last words: {world.last_words or 'none'}"

        return Field(sources, world.ready.meters, world.ready.machines, close, ended)

    def _said(self, line: str) -> None:
        structlog.get_logger().info("world", site=self._site.name, said=line)
