"""The income of the fleet's nodes in operation: read through each network's package, and posted in the transaction of its cursor.

A package that raises, hangs or gives what is no income is its node's condition and nobody else's; it is asked again after a
pause that doubles.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from photosynth.fleet import Node
from photosynth.networks.grammar import Access, IncomeEvent, IncomePage, IncomeReader, Judgement, Network
from photosynth.networks.registry import network
from photosynth.operations.foreign import ForeignCall, ForeignError, let_go
from photosynth.operations.node_look import LARGEST, NonsenseError
from photosynth.quantities.assets import ASSETS, TOO_LARGE
from photosynth.quantities.instants import Clock
from photosynth.quantities.texts import printable
from photosynth.registry import words_of
from photosynth.storage import Database, Runner, StorageError
from photosynth.storage.meta import get_meta, put_meta
from photosynth.storage.scopes import of_chain
from photosynth.treasury.assets import add_asset
from photosynth.treasury.income import IncomeBooks, IncomeFact, IncomeRule, Told, reconsider_misfits, take_income
from photosynth.treasury.journal import TreasuryError

log = structlog.get_logger()

ASK_EVERY_S, JITTER_S = 10.0, 1.0
MORE_AFTER_S = 0.2
"""A node that has the next page already is asked for it after so long: others get their turn at the database."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0
AT_ONCE = 10
"""Questions under way at most, once to nodes that answered last and once to those that did not."""
LONGEST_READ_S = 30.0
MOST_EVENTS = 2000
MOST_TEXT, MOST_CURSOR = 200, 2000
MOST_SAID = 300
DAY_MS = 86_400_000
_STATES = ("accrued", "claimed", "received")

Note = Callable[[str, Judgement | None], None]
"""Who is told what is wrong with a node's income, None where nothing is."""


@dataclass(frozen=True, slots=True)
class PaidNode:
    """A node that its network pays for being one."""

    id: str
    chain: str
    network: Network
    make: Callable[[], IncomeReader]

    @property
    def cursor(self) -> tuple[str, str]:
        """Scope and key under which it is written down how far it was read."""
        return of_chain(self.chain), f"income:{self.id}"


def paid_nodes(nodes: Iterable[Node], access: Callable[[str], Callable[[], Access] | None]) -> list[PaidNode]:
    """The nodes of a fleet whose networks read income from nodes of their role; ``access`` tells how each is spoken to."""
    found = []
    for node in nodes:
        known = network(node.network)
        role = None if known is None else known.roles.get(node.role)
        spoken_to = access(node.id)
        if known is not None and role is not None and role.income is not None and spoken_to is not None:
            found.append(PaidNode(node.id, f"{node.network}/{node.chain}", known, _making(role.income, spoken_to)))
    return found


def _making(reader: Callable[[Access], IncomeReader], access: Callable[[], Access]) -> Callable[[], IncomeReader]:
    return lambda: reader(access())


def books_of(chain: str, known: Network, party: str) -> IncomeBooks:
    """A network's posting rules as the books take them."""
    rules = {
        (kind.name, rule.state): IncomeRule(kind.asset, tuple((leg.account, leg.side) for leg in rule.legs), rule.text)
        for kind in known.income
        for rule in kind.postings
    }
    return IncomeBooks(chain, party, rules)


class IncomeOfNodes:
    """Reads the income of every paid node, each in a task of its own; made by :func:`open_income`."""

    def __init__(
        self,
        nodes: Sequence[PaidNode],
        books: Mapping[str, IncomeBooks],
        *,
        database: Database,
        run: Runner,
        clock: Clock,
        note: Note,
    ) -> None:
        self._nodes, self._books, self._database, self._run = nodes, books, database, run
        self._clock, self._note = clock, note
        self._places, self._places_of_failing = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Read and post until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for node in self._nodes:
                tasks.create_task(self._follow(node), name=f"income of {node.id}")

    async def close(self) -> None:
        """Nothing is held: each node's connections go with its task, and what was committed is complete."""

    async def _follow(self, node: PaidNode) -> None:
        """Page after page, from where the last one that was committed ended."""
        reading = _Reading(node)
        pause_s, said = 0.0, ""
        try:
            while True:
                try:
                    async with self._places_of_failing if pause_s else self._places:
                        more = await self._page(node, reading)
                except StorageError as error:  # the database's own trouble, which is told elsewhere
                    log.warning("income has to wait", node=node.id, error=str(error))
                    pause_s = await _back_off(pause_s)
                except Exception as error:  # whatever a package's words lead to stays with its node
                    why = str(error) if isinstance(error, (ForeignError, NonsenseError, TreasuryError)) else words_of(error)
                    if why != said:
                        known = isinstance(error, (NonsenseError, TreasuryError))
                        log.warning("a node's income cannot be read", node=node.id, reason=why, exc_info=None if known else error)
                    said = why
                    self._note(node.id, _unread(why))
                    pause_s = await _back_off(pause_s)
                else:
                    self._note(node.id, None if reading.differs is None else _differs(reading.differs))
                    pause_s, said = 0.0, ""
                    await asyncio.sleep(MORE_AFTER_S if more else ASK_EVERY_S + random.uniform(0, JITTER_S))
        finally:
            self._note(node.id, None)
            await reading.close()

    async def _page(self, node: PaidNode, reading: "_Reading") -> bool:
        """Read a page and post it; whether there is another already."""
        cursor = await self._run(lambda: self._cursor(node))
        latest_ms = max(self._clock.site_ms(), self._clock.wall_ms()) + DAY_MS
        page = sound_page(await reading.read(cursor), node.network, latest_ms)
        if not page.events and page.cursor == cursor and page.first > page.last:
            return False
        differing = await self._run(lambda: self._take(node, page))
        if differing:
            more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
            reading.differs = printable(differing[0], MOST_SAID) + more
        return page.more and page.cursor != cursor

    def _cursor(self, node: PaidNode) -> str | None:
        with self._database.read() as tx:
            cursor: str | None = get_meta(tx, *node.cursor)
            return cursor

    def _take(self, node: PaidNode, page: IncomePage) -> list[str]:
        """All of a page and its cursor, or nothing: so a kill neither loses nor doubles."""
        told = Told(node.id, page.first, page.last, [_fact(event) for event in page.events])
        with self._database.begin() as tx:
            differing = take_income(tx, self._books[node.chain], told, self._clock.wall_ms())
            put_meta(tx, *node.cursor, page.cursor)
        return differing


async def open_income(
    nodes: Sequence[PaidNode], operator: str, *, database: Database, run: Runner, clock: Clock, note: Note
) -> IncomeOfNodes:
    """Let the books count what the networks pay in, and look once more at what is in suspense.

    A network whose assets are others in these books is its nodes' condition, and not read. Raises StorageError.
    """
    books: dict[str, IncomeBooks] = {}
    refused: dict[str, str] = {}

    def prepare(chain: str, known: Network) -> None:
        with database.begin() as tx:
            for asset in known.assets:
                add_asset(tx, asset)
            reconsider_misfits(tx, books[chain], clock.wall_ms())

    for chain, known in {node.chain: node.network for node in nodes}.items():
        books[chain] = books_of(chain, known, operator)
        try:
            await run(lambda chain=chain, known=known: prepare(chain, known))  # type: ignore[misc]
        except TreasuryError as error:
            refused[chain] = str(error)
    for node in nodes:
        if node.chain in refused:
            note(node.id, _unread(refused[node.chain]))
    read = [node for node in nodes if node.chain not in refused]
    return IncomeOfNodes(read, books, database=database, run=run, clock=clock, note=note)


class _Reading:
    """One node's reader, made when it is first needed, and what it told that another node tells otherwise."""

    def __init__(self, node: PaidNode) -> None:
        self._node = node
        self._call = ForeignCall[object](f"read income of {node.id}", LONGEST_READ_S)
        self._reader: IncomeReader | None = None
        self.differs: str | None = None

    async def read(self, cursor: str | None) -> object:
        """Whatever the package gives. Raises ForeignError."""

        async def work() -> object:
            if self._reader is None:
                self._reader = self._node.make()
            return await self._reader.read(cursor)

        return await self._call(work)

    async def close(self) -> None:
        """Raises nothing, and ends in time."""
        if self._reader is not None:
            await let_go(self._reader)


async def _back_off(pause_s: float) -> float:
    """Wait longer than last time, 0 the first; how long that was."""
    pause_s = min(2 * pause_s, LONGEST_PAUSE_S) or FIRST_PAUSE_S
    await asyncio.sleep(pause_s)
    return pause_s


def _unread(why: str) -> Judgement:
    runbook = "It is asked again, less and less often; nothing is lost meanwhile. See the node, and its network's package."
    return Judgement("income_unread", "warning", "its income cannot be read", printable(why, MOST_SAID), runbook)


def _differs(what: str) -> Judgement:
    runbook = "Nodes of one chain have one history: see which of them follows another one. The books keep what was told first."
    return Judgement("income_differs", "warning", "it tells another income than other nodes of its chain", what, runbook)


def _fact(event: IncomeEvent) -> IncomeFact:
    return IncomeFact(
        id=event.id,
        kind=event.kind,
        asset=event.asset,
        amount=event.amount,
        state=event.state,
        time_ms=event.time_ms,
        height=event.height,
        position=event.position,
        paid_to=event.paid_to,
        validator=event.validator,
    )


# What a package gives is as hostile as what a node answers.


def sound_page(page: object, known: Network, latest_ms: int) -> IncomePage:
    """A page whose every word can go into the books. ``latest_ms`` is the last moment that is none of the future.

    Raises NonsenseError, which says what is wrong.
    """
    if type(page) is not IncomePage:
        raise NonsenseError(f"its package gave {type(page).__name__[:40]} and no page of income")
    _number(page.last, "last", -1, LARGEST)
    _number(page.first, "first", 0, page.last + 1)
    if not isinstance(page.events, tuple | list) or len(page.events) > MOST_EVENTS:
        raise NonsenseError(f"events are no list of at most {MOST_EVENTS}")
    assets = {asset.code for asset in (*ASSETS, *known.assets)}
    for event in page.events:
        _check_event(event, page, assets, latest_ms)
    if len({(event.id, event.state) for event in page.events}) < len(page.events):
        raise NonsenseError("an event is there twice in one state")
    _text(page.cursor, "cursor", MOST_CURSOR)
    return IncomePage(page.first, page.last, tuple(page.events), page.cursor, page.more is True)


def _check_event(event: object, page: IncomePage, assets: Collection[str], latest_ms: int) -> None:
    if type(event) is not IncomeEvent:
        raise NonsenseError(f"one of events is {type(event).__name__[:40]}")
    for what in ("id", "kind", "position"):
        _text(getattr(event, what), what, MOST_TEXT)
    for what in ("paid_to", "validator"):
        if getattr(event, what) is not None:
            _text(getattr(event, what), what, MOST_TEXT)
    if event.state not in _STATES:
        raise NonsenseError(f"an event's state is none of {', '.join(_STATES)}")
    if not isinstance(event.asset, str) or event.asset not in assets:
        raise NonsenseError(f"{event.id} is paid in {printable(str(event.asset), 20)}, which its package does not declare")
    if type(event.amount) is not int or not -TOO_LARGE < event.amount < TOO_LARGE:
        raise NonsenseError(f"the amount of {event.id} is no integer that the books can hold")
    _number(event.height, f"the height of {event.id}", page.first, page.last)
    _number(event.time_ms, f"the time of {event.id}", 0, latest_ms)


def _text(value: object, what: str, most: int) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise NonsenseError(f"{what} is no text of 1 to {most} printable characters")


def _number(value: object, what: str, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise NonsenseError(f"{what} is no whole number from {least} to {most}")
