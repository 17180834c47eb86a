"""The journal: balanced postings that are added once by their key, corrected by reversal, and never changed.

Amounts are positive signed 64-bit integers on a debit or a credit side, balanced for each asset: satoshis (SAT),
micro-EUR (UEUR), joules (J).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import BALANCES, POSTING_LINES, POSTINGS
from photosynth.treasury.accounts import ACCOUNTS, Asset, Side

INT64_MAX = (1 << 63) - 1
Source = Mapping[str, str | int | None]


class TreasuryError(Exception):
    """The books refuse something; the message says what and why. A mistake of the program, not of the operator."""


@dataclass(frozen=True, slots=True)
class PostingLine:
    """One line: an account, its side, an asset and a positive amount in the asset's base unit."""

    account: str
    side: Side
    asset: Asset
    amount: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One balanced entry to be made; ``key`` makes it happen once, ``source`` says where its figures come from."""

    key: str
    time_ms: int
    wall_ms: int
    event: str
    text: str
    lines: tuple[PostingLine, ...]
    source: Source = field(default_factory=dict)
    reverses: int | None = None


@dataclass(frozen=True, slots=True)
class StoredPosting:
    """One entry of the journal with the id it got; ids count up by one without gaps."""

    id: int
    posting: Posting


@dataclass(frozen=True, slots=True)
class Balance:
    """One account in one asset over a period; opening and closing are positive on the debit side."""

    account: str
    asset: Asset
    opening: int
    debit: int
    credit: int
    closing: int


def transfer(debit: str, credit: str, asset: Asset, amount: int) -> tuple[PostingLine, ...]:
    """A debit and a credit line of one amount; a negative amount swaps the sides, and zero gives no lines."""
    if amount == 0:
        return ()
    if amount < 0:
        debit, credit, amount = credit, debit, -amount
    return (PostingLine(debit, "debit", asset, amount), PostingLine(credit, "credit", asset, amount))


def check(posting: Posting) -> None:
    """Raise TreasuryError where a posting is empty, unbalanced in an asset, or has an unknown account or a bad amount."""
    if not posting.lines:
        raise TreasuryError(f"posting {posting.key} has no lines")
    sums: dict[str, int] = {}
    for line in posting.lines:
        amount = line.amount
        if line.account not in ACCOUNTS:
            raise TreasuryError(f"posting {posting.key}: account {line.account} is not in the chart")
        if type(amount) is not int or not 0 < amount <= INT64_MAX:
            raise TreasuryError(f"posting {posting.key}: {amount!r} is not a positive signed 64-bit integer")
        sums[line.asset] = sums.get(line.asset, 0) + (amount if line.side == "debit" else -amount)
    for asset, difference in sums.items():
        if difference:
            raise TreasuryError(f"posting {posting.key} is out of balance by {difference} {asset}")


def post(tx: Connection, posting: Posting) -> int | None:
    """Add a posting and return its id; None where its key is there already, and then nothing changes.

    Raises TreasuryError where it does not balance.
    """
    check(posting)
    if tx.execute(_KEYED, {"wanted": posting.key}).first() is not None:
        return None
    values = {
        "key": posting.key,
        "time_ms": posting.time_ms,
        "wall_ms": posting.wall_ms,
        "event": posting.event,
        "text": posting.text,
        "reverses": posting.reverses,
        "source": dict(posting.source),
    }
    key = tx.execute(POSTINGS.insert(), values).inserted_primary_key
    assert key is not None
    posting_id = int(key[0])
    rows = [
        {"posting_id": posting_id, "number": n, "account": x.account, "side": x.side, "asset": x.asset, "amount": x.amount}
        for n, x in enumerate(posting.lines)
    ]
    tx.execute(POSTING_LINES.insert(), rows)
    _add_to_balances(tx, posting.lines)
    return posting_id


_ADD = sa.text(
    "INSERT INTO balances (account, asset, debit, credit) VALUES (:account, :asset, :debit, :credit) "
    "ON CONFLICT (account, asset) DO UPDATE SET debit = debit + excluded.debit, credit = credit + excluded.credit"
)


def _add_to_balances(tx: Connection, lines: Iterable[PostingLine]) -> None:
    sums: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        entry = sums.setdefault((line.account, line.asset), [0, 0])
        entry[line.side == "credit"] += line.amount
    tx.execute(_ADD, [{"account": a, "asset": s, "debit": d, "credit": c} for (a, s), (d, c) in sums.items()])


def mirrored(lines: Sequence[PostingLine]) -> tuple[PostingLine, ...]:
    """The same amounts on the other sides."""
    return tuple(PostingLine(x.account, "credit" if x.side == "debit" else "debit", x.asset, x.amount) for x in lines)


def reverse(tx: Connection, posting_id: int, time_ms: int, wall_ms: int, why: str) -> int | None:
    """Post the mirror of an open posting at its original amounts; None where that was done before."""
    stored = postings_by_id(tx, [posting_id])
    if not stored:
        raise TreasuryError(f"posting {posting_id} is not there to be reversed")
    original = stored[0].posting
    return post(
        tx,
        Posting(
            key=f"{original.key}:reversed",
            time_ms=time_ms,
            wall_ms=wall_ms,
            event=f"{original.event}_reversed",
            text=why,
            lines=mirrored(original.lines),
            source=original.source,
            reverses=posting_id,
        ),
    )


def open_postings(tx: Connection, key_prefix: str) -> list[tuple[int, str]]:
    """Id and event of every posting whose key begins so, which reverses none and was not reversed; oldest first."""
    return [(row.id, row.event) for row in tx.execute(_OPEN, _bounds(key_prefix))]


def times_posted(tx: Connection, key_prefix: str) -> int:
    """How many postings with such a key were made, reversals aside: the occurrence of the last one."""
    return int(tx.execute(_TIMES, _bounds(key_prefix)).scalar_one())


def _bounds(prefix: str) -> dict[str, str]:
    return {"first": prefix, "past": prefix + "\U0010ffff"}


# Built once: following a chain asks these for every block.
_BEGINS = (POSTINGS.c.key >= sa.bindparam("first")) & (POSTINGS.c.key < sa.bindparam("past"))
# By a function, or SQLite looks through the index of what is reversed, where nearly everything is NULL.
_IS_NO_REVERSAL = sa.func.ifnull(POSTINGS.c.reverses, 0) == 0
_REVERSAL = POSTINGS.alias("reversal")
_OPEN = (
    sa.select(POSTINGS.c.id, POSTINGS.c.event)
    .outerjoin(_REVERSAL, _REVERSAL.c.reverses == POSTINGS.c.id)
    .where(_BEGINS, _IS_NO_REVERSAL, _REVERSAL.c.id.is_(None))
    .order_by(POSTINGS.c.id)
)
_TIMES = sa.select(sa.func.count()).select_from(POSTINGS).where(_BEGINS, _IS_NO_REVERSAL)
_KEYED = sa.select(POSTINGS.c.id).where(POSTINGS.c.key == sa.bindparam("wanted"))
_BY_KEY = sa.select(POSTINGS).where(_BEGINS).order_by(POSTINGS.c.id)


def count_postings(tx: Connection) -> int:
    """How many postings the journal has."""
    return int(tx.execute(sa.select(sa.func.count()).select_from(POSTINGS)).scalar_one())


def postings(
    tx: Connection, from_ms: int | None = None, to_ms: int | None = None, limit: int = 1000, before_id: int | None = None
) -> list[StoredPosting]:
    """Postings of a period of site time (from, and before to), newest first, older than ``before_id`` where given."""
    query = sa.select(POSTINGS).where(_period(from_ms, to_ms)).order_by(POSTINGS.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(POSTINGS.c.id < before_id)
    return _with_lines(tx, query)


def count_postings_of(tx: Connection, from_ms: int | None, to_ms: int | None) -> int:
    """How many postings a period of site time has."""
    return int(tx.execute(sa.select(sa.func.count()).select_from(POSTINGS).where(_period(from_ms, to_ms))).scalar_one())


def postings_after(tx: Connection, last_id: int) -> list[StoredPosting]:
    """Every posting with a higher id, oldest first."""
    return _with_lines(tx, sa.select(POSTINGS).where(POSTINGS.c.id > last_id).order_by(POSTINGS.c.id))


def postings_by_key(tx: Connection, key_prefix: str) -> list[StoredPosting]:
    """Every posting whose key begins so, reversals included, oldest first."""
    return _with_lines(tx, _BY_KEY, _bounds(key_prefix))


def postings_by_id(tx: Connection, ids: Sequence[int]) -> list[StoredPosting]:
    """The postings with these ids that exist, oldest first."""
    return _with_lines(tx, sa.select(POSTINGS).where(POSTINGS.c.id.in_(ids)).order_by(POSTINGS.c.id))


def _with_lines(
    tx: Connection, query: sa.Select[tuple[object, ...]], bounds: dict[str, str] | None = None
) -> list[StoredPosting]:
    rows = tx.execute(query, bounds).all()
    lines: dict[int, list[PostingLine]] = defaultdict(list)
    for at in range(0, len(rows), 500):
        ids = [row.id for row in rows[at : at + 500]]
        chosen = sa.select(POSTING_LINES).where(POSTING_LINES.c.posting_id.in_(ids))
        for x in tx.execute(chosen.order_by(POSTING_LINES.c.posting_id, POSTING_LINES.c.number)):
            lines[x.posting_id].append(PostingLine(x.account, x.side, x.asset, x.amount))
    return [
        StoredPosting(r.id, Posting(r.key, r.time_ms, r.wall_ms, r.event, r.text, tuple(lines[r.id]), r.source, r.reverses))
        for r in rows
    ]


def _period(from_ms: int | None, to_ms: int | None) -> sa.ColumnElement[bool]:
    inside: list[sa.ColumnElement[bool]] = [sa.true()]
    if from_ms is not None:
        inside.append(POSTINGS.c.time_ms >= from_ms)
    if to_ms is not None:
        inside.append(POSTINGS.c.time_ms < to_ms)
    return sa.and_(*inside)


def balance(tx: Connection, account: str, asset: Asset) -> int:
    """What an account holds of an asset now, positive on the debit side."""
    row = tx.execute(
        sa.select(BALANCES.c.debit, BALANCES.c.credit).where(BALANCES.c.account == account, BALANCES.c.asset == asset)
    ).first()
    return 0 if row is None else int(row.debit - row.credit)


def trial_balance(tx: Connection, from_ms: int | None = None, to_ms: int | None = None) -> list[Balance]:
    """Every account and asset that ever moved, with opening, movement and closing of a period of site time."""
    if from_ms is None and to_ms is None:
        rows = tx.execute(sa.select(BALANCES).order_by(BALANCES.c.account, BALANCES.c.asset))
        return [Balance(r.account, r.asset, 0, r.debit, r.credit, r.debit - r.credit) for r in rows]
    before = POSTINGS.c.time_ms < from_ms if from_ms is not None else sa.false()
    inside = _period(from_ms, to_ms)
    lines = POSTING_LINES.c
    is_debit, is_credit = lines.side == "debit", lines.side == "credit"

    def total(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((sa.and_(*conditions), lines.amount), else_=0)), 0)

    query = (
        sa.select(
            lines.account,
            lines.asset,
            (total(before, is_debit) - total(before, is_credit)).label("opening"),
            total(inside, is_debit).label("debit"),
            total(inside, is_credit).label("credit"),
        )
        .join(POSTINGS, POSTINGS.c.id == lines.posting_id)
        .group_by(lines.account, lines.asset)
        .order_by(lines.account, lines.asset)
    )
    if to_ms is not None:
        query = query.where(POSTINGS.c.time_ms < to_ms)
    return [
        Balance(r.account, r.asset, int(r.opening), int(r.debit), int(r.credit), int(r.opening + r.debit - r.credit))
        for r in tx.execute(query)
    ]
