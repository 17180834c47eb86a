"""The sums that the journal keeps beside itself: by account now and by day, so that no question adds up the whole journal.

What happened before an instant is the sum of the whole days before it and of the postings of its own day. Sums are written in
the transaction that posts, at the posting's own site time, so late postings and reversals are in them at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.exact import stored_integer
from photosynth.storage.prepared import Prepared, PreparedRows
from photosynth.storage.tables import BALANCES, DAY_BALANCES, POSTING_DAYS, POSTING_LINES, POSTINGS
from photosynth.storage.types import exact_sum
from photosynth.treasury.accounts import Side

if TYPE_CHECKING:
    from photosynth.treasury.journal import PostingLine

DAY_MS = 86_400_000
Sums = dict[tuple[str, str], tuple[int, int]]
"""Debits and credits by account and asset."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Which lines are meant: those of a wallet, of a party, of a site's postings, or of several of these; all by default."""

    wallet: str | None = None
    party: str | None = None
    site: str | None = None

    def sums(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The condition on sums of lines."""
        wanted = {"wallet": self.wallet, "party": self.party, "site": self.site}
        return [table.c[name] == value for name, value in wanted.items() if value is not None]

    def lines(self) -> list[sa.ColumnElement[bool]]:
        """The condition on lines that are joined with their postings."""
        wanted = {POSTING_LINES.c.wallet: self.wallet, POSTING_LINES.c.party: self.party, POSTINGS.c.site: self.site}
        return [column == value for column, value in wanted.items() if value is not None]


EVERYBODYS = Whose()

_ADD = PreparedRows(
    "INSERT INTO balances (account, asset, wallet, party, site, debit, credit) VALUES {rows} "
    "ON CONFLICT (account, asset, wallet, party, site) DO UPDATE SET debit = exact_add(balances.debit, excluded.debit), "
    "credit = exact_add(balances.credit, excluded.credit)",
    *("account", "asset", "wallet", "party", "site", "debit", "credit"),
)
_ADD_TO_DAY = PreparedRows(
    "INSERT INTO day_balances (account, asset, wallet, party, site, debit, credit, day) VALUES {rows} "
    "ON CONFLICT (day, account, asset, wallet, party, site) DO UPDATE SET debit = exact_add(day_balances.debit, excluded.debit), "
    "credit = exact_add(day_balances.credit, excluded.credit)",
    *("account", "asset", "wallet", "party", "site", "debit", "credit", "day"),
)
_COUNT = Prepared(
    "INSERT INTO posting_days (day, site, postings, first_id, last_id) VALUES (:day, :site, 1, :first, :last) "
    "ON CONFLICT (day, site) DO UPDATE SET postings = posting_days.postings + 1, last_id = excluded.last_id",
    *("day", "site", "first", "last"),
)


def add_posting(tx: Connection, site: str | None, posting_id: int, time_ms: int, lines: "Iterable[PostingLine]") -> None:
    """Add a new posting's lines to the sums."""
    moved: dict[tuple[str, str, str, str, str], list[int]] = {}
    for line in lines:
        place = (line.account, line.asset, line.wallet or "", line.party or "", site or "")
        entry = moved.get(place)
        if entry is None:
            entry = moved[place] = [0, 0]
        entry[line.side == "credit"] += line.amount
    day = time_ms // DAY_MS
    rows = [(*place, stored_integer(debit), stored_integer(credit)) for place, (debit, credit) in moved.items()]
    _ADD.run(tx, rows)
    _ADD_TO_DAY.run(tx, [(*row, day) for row in rows])
    _COUNT.run(tx, (day, site or "", posting_id, posting_id))


def sums_now(tx: Connection, whose: Whose = EVERYBODYS) -> Sums:
    """What all postings moved."""
    found: Sums = {}
    for r in tx.execute(sa.select(BALANCES).where(*whose.sums(BALANCES))):
        debit, credit = found.get((r.account, r.asset), (0, 0))
        found[r.account, r.asset] = (debit + r.debit, credit + r.credit)
    return found


def sums_before(tx: Connection, time_ms: int, whose: Whose = EVERYBODYS) -> Sums:
    """What postings before an instant of site time moved."""
    days = _DAYS.where(*whose.sums(DAY_BALANCES))
    found = {(r.account, r.asset): (r.debit, r.credit) for r in tx.execute(days, {"day": time_ms // DAY_MS})}
    if time_ms % DAY_MS:
        part = _PART_OF_DAY.where(*whose.lines())
        for r in tx.execute(part, {"first": time_ms // DAY_MS * DAY_MS, "past": time_ms}):
            debit, credit = found.get((r.account, r.asset), (0, 0))
            found[r.account, r.asset] = (debit + r.debit, credit + r.credit)
    return found


def count_of(tx: Connection, site: str | None) -> int:
    """How many postings there are, of a site where one is named: the sum over its days."""
    return int(tx.execute(_of_site(_DAYS_COUNT, POSTING_DAYS.c.site, site)).scalar_one())


def count_before(tx: Connection, site: str | None, time_ms: int) -> int:
    """How many postings, of a site where one is named, there are before an instant of site time."""
    days = _of_site(_DAYS_COUNT, POSTING_DAYS.c.site, site).where(POSTING_DAYS.c.day < time_ms // DAY_MS)
    found = tx.execute(days).scalar_one()
    if time_ms % DAY_MS:
        part = _of_site(_PART_COUNT, POSTINGS.c.site, site)
        found += tx.execute(part, {"first": time_ms // DAY_MS * DAY_MS, "past": time_ms}).scalar_one()
    return int(found)


def _of_site(query: sa.Select[int], column: sa.Column[Any], site: str | None) -> sa.Select[int]:
    return query if site is None else query.where(column == site)


def ids_within(tx: Connection, site: str | None, from_ms: int | None, to_ms: int | None) -> tuple[int, int, int]:
    """Between which ids the postings of a period's days lie, of a site where one is named, and how many these are.

    (1, 0, 0) where there is none.
    """
    days = POSTING_DAYS.c
    query = sa.select(sa.func.min(days.first_id), sa.func.max(days.last_id), sa.func.sum(days.postings))
    if site is not None:
        query = query.where(days.site == site)
    if from_ms is not None:
        query = query.where(days.day >= from_ms // DAY_MS)
    if to_ms is not None:
        query = query.where(days.day <= (to_ms - 1) // DAY_MS)
    first, last, count = tx.execute(query).one()
    return (1, 0, 0) if count is None else (first, last, count)


def _moved(side: Side) -> sa.ColumnElement[int]:
    return exact_sum(sa.case((POSTING_LINES.c.side == side, POSTING_LINES.c.amount), else_=0))


_DAYS = (
    sa.select(
        DAY_BALANCES.c.account,
        DAY_BALANCES.c.asset,
        exact_sum(DAY_BALANCES.c.debit).label("debit"),
        exact_sum(DAY_BALANCES.c.credit).label("credit"),
    )
    .where(DAY_BALANCES.c.day < sa.bindparam("day"))
    .group_by(DAY_BALANCES.c.account, DAY_BALANCES.c.asset)
)
_WITHIN = (POSTINGS.c.time_ms >= sa.bindparam("first")) & (POSTINGS.c.time_ms < sa.bindparam("past"))
_PART_OF_DAY = (
    sa.select(POSTING_LINES.c.account, POSTING_LINES.c.asset, _moved("debit").label("debit"), _moved("credit").label("credit"))
    .join(POSTINGS, POSTINGS.c.id == POSTING_LINES.c.posting_id)
    .where(_WITHIN)
    .group_by(POSTING_LINES.c.account, POSTING_LINES.c.asset)
)
_DAYS_COUNT = sa.select(sa.func.coalesce(sa.func.sum(POSTING_DAYS.c.postings), 0))
_PART_COUNT = sa.select(sa.func.count()).select_from(POSTINGS).where(_WITHIN)
