"""What Prometheus is told: one table of families, each with its unit, its labels and the document that it is read from.

Nothing is counted here: every value but those of the own process is a member of a document that the console shows, too. Labels
are names of the fleet file and short lists of words; machines, shares, workers and validators have none. What a document holds
to be unknown has no sample; it is never zero.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from prometheus_client.core import HistogramMetricFamily, Metric

from photosynth.api.metric_family import NODE_LABELS, Family, Sample, Seen, Value, node_labels, of_fleet, of_nodes, of_sites
from photosynth.documents import Condition, HoldingStatus, NodeDocument, SitePart, Status

EXACT = 2**53
"""A sample is a float of 64 bits, which holds every whole number up to here (IEEE 754-2019, binary64)."""
QUARTER_HOUR_MS = 900_000
NODE_STATES = ("healthy", "degraded", "down", "unknown")
QUALITIES = ("good", "estimated", "stale", "unknown")
SEVERITIES = ("critical", "warning", "info")


def _answers(node: NodeDocument, value: int | None) -> int | None:
    """What a node says, while it answers: a document keeps what one that is down said last."""
    return value if node.state in ("healthy", "degraded") else None


def _node_states(seen: Seen) -> Iterator[Sample]:
    for node in seen.nodes:
        for state in NODE_STATES:
            yield (*node_labels(node), state), int(node.state == state)


def _qualities(seen: Seen) -> Iterator[Sample]:
    for part in seen.sites:
        for quality in QUALITIES:
            yield (part.name, quality), int(part.site.quality == quality)


def _machines(seen: Seen) -> Iterator[Sample]:
    for part in seen.sites:
        found = part.machines
        for state, count in (
            ("running", found.running),
            ("sleeping", found.sleeping),
            ("starting", found.starting),
            ("unreachable", found.unreachable),
            ("faulty", found.faulty),
        ):
            yield (part.name, state), count


def _shares(seen: Seen) -> Iterator[Sample]:
    for part in seen.sites:
        yield (part.name, "accepted"), part.pool.shares_accepted
        yield (part.name, "refused"), part.pool.shares_rejected


def _conditions(seen: Seen) -> Iterator[Sample]:
    if seen.status is None:
        return
    scopes: list[tuple[str, Sequence[Condition]]] = [("", seen.status.conditions)]
    scopes += [(part.name, part.conditions) for part in seen.sites]
    for scope, found in scopes:
        counted = Counter[str](condition.severity for condition in found)
        for severity in SEVERITIES:
            yield (scope, severity), counted[severity]


def _holdings(value: Callable[[HoldingStatus], Value]) -> Callable[[Seen], Iterator[Sample]]:
    def samples(seen: Seen) -> Iterator[Sample]:
        for held in () if seen.books is None else seen.books.ledger.assets:
            yield (held.code, held.network, held.base_unit), value(held)

    return samples


def _exact(held: HoldingStatus) -> int | None:
    units = int(held.held)
    return units if abs(units) <= EXACT else None


def _rounded(held: HoldingStatus) -> float:
    return float(Decimal(held.held).scaleb(-held.decimals))


def _hashes_per_second(part: SitePart) -> int | None:
    rate = part.pool.hash_rate_hs
    return None if rate is None else int(rate)


def _meters_age_s(part: SitePart) -> float | None:
    site = part.site
    return None if site.observed_ms is None else max(0, site.time_ms - site.observed_ms) / 1000


def _answer_age_s(node: NodeDocument, seen: Seen) -> float | None:
    return None if node.observed_ms is None else max(0, seen.wall_ms - node.observed_ms) / 1000


def _fleet_ms(status: Status) -> int | None:
    """The clock that all sites of a fleet share."""
    return status.sites[0].site.time_ms if status.sites else None


def _evidence_age_s(seen: Seen) -> float | None:
    status = seen.books
    if status is None or status.evidence.last_interval_ms is None or (now_ms := _fleet_ms(status)) is None:
        return None
    return max(0, now_ms - status.evidence.last_interval_ms - QUARTER_HOUR_MS) / 1000


_WATTS = "absent where no fresh reading says."
FAMILIES: tuple[Family, ...] = (
    Family(
        "photosynth_build_info",
        "gauge",
        ("version",),
        "1, with the version of this software.",
        "`status`, `version`",
        lambda seen: [] if seen.status is None else [((seen.status.version,), 1)],
    ),
    of_fleet(
        "photosynth_fleet_speed",
        "Seconds of the fleet's time per second; 1 where anything is real.",
        "`status`, `speed`",
        lambda seen: None if seen.status is None else seen.status.speed,
    ),
    of_fleet(
        "photosynth_database_away",
        "1 while the database does not answer: then there is no sample of ledger and evidence.",
        "`status`, its condition `database_away`",
        lambda seen: int(seen.books is None),
    ),
    Family(
        "photosynth_conditions",
        "gauge",
        ("site", "severity"),
        "Conditions that hold now, a count; with an empty site those of the fleet and its nodes.",
        "`status`, `conditions` and `sites[].conditions`",
        _conditions,
    ),
    of_fleet(
        "photosynth_incidents_open",
        "Incidents that are open and that nobody has taken on, a count; absent where they are not watched.",
        "`status`, `incidents.open`",
        lambda seen: None if seen.status is None else seen.status.incidents.open,
    ),
    of_sites(
        "photosynth_site_generation_watts",
        f"What the site's sources make, watts; {_WATTS}",
        "site.generation_w",
        lambda part: part.site.generation_w,
    ),
    of_sites(
        "photosynth_site_load_watts",
        f"What the site draws without mining, watts; {_WATTS}",
        "site.load_w",
        lambda part: part.site.load_w,
    ),
    of_sites(
        "photosynth_site_surplus_watts",
        f"Generation less load, watts; {_WATTS}",
        "site.surplus_w",
        lambda part: part.site.surplus_w,
    ),
    of_sites(
        "photosynth_site_set_point_watts",
        "What mining shall draw, watts; absent before it is decided.",
        "site.set_point_w",
        lambda part: part.site.set_point_w,
    ),
    of_sites(
        "photosynth_site_mining_watts",
        f"What mining draws, as its meter says, watts; {_WATTS}",
        "site.mining_power_w",
        lambda part: part.site.mining_power_w,
    ),
    of_sites(
        "photosynth_site_grid_watts",
        f"Power at the connection, import positive, watts; {_WATTS}",
        "site.grid_w",
        lambda part: part.site.grid_w,
    ),
    of_sites(
        "photosynth_site_meters_age_seconds",
        "Age of the meters' newest reading, seconds of the site's time; absent where there never was one.",
        "site.observed_ms",
        _meters_age_s,
    ),
    Family(
        "photosynth_site_meters_quality",
        "gauge",
        ("site", "quality"),
        f"1 for the quality that the meters' readings have, 0 for the others: {', '.join(QUALITIES)}.",
        "`status`, `sites[].site.quality`",
        _qualities,
    ),
    of_sites(
        "photosynth_site_stopped",
        "1 while an operator holds all mining switched off.",
        "site.stopped",
        lambda part: int(part.site.stopped),
    ),
    of_sites(
        "photosynth_site_hashes_per_second",
        "Hash rate that shares prove over the last minutes, hashes per second; of simulated machines, what they stand for.",
        "pool.hash_rate_hs",
        _hashes_per_second,
    ),
    of_sites(
        "photosynth_site_machines_declared",
        "Machines in the fleet file, a count.",
        "machines.total",
        lambda part: part.machines.total,
    ),
    Family(
        "photosynth_site_machines",
        "gauge",
        ("site", "state"),
        "Machines in each state, a count; one that is faulty may run besides, so they do not add up to those declared.",
        "`status`, `sites[].machines`",
        _machines,
    ),
    of_sites(
        "photosynth_site_machine_starts",
        "Starts of all machines since the system runs, a count.",
        "machines.starts",
        lambda part: part.machines.starts,
        "counter",
    ),
    of_sites(
        "photosynth_pool_connections", "Miners connected now, a count.", "pool.connections", lambda part: part.pool.connections
    ),
    Family(
        "photosynth_pool_shares",
        "counter",
        ("site", "result"),
        "Shares that the pool accepted and refused over the life of the state, a count.",
        "`status`, `sites[].pool.shares_accepted` and `.shares_rejected`",
        _shares,
    ),
    of_sites(
        "photosynth_pool_blocks_found",
        "Blocks that the pool found and its node accepted over the life of the state, a count.",
        "pool.blocks_found",
        lambda part: part.pool.blocks_found,
        "counter",
    ),
    Family(
        "photosynth_node_state",
        "gauge",
        (*NODE_LABELS, "state"),
        "1 for the state that the node is in, 0 for the others: down stopped answering, unknown never answered.",
        "`nodes`, `state`",
        _node_states,
    ),
    of_nodes(
        "photosynth_node_head_blocks",
        "Height or slot of its newest block; absent where it does not answer.",
        "head",
        lambda node, _: _answers(node, node.head),
    ),
    of_nodes(
        "photosynth_node_lag_blocks",
        "Blocks or slots behind the best head known on its chain; absent where it does not answer.",
        "lag",
        lambda node, _: _answers(node, node.lag),
    ),
    of_nodes(
        "photosynth_node_peers",
        "Nodes that it is connected to, a count; absent where it does not say.",
        "peers",
        lambda node, _: _answers(node, node.peers),
    ),
    of_nodes(
        "photosynth_node_answer_age_seconds",
        "Age of its last answer, seconds; absent where it never answered.",
        "observed_ms",
        _answer_age_s,
    ),
    Family(
        "photosynth_ledger_base_units",
        "gauge",
        ("asset", "network", "base_unit"),
        "What the books hold of an asset, in its base unit; absent beyond 2^53, which a sample cannot hold exactly.",
        "`status`, `ledger.assets[].held`",
        _holdings(_exact),
    ),
    Family(
        "photosynth_ledger_units",
        "gauge",
        ("asset", "network", "base_unit"),
        "The same in whole units of the asset (bitcoins, ethers), rounded to the 15 digits of a sample; the books are exact.",
        "`status`, `ledger.assets[].held` and `.decimals`",
        _holdings(_rounded),
    ),
    of_fleet(
        "photosynth_ledger_postings",
        "Postings in the journal, a count.",
        "`status`, `ledger.postings`",
        lambda seen: None if seen.books is None else seen.books.ledger.postings,
        "counter",
    ),
    of_fleet(
        "photosynth_ledger_reconciled_blocks",
        "Height up to which journal and chain agree to the satoshi; absent where nothing was compared yet.",
        "`status`, `ledger.reconciled_height`",
        lambda seen: None if seen.books is None else seen.books.ledger.reconciled_height,
    ),
    of_fleet(
        "photosynth_evidence_records",
        "Quarter hours closed in the evidence of all sites, a count.",
        "`status`, `evidence.records`",
        lambda seen: None if seen.books is None else seen.books.evidence.records,
        "counter",
    ),
    of_fleet(
        "photosynth_evidence_age_seconds",
        "Since the end of the newest closed quarter hour, seconds of the fleet's time; absent before the first.",
        "`status`, `evidence.last_interval_ms`",
        _evidence_age_s,
    ),
    of_fleet(
        "process_cpu_seconds",
        "Processor time that the system's own process used, user and system, seconds; without the nodes and models beside it.",
        "the operating system",
        lambda seen: seen.own.cpu_s,
        "counter",
    ),
    of_fleet(
        "process_resident_memory_bytes",
        "Memory of the same process that is resident, bytes.",
        "the operating system",
        lambda seen: seen.own.resident_bytes,
    ),
    of_fleet(
        "process_start_time_seconds",
        "When it started, seconds since 1970, UTC.",
        "the operating system",
        lambda seen: seen.own.started_s,
    ),
)
LOOP_LAG = Family(
    "photosynth_event_loop_lag_seconds",
    "gauge",
    ("le",),
    "How much later than due the process's event loop called a timer, seconds: a histogram, of four timers a second.",
    "the event loop",
    lambda _: [],
)


def exposed_name(family: Family) -> str:
    """The name that a query uses."""
    return f"{family.name}_total" if family.kind == "counter" else family.name


def collect(seen: Seen) -> list[Metric]:
    """Every family with its samples."""
    found: list[Metric] = [family.collect(seen) for family in FAMILIES]
    lag = HistogramMetricFamily(LOOP_LAG.name, LOOP_LAG.help)
    lag.add_metric([], seen.own.lag.buckets(), seen.own.lag.sum_s)
    return [*found, lag]


def wall_ms() -> int:
    """The machine's own time."""
    return time.time_ns() // 1_000_000
