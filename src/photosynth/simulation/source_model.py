"""Models of what makes energy, by kind of source: the house's own, and those announced in ``photosynth.source_models``.

A kind of source (``photosynth.energy.source_kind``) says what a fleet file tells of a plant; the model of the same name says
what such a plant makes where the site is simulated, and which recorded weather it follows on a recorded day. This module is
part of the world process, so it stays light.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from photosynth.registry import Registry, Tier

if TYPE_CHECKING:
    from photosynth.fleet import Site

Weather = Literal["sun", "wind"]
"""What is recorded of days that were."""


class Generation(Protocol):
    """What the plants of one kind at a site make together."""

    async def begin(self, first_ms: int, last_ms: int) -> None:
        """Have what is needed for the instants from one to another. Raises SourceModelError."""
        ...

    def ready_for(self, site_ms: int) -> bool:
        """Whether an instant can be told; what takes long is begun early enough here."""
        ...

    def watts(self, site_ms: int) -> int:
        """What they make in the minute of an instant that is ready."""
        ...

    async def close(self) -> None:
        """Give up what is under way."""
        ...


class SourceModelError(Exception):
    """What plants make cannot be computed; the message says why."""


@dataclass(frozen=True, slots=True)
class World:
    """Where plants stand: the seed of their weather, and a folder where a model may keep what it computed."""

    seed: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceModel:
    """The model of one kind of source.

    ``plant`` makes of a source's name, its settings and its site what the world process is told of it, as JSON; ``generation``
    makes of all plants of the kind, as they come out of that JSON, what they generate. ``follows`` is the recorded weather whose
    highest hour of the year is their nominal power on a recorded day; None where none tells of them.
    """

    name: str
    tier: Tier
    plant: Callable[[str, Any, "Site"], Any]
    generation: Callable[[Sequence[Any], World], Generation]
    follows: Weather | None


def _wrong_with(model: SourceModel) -> str | None:
    return None if callable(model.plant) and callable(model.generation) else "its plant or its generation cannot be called"


SOURCE_MODELS: Registry[SourceModel] = Registry(
    "photosynth.source_models",
    SourceModel,
    {"photovoltaic": "photosynth.simulation.sun_series:MODEL", "wind": "photosynth.simulation.wind:MODEL"},
    _wrong_with,
)
