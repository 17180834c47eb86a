"""Every driver that is installed keeps the grammar of drivers, and the tier that it claims is kept by tests."""

from pathlib import Path
from typing import Any

import pytest

from photosynth.drivers import Driver, wrong_with
from photosynth.energy.market_kind import MARKETS
from photosynth.energy.meter_driver import METERS, SIMULATED
from photosynth.energy.source_kind import SOURCES, SourceSettings
from photosynth.fleet.schema import REGISTRIES, fleet_schema
from photosynth.fleet.texts import field_texts
from photosynth.miners.driver import MACHINES
from photosynth.registry import Registry, Tier
from photosynth.simulation.source_model import SOURCE_MODELS

ROOT = Path(__file__).parents[2]
INSTALLED = [(registry, driver) for registry in REGISTRIES for driver in registry.usable()]
PROVED_BY: dict[Tier, str] = {"real software": "tests/interop", "recorded answers": "tests/unit", "specification": "tests"}
"""Where the tests lie that a tier promises, by the driver's name in their text."""


@pytest.mark.parametrize(("registry", "driver"), INSTALLED, ids=lambda item: getattr(item, "name", getattr(item, "group", "")))
def test_a_driver_keeps_the_grammar(registry: Registry[Any], driver: Driver) -> None:
    assert wrong_with(driver) is None
    assert registry.get(driver.name) is driver
    texts = field_texts(driver.settings)
    assert all(texts[name] for name in driver.settings.model_fields), "a setting without a word is none that can be written"
    tests = [
        path for path in (ROOT / PROVED_BY[driver.tier]).rglob("test_*.py") if driver.name in path.read_text(encoding="utf-8")
    ]
    assert tests, f"nothing tests {driver.name} against what its tier says"


def test_everything_installed_can_be_used_and_stands_in_the_schema() -> None:
    assert [problem for registry in REGISTRIES for problem in registry.problems()] == []
    defined = fleet_schema()["$defs"]
    for part, key, registry in (
        ("Group", "driver", MACHINES),
        ("Meter", "driver", METERS),
        ("SourcePart", "kind", SOURCES),
        ("MarketPart", "kind", MARKETS),
    ):
        found = [
            name for model in defined.values() if key in model["properties"] for name in model["properties"][key].get("enum", [])
        ]
        assert set(registry.installed()) <= set(found), part


def test_what_is_simulated_has_a_model() -> None:
    for kind in SOURCES.usable():
        assert issubclass(kind.settings, SourceSettings)
        assert kind.simulated == (SOURCE_MODELS.get(kind.name) is not None), kind.name
    simulated = METERS.get(SIMULATED)
    assert simulated is not None
    assert simulated.simulated
