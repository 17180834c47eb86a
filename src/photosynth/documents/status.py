"""The status document: every site, the nodes, the books and the proof of a fleet in one answer."""

from typing import Literal

from pydantic import Field

from photosynth.documents.base import BigCount, Document
from photosynth.documents.nodes import NodesStatus


class Condition(Document):
    """A judgement over observations, with its evidence and what to do."""

    id: str
    """Kind and, for a machine, its name."""
    severity: Literal["info", "warning", "critical"]
    """How urgent."""
    subject: str
    """What it is about."""
    summary: str
    """What is wrong, in a sentence."""
    evidence: str
    """What was seen."""
    advice: str
    """What to do."""
    since_ms: int
    """Site time since when."""


class ChainStatus(Document):
    """The Bitcoin chain that the site mines on."""

    network: str
    """Regtest, signet, testnet4 or main."""
    software: str | None
    """The node's software and version."""
    height: int | None
    """Of the best block."""
    tip: str | None
    """Hash of the best block."""
    target: BigCount | None = Field(
        description="what the next block's hash must not exceed; 0, which no hash meets, for half a second after each block "
        "of a demonstration"
    )
    difficulty: float | None
    """Of that target; null where it is 0 or unknown."""
    synchronised: bool
    """Whether the node may be trusted now."""
    peers: int | None
    """Connected nodes."""
    warnings: list[str]
    """What the node warns of."""
    demonstration: bool = Field(description="whether difficulty and money are a demonstration's")
    last_block_age_s: int | None = Field(description="wall seconds since the tip arrived")
    observed_ms: int | None = Field(
        description="wall time at which the node said so: of one that does not answer now the rest is what it said last; "
        "null where it never did"
    )


class SiteStatus(Document):
    """The site's power now; None where no fresh observation says. Import is positive in ``grid_w``."""

    name: str
    """In the fleet file."""
    title: str
    """As people read it."""
    simulated: bool
    """Whether the physical site is simulated."""
    time_ms: int
    """Site time now."""
    zone: str
    """Time zone of the site's clock, by its IANA name."""
    speed: float
    """Site seconds per second."""
    replay: str | None = Field(description="the recorded day that drives the site")
    sources: list[str]
    """What its sources live on, each kind once."""
    generation_w: int | None
    """What the sources make."""
    load_w: int | None
    """The factory without mining."""
    surplus_w: int | None
    """Generation less load."""
    set_point_w: int | None
    """What mining shall draw."""
    mining_power_w: int | None
    """What mining draws, as its meter says."""
    grid_w: int | None
    """At the connection; import positive."""
    import_reason: str | None = Field(
        description="whose load it is that energy is bought for now, in a sentence; none where none is"
    )
    curtailed_w: int | None = Field(description="estimate of what the source could make beyond its limit")
    connection_w: int
    """Limit of import and of export."""
    observed_ms: int | None
    """Site time of the meters' readings."""
    quality: Literal["good", "estimated", "stale", "unknown"]
    """Stale and unknown are neither healthy nor zero."""
    spot_cent_per_mwh: int | None
    """Spot price of this quarter hour."""
    import_cent_per_mwh: int | None
    """A bought megawatt-hour with every component."""
    export_cent_per_mwh: int | None
    """A fed-in megawatt-hour, net."""
    import_peak_w: int | None = Field(description="highest quarter-hour mean of import so far, for the demand charge")
    stopped: bool = Field(description="everything was switched off by an operator")


class PoolStatus(Document):
    """The pool: connections, shares, work. ``work_hashes`` were really hashed; each stands for as many as its scale says."""

    listen: str
    """Host and port that miners connect to."""
    connections: int
    """Open now."""
    workers: int
    """Names that ever mined here."""
    shares_accepted: int
    """Accepted shares."""
    shares_rejected: int
    """Rejected shares."""
    rejected_by_cause: dict[str, int]
    """The same by cause."""
    blocks_found: int
    """Blocks that the node accepted."""
    work_hashes: BigCount
    represented_hashes: BigCount
    hash_rate_hs: BigCount | None = Field(description="represented, over the last minutes")
    hash_rate_error_percent: float | None = Field(description="standard error, 1/sqrt(shares)")


class MainnetOutlook(Document):
    """What this site's represented hash rate would expect on mainnet, at the declared difficulty and price."""

    difficulty: BigCount
    reward_sat: int
    """Subsidy and mean fees of a block."""
    price_cent_per_btc: int
    """Price of a bitcoin."""
    as_of: str
    """When these figures held."""
    sat_per_day: int | None
    """Expected at the present hash rate."""
    ueur_per_day: int | None
    """The same at that price."""
    days_per_block: float | None
    """Mean days until a block, mining alone."""
    chance_of_no_block_in_a_year: float | None
    """0 to 1."""
    hash_price_ueur_per_th_day: int
    """Value of 10^12 hashes per second for a day."""


class HoldingStatus(Document):
    """How much of a network's asset the books hold, spendable or not yet."""

    code: str
    """What the books call it: BTC, ETH."""
    network: str
    """The network that it lives on."""
    base_unit: str
    """What ``held`` is a whole number of."""
    decimals: int
    """10^decimals of the base unit are one of the asset."""
    held: BigCount


class LedgerStatus(Document):
    """The books in one glance, in base units."""

    immature_sat: int
    """Coins that cannot be spent yet."""
    mature_sat: int
    """Coins that can be spent."""
    carrying_ueur: int
    """Value of both when they were mined."""
    mining_revenue_ueur: int
    """Revenue recognised so far."""
    mining_energy_j: int
    """Energy mined with, as the mining meter counted it; of closed quarter hours, as all energy here."""
    mining_energy_cost_ueur: int
    """What that energy cost: bought, and own at what feeding it in would have fetched."""
    mining_energy_bought_ueur: int
    """The bought part of it. A negative price earns."""
    factory_energy_bought_ueur: int
    """Cost of the energy bought for the factory, which has nothing to do with the coins."""
    export_revenue_ueur: int
    """Revenue of exported energy and premium."""
    postings: int
    """How many there are."""
    reconciled_height: int | None = Field(description="up to here journal and chain agree to the satoshi")
    asset: str = Field(description="what the satoshis are: demonstration BTC on regtest")
    assets: list[HoldingStatus]
    """Every asset of a network that has moved in the books."""


class EvidenceStatus(Document):
    """The proof: how many records, and the newest head."""

    records: int
    """Closed quarter hours."""
    head: str | None
    """Hash of the newest line."""
    last_interval_ms: int | None
    """Start of the last closed quarter hour."""


class MachinesStatus(Document):
    """How many machines are in which state; null of a stopped site, which cannot ask them."""

    total: int
    """Declared machines."""
    running: int | None
    """Drawing mining power or hashing, as their fresh readings prove, whatever they were told: stopping and faulty ones too."""
    sleeping: int | None
    """Asleep, as readings prove."""
    starting: int | None
    """Told to wake, and not proven yet."""
    unreachable: int | None
    """Not answering."""
    faulty: int | None
    """Not doing what they were told, or of no use; one that runs although it shall sleep is counted as running, too."""
    starts: int
    """Starts of all machines so far."""


class ModelStatus(Document):
    """One model of machine: how many run and at which price it stops being worth it."""

    id: str
    """Its name in the fleet file."""
    name: str
    """As its maker writes it."""
    total: int
    """Machines of it."""
    running: int | None
    """How many of them run, as their fresh readings prove; null of a stopped site."""
    strike_cent_per_mwh: int = Field(description="the value of a megawatt-hour in this model at full power")


class SitePart(Document):
    """One site of the fleet: its energy, pool, chain and machines, and what is wrong there."""

    name: str
    """In the fleet file."""
    site: SiteStatus
    """Energy."""
    pool: PoolStatus
    """Shares and work."""
    chain: ChainStatus
    """The Bitcoin chain."""
    machines: MachinesStatus
    """How many do what."""
    models: list[ModelStatus]
    """The same by model."""
    mainnet: MainnetOutlook
    """What this would be on mainnet."""
    conditions: list[Condition]
    """What is wrong here, with what to do."""


class IncidentsStatus(Document):
    """What needs somebody."""

    open: int | None
    """Incidents that are open and that nobody has taken on; of a stopped system, as it left them."""


class Status(Document):
    """Everything in one document: `photosynth status --json` and `GET /api/v1/status`."""

    time: str = Field(description="the fleet's time, ISO 8601, UTC; simulated sites share it")
    wall_time: str
    """Machine's own time, ISO 8601, UTC."""
    running: bool
    """Whether the system runs, or this is its state as it was left."""
    version: str
    """Of this software."""
    speed: float
    """Seconds of the fleet's time per second."""
    sites: list[SitePart]
    """Every site, in the fleet file's order."""
    nodes: NodesStatus
    """The fleet's nodes by state."""
    ledger: LedgerStatus
    """The books."""
    evidence: EvidenceStatus
    """The proof."""
    incidents: IncidentsStatus
    """How much needs somebody."""
    conditions: list[Condition]
    """What is wrong with the fleet and its nodes; a site's own stands with the site."""
