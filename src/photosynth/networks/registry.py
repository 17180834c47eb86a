"""Every network that is installed: the house's own, and those that other packages announce.

A package announces a network by an entry point of the group ``photosynth.networks`` whose name is the network's and whose object
is its :class:`~photosynth.networks.grammar.Network`.
"""

from collections.abc import Container

from photosynth.networks.grammar import IncomeKind, Network
from photosynth.quantities.assets import ASSETS, Asset
from photosynth.registry import Registry, RegistryError

_STATES = {"accrued", "claimed", "received"}


def network(name: str) -> Network | None:
    """The network of a name, None where none is installed. Raises RegistryError."""
    return NETWORKS.get(name)


def installed() -> tuple[str, ...]:
    """The names of all that are installed, the house's own first."""
    return NETWORKS.installed()


def check_accounts(found: Network, chart: Container[str]) -> None:
    """Raise RegistryError where a rule of a network posts to an account that is not among those of a chart."""
    for kind in found.income:
        for rule in kind.postings:
            for leg in rule.legs:
                if leg.account not in chart:
                    raise RegistryError(
                        f"the network {found.name} would post its income `{kind.name}`, {rule.state}, to the account "
                        f"{leg.account[:20]}, which the chart of accounts does not have for income"
                    )


def _wrong_with_income(found: Network) -> str | None:
    """What keeps the books from writing a network's income, None where nothing does. Raises AttributeError or TypeError."""
    if not all(isinstance(asset, Asset) for asset in found.assets):
        raise TypeError
    codes = {asset.code for asset in (*ASSETS, *found.assets)}
    names = [kind.name for kind in found.income]
    if len(set(names)) < len(names):
        return "two kinds of its income have one name"
    return next((wrong for kind in found.income if (wrong := _wrong_with_kind(kind, codes)) is not None), None)


def _wrong_with_kind(kind: IncomeKind, codes: Container[str]) -> str | None:
    rules = kind.postings
    legs = [leg for rule in rules for leg in rule.legs]
    texts = [kind.name, kind.title, kind.asset, *(rule.text for rule in rules), *(leg.account for leg in legs)]
    if not all(isinstance(text, str) and text for text in texts):
        raise TypeError
    states = [rule.state for rule in rules]
    if not set(states) <= _STATES or len(set(states)) < len(states):
        return f"its income `{kind.name}` has two rules for one state, or one for a state that is none"
    if kind.asset not in codes:
        return f"its income `{kind.name}` is paid in {kind.asset[:20]}, which is not among its assets"
    if not all(rule.balanced() and {leg.side for leg in rule.legs} == {"debit", "credit"} for rule in rules):
        return f"a rule of its income `{kind.name}` does not debit what it credits"
    return None


def _wrong_with(found: Network) -> str | None:
    """What keeps a network from being used. Raises AttributeError or TypeError where it is all wrong."""
    if not _well_formed(found):
        return "its chains, roles or what these say are not of the kinds that the grammar names"
    try:
        return _wrong_with_income(found)
    except (AttributeError, TypeError):
        return "its income or assets are not of the kinds that the grammar names"


def _well_formed(found: Network) -> bool:
    """Whether a fleet file can be held against a network. Raises AttributeError or TypeError where it is all wrong."""
    texts = [*found.chains, *found.embedded, *found.simulated, *found.roles.keys()]
    for role in found.roles.values():
        texts += [*role.runs, *role.endpoints.keys(), *role.endpoints.values(), *role.ports.keys()]
        texts += [chain for usual in role.ports.values() for chain, _ in usual.items()]
    return bool(found.chains and found.roles) and all(isinstance(text, str) for text in texts)


NETWORKS = Registry("photosynth.networks", Network, {"bitcoin": "photosynth.networks.bitcoin.network:NETWORK"}, _wrong_with)
