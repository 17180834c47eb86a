"""What evidence lines say, built from facts: the header of a site, the record of a quarter hour, a block, a posting.

``docs/reference/evidence.md`` describes every member for those who write another verifier.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from photosynth.bitcoin.node import hash_text
from photosynth.quantities.balance import Allocation, Energies, allocate
from photosynth.quantities.instants import INTERVAL_S
from photosynth.treasury import energy
from photosynth.treasury.blocks import AttributedShare, BlockRow
from photosynth.treasury.evidence.canonical import maybe_number, number
from photosynth.treasury.facts import BestFact, CoinFact, IntervalFacts, JobFact, MeterFact, PriceFact, SiteFacts
from photosynth.treasury.journal import StoredPosting

FORMAT = "photosynth-evidence"
VERSION = 1
RULES: dict[str, str] = {
    **energy.RULES,
    "attribution": "represented-largest-remainder-1",
    "coin_value": "satoshi-price-half-even-1",
    "coinbase_value": "represented-mainnet-share-1",
    "work": "shares-by-target-1",
    "best_headers": "lowest-32-per-scale-1",
}
"""The rules that version 1 knows; the verifier recomputes by these and refuses others."""
BEST_HEADERS = 32

Follows = Literal["nothing", "configuration", "gap"]


def header_body(site: SiteFacts, public_key: bytes, seq: int, follows: Follows) -> dict[str, Any]:
    """The header line: what holds for the records after it. ``follows`` says why it stands where it does."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "type": "header",
        "seq": seq,
        "follows": follows,
        "site": site.site,
        "title": site.title,
        "operator": site.operator,
        "simulated": site.simulated,
        "network": site.network,
        "genesis_hash": hash_text(site.genesis_hash),
        "payout_script": site.payout_script.hex(),
        "asset": site.asset,
        "public_key": public_key.hex(),
        "recognition": site.recognition,
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


def record_body(
    seq: int,
    facts: IntervalFacts,
    energies: Energies | None,
    *,
    blocks: Sequence[dict[str, Any]],
    late_attributions: Sequence[dict[str, Any]],
    postings: Sequence[StoredPosting],
) -> dict[str, Any]:
    """The record of one quarter hour."""
    workers = sorted({(w.worker, w.party or "", w.scale) for w in facts.work})
    targets = sorted({w.target for w in facts.work})
    return {
        "type": "record",
        "seq": seq,
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
        **_best_members(facts.best, facts.jobs),
        "blocks": list(blocks),
        "late_attributions": list(late_attributions),
        "postings": [posting_member(posting) for posting in postings],
    }


def end_body(records: int, lines: int, head: bytes, blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The last line of a file: how many records and lines stand before it, the head, and blocks found since."""
    return {"type": "end", "records": records, "lines": lines, "head": head.hex(), "blocks": list(blocks)}


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


def block_member(block: BlockRow, attribution: Sequence[AttributedShare]) -> dict[str, Any]:
    """One block of ours with everything that proves it, and whose its satoshis are (None where that is unknown)."""
    return {
        "hash": hash_text(block.hash),
        "height": block.height,
        "header": block.header.hex(),
        "target": None if block.target is None else f"{block.target:064x}",
        "coinbase": block.coinbase.hex(),
        "branch": [sibling.hex() for sibling in block.branch],
        "value_sat": number(block.value_sat),
        "state": block.state,
        "origin": block.origin,
        "worker": block.worker,
        "site_ms": block.site_ms,
        "wall_ms": block.wall_ms,
        "mainnet_target": None if block.mainnet_target is None else f"{block.mainnet_target:064x}",
        "reward_sat": maybe_number(block.reward_sat),
        "attribution": attribution_member(attribution),
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


def posting_member(stored: StoredPosting) -> dict[str, Any]:
    """A whole line of the journal."""
    posting = stored.posting
    return {
        "id": stored.id,
        "key": posting.key,
        "time_ms": posting.time_ms,
        "wall_ms": posting.wall_ms,
        "event": posting.event,
        "text": posting.text,
        "reverses": posting.reverses,
        "source": {name: number(value) if type(value) is int else value for name, value in posting.source.items()},
        "lines": [[line.account, line.side, line.asset, number(line.amount)] for line in posting.lines],
    }


def _best_members(best: Iterable[BestFact], jobs: Mapping[str, JobFact]) -> dict[str, Any]:
    """The lowest-hashing headers of each scale; each refers to one of the jobs by its place in the list."""
    best = tuple(best)
    used = sorted({fact.job for fact in best if fact.job in jobs})
    scales = sorted({fact.scale for fact in best})
    return {
        "best": [
            {
                "scale": number(scale),
                "headers": [
                    [fact.header.hex(), used.index(fact.job) if fact.job in jobs else None, fact.extranonce.hex()]
                    for fact in best
                    if fact.scale == scale
                ],
            }
            for scale in scales
        ],
        "jobs": [
            {
                "prefix": jobs[key].prefix.hex(),
                "suffix": jobs[key].suffix.hex(),
                "branch": [sibling.hex() for sibling in jobs[key].branch],
            }
            for key in used
        ],
    }
