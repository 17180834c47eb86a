"""Income in operation: read from where the last page ended; whatever a network's package does is its node's alone."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

import pytest

from photosynth.networks.grammar import Access, IncomeEvent, IncomeKind, IncomePage, IncomeReader, Judgement, Leg, Network, Role
from photosynth.networks.grammar import PostingRule as Rule
from photosynth.operations import foreign, income
from photosynth.operations.conditions import misfit_conditions
from photosynth.operations.income import IncomeOfNodes, PaidNode, open_income, paid_nodes, sound_page
from photosynth.operations.node_look import NonsenseError
from photosynth.quantities.assets import Asset
from photosynth.storage import Database, DatabaseThread
from photosynth.storage.meta import get_meta, put_meta
from photosynth.treasury import journal as j
from photosynth.treasury.income import misfits, read_income
from photosynth.treasury.parties import keep_parties

SOON_S = 20.0
NOW_MS = 1_790_000_000_000
FEES = IncomeKind("fee", "Fees", "TALLY", (Rule("accrued", (Leg("1150", "debit"), Leg("4150", "credit")), "owed"),))
TALLY = Network(
    "tally",
    "Tally",
    ("main",),
    {"counter": Role(("external",))},
    income=(FEES,),
    assets=(Asset("TALLY", "Tally", "tally", "bead", 18),),
)


class Clock:
    def site_ms(self) -> int:
        return NOW_MS

    def wall_ms(self) -> int:
        return NOW_MS + 5


def event(n: int, **more: Any) -> IncomeEvent:
    known = {"id": f"fee-{n}", "kind": "fee", "asset": "TALLY", "amount": 10**20 + n, "state": "accrued", "time_ms": NOW_MS}
    return IncomeEvent(**{**known, "height": n, "position": f"count {n}", **more})


class Chain:
    """A reader over a made-up chain: five heights a page, and what ``wrong`` says in place of the answer, once each."""

    def __init__(self, events: list[IncomeEvent], wrong: list[Any] | None = None) -> None:
        self.events, self.wrong, self.asked, self.closed = events, wrong or [], list[str | None](), False

    async def read(self, cursor: str | None) -> IncomePage:
        self.asked.append(cursor)
        if self.wrong:
            answer = self.wrong.pop(0)
            if answer is None:
                await asyncio.Event().wait()
            if isinstance(answer, BaseException):
                raise answer
            return cast(IncomePage, answer)
        first = int(cursor or 0)
        last = min(first + 4, len(self.events) - 1)
        page = tuple(x for x in self.events if first <= x.height <= last)
        return IncomePage(first, last, page, str(last + 1), more=last + 1 < len(self.events))

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def run() -> Iterator[DatabaseThread]:
    thread = DatabaseThread()
    yield thread
    thread.close()


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASK_EVERY_S", "JITTER_S", "MORE_AFTER_S", "FIRST_PAUSE_S"):
        monkeypatch.setattr(income, name, 0.005)
    monkeypatch.setattr(income, "LONGEST_PAUSE_S", 0.02)


class Fleet:
    """Nodes by name with their readers, and what is said of each."""

    def __init__(self, db: Database, run: DatabaseThread, readers: Mapping[str, IncomeReader], network: Network = TALLY) -> None:
        self.db, self.run, self.noted = db, run, dict[str, list[Judgement | None]]()
        self.nodes = [PaidNode(name, "tally/main", network, lambda reader=reader: reader) for name, reader in readers.items()]  # type: ignore[misc]

    def note(self, node: str, judgement: Judgement | None) -> None:
        self.noted.setdefault(node, []).append(judgement)

    def said(self, node: str) -> list[str]:
        return [found.evidence for found in self.noted.get(node, ()) if found is not None]

    async def opened(self) -> IncomeOfNodes:
        with self.db.begin() as tx:
            keep_parties(tx, ["operator"])
        return await open_income(self.nodes, "operator", database=self.db, run=self.run, clock=Clock(), note=self.note)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Read until something holds, and end."""
        service = await self.opened()
        task = asyncio.create_task(service.run())
        try:
            async with asyncio.timeout(SOON_S):
                while not holds():
                    await asyncio.sleep(0.005)
                    if task.done():
                        task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await service.close()

    def ids(self) -> list[str]:
        with self.db.read() as tx:
            return sorted(fact.id for _, _, fact in read_income(tx))

    def cursor(self, node: str) -> str | None:
        with self.db.read() as tx:
            found: str | None = get_meta(tx, "chain:tally/main", f"income:{node}")
            return found


async def test_income_is_read_page_by_page_and_goes_on_where_it_stopped(db: Database, run: DatabaseThread) -> None:
    events = [event(n) for n in range(12)]
    first = Chain(events)
    fleet = Fleet(db, run, {"one": first})
    await fleet.until(lambda: fleet.cursor("one") == "12")
    assert (first.asked[0], first.closed) == (None, True)
    events.append(event(12))
    second = Chain(events)
    again = Fleet(db, run, {"one": second})
    await again.until(lambda: again.cursor("one") == "13")
    assert second.asked[0] == "12"
    with db.read() as tx:
        assert j.count_postings(tx) == 13
        assert j.balance(tx, "1150", "TALLY") == sum(x.amount for x in events)
        newest = j.postings(tx)[0].posting
    assert (newest.time_ms, newest.wall_ms) == (NOW_MS, NOW_MS + 5)


async def test_a_package_that_raises_hangs_or_talks_rubbish_is_its_nodes_condition_alone(
    db: Database, run: DatabaseThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(income, "LONGEST_READ_S", 0.2)
    wrong = [KeyError("x"), SystemExit(3), None, "rubbish", IncomePage(0, 0, cast(Any, ["x"]), "1"), asyncio.CancelledError()]
    good, bad = Chain([event(n) for n in range(3)]), Chain([event(n, id=f"bad-{n}") for n in range(2)], wrong)
    fleet = Fleet(db, run, {"good": good, "bad": bad})
    await fleet.until(lambda: fleet.cursor("good") == "3" and fleet.cursor("bad") == "2")
    assert fleet.said("good") == []
    assert [
        part
        for part in (
            "KeyError",
            "SystemExit",
            "no answer within 0.2 s",
            "gave str and no page",
            "one of events is str",
            "CancelledError",
        )
        if not any(part in said for said in fleet.said("bad"))
    ] == []
    assert fleet.noted["bad"][-1] is None
    assert fleet.ids() == ["bad-0", "bad-1", "fee-0", "fee-1", "fee-2"]


async def test_a_reader_that_cannot_be_made_or_closed_is_its_nodes_condition(
    db: Database, run: DatabaseThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "LONGEST_CLOSE_S", 0.05)

    class Clinging(Chain):
        async def close(self) -> None:
            await asyncio.Event().wait()

    fleet = Fleet(db, run, {"one": Clinging([event(0)])})

    def broken() -> IncomeReader:
        raise ValueError("no address")

    fleet.nodes.append(PaidNode("two", "tally/main", TALLY, broken))
    await fleet.until(lambda: fleet.cursor("one") == "1" and bool(fleet.said("two")))
    assert fleet.said("two")[0] == "ValueError: no address"


async def test_a_page_that_the_books_refuse_leaves_neither_postings_nor_its_cursor(
    db: Database, run: DatabaseThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a page and its cursor, or nothing: what a kill would leave."""
    put, failing = put_meta, [True]

    def cut_off(*arguments: Any) -> None:
        if failing:
            failing.clear()
            raise RuntimeError("killed between the postings and the cursor")
        put(*arguments)

    monkeypatch.setattr(income, "put_meta", cut_off)
    reader = Chain([event(0), event(1)])
    fleet = Fleet(db, run, {"one": reader})
    await fleet.until(lambda: fleet.cursor("one") == "2")
    assert reader.asked[:2] == [None, None]
    assert "killed between" in fleet.said("one")[0]
    with db.read() as tx:
        assert j.count_postings(tx) == 2


async def test_a_node_that_tells_otherwise_than_another_is_named_and_changes_nothing(db: Database, run: DatabaseThread) -> None:
    await (first := Fleet(db, run, {"one": Chain([event(0)])})).until(lambda: first.cursor("one") == "1")
    fleet = Fleet(db, run, {"two": Chain([event(0, amount=1)])})
    await fleet.until(lambda: bool(fleet.said("two")))
    assert fleet.said("two")[0] == "fee-0 (accrued) is not what one tells of it"
    with db.read() as tx:
        assert j.count_postings(tx) == 1


async def test_an_asset_that_is_another_in_these_books_is_its_nodes_condition(db: Database, run: DatabaseThread) -> None:
    from dataclasses import replace

    await (first := Fleet(db, run, {"one": Chain([event(0)])})).until(lambda: first.cursor("one") == "1")
    other = replace(TALLY, assets=(Asset("TALLY", "Tally", "tally", "bead", 6),))
    fleet = Fleet(db, run, {"one": (reader := Chain([event(0), event(1)]))}, other)
    await fleet.opened()
    assert "asset TALLY is" in fleet.said("one")[0]
    assert reader.asked == []


async def test_what_fits_no_rule_is_a_condition_of_the_fleet_that_names_it(db: Database, run: DatabaseThread) -> None:
    fleet = Fleet(db, run, {"one": Chain([event(0, kind="gift")])})
    await fleet.until(lambda: fleet.cursor("one") == "1")
    with db.read() as tx:
        (found,) = misfit_conditions(misfits(tx))
        assert j.balance(tx, "9000", "TALLY") == -(10**20)
    assert (found.id, found.subject) == ("income_in_suspense:tally/main:fee-0:accrued", "one")
    assert found.evidence == f"fee-0, {10**20} base units of TALLY: its kind, gift, has no rule for what is accrued"


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (IncomePage(3, 1, (), "1"), "first is no whole number from 0 to 2"),
        (IncomePage(0, 2**63, (), "1"), "last is no whole number"),
        (IncomePage(0, 1, (), "x" * 2001), "cursor is no text"),
        (IncomePage(0, 1, tuple(event(0, id=str(n)) for n in range(2001)), "1"), "events are no list of at most 2000"),
        (IncomePage(0, 1, (event(0), event(0)), "1"), "an event is there twice in one state"),
        (IncomePage(0, 1, (event(2),), "1"), "the height of fee-2 is no whole number from 0 to 1"),
        (IncomePage(0, 1, (event(0, time_ms=NOW_MS * 2),), "1"), "the time of fee-0 is no whole number"),
        (IncomePage(0, 1, (event(0, amount=1.5),), "1"), "the amount of fee-0 is no integer"),
        (IncomePage(0, 1, (event(0, amount=True),), "1"), "the amount of fee-0 is no integer"),
        (IncomePage(0, 1, (event(0, amount=10**4000),), "1"), "the amount of fee-0 is no integer"),
        (IncomePage(0, 1, (event(0, asset="XYZ"),), "1"), "fee-0 is paid in XYZ, which its package does not declare"),
        (IncomePage(0, 1, (event(0, state="lost"),), "1"), "an event's state is none of accrued, claimed, received"),
        (IncomePage(0, 1, (event(0, id=""),), "1"), "id is no text"),
        (IncomePage(0, 1, (event(0, id="a\nb"),), "1"), "id is no text"),
        (IncomePage(0, 1, (event(0, position="\ud800"),), "1"), "position is no text"),
        (IncomePage(0, 1, (event(0, paid_to="x" * 201),), "1"), "paid_to is no text"),
        (IncomePage(0, 1, (event(0, validator=7),), "1"), "validator is no text"),
        (IncomePage(0, 1, cast(Any, None), "1"), "events are no list"),
    ],
)
def test_what_is_no_page_of_income_is_refused_with_what_is_wrong(page: IncomePage, why: str) -> None:
    with pytest.raises(NonsenseError, match=why):
        sound_page(page, TALLY, NOW_MS)


def test_nodes_are_paid_where_their_network_reads_income_and_somebody_speaks_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from photosynth.fleet import Node

    def made(access: Access) -> IncomeReader:
        return Chain([event(0, id=access.name)])

    paid = Network("tally", "Tally", ("main",), {"counter": Role(("external",), income=made), "idle": Role(("external",))})
    monkeypatch.setattr(income, "network", lambda name: paid if name == "tally" else None)
    shape = {"network": "tally", "chain": "main", "role": "counter", "run": "external"}
    more = [{"id": "one"}, {"id": "two", "role": "idle"}, {"id": "three"}, {"id": "four", "network": "other"}]
    nodes = [Node.model_validate({**shape, **part}) for part in more]
    found = paid_nodes(nodes, lambda name: None if name == "three" else lambda: Access(name, "main", {}))
    assert [(node.id, node.chain) for node in found] == [("one", "tally/main")]
    assert cast(Chain, found[0].make()).events[0].id == "one"


async def test_few_nodes_are_asked_at_once_and_silent_ones_keep_nobody_waiting(
    db: Database, run: DatabaseThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(income, "AT_ONCE", 2)
    monkeypatch.setattr(income, "LONGEST_READ_S", 0.05)
    asking, most = [0], [0]

    class Silent(Chain):
        async def read(self, cursor: str | None) -> IncomePage:
            asking[0] += 1
            most[0] = max(most[0], asking[0])
            try:
                return await super().read(cursor)
            finally:
                asking[0] -= 1

    silent = {f"silent-{n}": Silent([], [None] * 1000) for n in range(6)}
    fleet = Fleet(db, run, {**silent, "good": Silent([event(n) for n in range(7)])})
    await fleet.until(lambda: fleet.cursor("good") == "7" and all(map(fleet.said, silent)))
    assert most[0] <= 4, "two that answered last, two that did not"
    assert fleet.said("good") == []
