"""Kinds of source by name: the house's own, and those that other packages announce in the group ``photosynth.sources``.

A kind says what a fleet file tells of a plant. How much it makes is measured at a real site; at a simulated one a model of its
says so (``photosynth.simulation.source_model``).
"""

from dataclasses import dataclass

from photosynth.drivers import Driver, driver_registry
from photosynth.settings.part import Part


class SourceSettings(Part):
    """What a fleet file tells of a plant."""

    @property
    def nominal_w(self) -> int:
        """The most that it makes (watts)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind(Driver):
    """A kind of source; its settings are SourceSettings."""

    settings: type[SourceSettings]


SOURCES = driver_registry(
    "photosynth.sources",
    SourceKind,
    {
        "photovoltaic": "photosynth.energy.photovoltaic:KIND",
        "wind": "photosynth.energy.wind_turbine:KIND",
    },
)
