"""Conditions as a look sees them: what each is about, in words that name it, and which other one it only follows from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from photosynth.documents import Condition, NodeDocument
from photosynth.operations import conditions as wrong
from photosynth.operations.incidents.life import Seen
from photosynth.operations.supervisor import Trouble

FOLLOW_A_NODE = frozenset({"pool", "books_wait", "node_unreachable", "node_behind", "hash_without_shares", "part_waits"})
"""What a site shows only because the nodes that it mines on are not there."""
_OF_THE_NODE = frozenset({"node_unreachable", "node_behind", "node_warns"})


def seen(found: Iterable[Condition], about: str, site: str | None = None, *, cause: str | None = None) -> list[Seen]:
    """Conditions about something; what is only told (``info``) is no work for anybody."""
    return [
        Seen(
            key=f"{site or ''}|{condition.id}",
            kind=condition.id.partition(":")[0],
            site=site,
            subject=f"{about} {condition.subject}",
            severity=condition.severity,
            summary=condition.summary,
            evidence=condition.evidence,
            cause=cause,
        )
        for condition in found
        if condition.severity != "info"
    ]


def seen_of_nodes(nodes: Sequence[NodeDocument], troubles: Sequence[Trouble], *, starting: bool = False) -> list[Seen]:
    """What is wrong with nodes; one whose part does not run is silent because of that.

    While the system is ``starting``, one that has not answered yet is given time.
    """
    down = {item.scope: item.why for item in troubles}
    found = []
    for node in nodes:
        if starting and node.state == "unknown":
            continue
        why = down.get(f"node:{node.id}")
        cause = None if why is None else f"it does not run here: {why}"
        found += [replace(item, site=node.site) for item in seen(wrong.node_conditions([node], 0), "node", cause=cause)]
    return found


def seen_of_troubles(troubles: Iterable[Trouble]) -> list[Seen]:
    """Parts that do not run; one that waits does so because of what it waits for."""
    found = []
    for item in troubles:
        kind, _, owner = item.scope.partition(":")
        about = {"site": f"site {owner} part", "node": "node"}.get(kind, "fleet")
        condition = wrong.trouble_conditions([item], 0)[0]
        named = condition.model_copy(update={"subject": item.name if kind != "node" else owner})
        cause = item.why if item.kind == "waits" else None
        found += seen([named], about, owner if kind == "site" else None, cause=cause)
    return found


def seen_at_site(name: str, conditions: Iterable[Condition], nodes: Sequence[str], wrong_nodes: Mapping[str, str]) -> list[Seen]:
    """What is wrong with the parts of a site that are not machines.

    ``nodes`` are those that it mines on, and ``wrong_nodes`` say of some what is critically wrong with them. A site that mines on
    one node repeats what that node shows, and what is wrong with all of them is the cause of much.
    """
    told = [item for item in conditions if not (item.id in _OF_THE_NODE and len(nodes) == 1)]
    return following(seen(told, f"site {name}", name), nodes, wrong_nodes)


def following(found: Sequence[Seen], nodes: Sequence[str], wrong_nodes: Mapping[str, str]) -> list[Seen]:
    """The same, with the nodes as the cause of what follows from them where all of them fail."""
    if not nodes or any(node not in wrong_nodes for node in nodes):
        return list(found)
    cause = "; ".join(f"node {node}: {wrong_nodes[node]}" for node in nodes)
    return [replace(item, cause=cause) if item.kind in FOLLOW_A_NODE and item.cause is None else item for item in found]


def critically_wrong(nodes: Sequence[NodeDocument]) -> dict[str, str]:
    """What speaks most against each node, of those against which something critical speaks."""
    return {
        node.id: next(item.summary for item in node.conditions if item.severity == "critical")
        for node in nodes
        if any(item.severity == "critical" for item in node.conditions)
    }


def not_yet_seen(nodes: Iterable[NodeDocument], *, starting: bool = False) -> frozenset[str]:
    """Nodes that nobody has looked at since the start, or that are given time: neither well nor ill."""
    return frozenset(f"node {node.id}" for node in nodes if node.state == "unknown" and (starting or not node.conditions))
