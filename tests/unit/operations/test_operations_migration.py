"""A state moved between the kinds of database: the same to the byte, whole or not at all."""

from dataclasses import asdict
from pathlib import Path

import pytest
from tests.peers.postgres import NewPlace, Postgres
from tests.unit.treasury.treasury_site import BOOKS_SEED, CHAIN, COIN, SITE_SEED, WALLET, DemoSite, as_node

from photosynth.operations import migration, state, state_files
from photosynth.operations.audit_spool import AuditSpool, SpooledAction
from photosynth.operations.incidents.life import Incident
from photosynth.operations.manifest import (
    Manifest,
    NodePart,
    SitePart,
    begin,
    check_parts,
    load_manifest,
    save_manifest,
    write_mark,
)
from photosynth.operations.migration import migrate
from photosynth.operations.resting import open_stopped_evidence
from photosynth.operations.state import StateError, StateFolder, StateInUseError
from photosynth.operations.state_files import EmptyState
from photosynth.sites.switched_off import switched_off
from photosynth.storage import Database, DatabaseThread, StorageError
from photosynth.storage.actions import write_action
from photosynth.storage.address import Address, Place
from photosynth.storage.at_rest import holds_state
from photosynth.storage.copying import Content, content_of
from photosynth.storage.incidents import tell_alerts, write_incidents
from photosynth.storage.meta import put_meta
from photosynth.storage.observations import DayObservation, keep_observations
from photosynth.storage.scopes import FLEET
from photosynth.treasury.following import ChainBooks
from photosynth.treasury.income import IncomeBooks, IncomeFact, Told, take_income
from photosynth.treasury.parties import keep_parties

SITE = "backnang"
WAITS = SpooledAction(
    key="start:2", site=SITE, time_ms=3, wall_ms=4, actor="a", kind="stop_mining", subject="site", reason="storm", request="",
    result="planned", answer=None, read_back=None, verified=None, finished_ms=None,
)  # fmt: skip
"""What the database did not take before the system stopped, while an operator had switched the site off."""
IDENTITY = {"chain": CHAIN, "payout_script": "00", "day": "synthetic"}


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def elsewhere(new_place: NewPlace, tmp_path: Path) -> Place:
    """A place of each kind where nothing is."""
    place = new_place()
    return tmp_path / "moved" if isinstance(place, Path) else place


async def lived_in(place: Place) -> StateFolder:
    """The state of a site that has mined, closed quarter hours, found blocks and given orders."""
    folder = StateFolder(place)
    folder.lock()
    manifest = Manifest(
        "ab" * 16, "operator", {SITE: SitePart(IDENTITY, began_ms=1)}, {"btc-1": NodePart(CHAIN, complete=True)}, complete=True
    )
    run = DatabaseThread()
    with Database(folder.database) as db:
        site = DemoSite(db)
        chain = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=site.clock)
        with db.begin() as tx:
            site.close(tx, site.facts({"guest": 3, "hall-a-01": 2}))
        site.node.extend(130)
        await chain.follow(as_node(site.node), db, run)
        with db.begin() as tx:
            site.close(tx, site.facts({"guest": 3, "hall-b-02": 1}))
            write_action(tx, SITE, key="1", time_ms=1, wall_ms=2, actor="a", kind="sleep", subject="m", reason="ü", request="")
            keep_observations(tx, SITE, [DayObservation(5, load_w=7)], 6)
            put_meta(tx, FLEET, "state", manifest.state)
            found = Incident(1, "|k", "wrong_chain", SITE, "node btc-1", "critical", "open", 1, 2, "ü", "seen")
            write_incidents(tx, [asdict(found)])
            tell_alerts(tx, "office", {1: "opened"}, 3)
            site.find_block(tx)
            keep_parties(tx, ["operator"])
            paid = IncomeFact("fee-1", "gift", "ETH", -(10**30), "accrued", 1, 7, "slot 7", validator="0xab")
            take_income(tx, IncomeBooks("ethereum/main", "operator"), Told("eth-1", 0, 9, [paid]), 2)
    run.close()
    files, node = folder.site(SITE), folder.node("btc-1")
    folder.keys.mkdir(mode=0o700)
    for stream, seed in ((SITE, SITE_SEED), ("books", BOOKS_SEED)):
        folder.key(stream).write_bytes(seed)
    for above in (folder.sites, files.shares.parent, folder.nodes):
        above.mkdir(mode=0o700)
    for part, file in ((files.shares, "00000001.log"), (node, "blocks.log"), (files.world, "pv.json")):
        part.mkdir(mode=0o700)
        (part / file).write_bytes(file.encode())
    for part in (files.shares, node):
        write_mark(part, manifest)
    files.stopped.touch(0o600)
    AuditSpool(folder.audit_spool, manifest.state).append([WAITS])
    save_manifest(folder, manifest)
    folder.unlock()
    return folder


def files_of(root: Path) -> dict[str, bytes]:
    names = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {str(name): path.read_bytes() for name, path in names.items() if "sqlite3" not in str(name) and str(name) != "lock"}


async def exported(place: Place) -> list[bytes]:
    async with open_stopped_evidence(place) as evidence:
        return [line async for line in evidence.lines()]


async def test_there_and_back_it_is_the_same_to_the_byte(tmp_path: Path, elsewhere: Place) -> None:
    first, back = tmp_path / "first", tmp_path / "back"
    await lived_in(first)
    moved = migrate(first, elsewhere)
    assert moved.before == moved.after
    assert any(balance.closing for balance in moved.after)
    assert {name for name, content in moved.tables.items() if content.rows == 0} <= {"rejected"}
    returned = migrate(elsewhere, back)
    assert returned.tables == moved.tables
    wanted = await exported(first)
    assert len(wanted) > 3
    assert await exported(elsewhere) == wanted == await exported(back)
    assert files_of(first) == files_of(StateFolder(elsewhere).root) == files_of(back)
    for place in (elsewhere, back):
        folder = StateFolder(place)
        assert AuditSpool(folder.audit_spool, "ab" * 16).read() == [WAITS]
        assert switched_off(folder.site(SITE).stopped)
        manifest = load_manifest(folder)
        assert manifest is not None
        check_parts(folder, manifest)
        assert {path.stat().st_mode & 0o077 for path in folder.root.rglob("*")} == {0}


async def test_what_is_not_empty_is_refused_and_left_alone(tmp_path: Path, elsewhere: Place) -> None:
    await lived_in(tmp_path / "first")
    await lived_in(elsewhere)
    before = await exported(elsewhere)
    with pytest.raises(StateError, match="is not empty"):
        migrate(tmp_path / "first", elsewhere)
    assert await exported(elsewhere) == before
    with pytest.raises(StateError, match="the same place"):
        migrate(elsewhere, elsewhere)


async def test_tables_alone_make_a_place_full(tmp_path: Path, elsewhere: Place) -> None:
    await lived_in(tmp_path / "first")
    folder = StateFolder(elsewhere)
    folder.root.mkdir(parents=True, mode=0o700)
    Database(folder.database).close()
    with pytest.raises(StateError, match="is not empty"):
        migrate(tmp_path / "first", elsewhere)
    assert holds_state(folder.database)


async def test_whatever_else_lies_there_is_left_alone(tmp_path: Path, elsewhere: Place) -> None:
    await lived_in(tmp_path / "first")
    folder = StateFolder(elsewhere)
    folder.root.mkdir(parents=True, mode=0o700)
    (folder.root / "letter.txt").write_text("not ours")
    with pytest.raises(StateError, match=r"is not empty: there is .*letter\.txt"):
        migrate(tmp_path / "first", elsewhere)
    assert {path.name for path in folder.root.iterdir()} <= {"letter.txt", "lock"}
    (folder.root / "letter.txt").unlink()
    for known in ("before-20260101T000000Z", "databases", ".restore.killed"):
        (folder.root / known).mkdir()
    migrate(tmp_path / "first", elsewhere)
    assert not (folder.root / ".restore.killed").exists(), "it holds a key"
    assert (folder.root / "databases").exists()


@pytest.mark.postgres
async def test_another_ones_table_in_the_schema_is_left_alone(tmp_path: Path, postgres: Postgres) -> None:
    await lived_in(tmp_path / "first")
    address = postgres.new_database()
    postgres.execute(address, "CREATE SCHEMA photosynth CREATE TABLE letters (text text)")
    with pytest.raises(StateError, match="is not empty"):
        migrate(tmp_path / "first", address)
    assert postgres.execute(address, "SELECT count(*) FROM photosynth.letters") == [(0,)]


@pytest.mark.postgres
async def test_a_database_that_another_process_fills_meanwhile_is_left_alone(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lived_in(tmp_path / "first")
    address = postgres.new_database()
    await lived_in(address)
    before = await exported(address)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path / "other computer"))
        patch.setattr(state_files, "refuse_full", lambda _: None)  # the other one came right after this look
        with pytest.raises(StateError, match="another process has just filled it"):
            migrate(tmp_path / "first", address)
    assert await exported(address) == before


async def test_nothing_may_run_on_either(tmp_path: Path, elsewhere: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_READER_PATIENCE_S", 0.0)
    monkeypatch.setattr(state, "_WRITER_PATIENCE_S", 0.0)
    folder = await lived_in(tmp_path / "first")
    for busy in (folder, StateFolder(elsewhere)):
        busy.lock()
        with pytest.raises(StateInUseError):
            migrate(tmp_path / "first", elsewhere)
        busy.unlock()
    assert not holds_state(StateFolder(elsewhere).database)


async def test_one_that_fails_leaves_nothing(tmp_path: Path, elsewhere: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await lived_in(tmp_path / "first")
    target = StateFolder(elsewhere)
    monkeypatch.setattr(migration, "content_of", lambda tx: content_of(tx) | {"meta": Content(0, "")})
    with pytest.raises(StateError, match="took meta otherwise"):
        migrate(tmp_path / "first", elsewhere)
    assert not holds_state(target.database)
    assert not target.contents()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert migrate(tmp_path / "first", elsewhere).files


async def test_one_that_was_killed_is_taken_by_no_start(
    tmp_path: Path, elsewhere: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lived_in(tmp_path / "first")
    target = StateFolder(elsewhere)
    for killed_in in ("copy_tables", "save_manifest"):

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(migration, killed_in, die)
            patch.setattr(EmptyState, "empty", lambda _: None)
            with pytest.raises(KeyboardInterrupt):
                migrate(tmp_path / "first", elsewhere)
        with pytest.raises(StateError, match=r"manifest\.json is missing beside"):
            begin(target, "operator", {SITE: IDENTITY}, {"btc-1": CHAIN})
        with pytest.raises(StateError, match="is not empty"):
            migrate(tmp_path / "first", elsewhere)
        target.lock()
        left = EmptyState(target)
        left._made_tables = True
        left.empty()
        target.unlock()


async def test_where_the_server_is_away_nothing_is_touched(tmp_path: Path) -> None:
    await lived_in(tmp_path / "first")
    nobody = Address("photosynth", "127.0.0.1", 1, "nothing")
    with pytest.raises(StorageError, match="does not answer"):
        migrate(tmp_path / "first", nobody)
    assert not StateFolder(nobody).root.exists()
