"""Who is told of what: once when it opens, once when it is over, a thousand in one message; what does not arrive is said."""

import asyncio
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from tests.unit.operations.incident_world import HOME, LOOK_MS, OFFICE, SILENT, World

from photosynth.fleet.alerts import QuietHours
from photosynth.operations import conditions as wrong
from photosynth.operations.alerting import alerts
from photosynth.operations.alerting.due import is_quiet, message
from photosynth.operations.incidents import life, watch
from photosynth.operations.incidents.life import Incident, Seen
from photosynth.operations.incidents.looking import seen
from photosynth.storage import Database

OPENED = "Photosynth: critical: node btc-1: it does not answer"
OVER = "Photosynth: over: node btc-1: it does not answer"
SOON = replace(SILENT, key="|node_warns:btc-1", kind="node_warns", severity="warning", summary="it warns: old")


def many(number: int) -> list[Seen]:
    return [replace(SILENT, key=f"|node_unreachable:n-{n}", subject=f"node n-{n}") for n in range(number)]


async def test_one_message_when_it_opens_and_one_when_it_is_over_and_none_in_between(db: Database) -> None:
    world = await World(db, OFFICE, HOME).start()
    await world.looks(500, SILENT)
    await world.looks(500)
    assert (world.titles("office"), world.titles("home")) == ([OPENED, OVER], [OPENED, OVER])
    (opened, *_), (over, *_) = [[body for _, body, name in world.sent if name == "office"][n:] for n in (0, 1)]
    assert opened.splitlines() == [
        "critical: it does not answer",
        "  node btc-1 (incident 1)",
        "  seen: no answer",
        "  what to do: docs/runbooks/nodes.md#node_unreachable",
        "",
        "Take one on, and it wakes nobody any more: photosynth incident ack ID --by NAME",
    ]
    assert "incident ack" not in over
    assert world.audit.actions == [("send_alert", f"alerts {name}", "done", None) for name in ("office", "home")] * 2


async def test_what_somebody_has_taken_on_or_what_follows_from_another_wakes_nobody(db: Database) -> None:
    world = await World(db, OFFICE, repeat_s=900).start()
    follows = replace(SOON, key="a|pool", cause="node btc-1: it does not answer")
    await world.looks(3, SILENT, follows)
    assert world.titles() == [OPENED]
    await world.watch.acknowledge(1, "anna")
    await world.looks(500, SILENT, follows)
    assert world.titles() == [OPENED]
    await world.looks(30, replace(follows, cause=None))
    assert world.titles() == [
        OPENED,
        "Photosynth: warning: node btc-1: it warns: old",
        OVER,
    ], "it is no consequence any more, and what was taken on is over"


async def test_one_that_comes_and_goes_is_one_message(db: Database) -> None:
    world = await World(db, OFFICE).start()
    for _ in range(40):
        await world.looks(4, SILENT)
        await world.looks(5)
    assert world.titles() == [OPENED]
    assert world.watch.incidents.by_id[1].flaps
    await world.looks(life.CALM_LOOKS + 20)
    assert world.titles() == [OPENED, OVER]


async def test_a_thousand_at_once_are_one_message_that_names_some_and_counts_the_rest(db: Database) -> None:
    world = await World(db, OFFICE).start()
    await world.looks(3, *many(1000))
    ((title, body, _),) = world.sent
    assert title == "Photosynth: incidents: 1000 opened, critical at worst"
    assert "  node n-0 (incident 1), node n-1 (incident 2)" in body
    assert "and 990 more" in body
    assert len(body) < 1500


async def test_a_fleet_that_goes_down_over_ten_minutes_is_a_few_messages(db: Database) -> None:
    world, every = await World(db, OFFICE).start(), many(240)
    for number in range(120):
        await world.looks(1, *every[: 2 * number + 2])
    await world.looks(120, *every)
    assert 2 <= len(world.sent) <= 6
    assert "1 opened" not in world.titles()[-1]
    told = sum(int(title.split(": ")[2].split(" ")[0]) for title in world.titles() if "incidents" in title)
    assert told == 240


async def test_a_target_that_takes_nothing_is_tried_with_patience_and_told_of_to_the_others(db: Database) -> None:
    world = await World(db, OFFICE, HOME).start()
    world.refuses["home"] = "it answers 503"
    await world.looks(1, SILENT)
    attempts = [0]
    send = world.service._send_message

    async def counted(target: object, title: str, body: str) -> str | None:
        attempts[0] += target is HOME
        return await send(target, title, body)  # type: ignore[arg-type]

    world.service._send_message = counted
    for _ in range(720):
        failing = seen(wrong.alert_conditions(world.service.failing(), 0), "alerts")
        await world.looks(1, SILENT, *failing)
    assert 8 <= attempts[0] <= 13, "an hour at growing pauses"
    (found,) = seen(wrong.alert_conditions(world.service.failing(), 0), "alerts")
    assert (found.kind, found.subject, found.severity) == ("alerts_undelivered", "alerts home", "critical")
    assert "it answers 503" in found.evidence
    assert world.titles("office") == [OPENED, "Photosynth: critical: alerts home: alerts do not arrive at home"]
    del world.refuses["home"]
    await world.looks(200, SILENT)
    assert world.titles("home") == [OPENED], "not that it was not told"
    assert world.service.failing() == []
    assert world.titles("office")[-1] == "Photosynth: over: alerts home: alerts do not arrive at home"
    at_home = [action for action in world.audit.actions if action[1] == "alerts home"]
    assert [action[2] for action in at_home] == ["failed", "done"], "the audit does not grow by each attempt"


async def test_a_test_message_goes_to_every_target_and_says_what_came_of_it(db: Database) -> None:
    world = await World(db, OFFICE, HOME).start()
    world.refuses["home"] = "it answers 503"
    found = await world.service.test("cli:anna")
    assert [(one.id, one.delivered, one.why) for one in found] == [("office", True, None), ("home", False, "it answers 503")]
    assert world.titles() == ["Photosynth: a test"]
    assert [(kind, subject, result) for kind, subject, result, _ in world.audit.actions] == [
        ("test_alert", "alerts office", "done"),
        ("test_alert", "alerts home", "failed"),
    ]
    assert await (await World(db).start()).service.test("cli:anna") == []


async def test_what_nobody_takes_on_is_told_again_where_the_fleet_file_says_so(db: Database) -> None:
    world = await World(db, OFFICE, repeat_s=900).start()
    await world.looks(2 + 2 * 900_000 // LOOK_MS, SILENT)
    assert world.titles() == [OPENED] * 3
    await world.start()
    await world.looks(10, SILENT)
    assert world.titles() == [OPENED] * 3, "a restart is no reason to tell it again"


async def test_at_night_only_what_is_critical_wakes_and_the_rest_comes_in_the_morning(db: Database) -> None:
    night = QuietHours.model_validate({"from": "22:00", "to": "06:00", "zone": "Europe/Berlin"})
    world = await World(db, OFFICE, quiet=night).start()
    world.now_ms = 1_781_470_800_000  # 23:00 in Berlin
    await world.looks(10, SOON)
    assert world.titles() == []
    await world.looks(10, SOON, SILENT)
    assert world.titles() == [OPENED]
    world.now_ms += 7 * 3_600_000
    await world.looks(1, SOON, SILENT)
    assert world.titles() == [OPENED, "Photosynth: warning: node btc-1: it warns: old"]


@pytest.mark.parametrize(
    ("start", "end", "hour", "quiet"),
    [
        ("22:00", "06:00", 21, False),
        ("22:00", "06:00", 22, True),
        ("22:00", "06:00", 3, True),
        ("22:00", "06:00", 6, False),
        ("12:00", "14:00", 11, False),
        ("12:00", "14:00", 13, True),
        ("12:00", "14:00", 14, False),
    ],
)
def test_quiet_hours_are_on_their_own_clock(start: str, end: str, hour: int, quiet: bool) -> None:
    hours = QuietHours.model_validate({"from": start, "to": end, "zone": "Europe/Berlin"})
    assert hours.zone == ZoneInfo("Europe/Berlin")
    midnight_ms = 1_781_388_000_000  # of 2026-06-14 in Berlin
    assert is_quiet(hours, midnight_ms + hour * 3_600_000) is quiet
    assert not is_quiet(None, midnight_ms)


async def test_a_new_target_is_told_what_is_open_in_one_message_and_nothing_that_is_over(db: Database) -> None:
    world = await World(db, OFFICE).start()
    await world.looks(3, *many(3))
    await world.looks(3, *many(2))
    later = World(db, OFFICE, HOME)
    later.now_ms = world.now_ms
    await later.start()
    await later.looks(30, *many(2))
    assert later.titles("home") == ["Photosynth: incidents: 2 opened, critical at worst"]
    assert later.titles("office") == ["Photosynth: over: node n-2: it does not answer"]


async def test_a_database_that_hangs_keeps_nobody_from_being_woken(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "KEEP_PATIENCE_S", 0.01)
    monkeypatch.setattr(watch, "WRITE_PATIENCE_S", 0.01)
    world = await World(db, OFFICE).start()
    await world.looks(1, SILENT)
    world.stuck = True
    await world.looks(3, SILENT)
    await world.looks(12, SILENT, SOON)
    assert world.titles() == [OPENED, "Photosynth: warning: node btc-1: it warns: old"]
    for task in (world.watch._writing, *(target.keeping for target in world.service._targets)):
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_a_message_is_bounded_whatever_is_wrong() -> None:
    long = "x" * 300
    every = [
        Incident(n, str(n), "other", None, "node " + "y" * 190, "critical", "open", 0, 0, f"{long[:290]}{n}", "z" * 1000)
        for n in range(500)
    ]
    found = message([(item, "opened") for item in every])
    assert len(found.title) <= 150
    assert len(found.body) < 50_000
    assert "480 more kinds of trouble" in found.body
    assert len(found.tells) == 500
