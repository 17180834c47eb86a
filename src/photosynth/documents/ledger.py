"""The books: postings, trial balance, blocks, and a block traced to its meters."""

from typing import Literal

from pydantic import Field

from photosynth.documents.base import BigCount, Document


class Line(Document):
    """One line of a posting."""

    account: str
    """Its number in the chart of accounts."""
    name: str
    """Its name."""
    side: Literal["debit", "credit"]
    """Which side."""
    asset: str
    """What is counted."""
    amount: BigCount = Field(description="in the asset's base unit, always positive; decimal text")


class AssetDocument(Document):
    """An asset that the books count: 10^decimals of its base unit are one of it."""

    code: str
    """What the books call it: BTC, ETH, EUR, J."""
    name: str
    """Its name."""
    network: str | None
    """The network that it lives on."""
    base_unit: str
    """What its amounts are whole numbers of."""
    decimals: int
    """Digits after the mark of an amount in its own unit."""


class PostingDocument(Document):
    """One balanced entry of the journal."""

    id: int
    """Its number, rising."""
    site: str | None
    """Whose doing it is; null where it is the whole fleet's."""
    key: str
    """What makes it unique: posting it twice changes nothing."""
    time_ms: int
    """Site time."""
    wall_ms: int
    """Machine's own time."""
    event: str
    """What happened."""
    text: str
    """The same in words."""
    lines: list[Line]
    """Balanced in each asset."""
    reverses: int | None
    """Number of the posting that it takes back."""
    source: dict[str, str | int | None]
    """What it rests on: blocks, prices and their sources."""


class BalanceRow(Document):
    """One row of the trial balance: an account in one asset over a period."""

    account: str
    """Its number in the chart of accounts."""
    name: str
    """Its name."""
    asset: str
    """What is counted, by its code."""
    opening: BigCount = Field(description="debit positive; in the asset's base unit, decimal text, as the others here")
    debit: BigCount = Field(description="sum of the period's debits")
    credit: BigCount = Field(description="sum of the period's credits")
    closing: BigCount = Field(description="debit positive")


class LedgerDocument(Document):
    """`photosynth ledger --json` and `GET /api/v1/ledger`."""

    from_ms: int | None
    """Start of the period, site time."""
    to_ms: int | None
    """End of the period, site time."""
    assets: list[AssetDocument]
    """Every asset that has moved, by its code."""
    trial_balance: list[BalanceRow]
    """Every account with its assets."""
    postings: list[PostingDocument]
    """Newest first, at most as many as asked for."""
    total_postings: int
    """Postings of the period in all."""


class BlockDocument(Document):
    """One block that pays a wallet of ours."""

    site: str | None
    """Whose pool found it; null where none of ours did."""
    height: int
    """Its place in the chain."""
    hash: str
    """As people write it."""
    txid: str
    """Of its coinbase."""
    time_s: int
    """The header's time, which is the machine's own."""
    site_ms: int | None
    """Site time at which it was found."""
    value_sat: int
    """What its coinbase pays us."""
    value_ueur: int | None
    """The same at the price of that time."""
    state: Literal["immature", "mature", "orphaned"]
    """Immature for 100 blocks, then mature; orphaned where it left the chain."""
    confirmations: int
    """Blocks from it to the tip, itself included; 0 where it is orphaned."""
    worker: str | None
    """Who found it."""
    commitment: str | None = Field(description="the evidence head in its coinbase")


class TraceShare(Document):
    """What one worker's work in one quarter hour and round earned of a block; old work comes by the day, then in one row."""

    worker: str
    """Who hashed."""
    party: str | None
    """Whose machine it is."""
    interval_ms: int
    """Start of the quarter hour or UTC day, site time; 0 for all days before."""
    duration_s: int = 900
    """Length of that time."""
    round: int
    """Height that was worked on; 0 for several, in rows of more than a quarter hour."""
    shares: int
    """Accepted shares."""
    work_hashes: BigCount
    represented_hashes: BigCount
    value_sat: int
    """What this work earned of the block."""


class MeterInterval(Document):
    """One meter's registers over one quarter hour, in joules."""

    id: str
    """The meter."""
    role: str
    """What it counts."""
    register_start_j: int | None
    """Its register at the start."""
    register_end_j: int | None
    """Its register at the end."""
    quality: str
    """Good, estimated, suspect or unknown."""


class TraceInterval(Document):
    """One quarter hour behind a block: what its meters and prices say. None where the quarter hour is not closed yet.

    Old work is known by the UTC day, and the oldest for all days before: then energies and cost are sums, and the rest is None.
    """

    interval_ms: int
    """Start of the quarter hour or day, site time; 0 for all days before."""
    duration_s: int = 900
    """Length of that time."""
    record: int | None
    """Number of its evidence record."""
    value_sat: int
    """The block's satoshis for work of this quarter hour."""
    own_mining_j: int | None
    """Own energy mined with."""
    grid_mining_j: int | None
    """Bought energy mined with."""
    mining_j: int | None
    """Both."""
    meters: list[MeterInterval]
    """Registers."""
    spot_cent_per_mwh: int | None
    """Spot price."""
    energy_cost_ueur: int | None
    """Cost of the energy mined with."""
    prices: dict[str, int | None]
    """Every component, cent/MWh."""
    price_source: str | None
    """Where they come from."""


class TraceDocument(Document):
    """`photosynth trace BLOCK --json`: the satoshis of a coinbase, back to workers, quarter hours, meters, prices."""

    block: BlockDocument
    """The block."""
    shares: list[TraceShare]
    """Whose work it pays, to the satoshi."""
    intervals: list[TraceInterval]
    """The quarter hours of that work."""
    postings: list[PostingDocument]
    """What the journal says of it."""
    notes: list[str]
    """What is not known of it."""
