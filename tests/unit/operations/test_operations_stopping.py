"""Stopping and resuming all mining: a stop gets through whatever the disk does, and says what is true of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs
from tests.unit.clock_and_audit import TurnedClock
from tests.unit.miners.fleet_in_memory import BodyMachine, Hall
from tests.unit.operations.test_operations_audit import Disk
from tests.unit.treasury.treasury_site import open_database

from photosynth.actions import NotAuditedError
from photosynth.miners.control import MinerControl
from photosynth.operations import readers as readers_module
from photosynth.operations.audit import AuditLog
from photosynth.operations.audit_spool import AuditSpool
from photosynth.operations.readers import Readers
from photosynth.operations.running import RunningView
from photosynth.operations.running_fleet import RunningFleet
from photosynth.simulation.habits import Habit
from photosynth.sites import stopping as stopping_module
from photosynth.sites.stopping import StopSwitch
from photosynth.sites.switched_off import switched_off
from photosynth.storage import Database, DatabaseThread, StorageError
from photosynth.storage.actions import read_actions
from photosynth.storage.meta import get_meta
from photosynth.storage.scopes import FLEET

STATE = "ab" * 16


class SmallSite:
    """What stopping needs of a site: its machines, its audit, and the switch that outlives a restart."""

    def __init__(self, database: Database, folder: Path, habit: Habit | None = None) -> None:
        clock = TurnedClock()
        self.hall = Hall(BodyMachine("m1", clock, habit), BodyMachine("m2", clock))
        self.disk = Disk()
        self.database = database
        self.audit = AuditLog(database, self.disk, clock, AuditSpool(folder / "audit-spool.jsonl", STATE))
        self.control = MinerControl(
            list(self.hall.machines.values()),
            {name: machine.body.model for name, machine in self.hall.machines.items()},
            clock,
            self.audit,
            sleep=self.hall.nap,
        )
        self.switch = StopSwitch(folder / "stopped")
        site = SimpleNamespace(name="here", stop=self.switch, clock=clock)
        under_control = SimpleNamespace(service=SimpleNamespace(control=self.control))
        self.units = SimpleNamespace(site=site, chain="bitcoin/regtest", machines=under_control)
        self.door = RunningView(
            cast(
                RunningFleet,
                SimpleNamespace(
                    sites={"here": self.units}, chains={"bitcoin/regtest": None}, audit=self.audit, database=database
                ),
            )
        )

    @property
    def stopped(self) -> bool:
        return self.switch.stopped

    def asleep(self) -> list[str]:
        return [name for name, machine in self.hall.machines.items() if machine.body.asleep]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path) as opened:
        yield opened


def kinds(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as tx:
        return [(row.kind, row.subject, row.result) for row in reversed(read_actions(tx, None))]


async def test_a_stop_is_proven_and_audited(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path)
    action = await site.door.stop_mining("console (me)", "storm")
    assert (action.result, action.verified, action.answer) == ("done", True, None)
    assert action.read_back == "2 of 2 machines are asleep"
    assert site.asleep() == ["m1", "m2"]
    assert kinds(database) == [("stop_mining", "site", "done"), ("sleep", "m1", "done"), ("sleep", "m2", "done")]


async def test_on_a_full_disk_a_stop_gets_through_and_is_written_down_later(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path)
    site.disk.full = True
    action = await site.door.stop_mining("console (me)", "storm")
    assert site.asleep() == ["m1", "m2"]
    assert site.stopped
    assert (action.id, action.result, action.read_back) == (0, "done", "2 of 2 machines are asleep")
    assert action.answer is None
    assert StopSwitch(tmp_path / "stopped").stopped, "the next start knows of it, whatever the database does"
    kept = AuditSpool(tmp_path / "audit-spool.jsonl", STATE).read()
    assert {line.subject for line in kept if line.result == "done"} == {"site", "m1", "m2"}
    with pytest.raises(NotAuditedError):
        await site.door.resume_mining("console (me)", "storm is over")
    assert site.stopped, "what cannot be written down is not switched on"
    assert site.control.stopped
    site.disk.full = False
    await site.audit.close()
    assert kinds(database) == [("stop_mining", "site", "done"), ("sleep", "m1", "done"), ("sleep", "m2", "done")]
    with database.read() as tx:
        assert read_actions(tx, None)[-1].time_ms == action.time_ms


async def test_a_resume_whose_switch_cannot_be_kept_leaves_everything_stopped(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path)
    await site.door.stop_mining("me", "storm")

    async def keep(stopped: bool) -> None:
        site.switch.stopped = stopped
        raise StorageError("full", Path("photosynth.sqlite3"), "no space is left")

    site.switch.set = keep  # type: ignore[method-assign]
    with pytest.raises(StorageError):
        await site.door.resume_mining("me", "over")
    assert site.stopped
    assert site.control.stopped
    await site.audit.close()
    assert kinds(database)[-1] == ("resume_mining", "site", "failed")


async def test_whatever_keeping_a_stop_raises_its_action_ends_and_says_so(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path)

    async def keep(stopped: bool) -> None:
        site.switch.stopped = stopped
        raise RuntimeError("the writer thread has ended")

    site.switch.set = keep  # type: ignore[method-assign]
    with capture_logs() as logs:
        action = await site.door.stop_mining("me", "storm")
    assert (action.result, action.read_back) == ("done", "2 of 2 machines are asleep")
    assert (action.answer or "").endswith("a restart does not know of it yet: RuntimeError: the writer thread has ended")
    assert [entry["log_level"] for entry in logs] == ["error"]
    await site.audit.close()
    assert kinds(database)[0] == ("stop_mining", "site", "done")


async def test_a_machine_that_ignores_off_is_named_with_what_reading_back_showed(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path, Habit("says_ok_does_nothing"))
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


async def test_a_stop_that_is_cut_off_does_not_stay_open(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path)

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
    stopped_before: bool, full_by_then: bool, database: Database, tmp_path: Path
) -> None:
    site = SmallSite(database, tmp_path)
    if stopped_before:
        await site.door.stop_mining("me", "storm")
    go_on = asyncio.Event()

    async def keep(stopped: bool) -> None:
        site.switch.stopped = stopped
        if not stopped:
            await go_on.wait()
            if full_by_then:
                raise StorageError("full", Path("photosynth.sqlite3"), "no space is left")

    site.switch.set = keep  # type: ignore[method-assign]
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


async def test_machines_that_nothing_is_connected_to_are_stopped_once_something_is(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path)
    site.units.machines.service = None
    action = await site.door.stop_mining("me", "storm")
    assert (action.result, action.verified) == ("unverified", False)
    assert "nothing is connected to the machines of here" in (action.read_back or "")
    assert site.stopped, "whatever controls them next begins with it"
    await site.audit.close()


async def test_what_is_remembered_of_a_stop_is_what_was_wanted_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "stopped"
    switch, go_on, began = StopSwitch(mark), threading.Event(), threading.Event()

    def slow_disk(folder: Path) -> None:
        began.set()
        go_on.wait(60)

    await switch.set(True)
    assert switched_off(mark)
    monkeypatch.setattr(stopping_module, "sync_folder", slow_disk)
    resuming = asyncio.ensure_future(switch.set(False))
    await asyncio.to_thread(began.wait, 60)
    resuming.cancel()
    await asyncio.gather(resuming, return_exceptions=True)
    stopping = asyncio.ensure_future(switch.set(True))  # the thread is still at the resume that nobody waits for
    await asyncio.sleep(0)
    go_on.set()
    await stopping
    assert switch.kept
    assert StopSwitch(mark).stopped
    assert [path.name for path in tmp_path.iterdir()] == ["stopped"], "a kill in between leaves nothing beside it"


async def test_a_stop_that_the_disk_does_not_take_is_said_to_be_so_and_tried_again(database: Database, tmp_path: Path) -> None:
    site = SmallSite(database, tmp_path)
    site.switch._mark = tmp_path / "folder" / "stopped"
    action = await site.door.stop_mining("console (me)", "storm")
    assert (action.result, site.stopped, site.switch.kept) == ("done", True, False)
    assert "a restart does not know of it yet" in (action.answer or "")
    await site.switch.try_to_keep()
    (tmp_path / "folder").mkdir()
    await site.switch.try_to_keep()
    assert switched_off(tmp_path / "folder" / "stopped")
    await site.audit.close()


async def test_questions_to_a_database_that_hangs_do_not_pile_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_module, "MOST_READING", 3)
    hangs = asyncio.Event()

    async def run(call: Callable[[], object]) -> object:
        await hangs.wait()
        return call()

    readers = Readers(database)
    readers.close()
    readers._run = cast(DatabaseThread, run)
    asked = [asyncio.ensure_future(readers.read(lambda tx: get_meta(tx, FLEET, "key"))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StorageError, match="3 questions wait for it already"):
        await readers.read(lambda tx: get_meta(tx, FLEET, "key"))
    asked[0].cancel()
    await asyncio.gather(asked[0], return_exceptions=True)
    hangs.set()
    assert await readers.read(lambda tx: get_meta(tx, FLEET, "key")) is None
    assert await asyncio.gather(*asked[1:]) == [None, None]
