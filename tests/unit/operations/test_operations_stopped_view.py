"""The view of a stopped site: it changes nothing, and counts what the running one counted."""

from pathlib import Path

import pytest
from tests.browser.fake_site import FakeSite
from tests.unit.operations.test_operations_manifest import whole

from photosynth.documents import Status
from photosynth.operations.resting import open_stopped_evidence
from photosynth.operations.stopped import open_stopped
from photosynth.operations.view import NotKnownError
from photosynth.pool.places import GUESTS
from photosynth.pool.records import ShareRecord
from photosynth.pool.share_log import ShareLog
from photosynth.stratum.work import double_sha256


async def looked_at(root: Path) -> Status:
    view = open_stopped(root)
    try:
        return await view.status()
    finally:
        view.close()


async def test_looking_at_a_stopped_site_mends_nothing_and_counts_workers_only(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    folder.status.write_bytes((await FakeSite().status()).model_dump_json().encode())
    log = ShareLog(folder.site("backnang").shares, batch_s=0)
    share = ShareRecord("asic", 1, 1 << 250, 1, 1_800_000_000_000, 0, 1, bytes(80), bytes(12))
    log.append_share(share, double_sha256(share.header), lambda _: None)
    log.append_reject(GUESTS, "stale", 21, 1_800_000_000_000)
    await log.close()
    folder.unlock()
    with (folder.site("backnang").shares / "00000001.log").open("ab") as file:
        file.write(b"a stop in the middle of writing")
    before = {path.name: path.read_bytes() for path in folder.site("backnang").shares.iterdir()}
    view = open_stopped(tmp_path)
    pool = (await view.status()).sites[0].pool
    view.close()
    assert (pool.workers, pool.shares_accepted, pool.shares_rejected) == (1, 1, 1)
    assert {path.name: path.read_bytes() for path in folder.site("backnang").shares.iterdir()} == before, (
        "the next start mends it and says so"
    )


async def test_what_only_a_running_site_can_tell_is_unknown_and_never_zero(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    last = await FakeSite().status()
    (left,) = last.sites
    assert left.machines.running
    folder.status.write_bytes(last.model_dump_json().encode())
    folder.unlock()
    found = await looked_at(tmp_path)
    assert (found.running, found.incidents.open, found.conditions) == (False, 0, []), "incidents as they were left"
    (status,) = found.sites
    assert status.conditions == []
    machines = status.machines
    assert (machines.total, machines.starts) == (left.machines.total, left.machines.starts)
    states = (machines.running, machines.sleeping, machines.starting, machines.unreachable, machines.faulty)
    assert states == (None,) * 5
    assert [(model.total, model.running) for model in status.models] == [(model.total, None) for model in left.models]
    assert (status.pool.hash_rate_hs, status.mainnet.sat_per_day, status.mainnet.days_per_block) == (None, None, None)
    chain = status.chain
    assert (chain.height, chain.tip, chain.last_block_age_s) == (None, None, None), "neither node nor books know a block"
    assert (chain.target, chain.difficulty) == (None, None)


async def test_a_status_is_narrowed_to_a_site_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    folder.status.write_bytes((await FakeSite().status()).model_dump_json().encode())
    folder.unlock()
    view = open_stopped(tmp_path)
    try:
        assert [part.name for part in (await view.status("backnang")).sites] == ["backnang"]
        with pytest.raises(NotKnownError, match="There is no site 'jever' in this fleet; there is backnang"):
            await view.status("jever")
    finally:
        view.close()


async def test_a_stop_that_came_after_the_last_status_is_told(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    folder.status.write_bytes((await FakeSite().status()).model_dump_json().encode())
    folder.site("backnang").stopped.touch()
    folder.unlock()
    assert (await looked_at(tmp_path)).sites[0].site.stopped


async def test_where_nothing_was_signed_yet_there_is_no_evidence(tmp_path: Path) -> None:
    whole(tmp_path).unlock()
    async with open_stopped_evidence(tmp_path) as evidence:
        for site in (None, "backnang"):
            with pytest.raises(NotKnownError, match="there is no evidence yet: it begins with the first mining site"):
                await anext(evidence.lines(site))
