"""Two things of one fleet that would listen on one port, or keep their data in one folder: neither could start."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from photosynth.fleet.plain import each
from photosynth.fleet.problems import Finding, Path, path_text
from photosynth.fleet.yaml_source import Value
from photosynth.networks.registry import network
from photosynth.registry import RegistryError
from photosynth.settings.values import Address, parse_address

_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, and not listened on


class _Listener(NamedTuple):
    """What listens, where that is said, and where it listens."""

    who: Path
    where: Path
    address: Address

    def clashes(self, other: "_Listener") -> bool:
        hosts = (self.address.host, other.address.host)
        same = hosts[0] == hosts[1] or any(host in _EVERY_ADDRESS for host in hosts)
        return self.address.port == other.address.port and same


def check_ports(root: Value) -> Iterator[Finding]:
    """A mistake for each; pools may be moved on the command line, but files shall work as they are."""
    seen: dict[int, list[_Listener]] = {}
    for listener in _listeners(root):
        before = seen.setdefault(listener.address.port, [])
        other = next((known for known in before if known.clashes(listener)), None)
        if other is not None:
            what = f"{path_text(other.who)} listens on {other.address} too"
            yield Finding(listener.where, what, "Give one of them another port")
        before.append(listener)
    folders: dict[str, Path] = {}
    for where, node in each(root, ("nodes",)):
        data = node.get("data")
        if isinstance(data, str) and data in folders:
            what = f"{path_text(folders[data])} keeps its data in that folder too"
            yield Finding((*where, "data"), what, "Give one of them another folder")
        elif isinstance(data, str):
            folders[data] = where


def _listeners(root: Value) -> Iterator[_Listener]:
    declared: list[tuple[Path, Value]] = [((*where, "pool"), site.get("pool")) for where, site in each(root, ("sites",))]
    declared.append((("console",), root.get("console") if isinstance(root, dict) else None))
    for who, part in declared:
        try:
            address = parse_address(part.get("listen")) if isinstance(part, dict) else None
        except ValueError:  # the model says what is wrong with it
            continue
        if address is not None:
            host = "127.0.0.1" if address.host == "localhost" else address.host
            yield _Listener(who, (*who, "listen"), Address(host, address.port))
    for where, node in each(root, ("nodes",)):
        for name, port in _ports_of(node).items():
            if isinstance(port, int) and not isinstance(port, bool):
                yield _Listener(where, (*where, "ports", name), Address("127.0.0.1", port))


def _ports_of(node: Mapping[str, Value]) -> dict[str, Value]:
    """The ports that a node takes here: those of the file, and a program's usual ones where the file has none."""
    given, run = node.get("ports"), node.get("run")
    found = dict(given) if isinstance(given, dict) and run in ("embedded", "process", "simulated") else {}
    if run != "process":
        return found
    try:
        known = network(str(node.get("network")))
    except RegistryError:  # said where the node names its network
        return found
    role = None if known is None else known.roles.get(str(node.get("role")))
    chain = str(node.get("chain"))
    usual = {} if role is None else {name: ports[chain] for name, ports in role.ports.items() if chain in ports}
    return {**usual, **found}
