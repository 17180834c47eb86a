"""The documents that the running system shows: what the API, the console and the command line's JSON all say.

Counters are cumulative over the life of the state. Integers that may exceed 2^53 are decimal strings. None is unknown,
which is neither zero nor healthy. Times are milliseconds since the epoch (UTC), ``_ms``, unless their name says otherwise.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

BigCount = Annotated[str, Field(pattern=r"^-?[0-9]+$", description="an integer of any size, as decimal text")]


class Document(BaseModel):
    """What every document shares: unknown fields are refused and instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Measured(Document):
    """A value with its age and source, as a page shows it."""

    value: int | None
    unit: str
    at_ms: int | None = Field(description="site time of the measurement")
    source: str
    quality: Literal["good", "estimated", "stale", "unknown"]


class ChainStatus(Document):
    """The Bitcoin chain that the site mines on."""

    network: str
    software: str
    height: int
    tip: str
    target: BigCount = Field(description="what the next block's hash must not exceed")
    difficulty: float
    synchronised: bool
    peers: int
    warnings: list[str]
    demonstration: bool = Field(description="whether difficulty and money are a demonstration's")
    last_block_age_s: int | None = Field(description="wall seconds since the tip arrived")


class SiteStatus(Document):
    """The site's power now; None where no fresh observation says. Import is positive in ``grid_w``."""

    name: str
    title: str
    simulated: bool
    time_ms: int
    speed: float
    replay: str | None = Field(description="the recorded day that drives the site")
    generation_w: int | None
    load_w: int | None
    surplus_w: int | None
    set_point_w: int | None
    mining_power_w: int | None
    grid_w: int | None
    curtailed_w: int | None = Field(description="estimate of what the source could make beyond its limit")
    connection_w: int
    observed_ms: int | None
    quality: Literal["good", "estimated", "stale", "unknown"]
    spot_cent_per_mwh: int | None
    import_cent_per_mwh: int | None
    export_cent_per_mwh: int | None
    import_peak_w: int | None = Field(description="highest quarter-hour mean of import so far, for the demand charge")
    stopped: bool = Field(description="everything was switched off by an operator")


class PoolStatus(Document):
    """The pool: connections, shares, work. ``work_hashes`` were really hashed; each stands for as many as its scale says."""

    listen: str
    connections: int
    workers: int
    shares_accepted: int
    shares_rejected: int
    rejected_by_cause: dict[str, int]
    blocks_found: int
    work_hashes: BigCount
    represented_hashes: BigCount
    hash_rate_hs: BigCount | None = Field(description="represented, over the last minutes")
    hash_rate_error_percent: float | None = Field(description="standard error, 1/sqrt(shares)")


class MainnetOutlook(Document):
    """What this site's represented hash rate would expect on mainnet, at the declared difficulty and price."""

    difficulty: BigCount
    reward_sat: int
    price_cent_per_btc: int
    as_of: str
    sat_per_day: int | None
    ueur_per_day: int | None
    days_per_block: float | None
    chance_of_no_block_in_a_year: float | None
    hash_price_ueur_per_th_day: int


class LedgerStatus(Document):
    """The books in one glance, in base units."""

    immature_sat: int
    mature_sat: int
    carrying_ueur: int
    mining_revenue_ueur: int
    energy_cost_ueur: int
    export_revenue_ueur: int
    postings: int
    reconciled_height: int | None = Field(description="up to here journal and chain agree to the satoshi")
    asset: str = Field(description="what the satoshis are: demonstration BTC on regtest")


class EvidenceStatus(Document):
    """The proof: how many records, and the head that the coinbases commit to."""

    records: int
    head: str | None
    last_interval_ms: int | None


class MachinesStatus(Document):
    """How many machines are in which state."""

    total: int
    running: int
    sleeping: int
    starting: int
    unreachable: int
    faulty: int
    starts: int


class ModelStatus(Document):
    """One model of machine: how many run and at which price it stops being worth it."""

    id: str
    name: str
    total: int
    running: int
    strike_cent_per_mwh: int = Field(description="the value of a megawatt-hour in this model at full power")


class Status(Document):
    """Everything in one document: `photosynth status --json` and `GET /api/v1/status`."""

    time: str = Field(description="site time, ISO 8601, UTC")
    wall_time: str
    running: bool
    version: str
    speed: float
    chain: ChainStatus
    site: SiteStatus
    pool: PoolStatus
    machines: MachinesStatus
    models: list[ModelStatus]
    mainnet: MainnetOutlook
    ledger: LedgerStatus
    evidence: EvidenceStatus
    conditions: list["Condition"]


class Condition(Document):
    """A judgement over observations, with its evidence and what to do."""

    id: str
    severity: Literal["info", "warning", "critical"]
    subject: str
    summary: str
    evidence: str
    advice: str
    since_ms: int


class WorkerDocument(Document):
    """One worker of the pool over the life of the state."""

    name: str
    party: str | None
    scale: BigCount = Field(description="hashes that one real hash stands for; a guest's is 1")
    connected: bool
    difficulty: float | None
    shares_accepted: int
    rejected_by_cause: dict[str, int]
    work_hashes: BigCount
    represented_hashes: BigCount
    last_share_wall_ms: int | None
    user_agent: str | None


class WorkersDocument(Document):
    """`photosynth workers --json` and `GET /api/v1/workers`."""

    running: bool
    workers: list[WorkerDocument]


class MachineDocument(Document):
    """One machine with what it was told, what it does, and why."""

    id: str
    group: str
    model: str
    party: str
    driver: str
    address: str
    worker: str
    state: Literal["running", "starting", "stopping", "sleeping", "unreachable", "faulty", "unknown"]
    power_w: int | None
    hash_rate_hs: BigCount | None
    commanded_w: int | None
    reason: str = Field(description="why it runs or sleeps, in a sentence")
    temperature_c: int | None
    observed_ms: int | None
    state_since_ms: int | None
    starts: int
    accepted: int
    rejected: int
    last_share_wall_ms: int | None
    strike_cent_per_mwh: int
    conditions: list[Condition]


class DayPoint(Document):
    """One point of the day's curve: powers in watts, price in cent/MWh; None where nothing was observed."""

    time_ms: int
    generation_w: int | None
    load_w: int | None
    surplus_w: int | None
    set_point_w: int | None
    mining_power_w: int | None
    grid_w: int | None
    spot_cent_per_mwh: int | None


class Line(Document):
    """One line of a posting."""

    account: str
    name: str
    side: Literal["debit", "credit"]
    asset: Literal["SAT", "UEUR", "J"]
    amount: int


class PostingDocument(Document):
    """One balanced entry of the journal."""

    id: int
    key: str
    time_ms: int
    wall_ms: int
    event: str
    text: str
    lines: list[Line]
    reverses: int | None
    source: dict[str, str | int | None]


class BalanceRow(Document):
    """One row of the trial balance: an account in one asset over a period."""

    account: str
    name: str
    asset: Literal["SAT", "UEUR", "J"]
    opening: int = Field(description="debit positive")
    debit: int
    credit: int
    closing: int = Field(description="debit positive")


class LedgerDocument(Document):
    """`photosynth ledger --json` and `GET /api/v1/ledger`."""

    from_ms: int | None
    to_ms: int | None
    trial_balance: list[BalanceRow]
    postings: list[PostingDocument]
    total_postings: int


class BlockDocument(Document):
    """One block that the site found."""

    height: int
    hash: str
    txid: str
    time_s: int
    site_ms: int | None
    value_sat: int
    value_ueur: int | None
    state: Literal["immature", "mature", "orphaned"]
    confirmations: int
    worker: str | None
    commitment: str | None = Field(description="the evidence head in its coinbase")


class TraceShare(Document):
    """What one worker's work in one quarter hour and round earned of a block."""

    worker: str
    party: str | None
    interval_ms: int
    round: int
    shares: int
    work_hashes: BigCount
    represented_hashes: BigCount
    value_sat: int


class TraceInterval(Document):
    """One quarter hour behind a block: what its meters and prices say. None where the quarter hour is not closed yet."""

    interval_ms: int
    record: int | None
    value_sat: int
    own_mining_j: int | None
    grid_mining_j: int | None
    mining_j: int | None
    meters: list["MeterInterval"]
    spot_cent_per_mwh: int | None
    energy_cost_ueur: int | None
    prices: dict[str, int | None]
    price_source: str | None


class MeterInterval(Document):
    """One meter's registers over one quarter hour, in joules."""

    id: str
    role: str
    register_start_j: int | None
    register_end_j: int | None
    quality: str


class TraceDocument(Document):
    """`photosynth trace BLOCK --json`: the satoshis of a coinbase, back to workers, quarter hours, meters, prices."""

    block: BlockDocument
    shares: list[TraceShare]
    intervals: list[TraceInterval]
    postings: list[PostingDocument]
    notes: list[str]


class ActionDocument(Document):
    """One change to the world: who, why, what came of it, and what reading back said."""

    id: int
    time_ms: int
    wall_ms: int
    actor: str
    kind: str
    subject: str
    reason: str
    request: str
    result: Literal["planned", "done", "refused", "failed", "unverified"]
    answer: str | None
    read_back: str | None
    verified: bool | None
    finished_ms: int | None
