"""The status of the chain: the difficulty that is asked for now, and not another one."""

from pathlib import Path

import pytest

from photosynth.bitcoin.node import NodeHealth, Template, Tip
from photosynth.fleet import load_fleet
from photosynth.operations.status import Answered, chain_status

(MINING,) = load_fleet(Path(__file__).parents[3] / "examples/backnang.yaml").mining_sites()
NETWORK_TARGET = 0x7FFFFF << 232


def template(target: int) -> Template:
    return Template(
        height=22,
        previous_hash=bytes(32),
        version=0x20000000,
        bits=0x207FFFFF,
        time_s=1,
        min_time_s=1,
        target=target,
        network_target=NETWORK_TARGET,
        coinbase_value_sat=1,
        transactions=(),
        witness_commitment=b"",
        long_poll_id="a",
    )


HEALTH = NodeHealth(
    chain="regtest", tip=Tip(21, bytes(32), 1), headers=21, synchronised=True, software="a node", peers=0, warnings=()
)


NOW = Answered(HEALTH, 5_000)


def test_a_demonstrations_difficulty_is_of_its_own_target() -> None:
    status = chain_status(MINING, NOW, template(2**256 // 29_000_000), fresh=True, now_ms=5_000)
    assert status.difficulty == pytest.approx(0.00675, rel=0.01)
    assert status.target == str(2**256 // 29_000_000)


def test_in_the_pause_after_a_block_the_networks_difficulty_is_not_shown_in_its_place() -> None:
    status = chain_status(MINING, NOW, template(0), fresh=True, now_ms=5_000)
    assert (status.target, status.difficulty) == ("0", None)


def test_without_a_template_the_target_is_unknown() -> None:
    status = chain_status(MINING, NOW, None, fresh=True, now_ms=5_000)
    assert (status.target, status.difficulty) == (None, None)


def test_of_a_node_that_does_not_answer_nothing_is_known() -> None:
    status = chain_status(MINING, None, None, fresh=False, now_ms=5_000)
    assert (status.software, status.height, status.tip, status.peers, status.target) == (None,) * 5
    assert not status.synchronised


def test_of_a_node_that_is_silent_the_last_answer_is_told_with_its_age_and_nothing_is_trusted() -> None:
    status = chain_status(MINING, NOW, template(2**256 // 29_000_000), fresh=False, now_ms=47_000)
    assert (status.height, status.software, status.peers, status.observed_ms) == (21, "a node", 0, 5_000)
    assert (status.synchronised, status.target, status.difficulty) == (False, None, None)
    assert status.warnings == ["the Bitcoin node does not answer; this is what it said 42 s ago"]
    assert status.last_block_age_s == 46
