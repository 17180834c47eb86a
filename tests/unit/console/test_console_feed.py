"""The feed: one look per period for all pages, none without a page, and a failure is kept beside what was seen last."""

import asyncio
from datetime import datetime

from tests.browser.fake_fleet import FakeFleet
from tests.browser.fake_fleet import fleet as fake_fleet
from tests.browser.fake_site import FakeSite

from photosynth.console.feed import Feed, Follower
from photosynth.console.snapshot import Snapshot


class Watcher:
    """A page that waits for snapshots."""

    def __init__(self, *needs: str, site: str | None = None) -> None:
        self.seen: list[Snapshot] = []
        self.came = asyncio.Event()
        self.follower = Follower(frozenset(needs), site, self._tell)

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
    found = await feed.look(frozenset({"blocks"}))
    assert site.polls == 1
    assert found.blocks


async def test_pages_of_several_sites_share_the_status_and_see_their_own_parts() -> None:
    fleet = fake_fleet("two")
    assert isinstance(fleet, FakeFleet)
    feed = Feed(fleet, period_s=0.05)
    every, second = Watcher("machines", "blocks", "actions", "workers"), Watcher("machines", "blocks", "actions", site="jever")
    feed.follow(every.follower)
    feed.follow(second.follower)
    both, one = await asyncio.gather(every.next(), second.next())
    feed.close()
    assert both.status is one.status
    assert fleet.sites[0].polls == len(every.seen)
    assert {machine.site for machine in both.machines} == {"backnang", "jever"}
    assert {(len(one.machines), machine.site) for machine in one.machines} == {(36, "jever")}
    assert {block.site for block in one.blocks} | {action.site for action in one.actions} == {"jever"}
    assert len(one.blocks) == 57, "a small site's blocks are not pushed out by a large one's"
    assert (both.part, both.several) == (None, True)
    assert one.part is not None
    assert (one.part.name, one.several) == ("jever", False)


async def test_only_sites_that_the_fleet_has_are_asked_for() -> None:
    feed = Feed(fake_fleet("two"))
    assert await feed.chosen("jever") == "jever"
    assert await feed.chosen("nowhere") is None
    assert await Feed(fake_fleet("none")).chosen("jever") is None


async def test_a_fleet_without_sites_has_a_time_and_nothing_to_show_of_sites() -> None:
    found = await Feed(fake_fleet("none")).look(frozenset({"machines", "day", "blocks", "workers", "actions", "nodes"}))
    assert (found.error, found.parts, found.part, found.several) == (None, (), None, False)
    assert found.nodes
    assert found.time_ms > 0


async def test_a_look_ages_from_when_it_was_taken_and_from_what_the_site_says_it_saw() -> None:
    site = FakeSite()
    snapshot = await Feed(site).look(frozenset())
    assert snapshot.status is not None
    told_s = datetime.fromisoformat(snapshot.status.wall_time).timestamp()
    assert Snapshot().age_ms(0, 0) is None
    assert snapshot.age_ms(snapshot.seen_s + 3, told_s) == 3000
    assert snapshot.age_ms(snapshot.seen_s, told_s + 61) == 60_000
    assert snapshot.age_ms(snapshot.seen_s, told_s - 500) == 0
