"""The feed: one look per period for all pages, none without a page, and a failure is kept beside what was seen last."""

import asyncio
from datetime import datetime

from tests.browser.fake_site import FakeSite

from photosynth.console.feed import Feed, Follower, Snapshot


class Watcher:
    """A page that waits for snapshots."""

    def __init__(self, *needs: str) -> None:
        self.seen: list[Snapshot] = []
        self.came = asyncio.Event()
        self.follower = Follower(frozenset(needs), self._tell)

    def _tell(self, snapshot: Snapshot) -> None:
        self.seen.append(snapshot)
        self.came.set()

    async def next(self) -> Snapshot:
        self.came.clear()
        async with asyncio.timeout(20):
            await self.came.wait()
        return self.seen[-1]


async def test_nothing_is_asked_before_a_page_follows_and_after_the_last_left() -> None:
    site = FakeSite()
    feed = Feed(site, period_s=0.01)
    assert site.polls == 0
    watcher = Watcher()
    feed.follow(watcher.follower)
    await watcher.next()
    feed.leave(watcher.follower)
    polls = site.polls
    assert polls > 0
    assert feed._task is None
    feed.leave(watcher.follower)


async def test_pages_share_one_look_and_get_the_parts_that_any_of_them_needs() -> None:
    site = FakeSite()
    feed = Feed(site, period_s=0.05)
    one, two = Watcher(), Watcher("machines", "day")
    feed.follow(one.follower)
    feed.follow(two.follower)
    first, second = await asyncio.gather(one.next(), two.next())
    assert first is second
    assert len(first.machines) == 102
    assert first.day
    assert first.blocks == ()
    assert site.polls == len(one.seen)
    feed.close()


async def test_a_site_that_stops_answering_leaves_what_was_seen_and_why() -> None:
    site = FakeSite()
    feed = Feed(site, period_s=0.01)
    watcher = Watcher()
    feed.follow(watcher.follower)
    good = await watcher.next()
    site.failing = True
    while (bad := await watcher.next()).error is None:
        pass
    assert bad.error == "the site's loop has stopped"
    assert bad.status is not None
    assert good.status is not None
    site.failing = False
    while (again := await watcher.next()).error is not None:
        pass
    assert again.status is not None
    feed.close()


async def test_a_look_that_is_fresh_is_not_repeated() -> None:
    site = FakeSite()
    feed = Feed(site, period_s=1000)
    await feed.look(frozenset())
    await feed.look(frozenset())
    assert site.polls == 1
    await feed.look(frozenset({"blocks"}))
    assert site.polls == 2
    assert feed.latest.blocks


async def test_a_look_ages_from_when_it_was_taken_and_from_what_the_site_says_it_saw() -> None:
    site = FakeSite()
    snapshot = await Feed(site).look(frozenset())
    assert snapshot.status is not None
    told_s = datetime.fromisoformat(snapshot.status.wall_time).timestamp()
    assert Snapshot().age_ms(0, 0) is None
    assert snapshot.age_ms(snapshot.seen_s + 3, told_s) == 3000
    assert snapshot.age_ms(snapshot.seen_s, told_s + 61) == 60_000
    assert snapshot.age_ms(snapshot.seen_s, told_s - 500) == 0
