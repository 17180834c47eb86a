"""A small site for tests of the books: a node in memory that reorganises, real proof of work at toy targets, meters."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import Connection
from tests.peers.empty_database import empty_database

from photosynth.bitcoin.block import Block, Header, merkle_root
from photosynth.bitcoin.coinbase import CoinbaseParts, build_coinbase
from photosynth.bitcoin.node import BitcoinNode, Coin, NodeHealth, Template, Tip, Verdict
from photosynth.bitcoin.target import REGTEST_BITS, target_of_bits
from photosynth.bitcoin.transaction import Transaction
from photosynth.quantities.instants import INTERVAL_MS
from photosynth.quantities.work import TWO_256, target_of_work, work_of_target
from photosynth.storage import Database
from photosynth.treasury import EvidenceRecord, FleetBooks, Identity, SiteBooks
from photosynth.treasury.evidence.export import export_lines
from photosynth.treasury.facts import (
    AttributionFact,
    BestFact,
    BlockFact,
    ChainFact,
    CoinFact,
    FleetFacts,
    IntervalFacts,
    JobFact,
    MeterFact,
    MeterInfo,
    PriceFact,
    RejectedFact,
    SiteFacts,
    WalletFact,
    WorkFact,
)
from photosynth.treasury.mining.attribution import claim_sat

SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
OTHER = bytes.fromhex("00140102030405060708090a0b0c0d0e0f1011121314")
CHAIN = "bitcoin/regtest"
WALLET = WalletFact("mining", CHAIN, SCRIPT.hex(), "demo")
START_MS = 1_781_427_600_000
COIN = CoinFact(5_930_000, "test", START_MS, target_of_work(125864590119494 << 32), 314_500_000)
PRICES = PriceFact(-1234, {"levies": 2946, "electricity_tax": 50, "grid_fee": 1240, "supplier_margin": 300}, 0, 200, "test", None)
STEP_J = 360_000


def _meter(name: str, role: str, meter_class: str, party: str = "factory") -> MeterInfo:
    return MeterInfo(name, role, party, meter_class, STEP_J, simulated=True)  # type: ignore[arg-type]


SITE = SiteFacts(
    site="backnang",
    title="Factory roof",
    operator="demo",
    simulated=True,
    network="regtest",
    genesis_hash=bytes(range(32)),
    payout_script=SCRIPT,
    wallet="mining",
    asset="demonstration BTC",
    meters=(
        _meter("pv", "own_generation", "0.5"),
        _meter("grid-import", "import", "0.5"),
        _meter("grid-export", "export", "0.5"),
        _meter("hall", "factory", "1"),
        _meter("miners", "mining", "B", "demo"),
    ),
    export_limit_w=400_000,
)
FLEET = FleetFacts(
    operator="demo",
    chains=(ChainFact(CHAIN, SITE.genesis_hash, "demonstration BTC"),),
    wallets=(WALLET,),
)
BOOKS_SEED, SITE_SEED = b"\x09" * 32, b"\x01" * 32
METERS = ("pv", "grid-import", "grid-export", "hall", "miners")


@dataclass
class ManualClock:
    """A clock that stands where it is put."""

    now_ms: int = START_MS

    def site_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return self.now_ms + 7


def make_block(
    previous: bytes,
    height: int,
    value_sat: int,
    *,
    script: bytes = SCRIPT,
    salt: int = 0,
    commitment: bytes = b"",
    transactions: tuple[Transaction, ...] = (),
    target: int = TWO_256 // 4,
    bits: int = REGTEST_BITS,
) -> bytes:
    """A block on top of another one, with proof of work for a toy target and for the one that its header names (``bits``).

    The salt tells branches apart.
    """
    parts = build_coinbase(height, [(value_sat, script)], b"", commitment, 8)
    coinbase = Transaction.parse(parts.with_extranonce(salt.to_bytes(8, "big")))
    root = merkle_root([coinbase.txid, *(other.txid for other in transactions)])
    header = solve(previous, root, target, bits)
    return Block(header, (coinbase, *transactions)).serialise()


def solve(previous: bytes, root: bytes, target: int, bits: int = REGTEST_BITS) -> Header:
    """The first header by nonce that meets a target and its own."""
    nonce, most = 0, min(target, target_of_bits(bits))
    while True:
        header = Header(0x20000000, previous, root, 1_800_000_000, bits, nonce)
        if header.hash_number <= most:
            return header
        nonce += 1


@dataclass
class FakeNode:
    """A chain in memory; ``extend`` and ``reorganise`` move its tip."""

    genesis: bytes = bytes(range(32))
    chain: list[bytes] = field(default_factory=list)
    blocks: dict[bytes, bytes] = field(default_factory=dict)
    coins_by_index: bool = True
    scans: int = 0

    def __post_init__(self) -> None:
        self.chain = [self.genesis]
        self._unspent_of: list[bytes] = []
        self._unspent: dict[tuple[bytes, int], tuple[int, bytes, int, bool]] = {}

    def extend(
        self, count: int = 1, *, value_sat: int = 5000, script: bytes = SCRIPT, salt: int = 0, bits: int = REGTEST_BITS
    ) -> list[bytes]:
        """Mine so many blocks on the tip and return their hashes."""
        more = {"script": script, "salt": salt, "bits": bits}
        return [self.add(make_block(self.chain[-1], len(self.chain), value_sat, **more)) for _ in range(count)]  # type: ignore[arg-type]

    def add(self, raw: bytes) -> bytes:
        """Take a block as the new tip."""
        block = Block.parse(raw)
        assert block.header.previous_hash == self.chain[-1]
        self.blocks[block.hash] = raw
        self.chain.append(block.hash)
        return block.hash

    def rewind(self, height: int) -> list[bytes]:
        """Let every block above a height leave the chain; they may be put back by :meth:`restore`."""
        left = self.chain[height + 1 :]
        del self.chain[height + 1 :]
        return left

    def restore(self, height: int, hashes: list[bytes]) -> None:
        """Put another branch's blocks on top of a height."""
        self.rewind(height)
        self.chain += hashes

    async def health(self) -> NodeHealth:
        raise NotImplementedError

    async def tip(self) -> Tip:
        return Tip(len(self.chain) - 1, self.chain[-1], 0)

    async def wait_for_tip(self, known: bytes, timeout_s: float) -> Tip:
        raise NotImplementedError

    async def template(self, long_poll_id: str | None = None) -> Template:
        raise NotImplementedError

    async def submit_block(self, raw: bytes) -> Verdict:
        raise NotImplementedError

    async def block_hash(self, height: int) -> bytes | None:
        return self.chain[height] if 0 <= height < len(self.chain) else None

    async def block(self, block_hash: bytes) -> bytes | None:
        return self.blocks.get(block_hash)

    async def height_of(self, block_hash: bytes) -> int | None:
        return self.chain.index(block_hash) if block_hash in self.chain else None

    async def coin_value(self, txid: bytes, index: int) -> int | None:
        return self.unspent().get((txid, index), (None, b"", 0, False))[0]

    async def coins(self, script: bytes) -> tuple[Coin, ...]:
        self.scans += 1
        return tuple(
            Coin(txid, index, value_sat, height, coinbase)
            for (txid, index), (value_sat, pays, height, coinbase) in self.unspent().items()
            if pays == script
        )

    def unspent(self) -> dict[tuple[bytes, int], tuple[int, bytes, int, bool]]:
        """Satoshis, script, height of every unspent output, and whether a coinbase made it."""
        if self._unspent_of == self.chain:
            return self._unspent
        found: dict[tuple[bytes, int], tuple[int, bytes, int, bool]] = {}
        for height, block_hash in enumerate(self.chain[1:], 1):
            for at, transaction in enumerate(Block.parse(self.blocks[block_hash]).transactions):
                for entry in transaction.inputs:
                    found.pop((entry.previous_txid, entry.previous_index), None)
                for number, output in enumerate(transaction.outputs):
                    found[transaction.txid, number] = (output.value_sat, output.script, height, at == 0)
        self._unspent_of, self._unspent = list(self.chain), found
        return found

    async def close(self) -> None:
        return


def as_node(node: FakeNode) -> BitcoinNode:
    """The fake as what it stands for."""
    return node


@dataclass
class Shares:
    """Accepted shares of one quarter hour, really hashed, and the jobs behind them."""

    interval_start_ms: int
    rows: list[tuple[str, int, bytes, bytes]] = field(default_factory=list)


class DemoSite:
    """A site whose quarter hours can be closed one after the other, with real shares and blocks behind them."""

    SCALES: ClassVar = {"hall-a-01": 10**18, "hall-b-02": 10**18, "guest": 1}
    SHARE_TARGET = TWO_256 // 3 - 1
    BLOCK_TARGET = TWO_256 // 64 - 1

    def __init__(self, db: Database, *, site: SiteFacts = SITE, seed: bytes = SITE_SEED, books: FleetBooks | None = None) -> None:
        self.db = db
        self.site = site
        self.identity = Identity.from_seed(seed)
        self.fleet = books or FleetBooks(fleet_of(site), Identity.from_seed(BOOKS_SEED))
        self.books = SiteBooks(site, self.identity, self.fleet)
        self.node = FakeNode(genesis=site.genesis_hash)
        self.clock = ManualClock()
        self.registers = dict.fromkeys(METERS, 10**7)
        self.claims: list[AttributionFact] = []
        self.extranonce = 0
        with db.begin() as tx:
            self.head = self.books.open(tx)

    def energies(self, number: int) -> tuple[int, int, int, int, int]:
        """Joules of the five roles in a quarter hour: sunny, then cloudy with import."""
        if number % 2:
            return (20_000_000, 36_000_000, 0, 30_000_000, 25_500_000)
        return (90_000_000, 0, 3_000_000, 30_000_000, 56_600_000)

    def mine(self, worker: str, shares: int, jobs: dict[str, JobFact]) -> tuple[WorkFact, list[BestFact]]:
        """Hash so many shares for a worker on the current job."""
        height = len(self.node.chain)
        parts = build_coinbase(height, [(1234, SCRIPT)], b"", self.head, 8)
        key = f"{height}-{self.head.hex()[:8]}"
        jobs[key] = JobFact(parts.prefix, parts.suffix, ())
        best, hashes = [], []
        for _ in range(shares):
            header, extranonce = self._share(parts, self.SHARE_TARGET)
            best.append(BestFact(self.SCALES[worker], header.serialise(), key, extranonce))
            hashes.append(header.hash)
        fact = WorkFact(worker, "demo", height, self.SHARE_TARGET, self.SCALES[worker], shares, merkle_root(hashes))
        return fact, best

    def _share(self, parts: CoinbaseParts, target: int) -> tuple[Header, bytes]:
        self.extranonce += 1
        extranonce = self.extranonce.to_bytes(8, "big")
        coinbase = Transaction.parse(parts.with_extranonce(extranonce))
        return solve(self.node.chain[-1], coinbase.txid, target), extranonce

    def find_block(self, tx: Connection, *, record: bool = True) -> bytes:
        """Find a block that claims all work done since the last one; the node has it, the books know of it if they are told."""
        height = len(self.node.chain)
        represented = sum(fact.represented for fact in self.claims)
        value_sat = claim_sat(represented, COIN.reward_sat, COIN.mainnet_work)
        parts = build_coinbase(height, [(value_sat, SCRIPT)], b"", self.head, 8)
        header, extranonce = self._share(parts, self.BLOCK_TARGET)
        raw = Block(header, (Transaction.parse(parts.with_extranonce(extranonce)),)).serialise()
        claims, self.claims = tuple(self.claims), []
        fact = BlockFact(
            raw,
            accepted=True,
            worker="hall-a-01",
            target=self.BLOCK_TARGET,
            site_ms=self.clock.site_ms(),
            wall_ms=self.clock.wall_ms(),
            coin=COIN,
            attribution=claims,
        )
        if record:
            self.books.record_found_block(tx, fact)
        return self.node.add(raw)

    def facts(self, shares: dict[str, int], prices: PriceFact | None = PRICES) -> IntervalFacts:
        """A quarter hour with so many shares of each worker; its meters advance."""
        start_ms = self.clock.now_ms
        number = (start_ms - START_MS) // INTERVAL_MS
        meters = []
        for name, joules in zip(METERS, self.energies(number), strict=True):
            meters.append(MeterFact(name, self.registers[name], self.registers[name] + joules, "good"))
            self.registers[name] += joules
        jobs: dict[str, JobFact] = {}
        work: list[WorkFact] = []
        best: dict[int, list[BestFact]] = {}
        for worker, count in shares.items():
            if count:
                fact, headers = self.mine(worker, count, jobs)
                work.append(fact)
                best.setdefault(fact.scale, []).extend(headers)
        for fact in work:
            claim = (start_ms, fact.round, fact.worker, fact.scale, fact.accepted, fact.work, fact.represented)
            self.claims.append(AttributionFact(*claim, party="demo"))
        lowest = [
            fact for headers in best.values() for fact in sorted(headers, key=lambda b: Header.parse(b.header).hash_number)[:32]
        ]
        return IntervalFacts(
            start_ms=start_ms,
            wall_start_ms=start_ms + 3,
            wall_end_ms=start_ms + 15_003,
            speed_milli=60_000,
            meters=tuple(meters),
            prices=prices,
            coin=COIN,
            work=tuple(work),
            rejected=(RejectedFact("guest", "23", 2),),
            best=tuple(lowest),
            jobs=jobs,
            curtailed_estimate_j=1000,
        )

    def export(self, tx: Connection, path: Path, stream: str | None = None) -> None:
        """Write the whole evidence, or one stream of it, to a file."""
        path.write_bytes(b"".join(line + b"\n" for line in export_lines(tx, self.identity_of, stream)))

    def identity_of(self, stream: str) -> Identity:
        """The key of a stream."""
        return self.books.identity if stream == self.site.site else self.fleet.identity

    def close(self, tx: Connection, facts: IntervalFacts) -> EvidenceRecord:
        """Close a quarter hour and write its postings down; its head is what the next jobs commit to."""
        record = self.books.close_interval(tx, facts)
        record = self.fleet.record_postings(tx) or record
        self.head = record.root
        self.clock.now_ms = facts.start_ms + INTERVAL_MS
        return record


def fleet_of(site: SiteFacts) -> FleetFacts:
    """A fleet of one site."""
    return replace(
        FLEET,
        chains=(ChainFact(site.chain, site.genesis_hash, site.asset),),
        wallets=(WalletFact(site.wallet, site.chain, site.payout_script.hex(), site.operator),),
    )


def books_of(site: SiteFacts = SITE, seed: bytes = SITE_SEED, kind: "type[SiteBooks]" = SiteBooks) -> SiteBooks:
    """The books of a fleet of one site."""
    return kind(site, Identity.from_seed(seed), FleetBooks(fleet_of(site), Identity.from_seed(BOOKS_SEED)))


def open_database(folder: Path) -> Database:
    """A folder's database; where there is none, a copy of an empty one made once: a schema takes longer than most tests."""
    path = folder / "photosynth.sqlite3"
    if not path.exists():
        path.write_bytes(empty_database())
    return Database(path)


def plan_of(tx: Connection, query: sa.Select[Any]) -> str:
    """How a database would find what a query asks for; a small table is not read whole for being small."""
    text = str(query.compile(tx.engine, compile_kwargs={"literal_binds": True}))
    if tx.dialect.name == "sqlite":
        return "\n".join(row[3] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
    for kind in ("seqscan", "bitmapscan"):
        tx.exec_driver_sql(f"SET LOCAL enable_{kind} = off")
    return "\n".join(row[0] for row in tx.exec_driver_sql(f"EXPLAIN {text}"))


def shares_work(shares: int) -> int:
    """The work of so many shares of the demo site."""
    return shares * work_of_target(DemoSite.SHARE_TARGET)
