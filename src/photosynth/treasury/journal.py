"""The journal: balanced postings that are added once by their key, corrected by reversal, and never changed.

Amounts are positive integers without limit on a debit or a credit side, balanced for each asset, in its base unit: satoshis of
BTC, wei of ETH, micro-EUR of EUR, joules. Which assets there are is data: rows of the table ``assets``.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.quantities.assets import MOST_DIGITS, TOO_LARGE
from photosynth.storage.exact import stored_integer
from photosynth.storage.prepared import Prepared, PreparedRows
from photosynth.storage.tables import BALANCES, POSTING_LINES, POSTINGS
from photosynth.storage.types import int64
from photosynth.treasury.accounts import ACCOUNTS, Side
from photosynth.treasury.evidence.canonical import number
from photosynth.treasury.sums import EVERYBODYS, Whose, add_posting, count_before, count_of, ids_within, sums_before, sums_now

Source = Mapping[str, str | int | None]


class TreasuryError(Exception):
    """The books refuse something; the message says what and why. A mistake of the program, not of the operator."""


class OtherBooksError(TreasuryError):
    """The state's books are of another chain, script, wallet or key than those in use; the operator must act."""


@dataclass(frozen=True, slots=True)
class PostingLine:
    """One line: an account, its side, an asset and a positive amount in its base unit; and whose it is, where that is known."""

    account: str
    side: Side
    asset: str
    amount: int
    wallet: str | None = None
    party: str | None = None


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
    site: str | None = None
    """Whose energy or work it is about; None where it is the fleet's."""


@dataclass(frozen=True, slots=True)
class StoredPosting:
    """One entry of the journal with the id it got; ids count up by one without gaps."""

    id: int
    posting: Posting


@dataclass(frozen=True, slots=True)
class Balance:
    """One account in one asset over a period; opening and closing are positive on the debit side."""

    account: str
    asset: str
    opening: int
    debit: int
    credit: int
    closing: int


def transfer(debit: str, credit: str, asset: str, amount: int) -> tuple[PostingLine, ...]:
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
        if type(amount) is not int or not 0 < amount < TOO_LARGE:
            said = repr(amount) if type(amount) is not int or amount <= 0 else f"a number of more than {MOST_DIGITS} digits"
            raise TreasuryError(f"posting {posting.key}: {said} is not a positive integer that the books can hold")
        sums[line.asset] = sums.get(line.asset, 0) + (amount if line.side == "debit" else -amount)
    for asset, difference in sums.items():
        if difference:
            raise TreasuryError(f"posting {posting.key} is out of balance by {difference} base units of {asset}")


def post(tx: Connection, posting: Posting) -> int | None:
    """Add a posting and return its id; None where its key is there already, and then nothing changes.

    Raises TreasuryError where it does not balance.
    """
    check(posting)
    reverses = None if posting.reverses is None else int64(posting.reverses)
    times = (int64(posting.time_ms), int64(posting.wall_ms))
    source = _source_text(posting.source)
    row = _INSERT.first(tx, (posting.key, posting.site, *times, posting.event, posting.text, reverses, source))
    if row is None:
        return None
    posting_id = int(row[0])
    lines = posting.lines
    rows = [(posting_id, n, x.account, x.side, x.asset, stored_integer(x.amount), x.wallet, x.party) for n, x in enumerate(lines)]
    try:
        _INSERT_LINES.run(tx, rows)
    except sa.exc.IntegrityError as error:
        named = ", ".join(sorted({name for x in lines for name in (x.asset, x.wallet, x.party) if name}))
        raise TreasuryError(f"posting {posting.key}: the tables of assets, wallets, parties lack one of {named}") from error
    add_posting(tx, posting.site, posting_id, posting.time_ms, lines)
    return posting_id


def _source_text(source: Source) -> str:
    """A source as JSON with sorted names; what other programs would round is text in it, as in evidence."""
    said: dict[str, str | int | None] = {}
    for name, value in source.items():
        kind = type(value)
        if kind is int:
            said[name] = number(value)  # type: ignore[arg-type]
        elif kind is str or value is None:
            said[name] = value
        else:
            raise TreasuryError(f"a posting's source has texts and integers, not {value!r} as {name}")
    return _WRITE(said).decode()


_WRITE = msgspec.json.Encoder(order="sorted").encode
_INSERT = Prepared(
    "INSERT INTO postings (id, key, site, time_ms, wall_ms, event, text, reverses, source) VALUES "
    "((SELECT coalesce(max(id), 0) + 1 FROM postings), :key, :site, :time_ms, :wall_ms, :event, :text, :reverses, :source) "
    "ON CONFLICT (key) DO NOTHING RETURNING id",
    *("key", "site", "time_ms", "wall_ms", "event", "text", "reverses", "source"),
)
_INSERT_LINES = PreparedRows(
    "INSERT INTO posting_lines (posting_id, number, account, side, asset, amount, wallet, party) VALUES {rows}",
    *("posting_id", "number", "account", "side", "asset", "amount", "wallet", "party"),
)


def mirrored(lines: Sequence[PostingLine]) -> tuple[PostingLine, ...]:
    """The same amounts on the other sides."""
    return tuple(replace(x, side="credit" if x.side == "debit" else "debit") for x in lines)


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
            site=original.site,
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
_IS_NO_REVERSAL = sa.func.coalesce(POSTINGS.c.reverses, 0) == 0
_REVERSAL = POSTINGS.alias("reversal")
_OPEN = (
    sa.select(POSTINGS.c.id, POSTINGS.c.event)
    .outerjoin(_REVERSAL, _REVERSAL.c.reverses == POSTINGS.c.id)
    .where(_BEGINS, _IS_NO_REVERSAL, _REVERSAL.c.id.is_(None))
    .order_by(POSTINGS.c.id)
)
_TIMES = sa.select(sa.func.count()).select_from(POSTINGS).where(_BEGINS, _IS_NO_REVERSAL)
_BY_KEY = sa.select(POSTINGS).where(_BEGINS).order_by(POSTINGS.c.id)


def count_postings(tx: Connection) -> int:
    """How many postings the journal has: as many as the newest one's id says, for nothing is ever deleted."""
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(POSTINGS.c.id), 0))).scalar_one())


def postings(
    tx: Connection,
    site: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    *,
    limit: int = 1000,
    before_id: int | None = None,
) -> list[StoredPosting]:
    """Postings of a period of site time (from, and before to), newest first, older than ``before_id`` where given.

    Those of one site, or with None all, the fleet's too.
    """
    return _with_lines(tx, _of_period(sa.select(POSTINGS), tx, site, from_ms, to_ms, before_id=before_id).limit(limit))


FEW_POSTINGS = 20_000
"""So many are found by their time and then sorted; of more, those wanted are found by going down the ids."""


def _of_period(
    query: sa.Select[Any],
    tx: Connection,
    site: str | None,
    from_ms: int | None,
    to_ms: int | None,
    *,
    before_id: int | None = None,
) -> sa.Select[Any]:
    """The postings of a period, newest first, in a way whose work does not grow with what lies outside of it."""
    first, last, number = ids_within(tx, site, from_ms, to_ms)
    if before_id is not None:
        last = min(last, before_id - 1)
    ids: sa.ColumnElement[int] = POSTINGS.c.id
    times: sa.ColumnElement[int] = POSTINGS.c.time_ms
    # A database goes by the index of a bare column only; by which one is better known here than there.
    if from_ms is not None and number <= FEW_POSTINGS:
        ids = ids + 0
    else:
        times = times + 0
    if site is not None:
        query = query.where(POSTINGS.c.site == site)
    return query.where(_period(from_ms, to_ms, times), ids.between(first, last)).order_by(ids.desc())


def count_postings_of(tx: Connection, site: str | None, from_ms: int | None, to_ms: int | None) -> int:
    """How many postings a period of site time has, of a site where one is named."""
    until = count_of(tx, site) if to_ms is None else count_before(tx, site, to_ms)
    return max(0, until - (0 if from_ms is None else count_before(tx, site, from_ms)))


RawPosting = tuple[int, str, str | None, int, int, str, str, int | None, str]
"""A posting as it is stored: id, key, site, times of site and wall, event, text, what it reverses, its source as JSON text."""
RawLine = tuple[int, str, object]
"""A line as it is stored: its posting, then account, side and asset in one text with blanks between, and its amount, which
:func:`~photosynth.storage.exact.exact_integer` reads."""


def raw_postings(
    tx: Connection,
    site: str | None,
    from_ms: int | None,
    to_ms: int | None,
    *,
    limit: int,
    before_id: int | None = None,
    after_id: int | None = None,
) -> list[RawPosting]:
    """Postings of a period: the newest first below ``before_id``, or the oldest first above ``after_id`` where that is given."""
    query = _of_period(_RAW, tx, site, from_ms, to_ms, before_id=before_id)
    if after_id is not None:
        query = query.where(POSTINGS.c.id > after_id).order_by(None).order_by(POSTINGS.c.id)
    return cast("list[RawPosting]", tx.execute(query.limit(limit)).all())


def raw_lines(tx: Connection, ids: Sequence[int]) -> Iterable[RawLine]:
    """The lines of these postings in their order, of some others too where ids have gaps."""
    if not ids:
        return ()
    first, last = min(ids), max(ids)
    # Most postings follow each other, but late ones do not.
    if last - first < 2 * len(ids):
        return cast("Iterator[RawLine]", _LINES_BETWEEN.each(tx, (first, last)))
    line, found = POSTING_LINES.c, list[RawLine]()
    kind = line.account + " " + line.side + " " + line.asset
    for at in range(0, len(ids), 500):
        amount = sa.type_coerce(line.amount, sa.types.NullType())
        chosen = sa.select(line.posting_id, kind, amount).where(line.posting_id.in_(ids[at : at + 500]))
        found += cast("list[RawLine]", tx.execute(chosen.order_by(line.posting_id, line.number)).all())
    return found


def oldest_of_newest(tx: Connection, site: str | None, from_ms: int | None, to_ms: int | None, limit: int) -> int:
    """The id of the oldest among so many newest postings of a period; 0 where the period has fewer."""
    query = _of_period(sa.select(POSTINGS.c.id), tx, site, from_ms, to_ms)
    return int(tx.execute(query.limit(1).offset(limit - 1)).scalar() or 0)


_RAW = sa.select(
    *(POSTINGS.c[name] for name in ("id", "key", "site", "time_ms", "wall_ms", "event", "text", "reverses")),
    sa.type_coerce(POSTINGS.c.source, sa.Text).label("source"),
)
_LINES_BETWEEN = Prepared(
    "SELECT posting_id, account || ' ' || side || ' ' || asset, amount FROM posting_lines "
    "WHERE posting_id BETWEEN :first AND :last ORDER BY posting_id, number",
    *("first", "last"),
)


def postings_after(tx: Connection, last_id: int, most: int | None = None) -> list[StoredPosting]:
    """Every posting with a higher id, oldest first; at most so many."""
    return _with_lines(tx, sa.select(POSTINGS).where(POSTINGS.c.id > last_id).order_by(POSTINGS.c.id).limit(most))


def last_posting_id(tx: Connection) -> int:
    """The id of the newest posting, 0 before the first."""
    found: int | None = tx.execute(sa.select(sa.func.max(POSTINGS.c.id))).scalar()
    return found or 0


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
            lines[x.posting_id].append(PostingLine(x.account, x.side, x.asset, x.amount, x.wallet, x.party))
    return [
        StoredPosting(
            r.id, Posting(r.key, r.time_ms, r.wall_ms, r.event, r.text, tuple(lines[r.id]), r.source, r.reverses, r.site)
        )
        for r in rows
    ]


def _period(from_ms: int | None, to_ms: int | None, times: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    inside: list[sa.ColumnElement[bool]] = [sa.true()]
    if from_ms is not None:
        inside.append(times >= from_ms)
    if to_ms is not None:
        inside.append(times < to_ms)
    return sa.and_(*inside)


def balance(tx: Connection, account: str, asset: str, whose: Whose = EVERYBODYS) -> int:
    """What an account holds of an asset now, positive on the debit side."""
    wanted = (BALANCES.c.account == account, BALANCES.c.asset == asset, *whose.sums(BALANCES))
    rows = tx.execute(sa.select(BALANCES.c.debit, BALANCES.c.credit).where(*wanted))
    return sum(row.debit - row.credit for row in rows)


def trial_balance(
    tx: Connection, from_ms: int | None = None, to_ms: int | None = None, whose: Whose = EVERYBODYS
) -> list[Balance]:
    """Every account and asset that ever moved, with opening, movement and closing of a period of site time.

    Of a wallet or a party, their lines alone: these need not balance.
    """
    until = sums_now(tx, whose) if to_ms is None else sums_before(tx, to_ms, whose)
    before = {} if from_ms is None else sums_before(tx, from_ms if to_ms is None else min(from_ms, to_ms), whose)
    rows = []
    for (account, asset), (debit, credit) in sorted(until.items()):
        debit_before, credit_before = before.get((account, asset), (0, 0))
        opening = debit_before - credit_before
        moved = (debit - debit_before, credit - credit_before)
        rows.append(Balance(account, asset, opening, *moved, debit - credit))
    return rows
