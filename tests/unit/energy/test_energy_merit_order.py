"""The merit order against a climb that walks through the blocks watt by watt, and what is remembered against what is computed."""

from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photosynth.energy.dispatch import DispatchPolicy, SiteState, decide
from photosynth.energy.grouping import LastLadder, ladder_of
from photosynth.energy.ladder import Ladder, MachineOffer, scaled
from photosynth.energy.merit_order import Block, climb
from photosynth.energy.prices import PriceComponent, Tariff

VALUE = scaled(Fraction(3, 100) / (10**12 * 86_400))
TARIFF = Tariff((PriceComponent("levies", 500, "test", "2026-01-01"),), 1300, "none_at_negative_price", 200)
MODELS = (
    ((1900, 168_000 * 10**9), (2800, 228_000 * 10**9), (3600, 270_000 * 10**9)),
    ((1700, 60_000 * 10**9), (3000, 104_000 * 10**9)),
)


@st.composite
def offers(draw: st.DrawFn) -> tuple[MachineOffer, ...]:
    made = []
    for number in range(draw(st.integers(0, 14))):
        made.append(
            MachineOffer(
                id=f"m{number}",
                model="any",
                party="operator",
                steps=draw(st.sampled_from(MODELS)),
                standby_w=25,
                on=draw(st.booleans()),
                changed_ms=-draw(st.sampled_from((1_000, 200_000, 10**9))),
                min_on_s=300,
                min_off_s=180,
                start_cost_ueur=draw(st.sampled_from((0, 50_000))),
                available=draw(st.integers(0, 9)) > 0,
                fixed_power_w=draw(st.sampled_from((None, None, None, 2500))),
            )
        )
    return tuple(made)


def rising(watts: list[int], cents: list[int]) -> list[Block]:
    return list(zip(watts, sorted(cents), strict=False))


BLOCKS = st.builds(
    rising,
    st.lists(st.integers(1, 40_000), max_size=3),
    st.lists(st.integers(-2_000, 14_000), min_size=3, max_size=3),
)


CHANGES = st.lists(st.integers(0, 13), max_size=4)


def walked(ladder: Ladder, blocks: list[Block]) -> list[int]:
    """The slow way: every machine's step is paid out of the first blocks, one after the other."""
    left = [watts for watts, _ in blocks]

    def pay(watts: int) -> None:
        for number in range(len(left)):
            paid = min(left[number], watts)
            left[number] -= paid
            watts -= paid

    pay(ladder.fixed_w)
    taken = [0] * len(ladder.rungs)
    for held, rungs in ((True, ladder.held), (False, ladder.merit)):
        for rung in rungs:
            most = taken[rung.place - 1] if rung.level else rung.machines
            while taken[rung.place] < most:
                affordable = sum(w for w, (_, cent) in zip(left, blocks, strict=True) if held or cent <= rung.value_cent)
                if affordable < rung.watts:
                    break
                pay(rung.watts)
                taken[rung.place] += 1
    return taken


@settings(max_examples=80, deadline=None)
@given(offers(), BLOCKS, st.lists(st.integers(-3_000, 3_000), min_size=3, max_size=3))
def test_a_climb_is_what_walking_gives_and_says_for_how_long(
    machines: tuple[MachineOffer, ...], blocks: list[Block], moved: list[int]
) -> None:
    ladder = ladder_of(machines, VALUE, 10_800, 0, stopped=False)
    result = climb(ladder, blocks)
    assert list(result.taken) == walked(ladder, blocks)
    assert result.extra_w == sum(count * rung.watts for count, rung in zip(result.taken, ladder.rungs, strict=True))
    assert result.holds(ladder, blocks)
    other = [(max(1, watts + by), cent) for (watts, cent), by in zip(blocks, moved, strict=False)]
    if result.holds(ladder, other):
        assert climb(ladder, other) == replace(result, bounds=climb(ladder, other).bounds)
    else:
        assert climb(ladder, other).taken != result.taken
    assert not result.holds(ladder_of(machines, VALUE, 10_800, 0, stopped=False), blocks), "another ladder is another question"


@settings(max_examples=80, deadline=None)
@given(
    offers(),
    st.lists(st.builds(SiteState, st.integers(0, 60_000), st.integers(0, 40_000), import_peak_w=st.just(20_000)), min_size=2),
    st.lists(st.integers(-9_000, 9_000), min_size=1, max_size=2),
    st.builds(
        DispatchPolicy,
        st.just(30_000),
        guard_w=st.sampled_from((0, 2_000)),
        import_for_mining=st.booleans(),
        curtail_to_import=st.booleans(),
        curtailable=st.booleans(),
        demand_charge=st.booleans(),
    ),
)
def test_a_decision_does_not_depend_on_the_one_before(
    machines: tuple[MachineOffer, ...], sites: list[SiteState], spots: list[int], policy: DispatchPolicy
) -> None:
    ladder, before = ladder_of(machines, VALUE, 10_800, 0, stopped=False), None
    for spot in spots:
        prices = TARIFF.prices(0, spot, "test", None)
        for site in sites:
            alone, before = decide(site, ladder, prices, policy), decide(site, ladder, prices, policy, before)
            assert (alone.climb.taken, alone.set_point_w, alone.buying) == (before.climb.taken, before.set_point_w, before.buying)
            assert (alone.source_limit_w, alone.export_limit_w) == (before.source_limit_w, before.export_limit_w)


@settings(max_examples=80, deadline=None)
@given(offers(), st.integers(0, 400_000))
def test_a_ladder_holds_until_a_minimum_time_ends(machines: tuple[MachineOffer, ...], later_ms: int) -> None:
    ladder = ladder_of(machines, VALUE, 10_800, 0, stopped=False)
    if ladder.is_of(machines, later_ms):
        assert ladder_of(machines, VALUE, 10_800, later_ms, stopped=False) == ladder
    else:
        assert ladder_of(machines, VALUE, 10_800, later_ms, stopped=False) != ladder


def test_the_last_ladder_is_kept_for_the_very_same_question_alone() -> None:
    machines = tuple(MachineOffer(f"m{n}", "m", "operator", MODELS[0], 25, True, -1_000, 300, 180, 0) for n in range(3))
    last = LastLadder()
    first = last.at(machines, VALUE, 10_800, 0, stopped=False)
    assert last.at(machines, VALUE, 10_800, 298_999, stopped=False) is first
    assert last.at(machines, VALUE, 10_800, 299_000, stopped=False) is not first, "the minimum on time ended"
    for other in (
        last.at(tuple(replace(machine) for machine in machines), VALUE, 10_800, 0, stopped=False),
        last.at(machines, VALUE + 1, 10_800, 0, stopped=False),
        last.at(machines, VALUE, 3_600, 0, stopped=False),
        last.at(machines, VALUE, 10_800, 0, stopped=True),
    ):
        assert other is not first


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 2, 0), (3, 3, 3), (2, 1, 1)])
def test_targets_are_of_all_machines_or_of_those_that_change(counts: tuple[int, ...]) -> None:
    machines = tuple(MachineOffer(f"m{n}", "m", "operator", MODELS[0], 25, False, -(10**9), 300, 180, 0) for n in range(3))
    ladder = ladder_of(machines, VALUE, 10_800, 0, stopped=False)
    powers = [0, *(power_w for power_w, _ in MODELS[0])]
    whole = {f"m{n}": powers[sum(count > n for count in counts)] for n in range(3)}
    assert ladder.targets(counts) == whole
    assert ladder.targets(counts, (ladder, counts)) == {}
    told = ladder.targets((1, 1, 0)) | ladder.targets(counts, (ladder, (1, 1, 0)))
    assert told == whole


def test_of_a_group_that_was_the_same_those_alone_are_told_that_change() -> None:
    machines = tuple(MachineOffer(f"m{n}", "m", "operator", MODELS[0], 25, False, -(10**9), 300, 180, 0) for n in range(5))
    ladder = ladder_of(machines, VALUE, 10_800, 0, stopped=False)
    assert ladder.targets((4, 3, 1), (ladder, (4, 3, 2))) == {"m1": MODELS[0][1][0]}
    assert ladder.targets((4, 4, 2), (ladder, (5, 3, 2))) == {"m3": MODELS[0][1][0], "m4": 0}


@settings(max_examples=80, deadline=None)
@given(offers(), st.lists(st.tuples(st.integers(0, 400_000), st.booleans(), CHANGES), max_size=8), st.randoms())
def test_a_ladder_kept_from_instant_to_instant_is_the_one_made_anew(
    machines: tuple[MachineOffer, ...], turns: list[tuple[int, bool, list[int]]], random: Random
) -> None:
    last, now_ms, told = LastLadder(), 0, dict[str, int]()
    before: tuple[Ladder, tuple[int, ...]] | None = None
    for after_ms, stopped, changed in turns:
        now_ms += after_ms
        kept = list(machines)
        for place in changed:
            if place < len(kept):
                kept[place] = replace(kept[place], on=not kept[place].on, changed_ms=now_ms, available=random.random() > 0.1)
        machines = tuple(kept)
        ladder = last.at(machines, VALUE, 10_800, now_ms, stopped=stopped)
        assert ladder == ladder_of(machines, VALUE, 10_800, now_ms, stopped=stopped)
        taken = climb(ladder, [(random.randint(1, 40_000), 0)]).taken
        told.update(ladder.targets(taken, before))
        assert told.items() >= ladder.targets(taken).items(), "what is left out was told before"
        before = ladder, taken
