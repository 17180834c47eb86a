"""A node is held against Bitcoin's own rules, whatever it says of itself."""

from dataclasses import replace

import pytest

from photosynth.bitcoin.node import hash_bytes
from photosynth.bitcoin.wire import double_sha256
from photosynth.networks.bitcoin.conditions import judge
from photosynth.networks.bitcoin.identity import CHECKPOINTS, broken_proof, foreign_implementation
from photosynth.networks.bitcoin.probe import NodeObservation, report_of
from photosynth.networks.grammar import UNKNOWN

GENESIS = bytes.fromhex(  # block 0 of the main chain
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a5132"
    "3a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
)
GENESIS_HASH = hash_bytes(CHECKPOINTS["main"][0].hash)
KNOTS, CORE = "/Satoshi:29.4.3/Knots:20260508/", "/Satoshi:31.0.0/"
HEALTHY = NodeObservation(
    at_ms=0,
    name="btc-1",
    problem=None,
    software=CORE,
    version=310000,
    chain="main",
    height=961_700,
    headers=961_700,
    tip=GENESIS_HASH,
    header=GENESIS,
    tip_age_s=60,
    initial_download=False,
    peers_in=5,
    peers_out=10,
    warnings=(),
    at_heights=tuple((point.height, point.hash) for point in CHECKPOINTS["main"]),
)


def kinds(seen: NodeObservation, chain: str = "main") -> list[str]:
    return [found.kind for found in judge(seen, chain)]


def test_a_node_that_keeps_every_rule_is_healthy() -> None:
    assert kinds(HEALTHY) == []
    report = report_of(HEALTHY, "main")
    assert (report.head, report.peers, report.version, report.problem) == (961_700, 15, CORE, None)


def test_the_genesis_header_proves_its_work_and_no_other_bytes_do() -> None:
    assert broken_proof("main", GENESIS, GENESIS_HASH) is None
    for at in range(len(GENESIS)):
        changed = GENESIS[:at] + bytes((GENESIS[at] ^ 1,)) + GENESIS[at + 1 :]
        assert broken_proof("main", changed, GENESIS_HASH) is not None


def test_a_header_under_another_hash_function_is_refused() -> None:
    other = bytes(28) + b"\x01" * 4  # what a node might call its tip whose proof of work is not SHA-256d
    found = judge(replace(HEALTHY, tip=other), "main")
    assert [(item.kind, item.severity) for item in found] == [("not_bitcoin", "critical")]
    assert "its SHA-256d is 000000000019d6689c08" in found[0].evidence


def test_a_target_easier_than_the_chains_is_refused() -> None:
    easy = GENESIS[:72] + (0x207FFFFF).to_bytes(4, "little") + GENESIS[76:]
    assert broken_proof("main", easy, double_sha256(easy)) == "its target is easier than anything on main"
    assert broken_proof("regtest", easy, double_sha256(easy)) in (None, "its hash misses its own target")


@pytest.mark.parametrize(("chain", "refused"), [("main", True), ("testnet4", True), ("regtest", False), ("signet", False)])
def test_an_implementation_that_left_is_refused_by_name_where_coins_are_at_stake(chain: str, refused: bool) -> None:
    assert (foreign_implementation(chain, KNOTS) is not None) == refused
    assert foreign_implementation(chain, CORE) is None


def test_knots_on_main_is_named_with_its_source() -> None:
    (found,) = judge(replace(HEALTHY, software=KNOTS), "main")
    assert (found.kind, found.severity) == ("not_bitcoin", "critical")
    assert "bitcoinknots/bitcoin" in found.evidence
    assert "Bitcoin Core" in found.runbook


def test_another_block_at_a_checkpoint_is_another_chain() -> None:
    point = CHECKPOINTS["main"][1]
    (found,) = judge(replace(HEALTHY, at_heights=((0, CHECKPOINTS["main"][0].hash), (point.height, "00" * 32))), "main")
    assert found.kind == "not_bitcoin"
    assert point.source in found.evidence
    assert kinds(replace(HEALTHY, height=100, headers=100, at_heights=HEALTHY.at_heights[:1])) == [], (
        "a node that is not that far proves nothing yet"
    )


def test_every_checkpoint_names_its_source() -> None:
    for points in CHECKPOINTS.values():
        for point in points:
            assert "Bitcoin Core" in point.source
            assert len(hash_bytes(point.hash)) == 32


def test_another_chain_than_declared_is_the_first_that_is_said() -> None:
    assert kinds(replace(HEALTHY, chain="test"))[0] == "wrong_chain"
    assert kinds(HEALTHY, "testnet4")[0] == "wrong_chain"


def test_what_is_not_told_is_not_proven_and_not_healthy() -> None:
    assert kinds(replace(HEALTHY, header=UNKNOWN)) == ["unproven"]
    (nothing,) = judge(replace(HEALTHY, at_heights=()), "main")
    assert (nothing.kind, nothing.evidence) == ("unproven", "not told: block 0, block 938343")
    assert kinds(replace(HEALTHY, at_heights=HEALTHY.at_heights[:1])) == ["unproven"]
    young = replace(HEALTHY, height=938_342, headers=938_342, at_heights=HEALTHY.at_heights[:1])
    assert kinds(young) == []
