"""A child process of a test: reads the income of a made-up chain as fast as it can, and says each page that it is asked for."""

import asyncio
import sys
from pathlib import Path
from typing import cast

from photosynth.networks.grammar import IncomeEvent, IncomeKind, IncomePage, Judgement, Leg, Network, PostingRule
from photosynth.operations import income
from photosynth.operations.income import PaidNode, open_income
from photosynth.quantities.assets import Asset
from photosynth.quantities.instants import Clock
from photosynth.storage import Database, DatabaseThread
from photosynth.treasury.parties import keep_parties

A_PAGE = 5
OWED = PostingRule("accrued", (Leg("1150", "debit"), Leg("4150", "credit")), "owed")
TALLY = Network(
    "tally",
    "Tally",
    ("main",),
    {},
    income=(IncomeKind("fee", "Fees", "TALLY", (OWED,)),),
    assets=(Asset("TALLY", "Tally", "tally", "bead", 18),),
)


class Clocks:
    """A clock that stands."""

    def site_ms(self) -> int:
        """The time."""
        return 1_790_000_000_000

    wall_ms = site_ms


def fee(n: int) -> IncomeEvent:
    """The one payment of a height."""
    return IncomeEvent(f"fee-{n}", "fee", "TALLY", 10**20 + n, "accrued", 1_700_000_000_000 + n, n, f"count {n}")


class Endless:
    """A chain that has always another page; it is read again from one page back, as what is not final."""

    async def read(self, cursor: str | None) -> IncomePage:
        """Two pages from one before the cursor."""
        first = max(0, int(cursor or 0) - A_PAGE)
        last = int(cursor or 0) + A_PAGE - 1
        print(cursor, flush=True)
        return IncomePage(first, last, tuple(map(fee, range(first, last + 1))), str(last + 1), more=True)

    async def close(self) -> None:
        """Nothing is open."""


def note(node: str, found: Judgement | None) -> None:
    """Whatever is wrong ends the test."""
    assert found is None, (node, found)


async def work(folder: Path) -> None:
    """Go on from the state in the folder until killed."""
    income.MORE_AFTER_S = 0.0
    database, run = Database(folder / "photosynth.sqlite3"), DatabaseThread()
    with database.begin() as tx:
        keep_parties(tx, ["operator"])
    nodes = [PaidNode("one", "tally/main", TALLY, Endless)]
    service = await open_income(nodes, "operator", database=database, run=run, clock=cast(Clock, Clocks()), note=note)
    await service.run()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
