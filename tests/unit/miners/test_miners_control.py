"""Control over machines with every habit, in simulated time: proven, named, worked around, and never nagged."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.clock_and_audit import RememberingAudit, TurnedClock
from tests.unit.miners.fleet_in_memory import S21, BodyMachine, Hall

from photosynth.miners.control import MinerControl
from photosynth.miners.machine import MalformedError, UnreachableError
from photosynth.miners.view import MachineView
from photosynth.simulation.habits import Habit


def hall(habit: Habit | None = None, shares: dict[str, int] | None = None, speed: int = 60) -> Hall:
    clock = TurnedClock()
    return Hall(
        BodyMachine("m1", clock, habit), BodyMachine("m2", clock), shares=None if shares is None else shares.get, speed=speed
    )


def view(of: Hall, machine: str = "m1") -> MachineView:
    return next(view for view in of.control.machines() if view.id == machine)


async def test_nothing_is_sent_without_a_target() -> None:
    site = hall()
    await site.polls(5)
    assert site.audit.actions == []
    assert view(site).state == "running"
    assert view(site).available


async def test_sleep_and_wake_are_proven_in_power_and_hash_rate() -> None:
    site = hall()
    await site.polls(4, {"m1": 0})
    assert site.audit.results("m1") == ["done"]
    assert view(site).state == "sleeping"
    (action,) = site.audit.of("m1")
    assert action[:5] == ["dispatch", "sleep", "m1", "the sun says so", "sleep"]
    assert "W and 0.0 TH/s" in str(action[7])
    assert action[8] is True
    await site.polls(1, {"m1": 1850})
    assert view(site).state == "starting"
    assert view(site).on
    await site.polls(4, {"m1": 1850})
    assert site.audit.results("m1") == ["done", "done"]
    assert view(site).state == "running"
    assert view(site).starts == 1
    assert abs((view(site).power_w or 0) - 1850) < 80


async def test_a_new_power_is_set_and_proven_once() -> None:
    site = hall()
    await site.polls(10, {"m1": 2510, "m2": 3500})
    assert site.audit.results("m1") == ["done"]
    assert site.machines["m1"].told == ["set_power 2510"]
    assert site.audit.of("m2") == [], "it ran at full power already"
    told = view(site).told
    assert told is not None
    assert (told.watts, told.result) == (2510, "done")


async def test_a_machine_that_is_on_its_way_is_left_in_peace_but_may_always_be_put_to_sleep() -> None:
    site = hall(speed=1)  # a ramp takes 30 polls
    await site.polls(25, {"m1": 0})
    await site.polls(2, {"m1": 3500})
    await site.polls(2, {"m1": 1850})
    assert site.machines["m1"].told == ["sleep", "set_power 3500", "wake"]
    await site.polls(2, {"m1": 0})
    assert site.machines["m1"].told[3:] == ["sleep"]
    assert site.audit.results("m1") == ["done", "unverified", "done"]
    assert "replaced by sleep" in str(site.audit.of("m1")[1][7])


async def test_one_that_ignores_limits_is_named_and_switched_only() -> None:
    site = hall(Habit("ignores_power_limit"))
    await site.polls(10, {"m1": 1850})
    assert site.audit.results("m1") == ["unverified", "unverified"]
    assert site.conditions("m1") == {"ignores_power_limit"}
    shown = view(site)
    assert (shown.regulation, shown.available) == ("on_off", True)
    assert abs((shown.fixed_power_w or 0) - 3500) < 100
    assert len(shown.steps) == 1
    assert "1850 W" in shown.conditions[0].evidence
    before = len(site.audit.actions)
    await site.polls(30, {"m1": 1850})
    assert len(site.audit.actions) == before, "it is not asked again"
    await site.polls(3, {"m1": 0})
    await site.polls(4, {"m1": shown.fixed_power_w or 0})
    assert site.audit.results("m1")[2:] == ["done", "done"]
    assert site.conditions("m1") == {"ignores_power_limit"}


async def test_one_that_does_nothing_is_named_counted_and_tried_rarely() -> None:
    site = hall(Habit("says_ok_does_nothing"))
    await site.polls(2, {"m1": 0})
    assert site.conditions("m1") == {"stays_awake"}, "said of it at once, and no more than was proven"
    await site.polls(12, {"m1": 0})
    assert site.conditions("m1") == {"says_ok_does_nothing"}
    shown = view(site)
    assert (shown.regulation, shown.available, shown.state) == ("none", False, "faulty")
    assert abs((shown.fixed_power_w or 0) - 3500) < 100
    evidence = shown.conditions[0].evidence
    assert "told 'sleep', answered 'Curtailment command sent'" in evidence
    assert "told 'set_power at 1850 W'" in evidence
    assert [action[1] for action in site.audit.of("m1")] == ["sleep", "sleep", "set_power"]
    await site.polls(720, {"m1": 0})  # a day
    assert 3 <= len(site.audit.of("m1")) - 3 <= 8
    assert set(site.audit.results("m1")) <= {"unverified", "planned"}


async def test_one_that_ignores_off_alone_is_said_to_do_so_and_held_low() -> None:
    site = hall()
    site.machines["m1"].sleepless = True
    await site.polls(14, {"m1": 0})
    assert site.conditions("m1") == {"stays_awake"}
    shown = view(site)
    assert (shown.regulation, shown.state) == ("none", "faulty")
    assert abs((shown.power_w or 0) - 1850) < 80, "it takes a limit, so it is held at its lowest"
    assert abs((shown.fixed_power_w or 0) - 1850) < 80
    assert site.audit.results("m1") == ["unverified", "unverified", "done"]
    await site.polls(720, {"m1": 0})  # a day
    assert len(site.audit.of("m1")) <= 10
    site.machines["m1"].sleepless = False
    await site.polls(200, {"m1": 0})
    assert site.conditions("m1") == set()
    assert (view(site).state, view(site).regulation) == ("sleeping", "steps")


async def test_one_that_ignored_limits_and_then_off_is_not_said_to_be_switched() -> None:
    site = hall(Habit("says_ok_does_nothing"))
    await site.polls(10, {"m1": 1850})
    assert site.conditions("m1") == {"ignores_power_limit"}
    report = await site.control.stop_all("operator", "red button")
    assert "told 'sleep', answered 'Curtailment command sent'" in report.awake["m1"]
    assert "wanted: asleep" in report.awake["m1"]
    assert site.conditions("m1") == {"says_ok_does_nothing"}
    assert view(site).regulation == "none"
    site.control.resume()
    site.control.apply({}, {"m1": "Takes no orders; its 3500 W are counted as a load."})
    told = view(site).told
    assert told is not None
    assert (told.watts, told.result) == (0, "unverified")
    assert told.at_ms < site.clock.site_ms()
    assert view(site).state == "faulty"


async def test_one_that_was_put_to_sleep_by_hand_is_taken_back() -> None:
    site = hall(Habit("says_ok_does_nothing"))
    await site.polls(14, {"m1": 0})
    assert view(site).regulation == "none"
    site.machines["m1"].body.habit = None
    site.machines["m1"].body.sleep()
    await site.polls(3)
    assert site.conditions("m1") == set()
    assert (view(site).state, view(site).available) == ("sleeping", True)


async def test_one_that_does_nothing_is_taken_back_when_it_obeys_again() -> None:
    site = hall(Habit("says_ok_does_nothing"))
    await site.polls(8, {"m1": 0})
    site.machines["m1"].body.habit = None
    await site.polls(40, {"m1": 0})
    assert site.conditions("m1") == set()
    assert view(site).regulation == "steps"
    assert view(site).state == "sleeping"


async def test_one_that_drops_out_is_named_and_swept_again() -> None:
    site = hall(Habit("drops_out", every_s=1800, for_s=600))
    seen: set[str] = set()
    for _ in range(40):
        await site.polls(1, {"m1": 0})
        seen |= {view(site).state}
        if view(site).state == "unreachable":
            assert view(site).power_w is None
            assert not view(site).available
            assert "unreachable" in site.conditions("m1")
    assert "drops_out" in site.conditions("m1")
    assert "unreachable" in seen
    assert site.machines["m1"].body.asleep
    # it comes back awake, as after a power cut: it is sent to sleep again without being asked to
    site.machines["m1"].body.habit = None
    site.machines["m1"].broken = UnreachableError("m1", "gone")
    await site.polls(6)
    site.machines["m1"].body.wake()
    site.machines["m1"].broken = None
    await site.polls(12)
    assert site.machines["m1"].body.asleep
    assert view(site).state == "sleeping"


async def test_a_refusal_is_reported_and_not_repeated_endlessly() -> None:
    site = hall()
    site.machines["m1"].refuses = True
    await site.polls(180, {"m1": 1850})  # six hours
    assert set(site.audit.results("m1")) == {"refused"}
    assert len(site.audit.of("m1")) <= 12
    assert "refuses_commands" in site.conditions("m1")
    site.machines["m1"].refuses = False
    await site.polls(40, {"m1": 1850})
    assert site.audit.results("m1")[-1] == "done"
    assert site.conditions("m1") == set()


async def test_one_that_takes_no_power_while_asleep_gets_it_once_it_runs() -> None:
    site = hall()
    site.machines["m1"].deep_sleeper = True
    await site.polls(4, {"m1": 0})
    await site.polls(10, {"m1": 1850})
    assert site.audit.results("m1") == ["done", "done", "done"]
    assert [action[1] for action in site.audit.of("m1")] == ["sleep", "wake", "set_power"]
    assert abs((view(site).power_w or 0) - 1850) < 80
    assert site.conditions("m1") == set()


async def test_power_without_hash_is_named_rested_and_tried_again() -> None:
    site = hall()
    site.machines["m1"].hashes = False
    await site.polls(34, {"m1": 3500})
    assert "power_without_hash" in site.conditions("m1")
    await site.polls(3, {"m1": 3500})
    assert site.machines["m1"].body.asleep
    assert view(site).state == "faulty"
    assert view(site).reason.endswith("it drew power without hashing.")
    assert site.audit.of("m1", "sleep")[0][3] == view(site).reason, "not what the dispatch wanted"
    site.machines["m1"].hashes = True
    await site.polls(24, {"m1": 3500})
    assert site.conditions("m1") == set()
    assert view(site).state == "running"


async def test_a_machine_without_orders_says_why() -> None:
    site = hall()
    site.control.apply({}, {"m1": "Takes no orders; its 3500 W are counted as a load."})
    assert view(site).reason == "Takes no orders; its 3500 W are counted as a load."
    assert view(site).desired_w is None


async def test_hash_without_shares_is_named() -> None:
    shares = {"m1": 7, "m2": 7}
    site = hall(shares=shares)
    for _ in range(110):
        shares["m2"] += 1
        await site.polls(1)
    assert site.conditions("m1") == {"hash_without_shares"}
    assert site.conditions("m2") == set()
    shares["m1"] += 1
    await site.polls(1)
    assert site.conditions("m1") == set()


async def test_nonsense_is_named_and_the_others_go_on() -> None:
    site = hall()
    site.machines["m1"].broken = MalformedError("m1", "answered with something that is not JSON")
    await site.polls(4, {"m1": 0, "m2": 0})
    assert "talks_nonsense" in site.conditions("m1")
    assert view(site).state == "unreachable"
    assert view(site, "m2").state == "sleeping"


async def test_one_that_wakes_by_itself_is_put_to_sleep_again() -> None:
    site = hall()
    await site.polls(4, {"m1": 0})
    site.machines["m1"].body.wake()
    await site.polls(6, {"m1": 0})
    assert site.audit.results("m1") == ["done", "done"]
    assert site.machines["m1"].body.asleep


async def flap(site: Hall, days: int, *, asleep: bool, watts: int) -> list[int]:
    """How many commands a day go to a machine that leaves its state by itself as soon as it was proven to be in it."""
    body, counts = site.machines["m1"].body, []
    for _ in range(days):
        before = len(site.audit.of("m1"))
        for _ in range(24 * 60 // 2):
            await site.polls(1, {"m1": watts})
            if body.asleep == asleep and view(site).state == ("sleeping" if asleep else "running"):
                (body.wake if asleep else body.sleep)()
        counts.append(len(site.audit.of("m1")) - before)
    return counts


async def test_one_that_wakes_by_itself_again_and_again_is_named_and_told_more_and_more_rarely() -> None:
    site = hall()
    counts = await flap(site, 2, asleep=True, watts=0)
    assert counts[0] <= 40
    assert counts[1] <= 24, "once an hour, the year over"
    assert site.conditions("m1") == {"does_not_stay"}
    assert not view(site).available, "it is a load until it is told again"
    await site.control.stop_all("me", "storm")
    assert site.machines["m1"].body.asleep, "a stop does not wait"
    await site.polls(70, {})
    assert site.conditions("m1") == set()


async def test_one_that_falls_asleep_by_itself_again_and_again_is_not_woken_without_end() -> None:
    site = hall()
    counts = await flap(site, 2, asleep=False, watts=3500)
    assert counts[1] <= 24
    assert site.conditions("m1") == {"does_not_stay"}


async def test_one_that_does_not_stay_asleep_obeys_at_once_after_it_was_wanted() -> None:
    site = hall()
    await flap(site, 1, asleep=True, watts=0)
    await site.polls(5, {"m1": 3500})
    sleeps = len(site.audit.of("m1", "sleep"))
    await site.polls(2, {"m1": 0})
    assert len(site.audit.of("m1", "sleep")) == sleeps + 1


async def test_stopping_everything_is_proven_and_holds() -> None:
    clock = TurnedClock()
    site = Hall(
        *(BodyMachine(f"m{index}", clock) for index in range(20)),
        BodyMachine("deaf", clock, Habit("says_ok_does_nothing")),
    )
    await site.polls(2)
    report = await site.control.stop_all("operator", "red button")
    assert len(report.asleep) == 20
    assert set(report.awake) == {"deaf"}
    assert all(machine.body.asleep for name, machine in site.machines.items() if name != "deaf")
    assert {action[0] for action in site.audit.actions} == {"operator"}
    assert set(site.audit.results("m3")) == {"done"}
    await site.polls(3, {"m3": 3500})
    assert site.machines["m3"].body.asleep, "targets are ignored while everything is stopped"
    site.control.resume()
    await site.polls(3, {"m3": 3500})
    assert not site.machines["m3"].body.asleep


async def test_a_stop_of_an_earlier_life_holds_for_every_machine() -> None:
    site = hall()
    site.control.stopped = True
    await site.polls(4, {"m1": 3500})
    assert view(site).state == view(site, "m2").state == "sleeping"
    assert {action[0] for action in site.audit.actions} == {"operator"}


async def test_stopping_reports_who_does_not_answer_and_sweeps_him_when_he_returns() -> None:
    site = hall()
    await site.polls(2)
    site.machines["m1"].broken = UnreachableError("m1", "no connection")
    report = await site.control.stop_all("operator", "red button")
    assert report.asleep == ("m2",)
    assert report.awake["m1"] == "it could not be told: m1: no connection"
    assert "failed" in site.audit.results("m1")
    site.machines["m1"].broken = None
    await site.polls(8)
    assert view(site).state == "sleeping"
    assert site.audit.of("m1")[-1][0] == "operator"


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_whatever_a_machine_does_control_stays_calm(seed: int) -> None:
    """A machine that changes its mind at random: every action ends once, and none is repeated without patience."""

    async def live() -> None:
        rng = random.Random(seed)
        site = hall(speed=rng.choice([1, 60, 300]))
        machine = site.machines["m1"]
        habits = [None, Habit("ignores_power_limit"), Habit("says_ok_does_nothing"), Habit("drops_out", 900, 300)]
        errors = [None, None, None, UnreachableError("m1", "gone"), MalformedError("m1", "noise")]
        for _ in range(25):
            machine.body.habit = rng.choice(habits)
            machine.broken = rng.choice(errors)
            machine.refuses = rng.random() < 0.2
            machine.hashes = rng.random() < 0.8
            if rng.random() < 0.2:
                machine.body.wake()
            polls = rng.randint(1, 6)
            before = len(site.audit.of("m1"))
            await site.polls(polls, {"m1": rng.choice([0, 1850, 2510, 3500])})
            assert len(site.audit.of("m1")) - before <= polls + 1
            assert view(site).state in ("running", "starting", "stopping", "sleeping", "unreachable", "faulty", "unknown")
        open_actions = site.audit.results("m1").count("planned")
        assert open_actions <= 1
        # once it behaves, it is brought to where it shall be, and its record is clean but for its drop-outs
        machine.body.habit, machine.broken, machine.refuses, machine.hashes = None, None, False, True
        site.clock.speed = 60
        await site.polls(800, {"m1": 2510})
        await site.polls(20, {"m1": 3500})
        await site.polls(20, {"m1": 0})
        await site.polls(20, {"m1": 1850})
        assert abs((view(site).power_w or 0) - 1850) < 120
        assert site.conditions("m1") <= {"drops_out"}

    asyncio.run(live())


async def test_what_was_learnt_survives_a_restart() -> None:
    site = hall(Habit("ignores_power_limit"))
    await site.polls(10, {"m1": 1850})
    memory = site.control.memory()
    second = MinerControl(
        list(site.machines.values()), dict.fromkeys(site.machines, S21), site.clock, RememberingAudit(), sleep=site.nap
    )
    second.remember(memory)
    shown = next(view for view in second.machines() if view.id == "m1")
    assert shown.regulation == "on_off"
    assert [condition.id for condition in shown.conditions] == ["ignores_power_limit"]


async def test_stale_readings_are_not_shown_as_power() -> None:
    site = hall()
    await site.polls(1)
    assert view(site).power_w is not None
    site.clock.turn(7)
    assert view(site).power_w is None
    assert not view(site).available
    assert view(site).observed_ms is not None


async def test_closing_ends_every_open_action() -> None:
    site = hall(speed=1)
    await site.polls(1, {"m1": 0})
    await site.polls(1, {"m1": 0})
    await site.control.close()
    assert site.audit.results("m1") == ["unverified"]


@pytest.mark.parametrize("speed", [1, 60, 300])
async def test_a_healthy_hall_obeys_at_every_speed(speed: int) -> None:
    clock = TurnedClock()
    site = Hall(*(BodyMachine(f"m{index}", clock) for index in range(12)), speed=speed)
    turns = 8 if speed > 1 else 70
    for target in (1850, 0, 3500, 2840, 0, 1850):
        await site.polls(turns, dict.fromkeys(site.machines, target))
    assert {action[5] for action in site.audit.actions} == {"done"}
    assert len(site.audit.actions) == 12 * 6
    assert all(not site.conditions(name) for name in site.machines)
