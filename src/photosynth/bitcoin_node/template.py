"""What the next block must look like, as pure functions of the last headers, the time and the demonstration's target.

Regtest alone is mined here: its difficulty never changes and its subsidy halves every 150 blocks (Bitcoin Core,
``kernel/chainparams.cpp``). There is no mempool yet, so a template carries no transactions.
"""

from collections.abc import Sequence

from photosynth.bitcoin.block import Header, witness_commitment_script
from photosynth.bitcoin.node import Template, Tip, hash_text
from photosynth.bitcoin.target import REGTEST_BITS, target_of_bits

VERSION = 0x2000_0000
"""No deployment is signalled (BIP9's top bits alone), and the bits of BIP320 are left for machines to roll."""
HALVING_INTERVAL = 150
FIRST_SUBSIDY_SAT = 50 * 100_000_000
MEDIAN_TIME_SPAN = 11
"""Headers that median time past looks at (Bitcoin Core, ``CBlockIndex::nMedianTimeSpan``)."""
RETARGET_INTERVAL = 2016
MAX_TIMEWARP_S = 600
MAX_FUTURE_S = 2 * 60 * 60
"""How far ahead of a node's clock a block's time may be (Bitcoin Core, ``MAX_FUTURE_BLOCK_TIME``)."""
REGTEST_TARGET = target_of_bits(REGTEST_BITS)


def subsidy_sat(height: int) -> int:
    """What a regtest coinbase at a height may claim without fees, in satoshis (Bitcoin Core, ``GetBlockSubsidy``)."""
    halvings = height // HALVING_INTERVAL
    return 0 if halvings >= 64 else FIRST_SUBSIDY_SAT >> halvings


def median_time_past_s(headers: Sequence[Header]) -> int:
    """The median time of the last eleven headers, in seconds; fewer where the chain has no more."""
    times = sorted(header.time_s for header in headers[:MEDIAN_TIME_SPAN])
    return times[len(times) // 2]


def least_time_s(headers: Sequence[Header], height: int) -> int:
    """The earliest time a block at a height may carry, after these headers (newest first).

    One past the median; a period's first block keeps to BIP94 too, as bitcoind's templates do (``GetMinimumTime``).
    """
    least = median_time_past_s(headers) + 1
    if height % RETARGET_INTERVAL == 0:
        least = max(least, headers[0].time_s - MAX_TIMEWARP_S)
    return least


def build_template(tip: Tip, headers: Sequence[Header], now_s: int, demonstration_target: int | None) -> Template:
    """A template on a tip whose last headers, newest first, are given; without a demonstration the network's target."""
    height = tip.height + 1
    least_s = least_time_s(headers, height)
    target = REGTEST_TARGET if demonstration_target is None else min(demonstration_target, REGTEST_TARGET)
    return Template(
        height=height,
        previous_hash=tip.hash,
        version=VERSION,
        bits=REGTEST_BITS,
        time_s=max(now_s, least_s),
        min_time_s=least_s,
        target=target,
        network_target=REGTEST_TARGET,
        coinbase_value_sat=subsidy_sat(height),
        transactions=(),
        witness_commitment=witness_commitment_script([]),
        long_poll_id=f"{hash_text(tip.hash)}:{target:x}",
    )
