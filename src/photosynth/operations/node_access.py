"""How the nodes of a fleet file are run and spoken to, but for those inside this program and models."""

from pathlib import Path

from photosynth.fleet import Node
from photosynth.networks.grammar import Access, Command, Place
from photosynth.networks.registry import network


def command_of(node: Node, folder: Path) -> Command | None:
    """How a node is run as a child process, with its data below ``folder``; None where it is not. Raises OSError."""
    found = network(node.network)
    role = None if found is None else found.roles.get(node.role)
    if node.run != "process" or role is None or role.command is None or node.program is None:
        return None
    data = node.data or folder / node.id / "data"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return role.command(Place(node.id, node.chain, node.program, data, node.ports, node.flags))


def access_of(node: Node, folder: Path) -> Access | None:
    """How a node that is a process of somebody is spoken to; None of one that is inside this program, or a model."""
    if node.run != "external":
        command = command_of(node, folder)
        return None if command is None else command.access
    how = node.credentials
    return Access(
        name=node.id,
        chain=node.chain,
        endpoints=node.endpoints,
        cookie_file=None if how is None else how.cookie_file,
        user=None if how is None else how.user,
        password_file=None if how is None else how.password_file,
        token_file=None if how is None else how.token_file,
    )
