"""Whose satoshis they are, over reorganisations and long waits: every share is paid once in the chain, and a file proves it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.treasury.treasury_site import CHAIN, COIN, START_MS, WALLET, DemoSite, as_node

from photosynth.quantities.instants import INTERVAL_MS
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury import ChainBooks, verify
from photosynth.treasury.evidence.check_claims import ClaimState
from photosynth.treasury.evidence.check_work import Quarter, WorkState
from photosynth.treasury.evidence.reading import EvidenceError
from photosynth.treasury.facts import AttributionFact
from photosynth.treasury.mining.attribution import DAY_MS
from photosynth.treasury.mining.blocks import find_block
from photosynth.treasury.mining.trace import trace

DAY = START_MS - START_MS % DAY_MS


class Story:
    """A site, its chain and its books, one step after the other."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.path = folder / "evidence.jsonl"
        self.site = DemoSite(db)
        self.chain = ChainBooks(CHAIN, [WALLET], "at_maturity", lambda _: COIN, clock=self.site.clock)
        self.run = DatabaseThread()

    def close(self, **shares: int) -> None:
        facts = self.site.facts({name.replace("_", "-"): count for name, count in shares.items()})
        with self.db.begin() as tx:
            self.site.close(tx, facts)

    def find(self, claims: Sequence[AttributionFact] | None = None) -> bytes:
        self.site.claims = list(self.site.claims if claims is None else claims)
        with self.db.begin() as tx:
            return self.site.find_block(tx)

    async def follow(self) -> None:
        await self.chain.follow(as_node(self.site.node), self.db, self.run)

    def reason(self) -> str | None:
        with self.db.read() as tx:
            self.site.export(tx, self.path)
        report = verify(self.path)
        self.totals = report.totals
        return report.reason


@pytest.fixture
def story(db: Database, tmp_path: Path) -> Iterator[Story]:
    story = Story(db, tmp_path)
    yield story
    story.run.close()


async def test_rivals_claim_the_same_work_and_one_of_them_is_paid(story: Story) -> None:
    story.close(hall_a_01=3)
    work = list(story.site.claims)
    first = story.find(work)
    await story.follow()
    story.close(hall_a_01=2)
    # Its block leaves the chain; the next one of ours claims its work too, as its job did.
    later = story.site.claims
    story.site.node.rewind(0)
    second = story.find([*work, *later])
    story.site.node.extend(value_sat=0, script=b"\x51")
    await story.follow()
    story.close(hall_a_01=1)
    assert story.reason() is None
    with story.db.read() as tx:
        rivals = [find_block(tx, None, name[::-1].hex()) for name in (first, second)]
    assert [block.state for block in rivals if block] == ["orphaned", "immature"]
    assert story.totals["attributed_sat"] == story.totals["immature_sat"] > 0
    # And back again.
    story.site.node.restore(0, [first])
    story.site.node.extend(2, value_sat=0, script=b"\x51")
    await story.follow()
    story.close(hall_a_01=1)
    assert story.reason() is None


async def test_two_blocks_of_one_chain_that_claim_the_same_work_are_refused(story: Story) -> None:
    story.close(hall_a_01=3)
    work = list(story.site.claims)
    story.find(work)
    story.find(work)
    await story.follow()
    story.close(hall_a_01=1)
    assert "blocks claim 6 shares of worker hall-a-01" in str(story.reason())


def folded(facts: Sequence[AttributionFact], start_ms: int) -> AttributionFact:
    """Rows of one worker as one row of a day, or of all days before."""
    sums = {name: sum(getattr(fact, name) for fact in facts) for name in ("shares", "work", "represented")}
    return replace(facts[0], interval_start_ms=start_ms, round=0, **sums)


@pytest.mark.parametrize("start_ms", [DAY, 0], ids=["day", "all before"])
@pytest.mark.parametrize("more", [0, 1], ids=["as accepted", "one share more"])
async def test_folded_work_is_held_against_what_was_accepted_in_its_time(story: Story, start_ms: int, more: int) -> None:
    for _ in range(4):
        story.close(hall_a_01=3)
    rows = story.site.claims
    one = folded(rows[:3], start_ms)
    each = one.work // one.shares
    one = replace(one, shares=9 + more, work=one.work + more * each, represented=one.represented + more * each * one.scale)
    # The fourth quarter hour is claimed finely beside it: together they are everything that was accepted.
    story.find([one, rows[3]])
    await story.follow()
    story.close(guest=1)
    reason = story.reason()
    if more:
        assert f"claim 13 shares of worker hall-a-01 {'on one day' if start_ms else 'in all'}, but 12 are on record" in str(
            reason
        )
    else:
        assert reason is None


@pytest.mark.parametrize("more", [0, 1], ids=["as accepted", "one share more"])
async def test_several_workers_in_one_row_are_held_against_all_of_them(story: Story, more: int) -> None:
    for _ in range(2):
        story.close(hall_a_01=3, hall_b_02=2)
    rows = story.site.claims
    one = replace(folded(rows[1:], 0), worker="(others)")
    each = one.work // one.shares
    one = replace(one, shares=7 + more, work=one.work + more * each, represented=one.represented + more * each * one.scale)
    story.find([one, rows[0]])
    await story.follow()
    story.close(guest=1)
    reason = story.reason()
    if more:
        assert "claim 11 shares of all workers at scale 1000000000000000000, but 10 are on record" in str(reason)
    else:
        assert reason is None


async def test_what_a_later_block_claims_again_of_a_folded_day_is_found_at_the_end(story: Story) -> None:
    for _ in range(2):
        story.close(hall_a_01=3)
    rows = list(story.site.claims)
    story.find([folded(rows, DAY)])
    await story.follow()
    story.close(guest=1)
    story.find([rows[0]])
    await story.follow()
    story.close(guest=1)
    assert "claim 9 shares of worker hall-a-01 on one day, but 6 are on record" in str(story.reason())


async def test_a_folded_row_that_begins_in_the_middle_of_a_day_is_refused(story: Story) -> None:
    story.close(hall_a_01=3)
    story.find([folded(story.site.claims, START_MS + INTERVAL_MS - START_MS % INTERVAL_MS)])
    await story.follow()
    story.close(guest=1)
    assert "whole day" in str(story.reason())


async def test_a_trace_shows_the_days_of_old_work(story: Story) -> None:
    for _ in range(4):
        story.close(hall_a_01=3)
    rows = story.site.claims
    block = story.find([folded(rows[:1], 0), folded(rows[1:2], DAY), rows[2], rows[3]])
    await story.follow()
    story.close(guest=1)
    with story.db.read() as tx:
        found = trace(tx, None, block[::-1].hex(), lambda _: story.site.site.meters)
    assert found is not None
    oldest, day, *fine = found.intervals
    assert (oldest.interval_ms, oldest.duration_s * 1000, oldest.record, oldest.mining_j) == (0, DAY, None, None)
    assert (day.interval_ms, day.duration_s, day.record) == (DAY, 86_400, None)
    assert day.mining_j == 2 * (56_600_000 + 25_500_000) + 56_600_000, "all closed quarter hours of the day"
    assert [(i.duration_s, i.record is None) for i in fine] == [(900, False)] * 2
    assert sum(i.value_sat for i in found.intervals) == found.block.value_sat
    assert any("by the day" in note for note in found.notes)


class Asked(dict[int, Quarter]):
    """What was accepted, and how often somebody looked a quarter hour up."""

    looked = 0

    def __getitem__(self, start_ms: int) -> Quarter:
        self.looked += 1
        return super().__getitem__(start_ms)


def test_what_was_accepted_in_all_is_added_up_once_however_often_it_is_asked() -> None:
    accepted = Asked()
    work = WorkState(accepted=accepted)
    for n in range(200):
        accepted[DAY + n * INTERVAL_MS] = {(n, "a", 1): (1, 10), (n + 1, "a", 1): (2, 20), (n, f"b{n % 2}", 1): (1, 5)}
        for span, of_it in ((0, n + 1), (DAY, min(n + 1, 96)), (DAY + DAY_MS, max(0, min(n + 1 - 96, 96)))):
            found = work.accepted_in(span)
            assert found.by_worker.get(("a", 1), (0, 0)) == (3 * of_it, 30 * of_it)
            assert found.by_worker.get(("b1", 1), (0, 0)) == (of_it // 2, of_it // 2 * 5)
            assert found.by_scale.get(1, (0, 0)) == (4 * of_it, 35 * of_it)
    assert accepted.looked == 200


class NeverWalked(dict[int, Quarter]):
    """What is claimed of each quarter hour, which nobody may go through: a file may ask as often as it has blocks."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("all quarter hours were gone through for one block")

    keys = values = items = __iter__  # type: ignore[assignment]


def test_a_block_costs_what_its_own_rows_cost_however_many_came_before() -> None:
    work, claims = WorkState(), ClaimState(quarters=NeverWalked())
    for n in range(200):
        start_ms = DAY + n * INTERVAL_MS
        work.accepted[start_ms] = {(1, "a", 1): (2, 20), (1, "b", 1): (1, 10)}
        work.newest_ms = start_ms
        claims.settle(start_ms, work)
        claims.enter(((start_ms, {(1, "a", 1): (1, 10)}), (0, {(0, "a", 1): (1, 10), (0, "(others)", 1): (1, 10)})), work)
    with pytest.raises(EvidenceError, match="claim 601 shares of all workers at scale 1, but 600 are on record"):
        claims.enter(((0, {(0, "a", 1): (1, 10)}),), work)


def test_a_quarter_hour_that_many_claim_is_copied_once() -> None:
    work = WorkState(accepted={DAY: {(1, "a", 1): (9, 90), (1, "b", 1): (9, 90)}}, newest_ms=DAY)
    claims = ClaimState()
    whole, one = ((DAY, work.accepted[DAY]),), ((DAY, {(1, "a", 1): (1, 10)}),)
    claims.enter(whole, work)
    assert claims.quarters[DAY] is work.accepted[DAY], "one block that claims all of it shares its rows"
    claims.leave(whole, work)
    kept = claims.quarters[DAY]
    assert kept is not work.accepted[DAY]
    for _ in range(9):
        claims.enter(one, work)
        assert claims.quarters[DAY] is kept
    assert kept[1, "a", 1] == (9, 90) == work.accepted[DAY][1, "a", 1]
    with pytest.raises(EvidenceError, match="claim 10 shares"):
        claims.enter(one, work)


def test_what_is_claimed_before_it_is_on_record_is_looked_at_when_it_is() -> None:
    """Another site's postings may come between a block and the end of its quarter hour."""
    work, claims = WorkState(), ClaimState()
    early = ((DAY, {(1, "a", 1): (3, 30)}), (0, {(0, "a", 1): (2, 20)}))
    work.accepted[DAY - INTERVAL_MS] = {(1, "a", 1): (2, 20)}
    work.newest_ms = DAY - INTERVAL_MS
    claims.enter(early, work)
    work.accepted[DAY], work.newest_ms = {(1, "a", 1): (3, 30)}, DAY
    claims.settle(DAY, work)
    with pytest.raises(EvidenceError, match="claim 6 shares of worker a in round 1, but 3 are on record"):
        claims.enter(early[:1], work)
    late = ClaimState()
    late.enter(((DAY + INTERVAL_MS, {(1, "a", 1): (3, 30)}),), work)
    work.accepted[DAY + INTERVAL_MS], work.newest_ms = {(1, "a", 1): (2, 20)}, DAY + INTERVAL_MS
    with pytest.raises(EvidenceError, match="claim 3 shares of worker a in round 1, but 2 are on record"):
        late.settle(DAY + INTERVAL_MS, work)
