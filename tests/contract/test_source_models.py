"""What the model of every kind of source has to do: watts that the seed alone decides, never more than the plant can make."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from photosynth.cli.simulated_field import world_config
from photosynth.fleet import Site, load_fleet
from photosynth.quantities.instants import ScaledTime
from photosynth.simulation.source_model import SOURCE_MODELS, Generation, SourceModel, World
from photosynth.sites.clock import RunningClock

SITES = load_fleet(Path(__file__).parents[2] / "examples" / "operator.yaml").sites
MODELS = [model for model in SOURCE_MODELS.usable() if model.name in SOURCE_MODELS.ours]
HOUR_MS = 3_600_000


def declared(model: SourceModel) -> Site:
    return next(site for site in SITES if model.name in site.source_kinds())


def told(site: Site, kind: str) -> tuple[Any, ...]:
    """What the world process gets of a site's plants: through JSON, as it does."""
    clock = RunningClock(ScaledTime(site.start_ms(), 0, 1000))
    config = world_config(site, Path("world"), clock, ("127.0.0.1", 3334), None)
    plants: tuple[Any, ...] = tuple(msgspec.json.decode(msgspec.json.encode(config.sources[kind])))
    return plants


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
async def test_a_plant_makes_what_the_seed_says_and_no_more_than_it_can(model: SourceModel, tmp_path: Path) -> None:
    site = declared(model)
    plants, start_ms = told(site, model.name), site.start_ms()
    instants = range(start_ms, start_ms + 6 * HOUR_MS, 60_000)
    most_w = sum(source.nominal_w for source in site.sources if source.kind == model.name)

    async def made(seed: int, folder: Path) -> list[int]:
        generation: Generation = model.generation(plants, World(seed, folder))
        await generation.begin(instants[0], instants[-1])
        try:
            assert all(generation.ready_for(at_ms) for at_ms in instants)
            return [generation.watts(at_ms) for at_ms in instants]
        finally:
            await generation.close()

    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
    first = await made(1, tmp_path / "one")
    assert all(0 <= watts <= most_w for watts in first)
    assert max(first) > 0
    assert first == await made(1, tmp_path / "two")
    assert first != await made(2, tmp_path / "three")
