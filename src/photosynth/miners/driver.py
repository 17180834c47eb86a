"""Drivers of machines by name: the house's own, and those that other packages announce in the group ``photosynth.machines``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from photosynth.drivers import Driver, driver_registry
from photosynth.miners.machine import Machine


@dataclass(frozen=True, slots=True)
class MachineAccess:
    """Where one machine answers: its name in the fleet file, its API's host and port, and the site time that readings carry."""

    id: str
    host: str
    port: int
    site_ms: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDriver(Driver):
    """A driver of machines. ``open`` makes one for a machine, with its settings, and connects to nothing yet."""

    open: Callable[[MachineAccess, Any], Machine]


MACHINES = driver_registry("photosynth.machines", MachineDriver, {"luxos": "photosynth.miners.luxos:DRIVER"})
