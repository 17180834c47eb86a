"""A record as most records are, read into typed members by a library written in C; what is not like that is read with care.

The members stand in the order of their names, so that a record written again is its one canonical spelling: where the two
are the same, nothing stood twice, out of place or in another spelling. What stays raw is held against bytes that are
canonical, by those who read it.
"""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from photosynth.treasury.evidence.canonical import MAX_SAFE

Int = Annotated[int, Meta(ge=-MAX_SAFE, le=MAX_SAFE)]
"""An integer that is written as a number."""
Count = Annotated[int, Meta(ge=0, le=MAX_SAFE)]
Big = Count | str
"""A number, or decimal text; whoever reads it writes it again."""
Row = tuple[str, str, str, Int]
"""A posting's line: account, side, asset, amount."""
T = TypeVar("T")


class Meter(Struct, forbid_unknown_fields=True, gc=False):
    """A meter with a good reading."""

    id: str
    quality: Literal["good"]
    register_end_j: Int
    register_start_j: Int
    signature: str | None


class Allocated(Struct, forbid_unknown_fields=True, gc=False):
    """An allocation."""

    grid_factory_j: Int
    grid_mining_j: Int
    own_factory_j: Int
    own_mining_j: Int


class Prices(Struct, forbid_unknown_fields=True, gc=False):
    """Energy prices."""

    export_fee: Int
    export_premium: Int
    import_: list[tuple[str, Int]] = msgspec.field(name="import")
    own_energy_tariff: Int | None
    published_ms: Int | None
    source: str
    spot: Int


class Best(Struct, forbid_unknown_fields=True, gc=False):
    """Best headers of a scale."""

    headers: Raw
    scale: Big


class Committed(Struct, forbid_unknown_fields=True, gc=False):
    """How a commitment leads to a line."""

    branch: list[str | None]
    place: Count
    seq: Count


class Job(Struct, forbid_unknown_fields=True, gc=False):
    """What stands around an extranonce."""

    branch: list[str]
    commitment: Committed
    prefix: str
    suffix: str


class Block(Struct, forbid_unknown_fields=True, gc=False):
    """A block of ours."""

    attribution: list[tuple[Count, Count, str, str | None, Big, Count, Big, Big, Count]] | None
    branch: list[str]
    coinbase: str
    commitment: Committed
    hash: str
    header: str
    height: Count
    mainnet_target: str | None
    reward_sat: Int | None
    site_ms: Int | None
    target: str | None
    value_sat: Count
    wall_ms: Int | None
    worker: str | None


class QuarterHour(Struct, forbid_unknown_fields=True, gc=False):
    """A quarter hour whose energy is known."""

    allocation: Allocated
    best: list[Best]
    blocks: list[Block]
    coin: Raw
    curtailed_estimate_j: Count | None
    duration_s: Int
    jobs: list[Job]
    meters: list[Meter]
    prices: Prices | None
    rejected: list[tuple[str, str, Count]]
    residual_j: Int
    speed_milli: Int
    start_utc_s: Int
    targets: Raw
    wall_end_ms: Int
    wall_start_ms: Int
    work: list[tuple[Count, Count, Count, Count, str]]
    workers: Raw


class Postings(Struct, forbid_unknown_fields=True, gc=False):
    """What was posted since the books' line before."""

    blocks: list[Raw]
    postings: list[Raw]


class CoinPosting(Struct, forbid_unknown_fields=True, gc=False):
    """A posting of a coinbase."""

    event: Literal["coinbase_accrued", "coinbase_available"]
    id: Count
    key: str
    lines: list[Row]
    reverses: None
    source: dict[str, Int | str | None]
    text: str
    time_ms: Int
    wall_ms: Int


_QUARTER_HOUR = msgspec.json.Decoder(QuarterHour)
_POSTINGS = msgspec.json.Decoder(Postings)
_COIN_POSTING = msgspec.json.Decoder(CoinPosting)
_ENCODER = msgspec.json.Encoder()
_SORTING_ENCODER = msgspec.json.Encoder(order="sorted")


def read_quarter_hour(raw: bytes) -> QuarterHour | None:
    """A quarter hour whose bytes are canonical but perhaps for what stays raw; None for anything else."""
    if b"\\" in raw:
        return None
    return _read(_QUARTER_HOUR, _ENCODER, raw)


def read_postings(raw: bytes) -> Postings | None:
    """Blocks and postings, each of which may be anything yet; None for anything else."""
    return _read(_POSTINGS, _ENCODER, raw)


def read_coin_posting(raw: bytes) -> CoinPosting | None:
    """A canonical posting of a coinbase; None for any other, and where only a careful look can tell."""
    # The names in a source are anybody's: UTF-8 and UTF-16 sort some of them differently.
    if b"\\" in raw or not raw.isascii():
        return None
    return _read(_COIN_POSTING, _SORTING_ENCODER, raw)


def _read(decoder: "msgspec.json.Decoder[T]", encoder: msgspec.json.Encoder, raw: bytes) -> T | None:
    try:
        value: Any = decoder.decode(raw)
        if not raw.isascii():
            raw.decode("utf-8")
        return value if encoder.encode(value) == raw else None
    except (ValueError, RecursionError):
        return None
