"""What a coinbase claims: demonstration money follows the work, real money is the template's whole value."""

from tests.unit.sites.sites_fakes import QUOTE

from photosynth.bitcoin.node import Template
from photosynth.sites.reward import Reward

SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
TEMPLATE = Template(
    height=1,
    previous_hash=bytes(32),
    version=0x20000000,
    bits=0x207FFFFF,
    time_s=0,
    min_time_s=0,
    target=1,
    network_target=1,
    coinbase_value_sat=5_000_000_000,
    transactions=(),
    witness_commitment=b"",
    long_poll_id="1",
)


def test_a_demonstration_block_earns_what_its_work_would_have_earned() -> None:
    reward = Reward(SCRIPT, lambda: QUOTE, lambda: bytes(32))
    ten_minutes = 19_500 * 10**12 * 600
    plan = reward.plan(TEMPLATE, ten_minutes)
    assert plan.value_sat == 6806 == ten_minutes * QUOTE.reward_sat // QUOTE.work_per_block
    assert (plan.script, plan.commitment) == (SCRIPT, bytes(32))
    assert reward.plan(TEMPLATE, 0).value_sat == 0


def test_it_never_claims_more_than_consensus_allows() -> None:
    reward = Reward(SCRIPT, lambda: QUOTE, lambda: b"")
    assert reward.plan(TEMPLATE, 1_000 * QUOTE.work_per_block).value_sat == TEMPLATE.coinbase_value_sat


def test_real_money_is_the_templates_whole_value_and_the_newest_head_is_asked_each_time() -> None:
    heads = iter((b"", b"\x01" * 32))
    reward = Reward(SCRIPT, None, lambda: next(heads))
    assert reward.plan(TEMPLATE, 0).value_sat == TEMPLATE.coinbase_value_sat
    assert reward.plan(TEMPLATE, 0).commitment == b"\x01" * 32
