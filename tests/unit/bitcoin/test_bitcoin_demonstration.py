"""The demonstration target over simulated miners: pace, fast guests, nights, restarts."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photosynth.bitcoin.demonstration import HOLD_MS, WINDOW, DemonstrationTarget
from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.work import work_of_target

SITE_HS = 50_000
GUEST_HS = 20_000_000
START_S = 1_800_000_000.0
INTERVAL_S = 10.0


@dataclass
class Chain:
    """Miners of a hash rate that changes with time, on a demonstration target."""

    demonstration: DemonstrationTarget
    random: random.Random
    now_s: float = START_S

    def mine(self, blocks: int, hash_rate_hs: Callable[[float], float] | float) -> list[float]:
        """Seconds that each of so many blocks took."""
        taken: list[float] = []
        start_s = self.now_s
        while len(taken) < blocks:
            target = self.demonstration.target(self.now_s)
            change_s = self.demonstration.next_change_s(self.now_s)
            rate = hash_rate_hs if isinstance(hash_rate_hs, (int, float)) else hash_rate_hs(self.now_s)
            found_s = float("inf")
            if target and rate:
                found_s = self.now_s + self.random.expovariate(rate / work_of_target(target))
            step_s = min(found_s, change_s or float("inf"), self.now_s + 60)
            self.now_s = step_s
            if step_s == found_s:
                self.demonstration.found(self.now_s, target)
                taken.append(self.now_s - start_s)
                start_s = self.now_s
        return taken


def chain(interval_s: float = INTERVAL_S, declared_hs: int = SITE_HS, seed: int = 1) -> Chain:
    return Chain(DemonstrationTarget(interval_s, declared_hs), random.Random(seed))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_first_block_is_expected_after_about_a_second() -> None:
    firsts = [chain(seed=seed).mine(1, SITE_HS)[0] for seed in range(1000)]
    assert mean(firsts) == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("interval_s", [1.0, 2.0, 10.0, 600.0])
def test_the_steady_interval_is_the_declared_one(interval_s: float) -> None:
    taken = chain(interval_s).mine(4001, SITE_HS)[1:]
    assert mean(taken) == pytest.approx(interval_s, rel=0.15)
    assert min(taken) >= HOLD_MS / 1000


def test_a_guest_400_times_faster_is_absorbed_within_twenty_blocks() -> None:
    for seed in range(20):
        site = chain(seed=seed)
        site.mine(60, SITE_HS)
        rush = site.mine(20, SITE_HS + GUEST_HS)
        assert min(rush) >= HOLD_MS / 1000
        assert mean(site.mine(200, SITE_HS + GUEST_HS)) > INTERVAL_S * 0.7


def test_the_chain_goes_on_when_the_fast_guest_has_left() -> None:
    site = chain()
    site.mine(60, SITE_HS)
    site.mine(60, SITE_HS + GUEST_HS)
    assert site.mine(1, SITE_HS)[0] < 30 * INTERVAL_S
    assert mean(site.mine(20, SITE_HS)) < 5 * INTERVAL_S
    assert mean(site.mine(200, SITE_HS)) == pytest.approx(INTERVAL_S, rel=0.3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.1, 1e9), min_size=1, max_size=8), st.sampled_from([0.6, 1.0, 10.0]), st.integers(0, 1000))
def test_whoever_mines_the_chain_never_passes_two_blocks_a_second(rates: list[float], interval_s: float, seed: int) -> None:
    site = chain(interval_s, seed=seed)
    for rate in rates:
        demonstration = site.demonstration
        start_s = site.now_s
        while site.now_s < start_s + 20:
            target = demonstration.target(site.now_s)
            change_s = demonstration.next_change_s(site.now_s) or start_s + 20
            found_s = site.now_s + site.random.expovariate(rate / work_of_target(target)) if target else float("inf")
            if found_s < change_s:
                last_s, site.now_s = site.now_s, found_s
                demonstration.found(found_s, target)
                assert demonstration.target(found_s) == 0
                assert demonstration.target(found_s + 0.499) == 0
                assert demonstration.target(found_s + 0.502) > 0
                assert last_s <= found_s
            else:
                site.now_s = change_s


def test_a_night_without_mining_does_not_collapse_the_target() -> None:
    site = chain()
    site.mine(200, SITE_HS)
    before = site.demonstration.hash_rate_hs
    nightfall_s = site.now_s
    dawn_s = nightfall_s + 10 * 3600 / 60
    site.mine(1, lambda now_s: SITE_HS if now_s > dawn_s else 0)
    assert site.demonstration.hash_rate_hs > before // 32
    morning = site.mine(30, SITE_HS)
    assert sum(morning) > 10 * INTERVAL_S
    assert mean(site.mine(300, SITE_HS)) == pytest.approx(INTERVAL_S, rel=0.25)


def test_a_pause_at_the_declared_rate_eases_by_at_most_a_sixteenth() -> None:
    site = chain()
    site.mine(200, SITE_HS)
    least = SITE_HS * 95 // 10 // 16
    assert work_of_target(site.demonstration.target(site.now_s + 10**7)) >= least - 1
    assert site.demonstration.next_change_s(site.now_s + 10**7) is None


@pytest.mark.parametrize("declared_hs", [SITE_HS // 100, SITE_HS * 10])
def test_a_wrong_declared_hash_rate_is_corrected(declared_hs: int) -> None:
    site = chain(declared_hs=declared_hs)
    site.mine(30, SITE_HS)
    assert mean(site.mine(500, SITE_HS)) == pytest.approx(INTERVAL_S, rel=0.2)


@given(st.integers(0, 40), st.integers(0, 100))
def test_the_target_changes_by_itself_only_when_it_says(blocks: int, seed: int) -> None:
    site = chain(seed=seed)
    site.mine(blocks, SITE_HS)
    now_s = site.now_s
    for _ in range(12):
        change_s = site.demonstration.next_change_s(now_s)
        target = site.demonstration.target(now_s)
        if change_s is None:
            assert site.demonstration.target(now_s + 10**6) == target
            break
        assert change_s > now_s
        assert site.demonstration.target(now_s + (change_s - now_s) * 0.99 - 0.002) in (target, 0)
        assert site.demonstration.target(change_s + 0.001) > target
        now_s = change_s + 0.001


@given(st.integers(0, 30), st.integers(0, 100))
def test_the_state_goes_through_json_and_a_restart_does_not_count_as_mining(blocks: int, seed: int) -> None:
    site = chain(seed=seed)
    site.mine(blocks, SITE_HS)
    again = DemonstrationTarget.from_json(site.demonstration.to_json())
    assert again.to_json() == site.demonstration.to_json()
    assert again.hash_rate_hs == site.demonstration.hash_rate_hs
    much_later_s = site.now_s + 10**6
    assert again.target(much_later_s) == DemonstrationTarget.from_json(again.to_json()).target(site.now_s + 1)
    assert again.target(site.now_s) == site.demonstration.target(site.now_s) or blocks == 0


def test_another_interval_takes_over_what_was_learnt() -> None:
    site = chain()
    site.mine(100, SITE_HS)
    faster = DemonstrationTarget.from_json(site.demonstration.to_json(), interval_s=2.0)
    assert faster.interval_s == 2.0
    assert faster.hash_rate_hs == site.demonstration.hash_rate_hs
    site.demonstration = faster
    assert mean(site.mine(500, SITE_HS)) == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"interval_ms": 10000, "declared_hs": 5, "blocks": 1, "last_found_ms": null, "window": []}',
        '{"interval_ms": 10000, "declared_hs": 5, "blocks": 1, "last_found_ms": null, "window": [["0", 5]]}',
        '{"interval_ms": 10000, "declared_hs": 5, "blocks": 1, "last_found_ms": "x", "window": [["5", 5]]}',
        '{"interval_ms": 1, "declared_hs": 5, "blocks": 1, "last_found_ms": null, "window": [["5", 5]]}',
        json.dumps({"interval_ms": 1e999, "declared_hs": 5, "blocks": 1, "last_found_ms": None, "window": [["5", 5]]}),
        "[" * 100_000,
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(text: str) -> None:
    with pytest.raises(FormatError):
        DemonstrationTarget.from_json(text)
    site = chain()
    site.mine(3, SITE_HS)
    before = site.demonstration.to_json()
    if "window" not in text or '"interval_ms": 1,' not in text:
        with pytest.raises(FormatError):
            site.demonstration.restore(text if "Infinity" not in text else "{}")
    assert site.demonstration.to_json() == before


def test_blocks_from_elsewhere_start_a_hold_and_teach_nothing() -> None:
    site = chain()
    site.mine(20, SITE_HS)
    rate, blocks = site.demonstration.hash_rate_hs, site.demonstration.blocks
    site.now_s += 3
    for _ in range(100):
        site.demonstration.interrupted(site.now_s)
        assert site.demonstration.target(site.now_s) == 0
        site.demonstration.found(site.now_s, 0)
    assert (site.demonstration.hash_rate_hs, site.demonstration.blocks) == (rate, blocks)


def test_reset_and_resume() -> None:
    site = chain()
    fresh = site.demonstration.target(site.now_s)
    site.mine(20, SITE_HS)
    learnt = site.demonstration.hash_rate_hs
    site.demonstration.resume()
    assert site.demonstration.hash_rate_hs == learnt
    site.demonstration.reset()
    assert site.demonstration.blocks == 0
    assert site.demonstration.target(site.now_s) == fresh


def test_a_clock_that_is_set_back_does_not_hold_the_chain() -> None:
    site = chain()
    site.mine(20, SITE_HS)
    assert site.demonstration.target(site.now_s - 3600) > 0
    site.demonstration.found(site.now_s - 3599, site.demonstration.target(site.now_s - 3599))
    assert site.demonstration.target(site.now_s - 3599 + 0.6) > 0


def test_the_window_is_short() -> None:
    site = chain()
    site.mine(100, SITE_HS)
    assert len(json.loads(site.demonstration.to_json())["window"]) == WINDOW


@pytest.mark.parametrize(
    ("interval_s", "rate"), [(0.5, 1), (0, 1), (90_000, 1), (float("nan"), 1), (10, 0), (10, -1), (10, 10**19)]
)
def test_settings_out_of_range_are_refused(interval_s: float, rate: int) -> None:
    with pytest.raises(ValueError, match="demonstration"):
        DemonstrationTarget(interval_s, rate)
