"""What the books are told: plain frozen dataclasses, so that no other part of the system needs to be known here.

Unknown is None. Times are milliseconds since the epoch (UTC), site time unless the name says wall.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from photosynth.quantities.balance import MeterRole
from photosynth.quantities.work import work_of_target

Quality = Literal["good", "estimated", "stale", "unknown", "suspect"]
Recognition = Literal["at_maturity", "at_accrual"]


@dataclass(frozen=True, slots=True)
class MeterInfo:
    """What a meter is: ``meter_class`` is its accuracy in percent (``0.5``) or a MID class (``B``), steps in joules."""

    id: str
    role: MeterRole
    party: str
    meter_class: str
    register_step_j: int
    simulated: bool
    signed: bool = False


@dataclass(frozen=True, slots=True)
class ChainFact:
    """A chain that coins are on: its name (``bitcoin/regtest``), its genesis block in internal order, what its coin is called."""

    name: str
    genesis_hash: bytes
    asset: str


@dataclass(frozen=True, slots=True)
class WalletFact:
    """A wallet of the fleet: where it is paid on its chain (``NETWORK/CHAIN``) and whose it is; never a key.

    ``destination`` is a Bitcoin output script in hexadecimal, or an address of another network. The books look for what is
    paid to it from the block at ``birth_height`` on, from the first where that is None; what was there before is its
    opening balance.
    """

    id: str
    chain: str
    destination: str
    party: str
    birth_height: int | None = None

    @property
    def script(self) -> bytes:
        """The output script of a Bitcoin wallet."""
        return bytes.fromhex(self.destination)


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """What holds for all postings until the configuration changes; a change begins a new line in the books' evidence."""

    operator: str
    chains: tuple[ChainFact, ...]
    wallets: tuple[WalletFact, ...]
    recognition: Recognition = "at_maturity"


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What holds for every quarter hour until the configuration changes; a change begins a new line in the site's evidence."""

    site: str
    title: str
    operator: str
    simulated: bool
    network: str
    genesis_hash: bytes
    payout_script: bytes
    wallet: str
    """The id of the wallet that has this script."""
    asset: str
    meters: tuple[MeterInfo, ...]
    export_limit_w: int | None
    parties: tuple[tuple[str, str], ...] = ()
    """Parties' ids and names; the evidence does not name them."""

    @property
    def chain(self) -> str:
        """The chain that the site mines on, ``NETWORK/CHAIN``."""
        return f"bitcoin/{self.network}"


@dataclass(frozen=True, slots=True)
class MeterFact:
    """One meter over one quarter hour: its registers in joules at the start and end."""

    id: str
    register_start_j: int | None
    register_end_j: int | None
    quality: Quality
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class PriceFact:
    """Energy prices of a quarter hour in cent/MWh, net of VAT. ``import_components`` are those beside the spot price.

    ``own_energy_tariff_cent_per_mwh`` is what another party invoices for its energy; None where the source is ours.
    """

    spot_cent_per_mwh: int
    import_components: Mapping[str, int]
    export_premium_cent_per_mwh: int
    export_fee_cent_per_mwh: int
    source: str
    published_ms: int | None
    own_energy_tariff_cent_per_mwh: int | None = None


@dataclass(frozen=True, slots=True)
class CoinFact:
    """What a coin is worth (cent/BTC) and what mining would earn on mainnet: its target and mean reward a block."""

    price_cent_per_btc: int
    source: str
    as_of_ms: int
    mainnet_target: int
    reward_sat: int

    @property
    def mainnet_work(self) -> int:
        """Hashes expected for one mainnet block."""
        return work_of_target(self.mainnet_target)


@dataclass(frozen=True, slots=True)
class WorkFact:
    """Accepted shares of one worker in one round at one target; the root is of the Merkle tree over the shares."""

    worker: str
    party: str | None
    round: int
    target: int
    scale: int
    accepted: int
    share_root: bytes

    @property
    def work(self) -> int:
        """Hashes really expected behind these shares: floor(2^256 / (target + 1)) each."""
        return self.accepted * work_of_target(self.target)

    @property
    def represented(self) -> int:
        """The hashes that they stand for: work times the worker's declared scale."""
        return self.work * self.scale


@dataclass(frozen=True, slots=True)
class RejectedFact:
    """Rejected shares of one worker by cause."""

    worker: str
    code: str
    shares: int


@dataclass(frozen=True, slots=True)
class JobFact:
    """What a header was made of: the coinbase around its extranonce, without witness, and its Merkle branch."""

    prefix: bytes
    suffix: bytes
    branch: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BestFact:
    """One of the lowest-hashing headers of a scale: 80 bytes, the key of its job, the whole extranonce."""

    scale: int
    header: bytes
    job: str
    extranonce: bytes


@dataclass(frozen=True, slots=True)
class AttributionFact:
    """Work of one worker in one quarter hour and round that a block claims.

    Old work comes folded: with round 0, ``interval_start_ms`` is the start of a UTC day, or zero for all days before; there
    the worker ``(others)`` stands for many with little work each.
    """

    interval_start_ms: int
    round: int
    worker: str
    scale: int
    shares: int
    work: int
    represented: int
    party: str | None = None


@dataclass(frozen=True, slots=True)
class BlockFact:
    """A block that our pool found. ``coin`` is the quote that its job's claim was computed with."""

    raw: bytes
    accepted: bool
    worker: str | None
    target: int | None
    site_ms: int
    wall_ms: int
    coin: CoinFact | None
    attribution: tuple[AttributionFact, ...] | None


@dataclass(frozen=True, slots=True)
class IntervalFacts:
    """Everything about one closed quarter hour of site time."""

    start_ms: int
    wall_start_ms: int
    wall_end_ms: int
    speed_milli: int
    meters: tuple[MeterFact, ...]
    prices: PriceFact | None
    coin: CoinFact | None
    work: tuple[WorkFact, ...] = ()
    rejected: tuple[RejectedFact, ...] = ()
    best: tuple[BestFact, ...] = ()
    jobs: Mapping[str, JobFact] = field(default_factory=dict)
    curtailed_estimate_j: int | None = None


@dataclass(frozen=True, slots=True)
class CorrectionFacts:
    """Registers that came after their quarter hour was closed without them: those meters alone, and when that was."""

    start_ms: int
    wall_ms: int
    meters: tuple[MeterFact, ...]
