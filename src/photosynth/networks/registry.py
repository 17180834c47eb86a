"""Every network that is installed: the house's own, and those that other packages announce.

A package announces a network by an entry point of the group ``photosynth.networks`` whose name is the network's and whose object
is its :class:`~photosynth.networks.grammar.Network`.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from photosynth.networks.grammar import Network

GROUP = "photosynth.networks"
OURS = ("bitcoin",)


class NetworkError(Exception):
    """A package announces a network and does not give one; the message names it."""


@cache
def network(name: str) -> Network | None:
    """The network of a name, None where none is installed. Raises NetworkError."""
    if name in OURS:
        found: Network = import_module(f"photosynth.networks.{name}.network").NETWORK
        return found
    announced = _announced().get(name)
    return None if announced is None else _load(announced)


def installed() -> tuple[str, ...]:
    """The names of all that are installed, the house's own first."""
    return (*OURS, *sorted(_announced().keys() - set(OURS)))


@cache
def _announced() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _load(point: EntryPoint) -> Network:
    where = f"the entry point {point.name} = {point.value} of the group {GROUP}"
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # a foreign package may raise anything while it is imported
        raise NetworkError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(found, Network) or found.name != point.name:
        raise NetworkError(f"{where} is no photosynth.networks.grammar.Network of that name")
    try:
        well_formed = _well_formed(found)
    except (AttributeError, TypeError):
        well_formed = False
    if not well_formed:
        raise NetworkError(f"{where}: its chains, roles or what these say are not of the kinds that the grammar names")
    return found


def _well_formed(found: Network) -> bool:
    """Whether a fleet file can be held against a network. Raises AttributeError or TypeError where it is all wrong."""
    texts = [*found.chains, *found.embedded, *found.simulated, *found.roles.keys()]
    for role in found.roles.values():
        texts += [*role.runs, *role.endpoints.keys(), *role.endpoints.values(), *role.ports.keys()]
        texts += [chain for usual in role.ports.values() for chain, _ in usual.items()]
    return bool(found.chains and found.roles) and all(isinstance(text, str) for text in texts)
