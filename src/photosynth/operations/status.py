"""Putting the status document together from what each engine says of itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from photosynth.bitcoin.node import NodeHealth, Template, hash_text
from photosynth.documents import (
    ChainStatus,
    MachinesStatus,
    MainnetOutlook,
    ModelStatus,
    PoolStatus,
    SiteStatus,
)
from photosynth.energy.coin_market import CoinQuote, outlook
from photosynth.energy.prices import Prices
from photosynth.energy.reasons import import_reason
from photosynth.fleet import MiningSite, Site
from photosynth.miners.verification import is_on
from photosynth.miners.view import MachineView
from photosynth.pool.statistics import PoolSnapshot
from photosynth.quantities.instants import iso_utc
from photosynth.quantities.work import difficulty_of_target
from photosynth.sites.controller import Controller
from photosynth.sites.mining_loads import mining_loads
from photosynth.sites.power_picture import PowerPicture


@dataclass(frozen=True, slots=True)
class Answered:
    """What a node said of itself, and at which wall time."""

    health: NodeHealth
    wall_ms: int


def chain_status(
    mining: MiningSite, answered: Answered | None, template: Template | None, *, fresh: bool, now_ms: int
) -> ChainStatus:
    """The chain as the node says it, or said it last: where it does not answer now nothing is claimed to be synchronised."""
    target = None if template is None else template.target
    demonstration = mining.node.demonstration is not None
    if answered is None:
        return ChainStatus(
            network=mining.node.chain,
            software=None,
            height=None,
            tip=None,
            target=None,
            difficulty=None,
            synchronised=False,
            peers=None,
            warnings=["the Bitcoin node does not answer"],
            demonstration=demonstration,
            last_block_age_s=None,
            observed_ms=None,
        )
    health, age_s = answered.health, max(0, now_ms - answered.wall_ms) // 1000
    silent = [] if fresh else [f"the Bitcoin node does not answer; this is what it said {age_s} s ago"]
    target = target if fresh else None
    return ChainStatus(
        network=health.chain,
        software=health.software,
        height=health.tip.height,
        tip=hash_text(health.tip.hash),
        target=None if target is None else str(target),
        difficulty=difficulty_of_target(target) if target else None,
        synchronised=fresh and health.synchronised,
        peers=health.peers,
        warnings=[*silent, *health.warnings],
        demonstration=demonstration,
        last_block_age_s=None if health.tip.height == 0 else max(0, now_ms // 1000 - health.tip.time_s),
        observed_ms=answered.wall_ms,
    )


def site_status(
    site: Site,
    controller: Controller | None,
    views: Sequence[MachineView],
    *,
    import_peak_w: int,
    now_ms: int,
    wall_ms: int,
    speed: float,
    replay: str | None,
    stopped: bool,
) -> SiteStatus:
    """The site's power now; what is not fresh is None, and so is what a control decides that does not run."""
    picture = plan = prices = None
    if controller is not None:
        picture, plan, prices = controller.picture, controller.plan, controller.prices
    quality = "unknown" if picture is None else picture.quality(wall_ms)
    seen = picture if quality in ("good", "estimated") else None
    return SiteStatus(
        name=site.name,
        title=site.title,
        simulated=site.simulated,
        time_ms=now_ms,
        zone=str(site.zone),
        speed=speed,
        replay=replay,
        sources=list(site.source_kinds()),
        generation_w=None if seen is None else seen.generation_w,
        load_w=None if seen is None else seen.load_w,
        surplus_w=None if seen is None else seen.surplus_w,
        set_point_w=None if plan is None else plan.set_point_w,
        mining_power_w=None if seen is None else seen.mining_w,
        grid_w=None if seen is None else seen.grid_w,
        import_reason=None if seen is None else _import_reason(site, seen, views, prices, now_ms),
        curtailed_w=None if seen is None else seen.curtailed_w,
        connection_w=site.grid.connection_w,
        observed_ms=None if picture is None else picture.at_ms,
        quality=quality,
        spot_cent_per_mwh=None if prices is None else prices.spot_cent_per_mwh,
        import_cent_per_mwh=None if prices is None else prices.import_cent_per_mwh,
        export_cent_per_mwh=None if prices is None else prices.export_cent_per_mwh,
        import_peak_w=import_peak_w,
        stopped=stopped,
    )


def _import_reason(
    site: Site, seen: PowerPicture, views: Sequence[MachineView], prices: Prices | None, now_ms: int
) -> str | None:
    """Why energy is bought now; None where it is not, or where a meter or the price is not known."""
    if seen.grid_w is None or seen.surplus_w is None or prices is None:
        return None
    loads = mining_loads(views, seen.mining_w, now_ms, buying_allowed=site.grid.import_for_mining)
    return import_reason(seen.grid_w, prices.import_cent_per_mwh, -seen.surplus_w, loads)


def pool_status(snapshot: PoolSnapshot) -> PoolStatus:
    """The pool in one glance."""
    rate = snapshot.hash_rate
    return PoolStatus(
        listen=snapshot.listen,
        connections=snapshot.connections,
        workers=len(snapshot.workers),
        shares_accepted=snapshot.accepted,
        shares_rejected=sum(snapshot.rejected.values()),
        rejected_by_cause=dict(snapshot.rejected),
        blocks_found=snapshot.blocks_found,
        work_hashes=str(snapshot.work),
        represented_hashes=str(snapshot.represented),
        hash_rate_hs=None if rate.hash_rate_hs is None else str(rate.hash_rate_hs),
        hash_rate_error_percent=None if rate.standard_error is None else round(rate.standard_error * 100, 1),
    )


def machines_status(views: Sequence[MachineView], total: int) -> MachinesStatus:
    """How many machines run, by their readings, and in which state control holds them to be; unknown without control."""
    if not views:
        unknown = dict.fromkeys(("running", "sleeping", "starting", "unreachable", "faulty"))
        return MachinesStatus(total=total, starts=0, **unknown)
    count = Counter(view.state for view in views)
    return MachinesStatus(
        total=total,
        running=sum(is_on(view.model, view) for view in views),
        sleeping=count["sleeping"],
        starting=count["starting"],
        unreachable=count["unreachable"],
        faulty=count["faulty"],
        starts=sum(view.starts for view in views),
    )


def model_statuses(site: Site, views: Sequence[MachineView], quote: CoinQuote) -> list[ModelStatus]:
    """Each model with its strike price at full power; how many run is unknown without control."""
    counted = Counter(spec.model.id for spec in site.machine_specs())
    return [
        ModelStatus(
            id=model.id,
            name=model.name,
            total=counted[model.id],
            running=sum(view.model.id == model.id and is_on(view.model, view) for view in views) if views else None,
            strike_cent_per_mwh=quote.strike_cent_per_mwh(model.hash_rate_hs, model.power_w),
        )
        for model in site.machines.models
    ]


def mainnet_outlook(quote: CoinQuote, hash_rate_hs: int | None) -> MainnetOutlook:
    """What the site would expect on mainnet."""
    expected = outlook(quote, hash_rate_hs or 0)
    return MainnetOutlook(
        difficulty=quote.difficulty.split(".", maxsplit=1)[0],
        reward_sat=quote.reward_sat,
        price_cent_per_btc=quote.price_cent_per_btc,
        as_of=iso_utc(quote.as_of_ms),
        sat_per_day=expected.sat_per_day,
        ueur_per_day=expected.ueur_per_day,
        days_per_block=expected.days_per_block,
        chance_of_no_block_in_a_year=expected.chance_of_no_block_in_a_year,
        hash_price_ueur_per_th_day=expected.hash_price_ueur_per_th_day,
    )
