"""The parts of a fleet as units: what each stands on, and how it is opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from photosynth.bitcoin.node import NodeUnavailableError
from photosynth.fleet import Fleet, Node
from photosynth.operations import consistency
from photosynth.operations.bitcoin_nodes import NodeChoice, OpenedNode, answering, open_bitcoin_node
from photosynth.operations.chain_books import FollowedChain, open_chain_books
from photosynth.operations.income import IncomeOfNodes, open_income, paid_nodes
from photosynth.operations.node_watch import NodeWatch
from photosynth.operations.noting import KeptManifest
from photosynth.operations.state import StateError, StateFolder
from photosynth.operations.supervisor import Unit
from photosynth.quantities.instants import Clock
from photosynth.sites.bookkeeper import coin_fact
from photosynth.sites.books import KeptBooks, Noted, open_books
from photosynth.sites.configuration import DEMONSTRATION_ASSET, Pace, declared_coin_market, demonstration_target, wallet_facts
from photosynth.sites.energy import Energy
from photosynth.sites.field import OpenedField
from photosynth.sites.machines import Machines
from photosynth.sites.mining import Mining, open_mining
from photosynth.sites.site import OperatedSite
from photosynth.storage import Database, Runner
from photosynth.treasury.evidence.seal import Identity
from photosynth.treasury.facts import ChainFact, CoinFact
from photosynth.treasury.fleet_books import FleetBooks
from photosynth.treasury.following import ChainBooks
from photosynth.treasury.glance import followed_top
from photosynth.treasury.parties import keep_parties, keep_wallets

NODE_CLOSE_S = 120.0
"""An embedded node writes down what it holds."""


@dataclass(frozen=True, slots=True)
class SiteUnits:
    """One site with its services; ``chain`` and ``node`` are what its pool mines on."""

    site: OperatedSite
    chain: str
    node: NodeChoice
    field: Unit[OpenedField]
    machines: Unit[Machines]
    energy: Unit[Energy]
    books: Unit[KeptBooks]
    mining: Unit[Mining]

    def every(self) -> tuple[Unit[OpenedField] | Unit[Machines] | Unit[Energy] | Unit[KeptBooks] | Unit[Mining], ...]:
        """Its services."""
        return self.field, self.machines, self.energy, self.books, self.mining


@dataclass(frozen=True, slots=True)
class ChainUnits:
    """One chain with its books: ``mined`` is whether sites mine on it, which tell of its books then."""

    name: str
    node: NodeChoice
    books: Unit[FollowedChain]
    mined: bool


def chain_of(node: Node) -> str:
    """A node's chain as the whole fleet names it."""
    return f"{node.network}/{node.chain}"


def mined_on(fleet: Fleet) -> set[str]:
    """The nodes that a site's pool may mine on."""
    return {name for site in fleet.sites for name in site.pool.node}


def bitcoin_nodes(fleet: Fleet) -> tuple[Node, ...]:
    """The Bitcoin nodes that are opened here: those inside this program, those that sites mine on, those that books follow."""
    mined, followed = mined_on(fleet), {f"{wallet.network}/{wallet.chain}" for wallet in fleet.wallets}

    def opened(node: Node) -> bool:
        return node.run == "embedded" or node.id in mined or (node.run != "simulated" and chain_of(node) in followed)

    return tuple(node for node in fleet.nodes if node.network == "bitcoin" and opened(node))


class Units:
    """Makes the units of a fleet, which share its database and what is known of its state."""

    def __init__(  # noqa: PLR0917  what all of them share
        self, fleet: Fleet, folder: StateFolder, manifest: KeptManifest, database: Database, run: Runner, books: FleetBooks
    ) -> None:
        self._fleet, self._folder, self._manifest = fleet, folder, manifest
        self._database, self._run, self._books = database, run, books

    def nodes(self, speed_milli: int) -> dict[str, Unit[OpenedNode]]:
        """A unit for each Bitcoin node that is opened here; ``speed_milli`` is how fast a demonstration's blocks come."""
        return {node.id: self._node(node, Pace(speed_milli)) for node in bitcoin_nodes(self._fleet)}

    def chains(self, sites: Sequence[OperatedSite], nodes: Mapping[str, Unit[OpenedNode]], clock: Clock) -> dict[str, ChainUnits]:
        """The books of each Bitcoin chain that has a wallet or a site: of the nodes that its sites prefer, then of the others."""
        mining: dict[str, list[OperatedSite]] = {}
        for site in sites:
            mining.setdefault(chain_of(site.mining.node), []).append(site)
        held = [f"{wallet.network}/{wallet.chain}" for wallet in self._fleet.wallets if wallet.network == "bitcoin"]
        return {chain: self._chain(chain, mining.get(chain, []), nodes, clock) for chain in dict.fromkeys([*mining, *held])}

    def site(
        self, site: OperatedSite, identity: Identity, chain: ChainUnits, nodes: Mapping[str, Unit[OpenedNode]], pools: int
    ) -> SiteUnits:
        """The services of one site. The machines stand on nothing but their field, so that a stop always gets through."""
        scope, mine = f"site:{site.name}", {name: nodes[name] for name in site.declared.pool.node}
        choice = NodeChoice(mine)

        async def open_field() -> OpenedField:
            return OpenedField(site, await site.settings.open_field(site.clock, site.pool_address))

        async def open_machines() -> Machines:
            return Machines(site, field.running.field)

        async def open_energy() -> Energy:
            return Energy(site, machines.running.control)

        async def open_site_books() -> KeptBooks:
            noted = Noted(
                made=lambda: self._manifest.site_made(site.name, site.began_ms),
                closed=lambda record, share_seq: self._manifest.closed(site.name, record, share_seq),
            )
            return await open_books(site, choice.genesis_hash, self._books, identity, noted)

        async def open_pool() -> Mining:
            return await open_mining(site, choice, pools)

        field = Unit(scope, "field", open_field)
        machines = Unit(scope, "machines", open_machines, needs=[field])
        energy = Unit(scope, "energy", open_energy, needs=[machines])
        books = Unit(scope, "books", open_site_books, after=[chain.books], after_one_of=list(mine.values()))
        mining = Unit(scope, "mining", open_pool, after=[books], after_one_of=list(mine.values()))
        return SiteUnits(site, chain.name, choice, field, machines, energy, books, mining)

    def income(self, watch: NodeWatch, clock: Clock) -> Unit[IncomeOfNodes] | None:
        """What reads the income of the nodes that are paid for being one; None where no node is."""
        paid = paid_nodes(self._fleet.nodes, watch.access)
        if not paid:
            return None

        async def start() -> IncomeOfNodes:
            await self._run(self._keep_owners)
            return await open_income(
                paid, self._fleet.operator, database=self._database, run=self._run, clock=clock, note=watch.note
            )

        return Unit("fleet", "income", start)

    def _node(self, node: Node, pace: Pace) -> Unit[OpenedNode]:
        mining = [mining for mining in self._fleet.mining_sites() if node.id in mining.site.pool.node]
        scripts = list(dict.fromkeys(item.wallet.output_script() for item in mining))
        preferring = [item.site for item in mining if item.site.pool.node[0] == node.id]
        # Where it only stands in for another one, it has to keep that one's pace when it does.
        paced = preferring or [item.site for item in mining]
        folder = self._folder.node(node.id)

        async def start() -> OpenedNode:
            target = demonstration_target(node, paced, pace)
            if node.run != "embedded":
                opened = await open_bitcoin_node(node, folder, scripts, target)
                # One that only books follow is there whether it answers or not: the watch over nodes tells of it.
                return await answering(opened) if mining else OpenedNode(opened, None)
            try:
                found = await answering(await open_bitcoin_node(node, folder, scripts, target))
            except NodeUnavailableError as error:  # it is a part of this state
                raise StateError(str(error)) from error
            try:
                if preferring:
                    await consistency.check_chain(found.node, await self._run(lambda: self._followed_top(chain_of(node))), folder)
                self._manifest.node_made(node.id)
            except BaseException:
                await found.close()
                raise
            return found

        return Unit(f"node:{node.id}", "node", start, close_s=NODE_CLOSE_S)

    def _followed_top(self, chain: str) -> tuple[int, bytes] | None:
        with self._database.read() as tx:
            return followed_top(tx, chain)

    def _keep_owners(self) -> None:
        with self._database.begin() as tx:
            keep_parties(tx, [self._fleet.operator], {party.id: party.name for party in self._fleet.parties})
            keep_wallets(tx, wallet_facts(self._fleet))

    def _chain(
        self, chain: str, sites: Sequence[OperatedSite], nodes: Mapping[str, Unit[OpenedNode]], clock: Clock
    ) -> ChainUnits:
        preferred = [name for site in sites for name in site.declared.pool.node]
        others = [node.id for node in self._fleet.nodes if node.id in nodes and chain_of(node) == chain]
        mine = {name: nodes[name] for name in [*preferred, *others]}
        choice, ledger = NodeChoice(mine), self._fleet.ledger
        declaring = [site.mining.node for site in sites[:1]] or [n for n in self._fleet.nodes if chain_of(n) == chain]
        demonstration = next((node.demonstration for node in declaring if node.demonstration is not None), None)
        declared = None if demonstration is None else declared_coin_market(demonstration)
        market = sites[0].settings.coin_market if sites else declared

        def quote_at(at_ms: int) -> CoinFact | None:
            quote = None if market is None else market.at(at_ms)
            return None if quote is None else coin_fact(quote)

        def begin(genesis_hash: bytes) -> None:
            asset = "BTC" if demonstration is None else DEMONSTRATION_ASSET
            self._books.know(ChainFact(chain, genesis_hash, asset))
            with self._database.begin() as tx:
                # Where sites mine on it, the first of them begins the evidence with the chain already named.
                if sites:
                    self._books.tell(tx)
                else:
                    self._books.open(tx)

        async def start() -> FollowedChain:
            if not mine:
                raise NodeUnavailableError(
                    f"no node of {chain} is declared in whose blocks its wallets could be looked for, and a model is none: "
                    "declare one with `run: embedded`, `process` or `external`"
                )
            genesis_hash = await choice.block_hash(0)
            if genesis_hash is None:
                raise NodeUnavailableError(f"no node of {chain} knows a genesis block; let one finish its start")
            await self._run(partial(begin, genesis_hash))
            await self._run(self._keep_owners)
            books = ChainBooks(
                chain,
                [wallet for wallet in wallet_facts(self._fleet) if wallet.chain == chain],
                ledger.recognise_mining_revenue,
                quote_at,
                clock=clock,
                found_by=lambda block_hash: next((site.name for site in sites if site.found_block(block_hash)), None),
                scan_every_ms=ledger.coin_scan_s * 1000,
            )
            return await open_chain_books(chain, books, choice, self._database, self._run)

        books = Unit("fleet", f"books of {chain}", start, after_one_of=list(mine.values()))
        return ChainUnits(chain, choice, books, mined=bool(sites))
