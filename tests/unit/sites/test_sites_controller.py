"""The control loop: what it does with fresh, old and absent looks, with limits, with machines that were just changed."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.unit.clock_and_audit import START_MS
from tests.unit.sites.sites_fakes import QUARTER_MS, Surroundings, view

from photosynth.energy.meters import IntervalReading, MeterError, MeterReading, SourceReading
from photosynth.energy.prices import Prices
from photosynth.quantities.balance import MeterRole
from photosynth.sites import controller as module
from photosynth.sites.controller import UNDECIDED, UNPRICED, UNSEEN


async def test_surplus_is_mined_at_the_next_step() -> None:
    site = Surroundings(view("a"), view("b"))
    await site.step()
    assert site.control.targets == {"a": 3500, "b": 3500}
    assert site.controller.plan is not None
    assert site.controller.plan.set_point_w == 7000
    assert "feeding in would fetch 31.00 EUR/MWh" in site.control.reasons["a"]


async def test_meters_that_never_answered_start_nothing() -> None:
    site = Surroundings(view("a"), view("b", on=True, desired_w=3500))
    site.field.broken = MeterError("the meters did not answer within 2 s")
    await site.step()
    assert site.control.targets == {"a": 0, "b": 0}
    assert site.control.reasons["b"] == UNSEEN
    assert site.controller.fault == "the meters did not answer within 2 s"
    assert site.field.told == []


async def test_an_old_look_raises_nothing_and_a_lost_one_puts_to_sleep() -> None:
    site = Surroundings(view("low", on=True, desired_w=1850), view("off", desired_w=0), generation_w=62_000)
    site.control.views["low"] = view("low", on=True, desired_w=1850)
    site.see(generation_w=100_000, load_w=60_000)
    await site.controller._look()
    site.field.broken = MeterError("the meters did not answer within 2 s")
    await site.step(10)
    assert site.control.targets == {"low": 1850, "off": 0}
    assert site.control.reasons["off"] == "Kept at 0 W until the meters answer again; then 3500 W."
    assert site.controller.plan is not None
    assert site.controller.plan.set_point_w == 1850 + 25
    await site.step(25)
    assert site.control.targets == {"low": 0, "off": 0}
    assert site.control.reasons == {"low": UNSEEN, "off": UNSEEN}
    site.field.broken = None
    await site.step(1)
    assert site.control.targets["off"] == 3500
    assert site.controller.fault is None


async def test_an_old_look_still_lowers() -> None:
    site = Surroundings(view("a", on=True, desired_w=3500), generation_w=62_000)
    await site.controller._look()
    site.field.broken = MeterError("the meters did not answer within 2 s")
    await site.step(10)
    assert site.control.targets == {"a": 0}


@pytest.mark.parametrize("role", ["own_generation", "factory"])
async def test_one_missed_power_of_one_meter_moves_no_machine_and_a_lasting_silence_puts_them_to_sleep(role: MeterRole) -> None:
    site = Surroundings(view("a", on=True, desired_w=3500))
    await site.step()
    site.field.silent = {role}
    await site.step()
    assert site.control.targets["a"] == 3500
    assert site.controller.fault == f"{role} does not say its power"
    site.field.silent = set()
    await site.step()
    assert fault_of(site) is None
    assert site.control.targets["a"] == 3500
    site.field.silent = {role}
    for _ in range(3):
        await site.step(10)
    assert site.control.targets["a"] == 3500
    await site.step(1)
    assert site.control.targets == {"a": 0}
    assert site.control.reasons["a"] == UNSEEN


async def test_what_the_other_meters_say_still_lowers_while_one_is_silent() -> None:
    site = Surroundings(view("a", on=True, desired_w=3500))
    await site.step()
    site.see(generation_w=0, load_w=60_000, mining_w=3_500)
    site.field.silent = {"factory"}
    await site.step()
    assert site.control.targets["a"] == 0


@pytest.mark.parametrize("off_ms", [365 * 86_400_000, -365 * 86_400_000, 301_000])
async def test_meters_whose_time_is_not_now_start_nothing(off_ms: int) -> None:
    site = Surroundings(view("a"))
    site.field.off_ms = off_ms
    await site.step()
    assert site.control.targets == {"a": 0}
    assert site.controller.fault is not None
    assert "factory says its power of " in site.controller.fault


async def test_where_buying_is_allowed_nothing_is_bought_unseen() -> None:
    site = Surroundings(view("a", desired_w=0), import_for_mining=True)
    site.market.spot_cent = -10_000
    site.field.broken = MeterError("the meters did not answer within 2 s")
    await site.step()
    assert site.control.targets == {"a": 0}


async def test_an_operators_stop_is_the_reason_even_where_the_meters_are_lost() -> None:
    site = Surroundings(view("a", on=True, desired_w=3500), stopped=True)
    site.control.stopped = True
    site.field.broken = MeterError("the meters did not answer within 2 s")
    await site.step()
    assert site.control.reasons["a"] == "Sleeps: an operator stopped all mining."


async def test_without_a_price_everything_sleeps_and_says_so() -> None:
    site = Surroundings(view("a", on=True, desired_w=3500), view("gone", available=False))
    site.market.spot_cent = None
    await site.step()
    assert site.control.targets == {"a": 0, "gone": None}
    assert site.control.reasons == {"a": UNPRICED}
    assert site.controller.plan is None
    assert site.notes.observations[-1].generation_w == 100_000


async def test_a_machine_is_raised_only_after_it_was_left_alone_for_two_minutes_and_lowered_at_once() -> None:
    site = Surroundings(view("a"), generation_w=67_000)
    await site.step()
    first = site.control.targets["a"]
    assert first == 1850
    site.see(generation_w=100_000, load_w=60_000, mining_w=1850)
    await site.step()
    assert site.control.targets["a"] == 1850
    assert site.control.reasons["a"] == "Kept at 1850 W until it was left alone for two minutes; then 3500 W."
    assert site.controller.plan is not None
    assert site.controller.plan.set_point_w == 1850
    await site.step(2)
    assert site.control.targets["a"] == 3500
    site.see(generation_w=67_000, load_w=60_000, mining_w=3500)
    await site.step()
    assert site.control.targets["a"] == 1850


async def test_limits_are_audited_proven_and_told_once() -> None:
    site = Surroundings(view("a"))
    site.market.spot_cent = -4_000
    await site.step()
    await site.step()
    assert site.field.told == [(None, 0)]
    assert site.audit.actions == [
        [
            "dispatch",
            "limit_sources",
            "sources",
            "feeding in fetches -42.00 EUR/MWh net",
            "generation: no limit, feed-in: at most 0 W",
            "done",
            "accepted",
            "generation: no limit, feed-in: at most 0 W",
            True,
        ]
    ]


async def test_a_limit_that_the_sources_lost_is_told_again() -> None:
    site = Surroundings(view("a"))
    site.market.spot_cent = -4_000
    await site.step()
    site.field.source = SourceReading(0, 0, None, False, None, None)
    loop = asyncio.get_running_loop()
    site.controller._told = (module._Limits(None, 0), loop.time() - module.LIMIT_RETRY_S)
    await site.step()
    assert site.field.told == [(None, 0), (None, 0)]


async def test_a_limit_that_does_not_show_is_unverified_and_tried_again_later_but_another_goes_at_once() -> None:
    site = Surroundings(view("a"))
    site.field.stubborn = True
    site.market.spot_cent = -4_000
    await site.step()
    await site.step()
    assert site.field.told == [(None, 0)]
    assert site.audit.actions[0][5:] == ["unverified", "accepted", "generation: no limit, feed-in: no limit", False]
    site.market.spot_cent = 3_000
    await site.step()
    assert site.field.told == [(None, 0), (None, 400_000)]


async def test_a_limit_that_cannot_be_audited_is_not_tried() -> None:
    site = Surroundings(view("a"))
    site.audit.full = True
    await site.step()
    assert site.field.told == []
    site.audit.full = False
    await site.step()
    assert site.field.told == [(None, 400_000)]


async def test_sources_that_do_not_answer_to_a_limit_are_a_failed_action(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Surroundings(view("a"))

    async def limit(source_w: int | None, export_w: int | None) -> None:
        site.field.broken = MeterError("the meters did not answer within 2 s")
        site.field._here()

    monkeypatch.setattr(site.field, "limit", limit)
    await site.step()
    assert site.audit.actions[0][5] == "failed"


async def test_curtailed_energy_is_estimated_and_split_at_the_quarter_hour() -> None:
    site = Surroundings(view("a", available=False), generation_w=60_000)
    site.field.source = SourceReading(0, 0, 90_000, True, None, 0)
    site.market.spot_cent = -4_000
    site.clock.site = START_MS + QUARTER_MS - 60_000
    await site.controller.step()
    assert site.notes.curtailed_estimate_j(START_MS) is None, "one look makes no span"
    await site.step(2)
    assert site.notes.curtailed_estimate_j(START_MS) == 30_000 * 60
    assert site.notes.curtailed_estimate_j(START_MS + QUARTER_MS) == 30_000 * 60
    site.notes.forget_curtailed(START_MS + QUARTER_MS)
    assert site.notes.curtailed_estimate_j(START_MS) is None
    site.field.source = SourceReading(0, 0, None, True, None, 0)
    await site.step(2)
    assert site.notes.curtailed_estimate_j(START_MS + QUARTER_MS) == 30_000 * 60, "without an estimate, none is made up"


async def test_a_span_without_looks_is_not_counted_as_curtailed() -> None:
    site = Surroundings(view("a", available=False), generation_w=60_000)
    site.field.source = SourceReading(0, 0, 90_000, True, None, 0)
    await site.step()
    await site.step(20)
    assert site.notes.curtailed_estimate_j(START_MS + QUARTER_MS) is None


async def test_power_of_machines_that_do_not_answer_is_not_given_away_twice() -> None:
    lost = [view(f"lost{index}", on=True, desired_w=3500, fresh=False, available=False, power_w=None) for index in range(3)]
    site = Surroundings(*lost, view("a"), view("b"), generation_w=78_000)
    site.see(generation_w=78_000, load_w=60_000, mining_w=10_800)
    await site.step()
    assert site.controller.plan is not None
    assert site.controller.plan.set_point_w <= 13_000, "the surplus without the guard"
    assert "are counted as a load" in site.control.reasons["lost0"]
    site.see(generation_w=78_000, load_w=60_000, mining_w=60)
    await site.step(3)
    assert site.control.targets["a"] == site.control.targets["b"] == 3500, "they draw nothing: cut off"


async def test_the_days_curve_has_a_point_a_minute_and_nothing_that_was_not_seen() -> None:
    site = Surroundings(view("a"))
    await site.step()
    await site.step()
    assert [(p.time_ms % 60_000, p.generation_w, p.surplus_w, p.grid_w) for p in site.notes.observations] == [
        (0, 100_000, 40_000, -40_000)
    ]
    site.field.broken = MeterError("the meters did not answer within 2 s")
    await site.step(20)
    assert site.notes.observations[-1].generation_w is None
    assert site.notes.observations[-1].grid_w is None
    assert site.notes.observations[-1].spot_cent_per_mwh == 2_000


async def for_ever() -> None:
    await asyncio.Event().wait()


def mistake_of(site: Surroundings) -> str | None:
    return site.controller.mistake


def fault_of(site: Surroundings) -> str | None:
    return site.controller.fault


@pytest.mark.parametrize(
    "error", [TypeError("unsupported operand"), SystemExit(1), asyncio.CancelledError(), KeyError("import")], ids=repr
)
async def test_whatever_a_driver_of_the_meters_raises_is_their_fault_by_name(error: BaseException) -> None:
    site = Surroundings(view("a", on=True, desired_w=3500))
    await site.step()
    site.field.broken = error
    with capture_logs() as logs:
        await site.step()
        await site.step(40)
    assert site.controller.fault is not None
    assert type(error).__name__ in site.controller.fault
    assert site.control.targets == {"a": 0}, "unseen, so asleep"
    assert [entry["event"] for entry in logs].count("a driver failed in a way that it must not") == 1
    site.field.broken = None
    await site.step()
    assert fault_of(site) is None
    assert await site.meters.profile(START_MS) is None


UNSOUND = (
    MeterReading(1, 10**400, 1, "good"),
    MeterReading(1, 1, 10**400, "good"),
    MeterReading(1, 1, 0.5, "good"),  # type: ignore[arg-type]
    MeterReading(-1, 1, 1, "good"),
    MeterReading(1, 1, 1, "fine"),  # type: ignore[arg-type]
    5,
)


@pytest.mark.parametrize(
    "readings",
    [None, [], {5: MeterReading(1, 1, 1, "good")}, *({"own_generation": item} for item in UNSOUND)],
    ids=lambda value: str(value)[:60],
)
async def test_readings_that_are_none_are_the_meters_fault(readings: object) -> None:
    site = Surroundings(view("a"))

    async def read() -> Any:
        return readings

    site.field.instead["read"] = read
    with capture_logs():
        await site.step()
    assert site.controller.fault is not None
    assert site.controller.picture is None


@pytest.mark.parametrize(
    "profile",
    [
        5,
        {"import": None},
        {"import": IntervalReading(5, 4, "good")},
        {"import": IntervalReading(0, 10**400, "good")},
        {7: IntervalReading(0, 1, "good")},
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_load_profile_that_is_none_is_the_meters_fault(profile: object) -> None:
    site = Surroundings(view("a"))

    async def give() -> Any:
        return profile

    site.field.instead["profile"] = give
    with capture_logs(), pytest.raises(MeterError, match="the meters' driver is at fault: its 'profile' failed"):
        await site.meters.profile(START_MS)


async def test_meters_that_hang_hold_nobody_for_long() -> None:
    site = Surroundings(view("a"))
    site.field.instead["read"] = for_ever
    with capture_logs():
        await site.step()
    assert site.controller.fault is not None
    assert "no end within" in site.controller.fault


async def test_an_unexpected_exception_of_the_sources_finishes_the_action_as_failed() -> None:
    site = Surroundings(view("a"))

    async def limit() -> None:
        raise TypeError("no")

    site.field.instead["limit"] = limit
    with capture_logs():
        await site.step()
    assert site.audit.actions[0][5] == "failed"
    await site.step()


async def test_a_decision_does_not_wait_for_the_disk() -> None:
    site = Surroundings(view("a", on=True, desired_w=3500))
    site.audit.slow = asyncio.Event()
    await site.controller.step()  # the sources' limit waits for its plan
    site.see(generation_w=0, load_w=60_000, mining_w=3_500)
    site.clock.turn(0.4)
    async with asyncio.timeout(60):
        await site.controller.step()
    assert site.control.targets == {"a": 0}
    assert site.field.told == []
    site.audit.slow.set()
    await site.controller.settle()
    assert site.field.told == [(None, 400_000)]


async def test_a_mistake_in_deciding_puts_everything_to_sleep_and_is_told_until_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PERIOD_S", 0)
    site = Surroundings(view("a", on=True, desired_w=3500))
    mistake = ZeroDivisionError("our mistake")

    def prices(instant_ms: int) -> Prices | None:
        raise mistake

    site.market.prices = prices  # type: ignore[method-assign]
    with capture_logs() as logs:
        running = asyncio.ensure_future(site.controller.run())
        async with asyncio.timeout(60):
            while mistake_of(site) is None:
                await asyncio.sleep(0)
        assert mistake_of(site) == "ZeroDivisionError: our mistake"
        assert site.control.targets == {"a": 0}
        assert site.control.reasons["a"] == UNDECIDED
        del site.market.prices
        async with asyncio.timeout(60):
            while mistake_of(site) is not None:
                await asyncio.sleep(0)
    assert [entry["event"] for entry in logs] == ["no decision can be made"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_without_work_everything_sleeps_and_says_why() -> None:
    site = Surroundings(view("a", on=True, desired_w=3_500))
    site.why_no_work = "the site's pool does not run"
    await site.step()
    assert site.control.targets == {"a": 0}
    assert site.control.reasons["a"] == "Sleeps: the site's pool does not run."
    site.why_no_work = None
    site.clock.turn(600)
    await site.step()
    assert site.control.targets["a"]
