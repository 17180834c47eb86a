"""Stopping and resuming all mining: a stop gets through whatever the disk does, and says what is true of it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs
from tests.unit.clock_and_audit import RememberingAudit, TurnedClock
from tests.unit.miners.fleet_in_memory import BodyMachine, Hall
from tests.unit.operations.test_operations_audit import Disk
from tests.unit.treasury.treasury_site import open_database

from photosynth.actions import NotAuditedError
from photosynth.miners.control import MinerControl
from photosynth.operations import site as site_module
from photosynth.operations.audit import AuditLog
from photosynth.operations.node_watch import NodeWatch
from photosynth.operations.running import RunningSite
from photosynth.operations.site import Site, SiteSettings
from photosynth.operations.summaries import STOPPED
from photosynth.simulation.habits import Habit
from photosynth.storage import Database, DatabaseThread, StorageError
from photosynth.storage.actions import read_actions
from photosynth.storage.meta import get_meta, put_meta


class SmallSite:
    """What stopping needs of a site: its machines, its audit, and the switch that outlives a restart."""

    def __init__(self, database: Database, habit: Habit | None = None) -> None:
        clock = TurnedClock()
        self.hall = Hall(BodyMachine("m1", clock, habit), BodyMachine("m2", clock))
        self.disk = Disk()
        self.database = database
        self.audit = AuditLog(database, self.disk, clock)
        self.control = MinerControl(
            list(self.hall.machines.values()),
            {name: machine.body.model for name, machine in self.hall.machines.items()},
            clock,
            self.audit,
            sleep=self.hall.nap,
        )
        self.stopped = False
        self.clock = clock

    async def set_stopped(self, stopped: bool) -> None:
        self.stopped = stopped
        await self.disk(lambda: None)

    @property
    def door(self) -> RunningSite:
        return RunningSite(cast(Site, self), NodeWatch((), Path("nodes"), "test", RememberingAudit()))

    def asleep(self) -> list[str]:
        return [name for name, machine in self.hall.machines.items() if machine.body.asleep]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path) as opened:
        yield opened


def kinds(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as tx:
        return [(row.kind, row.subject, row.result) for row in reversed(read_actions(tx))]


async def test_a_stop_is_proven_and_audited(database: Database) -> None:
    site = SmallSite(database)
    action = await site.door.stop_mining("console (me)", "storm")
    assert (action.result, action.verified, action.answer) == ("done", True, None)
    assert action.read_back == "2 of 2 machines are asleep"
    assert site.asleep() == ["m1", "m2"]
    assert kinds(database) == [("stop_mining", "site", "done"), ("sleep", "m1", "done"), ("sleep", "m2", "done")]


async def test_on_a_full_disk_a_stop_gets_through_and_is_written_down_later(database: Database) -> None:
    site = SmallSite(database)
    site.disk.full = True
    action = await site.door.stop_mining("console (me)", "storm")
    assert site.asleep() == ["m1", "m2"]
    assert site.stopped
    assert (action.id, action.result, action.read_back) == (0, "done", "2 of 2 machines are asleep")
    assert "a restart does not know of it yet" in (action.answer or "")
    with pytest.raises(NotAuditedError):
        await site.door.resume_mining("console (me)", "storm is over")
    assert site.stopped, "what cannot be written down is not switched on"
    assert site.control.stopped
    site.disk.full = False
    await site.audit.close()
    assert kinds(database) == [("stop_mining", "site", "done"), ("sleep", "m1", "done"), ("sleep", "m2", "done")]
    with database.read() as tx:
        assert read_actions(tx)[-1].time_ms == action.time_ms


async def test_a_resume_whose_switch_cannot_be_kept_leaves_everything_stopped(database: Database) -> None:
    site = SmallSite(database)
    await site.door.stop_mining("me", "storm")

    async def set_stopped(stopped: bool) -> None:
        site.stopped = stopped
        raise StorageError("full", Path("photosynth.sqlite3"), "no space is left")

    site.set_stopped = set_stopped  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        await site.door.resume_mining("me", "over")
    assert site.stopped
    assert site.control.stopped
    await site.audit.close()
    assert kinds(database)[-1] == ("resume_mining", "site", "failed")


async def test_whatever_keeping_a_stop_raises_its_action_ends_and_says_so(database: Database) -> None:
    site = SmallSite(database)

    async def set_stopped(stopped: bool) -> None:
        site.stopped = stopped
        raise RuntimeError("the writer thread has ended")

    site.set_stopped = set_stopped  # type: ignore[method-assign]
    with capture_logs() as logs:
        action = await site.door.stop_mining("me", "storm")
    assert (action.result, action.read_back) == ("done", "2 of 2 machines are asleep")
    assert (action.answer or "").endswith("a restart does not know of it yet: RuntimeError: the writer thread has ended")
    assert [entry["log_level"] for entry in logs] == ["error"]
    await site.audit.close()
    assert kinds(database)[0] == ("stop_mining", "site", "done")


async def test_a_machine_that_ignores_off_is_named_with_what_reading_back_showed(database: Database) -> None:
    site = SmallSite(database, Habit("says_ok_does_nothing"))
    action = await site.door.stop_mining("console (me)", "storm")
    assert (action.result, action.verified) == ("unverified", False)
    assert (action.read_back or "").startswith(
        "1 of 2 machines are asleep; awake: m1 (told 'sleep', answered 'Curtailment command sent'; "
    )
    assert "wanted: asleep" in (action.read_back or "")


async def test_every_machine_that_stays_awake_is_named(database: Database) -> None:
    clock = TurnedClock()
    hall = Hall(*(BodyMachine(f"hall-c-{number:03}", clock, Habit("says_ok_does_nothing")) for number in range(60)))
    report = await hall.control.stop_all("me", "storm")
    assert report.text.startswith("0 of 60 machines are asleep; awake: ")
    assert all(name in report.text for name in hall.machines)


async def test_a_stop_that_is_cut_off_does_not_stay_open(database: Database) -> None:
    site = SmallSite(database)

    async def for_ever() -> None:
        await asyncio.Event().wait()

    site.hall.machines["m1"].instead["sleep"] = for_ever
    stopping = asyncio.ensure_future(site.door.stop_mining("me", "storm"))
    for _ in range(10):
        await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await site.control.close()
    await site.audit.close()
    assert ("stop_mining", "site", "unverified") in kinds(database)
    assert "planned" not in {result for _, _, result in kinds(database)}
    assert site.asleep() == ["m2"]


@pytest.mark.parametrize("stopped_before", [True, False])
@pytest.mark.parametrize("full_by_then", [True, False])
async def test_a_stop_is_not_undone_by_a_resume_that_was_asked_for_before_it(
    stopped_before: bool, full_by_then: bool, database: Database
) -> None:
    site = SmallSite(database)
    if stopped_before:
        await site.door.stop_mining("me", "storm")
    go_on = asyncio.Event()

    async def keep(stopped: bool) -> None:
        site.stopped = stopped
        if not stopped:
            await go_on.wait()
            if full_by_then:
                raise StorageError("full", Path("photosynth.sqlite3"), "no space is left")

    site.set_stopped = keep  # type: ignore[method-assign]
    door = site.door
    resuming = asyncio.ensure_future(door.resume_mining("me", "over"))
    for _ in range(20):
        await asyncio.sleep(0)
    await door.stop_mining("me", "storm again")
    go_on.set()
    await asyncio.gather(resuming, return_exceptions=True)
    assert site.stopped
    assert site.control.stopped
    assert site.asleep() == ["m1", "m2"]
    await site.audit.close()
    assert ("resume_mining", "site", "failed") in kinds(database)


async def test_what_is_remembered_of_a_stop_is_what_was_wanted_last(database: Database) -> None:
    settings = SimpleNamespace(mining=SimpleNamespace(site=SimpleNamespace(party_of_worker=dict)))
    site = Site(cast(SiteSettings, settings))
    slow = asyncio.Event()

    async def run(call: Callable[[], object]) -> None:
        await slow.wait()
        call()

    site.database, site.run_database = database, cast(DatabaseThread, run)

    def remembered() -> object:
        with database.read() as tx:
            return get_meta(tx, STOPPED)

    slow.set()
    await site.set_stopped(True)
    slow.clear()
    resuming = asyncio.ensure_future(site.set_stopped(False))
    await asyncio.sleep(0)
    stopping = asyncio.ensure_future(site.set_stopped(True))
    await asyncio.sleep(0)
    slow.set()
    await asyncio.gather(resuming, stopping)
    assert remembered() is True

    slow.clear()
    resuming = asyncio.ensure_future(site.set_stopped(False))
    await asyncio.sleep(0)
    resuming.cancel()
    await asyncio.gather(resuming, return_exceptions=True)
    with database.begin() as tx:  # the thread finishes what it began
        put_meta(tx, STOPPED, False)
    slow.set()
    await site.set_stopped(True)
    assert remembered() is True


async def test_questions_to_a_database_that_hangs_do_not_pile_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "MOST_READING", 3)
    site = Site(cast(SiteSettings, SimpleNamespace(mining=SimpleNamespace(site=SimpleNamespace(party_of_worker=dict)))))
    hangs = asyncio.Event()

    async def run(call: Callable[[], object]) -> object:
        await hangs.wait()
        return call()

    site.database, site.run_readers = database, cast(DatabaseThread, run)
    asked = [asyncio.ensure_future(site.read(lambda tx: get_meta(tx, STOPPED))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StorageError, match="3 questions wait for it already"):
        await site.read(lambda tx: get_meta(tx, STOPPED))
    asked[0].cancel()
    await asyncio.gather(asked[0], return_exceptions=True)
    hangs.set()
    assert await site.read(lambda tx: get_meta(tx, STOPPED)) is None
    assert await asyncio.gather(*asked[1:]) == [None, None]
