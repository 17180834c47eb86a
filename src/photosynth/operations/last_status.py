"""What the last status of a running site still says of a stopped one: what only a running one can tell is unknown."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from photosynth.pool.records import is_worker

if TYPE_CHECKING:
    from photosynth.documents import SitePart
    from photosynth.pool.accounting import WorkAccount

_UNKNOWN_POWERS = (
    *("generation_w", "load_w", "surplus_w", "set_point_w", "mining_power_w", "grid_w", "curtailed_w"),
    *("import_reason", "observed_ms"),
)
_MACHINE_STATES = ("running", "sleeping", "starting", "unreachable", "faulty")
_OF_A_HASH_RATE = ("sat_per_day", "ueur_per_day", "days_per_block", "chance_of_no_block_in_a_year")


@dataclass(frozen=True, slots=True)
class RestingTip:
    """Height, hash and age of the best block of a chain at rest, None where unknown, and what there is to warn of."""

    height: int | None
    hash: str | None
    age_s: int | None
    warnings: list[str]


def left_part(part: "SitePart", account: "WorkAccount", tip: RestingTip, *, stopped: bool, embedded: bool) -> "SitePart":
    """A site as it was left; ``stopped`` is whether an operator had switched everything off."""
    totals = list(account.totals.values())
    rejected: dict[str, int] = {}
    for item in totals:
        for cause, number in item.rejected.items():
            rejected[cause] = rejected.get(cause, 0) + number
    site = {**dict.fromkeys(_UNKNOWN_POWERS), "quality": "unknown", "stopped": stopped}
    pool = {
        "connections": 0,
        "workers": sum(map(is_worker, account.totals)),
        "shares_accepted": sum(item.accepted for item in totals),
        "shares_rejected": sum(rejected.values()),
        "rejected_by_cause": rejected,
        "blocks_found": account.blocks_found,
        "work_hashes": str(sum(item.work for item in totals)),
        "represented_hashes": str(sum(item.represented for item in totals)),
        "hash_rate_hs": None,
        "hash_rate_error_percent": None,
    }
    chain = {
        "height": tip.height,
        "tip": tip.hash,
        "target": None,
        "difficulty": None,
        "synchronised": False,
        "peers": 0 if embedded else None,
        "warnings": tip.warnings,
        "last_block_age_s": tip.age_s,
        "observed_ms": None,
    }
    return part.model_copy(
        update={
            "site": part.site.model_copy(update=site),
            "pool": part.pool.model_copy(update=pool),
            "chain": part.chain.model_copy(update=chain),
            "machines": part.machines.model_copy(update=dict.fromkeys(_MACHINE_STATES)),
            "models": [model.model_copy(update={"running": None}) for model in part.models],
            "mainnet": part.mainnet.model_copy(update=dict.fromkeys(_OF_A_HASH_RATE)),
            "conditions": [],
        }
    )
