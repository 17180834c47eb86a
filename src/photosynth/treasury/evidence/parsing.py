"""From a line's members back to facts, so that the verifier computes with the same types as the books."""

from dataclasses import dataclass, replace
from sys import intern
from typing import Any

from photosynth.bitcoin.node import hash_bytes
from photosynth.quantities.assets import is_code
from photosynth.quantities.balance import Allocation
from photosynth.treasury.accounts import ACCOUNTS
from photosynth.treasury.evidence.body import RULES
from photosynth.treasury.evidence.envelope import FORMAT
from photosynth.treasury.evidence.heads import Commitment
from photosynth.treasury.evidence.reading import EvidenceError, Members, choice, count, integer, maybe, octets, row, target, text
from photosynth.treasury.evidence.reading import boolean as read_boolean
from photosynth.treasury.facts import (
    AttributionFact,
    CoinFact,
    MeterFact,
    MeterInfo,
    PriceFact,
    RejectedFact,
    SiteFacts,
    WorkFact,
)
from photosynth.treasury.journal import Posting, PostingLine, StoredPosting


@dataclass(frozen=True, slots=True)
class BlockLine:
    """A block as a line shows it; hashes in internal order. ``commitment`` None: as the books list it, as the chain shows it."""

    hash: bytes
    height: int
    header: bytes
    coinbase: bytes
    branch: tuple[bytes, ...]
    value_sat: int
    target: int | None = None
    mainnet_target: int | None = None
    reward_sat: int | None = None
    attribution: tuple[tuple[AttributionFact, int], ...] | None = None
    commitment: Commitment | None = None

    @property
    def previous_hash(self) -> bytes:
        """The hash of the block that it stands on, as its header names it."""
        return self.header[4:36]

    @property
    def merkle_root(self) -> bytes:
        """The root over its transactions, as its header names it."""
        return self.header[36:68]

    @property
    def bits(self) -> int:
        """The network's target in its short form, as its header names it."""
        return int.from_bytes(self.header[72:76], "little")


def parse_commitment(value: Any) -> Commitment:
    """How a coinbase's commitment leads to a line."""
    m = Members(value, "a commitment")
    branch = tuple(maybe(octets, entry, "a commitment's branch", 32) for entry in m.rows("branch"))
    found = Commitment(m.count("seq"), m.count("place"), branch)
    m.finish()
    return found


def parse_site(name: str, value: Any) -> tuple[str, bytes, SiteFacts]:
    """A site's configuration: why it stands where it does, the key that signs, and what it says. Raises EvidenceError."""
    m = Members(value, "the site")
    if m.text("format") != FORMAT:
        raise EvidenceError(f"the site is not of {FORMAT}")
    if m.take("rules") != RULES:
        raise EvidenceError("the site names rules that version 2 does not know")
    meters = tuple(_meter_info(entry) for entry in m.rows("meters"))
    if len({meter.id for meter in meters}) != len(meters):
        raise EvidenceError("the site names a meter twice")
    follows = choice(m.take("follows"), ("nothing", "configuration", "gap"), "the site: follows")
    public_key = m.octets("public_key", 32)
    network, _, chain = m.text("chain").partition("/")
    if network != "bitcoin" or not chain:
        raise EvidenceError("the site mines on no chain of bitcoin")
    site = SiteFacts(
        site=name,
        title=m.text("title"),
        operator=m.text("operator"),
        simulated=read_boolean(m.take("simulated"), "the site: simulated"),
        network=chain,
        genesis_hash=m.octets("genesis_hash", 32)[::-1],
        payout_script=m.octets("payout_script"),
        asset=m.text("asset"),
        meters=meters,
        export_limit_w=m.maybe_integer("export_limit_w"),
        wallet=m.text("wallet"),
    )
    m.finish()
    return follows, public_key, site


def _meter_info(value: Any) -> MeterInfo:
    m = Members(value, "a meter of the site")
    roles = ("own_generation", "import", "export", "factory", "mining")
    meter = MeterInfo(
        id=m.text("id"),
        role=choice(m.take("role"), roles, "a meter's role"),
        party=m.text("party"),
        meter_class=m.text("class"),
        register_step_j=m.count("register_step_j"),
        simulated=read_boolean(m.take("simulated"), "a meter: simulated"),
        signed=read_boolean(m.take("signed"), "a meter: signed"),
    )
    m.finish()
    return meter


def parse_meter(value: Any) -> MeterFact:
    """One meter's registers."""
    m = Members(value, "a meter")
    start, end = m.maybe_integer("register_start_j"), m.maybe_integer("register_end_j")
    quality = choice(m.take("quality"), ("good", "estimated", "stale", "unknown", "suspect"), "a meter's quality")
    fact = MeterFact(m.text("id"), start, end, quality, m.maybe_text("signature"))
    m.finish()
    if start is not None and end is not None and end < start:
        raise EvidenceError(f"the registers of meter {fact.id} run backwards")
    return fact


def parse_allocation(value: Any) -> Allocation | None:
    """The allocation, None where energies are unknown."""
    if value is None:
        return None
    m = Members(value, "the allocation")
    found = Allocation(
        m.integer("own_factory_j"), m.integer("own_mining_j"), m.integer("grid_mining_j"), m.integer("grid_factory_j")
    )
    m.finish()
    return found


def parse_prices(value: Any) -> PriceFact | None:
    """Energy prices."""
    if value is None:
        return None
    m = Members(value, "prices")
    pairs = [row(entry, 2, "a price component") for entry in m.rows("import")]
    components = {text(name, "a component's name"): integer(price, "a component's price") for name, price in pairs}
    if len(components) != len(pairs) or "spot" in components:
        raise EvidenceError("prices: a component is named twice")
    prices = PriceFact(
        spot_cent_per_mwh=m.integer("spot"),
        import_components=components,
        export_premium_cent_per_mwh=m.integer("export_premium"),
        export_fee_cent_per_mwh=m.integer("export_fee"),
        source=m.text("source"),
        published_ms=m.maybe_integer("published_ms"),
        own_energy_tariff_cent_per_mwh=m.maybe_integer("own_energy_tariff"),
    )
    m.finish()
    return prices


def parse_coin(value: Any) -> CoinFact | None:
    """The coin's price and what mining would earn."""
    if value is None:
        return None
    m = Members(value, "the coin's price")
    price, source, as_of_ms = m.count("price_cent_per_btc"), m.text("source"), m.integer("as_of_ms")
    coin = CoinFact(price, source, as_of_ms, target(m.take("mainnet_target"), "mainnet_target"), m.count("reward_sat"))
    m.finish()
    return coin


def parse_work(m: Members) -> tuple[list[WorkFact], list[RejectedFact]]:
    """The work of a record by worker, round, target and scale, and what was rejected."""
    workers = [
        (intern(text(name, "a worker")), maybe(text, party, "a party"), count(scale, "a scale"))
        for name, party, scale in (row(entry, 3, "a worker") for entry in m.rows("workers"))
    ]
    targets = [target(value, "a target") for value in m.rows("targets")]
    work, keys = [], set()
    for entry in m.rows("work"):
        at, round_, target_at, accepted, root = row(entry, 5, "an entry of work")
        worker, party, scale = _place(workers, at, "a worker")
        fact = WorkFact(
            worker=worker,
            party=party,
            round=count(round_, "a round"),
            target=_place(targets, target_at, "a target"),
            scale=scale,
            accepted=count(accepted, "accepted shares"),
            share_root=octets(root, "a share root", 32),
        )
        keys.add((worker, fact.round, fact.target, scale))
        work.append(fact)
    if len(keys) != len(work):
        raise EvidenceError("work is listed twice for one worker, round, target and scale")
    rejected = [
        RejectedFact(text(worker, "a worker"), text(code, "a cause"), count(shares, "rejected shares"))
        for worker, code, shares in (row(entry, 3, "rejected shares") for entry in m.rows("rejected"))
    ]
    return work, rejected


def _place(entries: list[Any], at: Any, what: str) -> Any:
    if type(at) is not int or not 0 <= at < len(entries):
        raise EvidenceError(f"an entry refers to {what} that is not listed")
    return entries[at]


def parse_block(value: Any) -> BlockLine:
    """A block that a site's pool found."""
    m = Members(value, "a block")
    block = replace(
        _bare_block(m),
        target=maybe(target, m.take("target"), "a block's target"),
        mainnet_target=maybe(target, m.take("mainnet_target"), "mainnet_target"),
        reward_sat=m.maybe_integer("reward_sat"),
        attribution=parse_attribution(m.take("attribution")),
        commitment=parse_commitment(m.take("commitment")),
    )
    m.maybe_text("worker")
    m.maybe_integer("site_ms")
    m.maybe_integer("wall_ms")
    m.finish()
    return block


def parse_bare_block(value: Any) -> tuple[str, BlockLine]:
    """A block as the books list it: the chain that it is of, and what the chain shows of it."""
    m = Members(value, "a block")
    chain, block = m.text("chain"), _bare_block(m)
    m.finish()
    return chain, block


def _bare_block(m: Members) -> BlockLine:
    return BlockLine(
        hash=m.octets("hash", 32)[::-1],
        height=m.count("height"),
        header=m.octets("header", 80),
        coinbase=m.octets("coinbase"),
        branch=tuple(octets(entry, "a branch", 32) for entry in m.rows("branch")),
        value_sat=m.count("value_sat"),
    )


def parse_attribution(value: Any) -> tuple[tuple[AttributionFact, int], ...] | None:
    """Whose satoshis a block's are, None where that is unknown."""
    if value is None:
        return None
    parsed = []
    for entry in value if isinstance(value, list) else [value]:
        start_s, round_, worker, party, scale, shares, work, represented, value_sat = row(entry, 9, "an attribution")
        fact = AttributionFact(
            interval_start_ms=count(start_s, "a quarter hour") * 1000,
            round=count(round_, "a round"),
            worker=intern(text(worker, "a worker")),
            scale=count(scale, "a scale"),
            shares=count(shares, "shares"),
            work=count(work, "work"),
            represented=count(represented, "represented hashes"),
            party=maybe(text, party, "a party"),
        )
        parsed.append((fact, count(value_sat, "satoshis")))
    return tuple(parsed)


def parse_posting(value: Any) -> StoredPosting:
    """A line of the journal."""
    m = Members(value, "a posting")
    source = m.take("source")
    if not isinstance(source, dict):
        raise EvidenceError("a posting's source is not an object")
    lines = []
    for entry in m.rows("lines"):
        account, side, asset, amount = row(entry, 4, "a posting's line")
        line = PostingLine(
            choice(account, ACCOUNTS, "an account"),
            choice(side, ("debit", "credit"), "a side"),
            _asset(asset),
            integer(amount, "an amount"),
        )
        lines.append(line)
    posting = Posting(
        key=m.text("key"),
        time_ms=m.integer("time_ms"),
        wall_ms=m.integer("wall_ms"),
        event=m.text("event"),
        text=m.text("text"),
        lines=tuple(lines),
        source=source,
        reverses=m.maybe_integer("reverses"),
    )
    stored = StoredPosting(m.count("id"), posting)
    m.finish()
    return stored


def _asset(value: Any) -> str:
    code = text(value, "an asset")
    if not is_code(code):
        raise EvidenceError("an asset is no code of capitals and digits")
    return intern(code)


def block_of_source(posting: Posting) -> bytes:
    """The block that a posting's source names, in internal order. Raises EvidenceError."""
    named = posting.source.get("block")
    try:
        return hash_bytes(str(named))
    except ValueError as error:
        raise EvidenceError(f"posting {posting.key} does not name its block") from error
