"""What every driver says of itself, of whichever seam: its name, what a fleet file may give it, and how it was tested."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TypeVar, get_args

from photosynth.registry import Registry, Tier
from photosynth.settings.part import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver as its package announces it.

    ``settings`` are the keys that a fleet file may write for it, beside those that every part of its kind has. ``simulated`` is
    whether the simulation has a model of what it drives.
    """

    name: str
    title: str
    tier: Tier
    settings: type[Part] = Part
    simulated: bool = False


D = TypeVar("D", bound=Driver)


def driver_registry(group: str, kind: type[D], ours: Mapping[str, str]) -> Registry[D]:
    """A registry of drivers, of which each is held to what its kind says."""
    return Registry(group, kind, ours, wrong_with)


def wrong_with(driver: Driver) -> str | None:
    """What keeps a driver from being used, None where nothing does. Raises TypeError where it is all wrong."""
    title: object = driver.title
    if not (isinstance(title, str) and title):
        return "it has no title"
    if driver.tier not in get_args(Tier):
        return f"its tier is none of {', '.join(get_args(Tier))}"
    settings: object = driver.settings
    if not (isinstance(settings, type) and issubclass(settings, Part)):
        return "its settings are no photosynth.settings.part.Part"
    for field in fields(driver):
        value: object = getattr(driver, field.name)
        if field.name not in OF_EVERY_DRIVER and not callable(value):
            return f"its {field.name} cannot be called"
    return None


OF_EVERY_DRIVER = frozenset(field.name for field in fields(Driver))
"""What is no factory."""
