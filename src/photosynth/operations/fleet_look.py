"""A look at everything of a running fleet, for its incidents: sites, machines, nodes, books, and the parts themselves."""

from collections.abc import Mapping

from photosynth.documents import NodeDocument
from photosynth.operations import conditions as wrong
from photosynth.operations.fleet_units import ChainUnits
from photosynth.operations.glance import Glance
from photosynth.operations.incidents.life import Look, Seen
from photosynth.operations.incidents.looking import (
    critically_wrong,
    following,
    not_yet_seen,
    seen,
    seen_at_site,
    seen_of_nodes,
    seen_of_troubles,
)
from photosynth.operations.running_fleet import RunningFleet
from photosynth.operations.site_door import SiteDoor
from photosynth.storage import StorageError
from photosynth.treasury.income import Misfit, misfits
from photosynth.treasury.mining.unknown_intervals import UnknownIntervals, unknown_intervals
from photosynth.treasury.suspense import Unexplained, unexplained

DAY_MS = 86_400_000
START_LOOKS = 6
"""Looks after a start in which a node that has not answered yet is not called silent: it, or its model, may be starting too."""
_OF_BOOKS = frozenset({"coins_unexplained", "income_in_suspense", "quarter_hours_unknown"})
"""Kinds that only the database tells of."""
_OfBooks = tuple[list[UnknownIntervals], list[Unexplained], list[Misfit]]


class FleetLook:
    """Looks at one fleet."""

    def __init__(self, fleet: RunningFleet) -> None:
        self._fleet, self._looks = fleet, 0
        self._doors = {name: SiteDoor(fleet, units, fleet.chains[units.chain]) for name, units in fleet.sites.items()}
        self._books: Glance[_OfBooks] = Glance(fleet.database.place)

    async def __call__(self) -> Look:
        """One look."""
        fleet = self._fleet
        self._looks += 1
        starting = self._looks <= START_LOOKS
        nodes, troubles = fleet.watch.nodes(), fleet.supervisor.troubles()
        strange = await self._told_by_the_books()
        unknown, coins, unfit = strange or ([], [], [])
        found = seen_of_nodes(nodes, troubles, starting=starting) + seen_of_troubles(troubles)
        found += seen(wrong.unexplained_conditions(coins), "wallet") + seen(wrong.misfit_conditions(unfit), "node")
        found += seen(wrong.audit_conditions(fleet.audit.fault, fleet.audit.waiting, 0), "fleet")
        found += seen(wrong.database_conditions(self._books.fault, 0), "fleet")
        found += seen(wrong.alert_conditions(fleet.undelivered, 0), "alerts")
        found += seen(wrong.overflow_conditions(fleet.left_out, 0), "fleet")
        blind = set(not_yet_seen(nodes, starting=starting))
        critical = critically_wrong(nodes)
        found += self._of_unmined_chains(nodes, critical)
        blind |= {f"|books_disagree:{name}" for name, chain in fleet.chains.items() if not _reconciled(chain)}
        for door in self._doors.values():
            of_site, unseen = await _at_site(door, nodes, critical)
            found += of_site + seen(
                wrong.unknown_conditions([item for item in unknown if item.site == door.name]), f"site {door.name}", door.name
            )
            blind |= unseen
        return Look(found, frozenset(blind), frozenset() if strange is not None else _OF_BOOKS)

    def _of_unmined_chains(self, nodes: list[NodeDocument], critical: Mapping[str, str]) -> list[Seen]:
        """What is wrong with the books of chains that no site mines on, which waits for the nodes that they follow."""
        found = []
        for chain in self._fleet.chains.values():
            if not chain.mined and (followed := chain.books.service) is not None:
                told = seen(wrong.chain_conditions(chain.name, followed.fault, followed.reconciled, 0), "chain")
                of_chain = [node.id for node in nodes if node.id in self._fleet.nodes and _chain_of(node) == chain.name]
                found += following(told, of_chain, critical)
        return found

    async def _told_by_the_books(self) -> _OfBooks | None:
        """What the database tells, as last seen where it does not answer; None where it never did."""
        since_ms = self._fleet.clock.site_ms() - DAY_MS

        async def ask() -> _OfBooks:
            return await self._fleet.readers.read(
                lambda tx: (unknown_intervals(tx, None, since_ms), unexplained(tx), misfits(tx))
            )

        try:
            return await self._books.look(ask)
        except StorageError:
            return None


def _reconciled(chain: ChainUnits) -> bool:
    """Whether a chain's books were held against the coins since the start."""
    return chain.books.service is not None and chain.books.service.reconciled is not None


def _chain_of(node: NodeDocument) -> str:
    return f"{node.network}/{node.chain}"


async def _at_site(door: SiteDoor, nodes: list[NodeDocument], critical: Mapping[str, str]) -> tuple[list[Seen], set[str]]:
    """What is wrong at a site, and the beginnings of the subjects of which nothing is known there."""
    name, views, named = door.name, door.ailing(), door.site.declared.pool.node
    about = f"site {name}"
    known = {node.id for node in nodes}
    own = door.parts_wrong(door.snapshot(), await door.health())
    found = seen_at_site(name, own, [node for node in named if node in known], critical)
    machines = [item for view in views for item in seen(wrong.machine_conditions(view), f"{about} machine", name)]
    found += following(machines, named, critical)
    units = door.units
    blind = {f"{about} machine {view.id}" for view in views if view.state == "unknown" and not view.conditions}
    running = (
        (units.machines.service, ("machine",)),
        (units.energy.service, ("meters", "control")),
        (units.books.service, ("books",)),
        (units.mining.service, ("pool",)),
    )
    blind |= {f"{about} {part}" for service, parts in running if service is None for part in parts}
    if not door.reconciles:
        blind.add(f"{name}|books_disagree")
    return found, blind
