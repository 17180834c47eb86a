"""The view of a stopped site: it changes nothing, and counts what the running one counted."""

from pathlib import Path

from tests.browser.fake_site import FakeSite
from tests.unit.operations.test_operations_manifest import whole

from photosynth.operations.stopped import open_stopped
from photosynth.pool.places import GUESTS
from photosynth.pool.records import ShareRecord
from photosynth.pool.share_log import ShareLog
from photosynth.stratum.work import double_sha256


async def test_looking_at_a_stopped_site_mends_nothing_and_counts_workers_only(tmp_path: Path) -> None:
    folder = whole(tmp_path)
    folder.status.write_bytes((await FakeSite().status()).model_dump_json().encode())
    log = ShareLog(folder.shares, batch_s=0)
    share = ShareRecord("asic", 1, 1 << 250, 1, 1_800_000_000_000, 0, 1, bytes(80), bytes(12))
    log.append_share(share, double_sha256(share.header), lambda _: None)
    log.append_reject(GUESTS, "stale", 21, 1_800_000_000_000)
    await log.close()
    folder.unlock()
    with (folder.shares / "00000001.log").open("ab") as file:
        file.write(b"a stop in the middle of writing")
    before = {path.name: path.read_bytes() for path in folder.shares.iterdir()}
    view = open_stopped(tmp_path)
    pool = (await view.status()).pool
    view.close()
    assert (pool.workers, pool.shares_accepted, pool.shares_rejected) == (1, 1, 1)
    assert {path.name: path.read_bytes() for path in folder.shares.iterdir()} == before, "the next start mends it and says so"
