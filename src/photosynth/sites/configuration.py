"""From the fleet file to what each engine is told: the one place where their words meet."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_network

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.energy.coin_market import CoinMarket, DeclaredCoinMarket, declared_quote
from photosynth.energy.dispatch import DispatchPolicy
from photosynth.energy.meters import MeterSpec
from photosynth.energy.prices import PriceComponent, Tariff
from photosynth.fleet import Demonstration, Fleet, MachineSpec, MiningSite, Model, Node, Site
from photosynth.miners.model import MachineModel
from photosynth.pool.config import PoolConfig
from photosynth.pool.places import THIS_COMPUTER, login_room, source_of
from photosynth.sites.limits import room_for_miners
from photosynth.treasury.facts import FleetFacts, MeterInfo, SiteFacts, WalletFact

SHORTEST_BLOCK_INTERVAL_S = 0.6
"""A demonstration never passes two blocks a second; a little more leaves time for finding one."""
LONGEST_BLOCK_INTERVAL_S = 86_400.0
"""A demonstration's target is steered to a day between blocks at most; a slow site's blocks come as often as that."""
LONGEST_REFRESH_S = 30.0
SHORTEST_REFRESH_S = 1.0
REFRESHES_PER_BLOCK = 10
"""How often a job is renewed between two blocks, so that a coinbase claims nearly all the work that was done."""
MARK_BYTES = 8
DEMONSTRATION_ASSET = "demonstration BTC"


def asset_of(fleet: Fleet) -> str:
    """What the satoshis of a fleet are, in words: a demonstration's are worth nothing."""
    return DEMONSTRATION_ASSET if any(node.demonstration is not None for node in fleet.nodes) else "BTC"


def tariff_of(site: Site) -> Tariff:
    """What the site pays on top of the spot price and gets beside it."""
    market = site.market
    premium, fee = market.export.premium, market.export.marketing_fee
    return Tariff(
        import_components=tuple(
            PriceComponent(item.name, item.price_cent_per_mwh, item.source, item.date.isoformat())
            for item in market.import_components
        ),
        premium_cent_per_mwh=premium.price_cent_per_mwh if premium else 0,
        premium_rule=premium.rule if premium else "always",
        marketing_fee_cent_per_mwh=fee.price_cent_per_mwh if fee else 0,
        demand_charge_cent_per_kw=market.demand_charge.price_cent_per_kw if market.demand_charge else 0,
        demand_period=market.demand_charge.period if market.demand_charge else "year",
    )


def dispatch_policy(site: Site, *, stopped: bool) -> DispatchPolicy:
    """What the dispatch may do on this site."""
    grid = site.grid
    return DispatchPolicy(
        connection_w=grid.connection_w,
        guard_w=grid.guard_w,
        import_for_mining=grid.import_for_mining,
        curtail_to_import=grid.curtail_to_import,
        curtailable=grid.curtailable,
        demand_charge=site.market.demand_charge is not None,
        stopped=stopped,
    )


def meter_specs(site: Site) -> tuple[MeterSpec, ...]:
    """The declared meters as control and balance know them."""
    return tuple(MeterSpec(m.id, m.role, m.party, m.class_ppm, m.register_step_j) for m in site.meters)


def machine_model(model: Model) -> MachineModel:
    """A model of machine as its drivers and the dispatch know it."""
    return MachineModel(
        id=model.id,
        name=model.name,
        hash_rate_hs=model.hash_rate_hs,
        power_w=model.power_w,
        min_power_w=model.min_power_w,
        profiles=model.profiles,
        min_on_s=model.min_on_s,
        min_off_s=model.min_off_s,
        ramp_up_s=model.ramp_up_s,
        ramp_down_s=model.ramp_down_s,
        standby_w=model.standby_w,
        start_cost_ueur=model.start_cost_ueur,
    )


def declared_coin_market(demonstration: Demonstration) -> CoinMarket:
    """Mainnet's figures as the fleet file declares them, with their date."""
    at = datetime(demonstration.date.year, demonstration.date.month, demonstration.date.day, tzinfo=UTC)
    return DeclaredCoinMarket(
        declared_quote(
            price_cent_per_btc=demonstration.price_cent_per_btc,
            difficulty=str(demonstration.difficulty),
            subsidy_sat=demonstration.subsidy_sat,
            fees_sat=demonstration.fees_sat,
            source=f"fleet file, as of {demonstration.date.isoformat()}",
            as_of_ms=int(at.timestamp()) * 1000,
        )
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """How wall time follows from site time: the speed (site milliseconds per wall second) and what depends on it."""

    speed_milli: int

    def block_interval_s(self, demonstration: Demonstration) -> float:
        """Wall seconds between blocks of the demonstration chain, at any speed within what can be steered to."""
        wanted = demonstration.block_interval_s * 1000 / self.speed_milli
        return min(max(SHORTEST_BLOCK_INTERVAL_S, wanted), LONGEST_BLOCK_INTERVAL_S)

    def refresh_s(self, demonstration: Demonstration | None) -> float:
        """Wall seconds after which a job is renewed."""
        if demonstration is None:
            return LONGEST_REFRESH_S
        wanted = self.block_interval_s(demonstration) / REFRESHES_PER_BLOCK
        return min(LONGEST_REFRESH_S, max(SHORTEST_REFRESH_S, wanted))


def demonstration_target(node: Node, sites: Iterable[Site], pace: Pace) -> DemonstrationTarget | None:
    """The state machine that paces a demonstration's chain for the sites that mine on it; None where there is nothing to pace."""
    hash_rate_hs = sum(site.simulation.hash_rate_hs for site in sites)
    if node.demonstration is None or not hash_rate_hs:
        return None
    return DemonstrationTarget(pace.block_interval_s(node.demonstration), hash_rate_hs)


def pool_config(mining: MiningSite, pace: Pace, pools: int = 1) -> PoolConfig:
    """The pool's settings; ``pools`` share what the system allows of open files."""
    site, pool, limits = mining.site, mining.site.pool, mining.site.pool.limits
    specs = site.machine_specs()
    per_machine_hs = max(1, site.simulation.hash_rate_hs // max(1, len(specs)))
    # Beside the guests' places there are those of our machines, each twice as it may dial again, and the room for logins.
    beside = 2 * len(specs) + login_room(limits.connections)
    room = room_for_miners(limits.connections + beside, pools)
    connections = max(room // 4, room - beside)
    return PoolConfig(
        host=pool.listen.host,
        port=pool.listen.port,
        allow=tuple(ip_network(str(network)) for network in pool.allow),
        share_interval_s=float(pool.share_interval_s),
        version_mask=pool.version_mask,
        start_difficulty=per_machine_hs * pool.share_interval_s / 2**32,
        min_difficulty=limits.share_hashes / 2**32,
        refresh_s=pace.refresh_s(mining.node.demonstration),
        mark=pool_mark(mining),
        declared=sources_of_machines(specs),
        max_connections=connections,
        max_connections_per_address=min(connections, limits.connections_per_address),
        max_workers=limits.workers,
        max_workers_per_address=limits.workers_per_address,
    )


def pool_mark(mining: MiningSite) -> bytes:
    """What stands in the coinbases of one site's pool alone; it says nothing of the site to others."""
    return sha256(f"{mining.fleet.operator}/{mining.site.name}".encode()).digest()[:MARK_BYTES]


def sources_of_machines(specs: Iterable[MachineSpec]) -> dict[str, frozenset[str]]:
    """From where each declared worker's machines mine: a real one from its address, a simulated one from this computer."""
    sources: dict[str, set[str]] = {}
    for spec in specs:
        address = spec.address
        source = THIS_COMPUTER if address is None or address.loopback else source_of(address.host)
        sources.setdefault(spec.worker, set()).add(source)
    return {worker: frozenset(found) for worker, found in sources.items()}


def fleet_facts(fleet: Fleet) -> FleetFacts:
    """What the books' evidence says of the fleet, but for its chains: their genesis blocks are the nodes' own."""
    return FleetFacts(
        operator=fleet.operator, chains=(), wallets=wallet_facts(fleet), recognition=fleet.ledger.recognise_mining_revenue
    )


def wallet_facts(fleet: Fleet) -> tuple[WalletFact, ...]:
    """The fleet's wallets as the books know them."""
    return tuple(
        WalletFact(
            id=wallet.id,
            chain=f"{wallet.network}/{wallet.chain}",
            destination=wallet.destination(),
            party=wallet.party,
            birth_height=wallet.birth_height,
        )
        for wallet in fleet.wallets
    )


def site_facts(mining: MiningSite, genesis_hash: bytes) -> SiteFacts:
    """What the site's evidence says of it; ``genesis_hash`` is the node's own."""
    site = mining.site
    return SiteFacts(
        site=site.name,
        title=site.title,
        operator=mining.fleet.operator,
        simulated=site.simulated,
        network=mining.node.chain,
        genesis_hash=genesis_hash,
        payout_script=mining.wallet.output_script(),
        wallet=mining.wallet.id,
        asset=DEMONSTRATION_ASSET if mining.node.demonstration else "BTC",
        meters=tuple(
            MeterInfo(m.id, m.role, m.party, m.accuracy_class.rstrip("S"), m.register_step_j, simulated=m.simulated)
            for m in site.meters
        ),
        export_limit_w=site.grid.connection_w,
        parties=tuple((party.id, party.name) for party in mining.fleet.parties),
    )
