"""What the lines of a site's stream say, built from facts: the site, a quarter hour, a correction, blocks, a new key.

``docs/reference/evidence.md`` describes every member for those who write another verifier.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from photosynth.bitcoin.node import hash_text
from photosynth.quantities.balance import Allocation, Energies, allocate
from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury.evidence.canonical import maybe_number, number
from photosynth.treasury.evidence.envelope import FORMAT
from photosynth.treasury.evidence.heads import Commitment
from photosynth.treasury.facts import BestFact, CoinFact, CorrectionFacts, IntervalFacts, JobFact, MeterFact, PriceFact, SiteFacts
from photosynth.treasury.mining import energy
from photosynth.treasury.mining.blocks import AttributedShare, BlockRow

RULES: dict[str, str] = {
    **energy.RULES,
    "attribution": "represented-largest-remainder-1",
    "coinbase_value": "represented-mainnet-share-1",
    "commitment": "stream-heads-merkle-1",
    "work": "shares-by-target-1",
    "best_headers": "lowest-32-per-scale-1",
}
"""The rules of a site's stream that version 2 knows; the verifier recomputes by these and refuses others."""
BEST_HEADERS = 32

Follows = Literal["nothing", "configuration", "gap"]
"""Why a configuration stands where it does."""


def site_data(site: SiteFacts, public_key: bytes, follows: Follows) -> dict[str, Any]:
    """What holds for the quarter hours after it."""
    return {
        "format": FORMAT,
        "follows": follows,
        "title": site.title,
        "operator": site.operator,
        "simulated": site.simulated,
        "chain": site.chain,
        "genesis_hash": hash_text(site.genesis_hash),
        "wallet": site.wallet,
        "payout_script": site.payout_script.hex(),
        "asset": site.asset,
        "public_key": public_key.hex(),
        "export_limit_w": maybe_number(site.export_limit_w),
        "rules": RULES,
        "meters": [
            {
                "id": meter.id,
                "role": meter.role,
                "party": meter.party,
                "class": meter.meter_class,
                "register_step_j": number(meter.register_step_j),
                "simulated": meter.simulated,
                "signed": meter.signed,
            }
            for meter in site.meters
        ],
    }


def quarter_hour_data(
    facts: IntervalFacts,
    energies: Energies | None,
    *,
    blocks: Sequence[dict[str, Any]],
    commitments: Mapping[str, Commitment],
) -> dict[str, Any]:
    """One quarter hour. ``commitments`` are those of the jobs, by key; a job without one is as good as lost."""
    workers = sorted({(w.worker, w.party or "", w.scale) for w in facts.work})
    targets = sorted({w.target for w in facts.work})
    return {
        "start_utc_s": facts.start_ms // 1000,
        "duration_s": INTERVAL_S,
        "wall_start_ms": facts.wall_start_ms,
        "wall_end_ms": facts.wall_end_ms,
        "speed_milli": facts.speed_milli,
        "meters": [meter_member(meter) for meter in facts.meters],
        "residual_j": None if energies is None else number(energies.residual_j),
        "curtailed_estimate_j": maybe_number(facts.curtailed_estimate_j),
        "allocation": None if energies is None else allocation_member(allocate(energies)),
        "prices": price_member(facts.prices),
        "coin": coin_member(facts.coin),
        "workers": [[worker, party or None, number(scale)] for worker, party, scale in workers],
        "targets": [f"{target:064x}" for target in targets],
        "work": [
            [workers.index((w.worker, w.party or "", w.scale)), w.round, targets.index(w.target), w.accepted, w.share_root.hex()]
            for w in sorted(facts.work, key=lambda w: (w.worker, w.round, w.target, w.scale))
        ],
        "rejected": [[r.worker, r.code, r.shares] for r in sorted(facts.rejected, key=lambda r: (r.worker, r.code))],
        **_best_members(facts.best, facts.jobs, commitments),
        "blocks": list(blocks),
    }


def correction_data(facts: CorrectionFacts, seq: int, number_of: int, energies: Energies) -> dict[str, Any]:
    """Registers of a quarter hour that came late, and what follows from all of its registers together."""
    return {
        "start_utc_s": facts.start_ms // 1000,
        "quarter_hour_seq": seq,
        "number": number_of,
        "wall_ms": facts.wall_ms,
        "meters": [meter_member(meter) for meter in facts.meters],
        "residual_j": number(energies.residual_j),
        "allocation": allocation_member(allocate(energies)),
    }


def key_data(public_key: bytes, proof: bytes) -> dict[str, Any]:
    """The key that signs every later line of the stream, with its own signature of that place."""
    return {"public_key": public_key.hex(), "proof": proof.hex()}


def end_data(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The last line of a stream in a file, with the blocks that a site's pool found since the last quarter hour."""
    return {"blocks": list(blocks)}


def commitment_member(commitment: Commitment) -> dict[str, Any]:
    """How a coinbase's commitment leads to a line of this stream."""
    branch = [None if sibling is None else sibling.hex() for sibling in commitment.branch]
    return {"seq": commitment.seq, "place": commitment.place, "branch": branch}


def meter_member(meter: MeterFact) -> dict[str, Any]:
    """One meter over one quarter hour."""
    return {
        "id": meter.id,
        "register_start_j": maybe_number(meter.register_start_j),
        "register_end_j": maybe_number(meter.register_end_j),
        "quality": meter.quality,
        "signature": meter.signature,
    }


def allocation_member(allocation: Allocation) -> dict[str, Any]:
    """Which energy went where, in joules."""
    return {
        "own_factory_j": number(allocation.own_factory_j),
        "own_mining_j": number(allocation.own_mining_j),
        "grid_mining_j": number(allocation.grid_mining_j),
        "grid_factory_j": number(allocation.grid_factory_j),
    }


def price_member(prices: PriceFact | None) -> dict[str, Any] | None:
    """Energy prices in cent/MWh; bought energy's components stand as pairs, in the order of their postings."""
    if prices is None:
        return None
    return {
        "spot": prices.spot_cent_per_mwh,
        "import": [[name, price] for name, price in prices.import_components.items()],
        "export_premium": prices.export_premium_cent_per_mwh,
        "export_fee": prices.export_fee_cent_per_mwh,
        "own_energy_tariff": prices.own_energy_tariff_cent_per_mwh,
        "source": prices.source,
        "published_ms": prices.published_ms,
    }


def coin_member(coin: CoinFact | None) -> dict[str, Any] | None:
    """What a coin is worth in cent, and what mining would earn on mainnet."""
    if coin is None:
        return None
    return {
        "price_cent_per_btc": number(coin.price_cent_per_btc),
        "source": coin.source,
        "as_of_ms": coin.as_of_ms,
        "mainnet_target": f"{coin.mainnet_target:064x}",
        "reward_sat": coin.reward_sat,
    }


def block_member(block: BlockRow, attribution: Sequence[AttributedShare], commitment: Commitment) -> dict[str, Any]:
    """A block that a site's pool found, with everything that proves it, and whose its satoshis are (None: unknown)."""
    return {
        **bare_block_member(block),
        "target": None if block.target is None else f"{block.target:064x}",
        "worker": block.worker,
        "site_ms": block.site_ms,
        "wall_ms": block.wall_ms,
        "mainnet_target": None if block.mainnet_target is None else f"{block.mainnet_target:064x}",
        "reward_sat": maybe_number(block.reward_sat),
        "attribution": attribution_member(attribution),
        "commitment": commitment_member(commitment),
    }


def bare_block_member(block: BlockRow) -> dict[str, Any]:
    """A block as far as the chain shows it."""
    return {
        "hash": hash_text(block.hash),
        "height": block.height,
        "header": block.header.hex(),
        "coinbase": block.coinbase.hex(),
        "branch": [sibling.hex() for sibling in block.branch],
        "value_sat": number(block.value_sat),
    }


def attribution_member(attribution: Sequence[AttributedShare]) -> list[list[Any]] | None:
    """Rows of quarter hour (s), round, worker, party, scale, shares, work, represented hashes, satoshis; None if unknown."""
    if not attribution:
        return None
    return [
        [
            share.work.interval_start_ms // 1000,
            share.work.round,
            share.work.worker,
            share.work.party,
            number(share.work.scale),
            share.work.shares,
            number(share.work.work),
            number(share.work.represented),
            number(share.value_sat),
        ]
        for share in attribution
    ]


def _best_members(best: Iterable[BestFact], jobs: Mapping[str, JobFact], commitments: Mapping[str, Commitment]) -> dict[str, Any]:
    """The lowest-hashing headers of each scale; each refers to one of the jobs by its place in the list."""
    best = tuple(best)
    used = sorted({fact.job for fact in best if fact.job in jobs and fact.job in commitments})
    places = {key: at for at, key in enumerate(used)}
    scales = sorted({fact.scale for fact in best})
    return {
        "best": [
            {
                "scale": number(scale),
                "headers": [
                    [fact.header.hex(), places.get(fact.job), fact.extranonce.hex()] for fact in best if fact.scale == scale
                ],
            }
            for scale in scales
        ],
        "jobs": [
            {
                "prefix": jobs[key].prefix.hex(),
                "suffix": jobs[key].suffix.hex(),
                "branch": [sibling.hex() for sibling in jobs[key].branch],
                "commitment": commitment_member(commitments[key]),
            }
            for key in used
        ],
    }
