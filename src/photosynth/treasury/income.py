"""What networks pay, in the journal: each payment is posted once for every state that it reaches, by the rule of its kind.

A payment that is told again and differs, or that its node no longer tells, is reversed and posted anew. What fits no rule goes to
suspense, with what it is for, until it fits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from photosynth.storage.tables import INCOME, WALLETS
from photosynth.storage.upsert import upsert
from photosynth.treasury import accounts as a
from photosynth.treasury.accounts import Side
from photosynth.treasury.journal import Posting, PostingLine, Source, mirrored, post, postings_by_id, reverse, times_posted

IncomeState = Literal["accrued", "claimed", "received"]

OF_A_WALLET = frozenset({a.COINS_AVAILABLE, a.INCOME_ACCRUED, a.INCOME_CLAIMED})
"""The accounts whose lines are of a wallet: what lies in it, and what is on its way there."""
_WHERE_IT_IS: Mapping[IncomeState, str] = {
    "accrued": a.INCOME_ACCRUED,
    "claimed": a.INCOME_CLAIMED,
    "received": a.COINS_AVAILABLE,
}


@dataclass(frozen=True, slots=True)
class IncomeFact:
    """One payment in one of its states, as a node tells it.

    ``amount`` is in base units of its asset, negative where something was taken away; ``height`` where on the chain it reached
    the state, ``position`` the same in the network's words; ``paid_to`` the address that it goes to, None where that is not said.
    """

    id: str
    kind: str
    asset: str
    amount: int
    state: IncomeState
    time_ms: int
    height: int
    position: str
    paid_to: str | None = None
    validator: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """All that a node tells of the heights from ``first`` to ``last``, both included; each fact is there once."""

    node: str
    first: int
    last: int
    facts: Sequence[IncomeFact]


@dataclass(frozen=True, slots=True)
class IncomeRule:
    """How a kind of income is posted in a state: its asset, accounts and sides, each line with the whole amount, and words."""

    asset: str
    legs: tuple[tuple[str, Side], ...]
    text: str


@dataclass(frozen=True, slots=True)
class IncomeBooks:
    """What postings of a chain's income go by: its rules by kind and state, and the party that runs the nodes."""

    chain: str
    party: str
    rules: Mapping[tuple[str, IncomeState], IncomeRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A payment in suspense, and why it is there."""

    chain: str
    node: str
    id: str
    kind: str
    asset: str
    amount: int
    state: IncomeState
    time_ms: int
    why: str


def take_income(tx: Connection, books: IncomeBooks, told: Told, wall_ms: int) -> list[str]:
    """Post what a node tells of a range of heights; what it told of them before and does not tell now is reversed.

    What another node has told stands as that one tells it: where this one differs, that is returned, a sentence each. The books
    have every asset. Raises TreasuryError.
    """
    node, there = told.node, {(fact.id, fact.state) for fact in told.facts}
    of_range = (INCOME.c.chain == books.chain, INCOME.c.node == node, INCOME.c.height.between(told.first, told.last))
    for row in tx.execute(sa.select(INCOME).where(*of_range).order_by(INCOME.c.height, INCOME.c.id)).all():
        if (row.id, row.state) not in there:
            _take_back(tx, row, wall_ms, f"{node} no longer has it at {row.position}")
            tx.execute(INCOME.delete().where(*_is(books.chain, row.id, row.state)))
    differing = []
    for fact in told.facts:
        known = tx.execute(sa.select(INCOME).where(*_is(books.chain, fact.id, fact.state))).first()
        if known is None:
            _enter(tx, books, node, fact, wall_ms)
        elif fact_of(known) == fact:
            continue
        elif known.node != node:
            differing.append(f"{fact.id} ({fact.state}) is not what {known.node} tells of it")
        else:
            _take_back(tx, known, wall_ms, f"{node} tells it otherwise now")
            _enter(tx, books, node, fact, wall_ms)
    return differing


def reconsider_misfits(tx: Connection, books: IncomeBooks, wall_ms: int) -> int:
    """Post anew what is in suspense and fits by now, as where its wallet or its rule has come; how many did."""
    moved = 0
    for row in tx.execute(sa.select(INCOME).where(INCOME.c.chain == books.chain, INCOME.c.misfit.is_not(None))).all():
        fact = fact_of(row)
        if _lines(tx, books, fact)[1] is None:
            _take_back(tx, row, wall_ms, "it fits by now")
            _enter(tx, books, row.node, fact, wall_ms)
            moved += 1
    return moved


def misfits(tx: Connection, limit: int = 5) -> list[Misfit]:
    """The newest payments in suspense."""
    query = sa.select(INCOME).where(INCOME.c.misfit.is_not(None)).order_by(INCOME.c.time_ms.desc(), INCOME.c.id).limit(limit)
    return [
        Misfit(row.chain, row.node, row.id, row.kind, row.asset, row.amount, row.state, row.time_ms, row.misfit)
        for row in tx.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class IncomePlace:
    """Where a payment in one of its states stands in the list of all, newest first."""

    time_ms: int
    height: int
    chain: str
    id: str
    state: str


def read_income(
    tx: Connection, network: str | None = None, *, limit: int | None = None, after: IncomePlace | None = None
) -> list[tuple[str, str, IncomeFact]]:
    """Payments in every state that stands, newest first, of a network where one is named: its chain, its node and itself.

    All of them, or so many; those behind a place in the list, where one is given.
    """
    c = INCOME.c
    query = sa.select(INCOME).order_by(c.time_ms.desc(), c.height.desc(), c.chain, c.id, c.state).limit(limit)
    if network is not None:
        query = query.where(c.chain.startswith(f"{network}/", autoescape=True))
    if after is not None:
        behind = sa.tuple_(c.chain, c.id, c.state) > sa.tuple_(*map(sa.literal, (after.chain, after.id, after.state)))
        lower = sa.or_(c.height < after.height, sa.and_(c.height == after.height, behind))
        query = query.where(c.time_ms <= after.time_ms, sa.or_(c.time_ms < after.time_ms, lower))
    return [(row.chain, row.node, fact_of(row)) for row in tx.execute(query)]


def fact_of(row: sa.Row[tuple[object, ...]]) -> IncomeFact:
    """What a row of the table says."""
    return IncomeFact(*(getattr(row, item.name) for item in fields(IncomeFact)))


def _is(chain: str, event_id: str, state: str) -> tuple[sa.ColumnElement[bool], ...]:
    return INCOME.c.chain == chain, INCOME.c.id == event_id, INCOME.c.state == state


def _take_back(tx: Connection, row: sa.Row[tuple[object, ...]], wall_ms: int, why: str) -> None:
    """Reverse what stands for a payment, at its own time: each period then says what was paid in it."""
    if row.posting is not None:
        reverse(tx, row.posting, postings_by_id(tx, [row.posting])[0].posting.time_ms, wall_ms, why)


def _enter(tx: Connection, books: IncomeBooks, node: str, fact: IncomeFact, wall_ms: int) -> None:
    """Post a payment, and write down what stands for it."""
    lines, misfit = _lines(tx, books, fact)
    prefix = f"{books.chain}:income:{fact.id}:{fact.state}:"
    rule = books.rules.get((fact.kind, fact.state))
    text = f"Income in suspense: {misfit}" if misfit is not None or rule is None else rule.text
    source: Source = {
        "chain": books.chain,
        "node": node,
        "validator": fact.validator,
        "income": fact.id,
        "kind": fact.kind,
        "height": fact.height,
        "position": fact.position,
        "paid_to": fact.paid_to,
    }
    posting_id = None
    if lines:
        key = f"{prefix}{times_posted(tx, prefix) + 1}"
        posting_id = post(tx, Posting(key, fact.time_ms, wall_ms, f"income_{fact.state}", text, lines, source))
    row = {item.name: getattr(fact, item.name) for item in fields(IncomeFact)}
    tx.execute(_PUT, {**row, "chain": books.chain, "node": node, "posting": posting_id, "misfit": misfit})


def _lines(tx: Connection, books: IncomeBooks, fact: IncomeFact) -> tuple[tuple[PostingLine, ...], str | None]:
    """The lines that a payment is posted with, and what of it does not fit: that goes to suspense in place of its account."""
    rule, why = books.rules.get((fact.kind, fact.state)), list[str]()
    legs: Iterable[tuple[str, Side]]
    if rule is not None and rule.asset == fact.asset:
        legs = rule.legs
    else:
        legs = ((_WHERE_IT_IS[fact.state], "debit"), (a.SUSPENSE, "credit"))
        said = f"pays {rule.asset}, not {fact.asset}" if rule is not None else f"has no rule for what is {fact.state}"
        why.append(f"its kind, {fact.kind}, {said}")
    wallet, party = _wallet(tx, books, fact.paid_to)
    nowhere = fact.paid_to is not None or fact.state == "received"
    lines = []
    for wanted, side in legs:
        account = wanted
        if account not in a.FOR_INCOME:
            why.append(f"the chart has no account {account} for income")
            account = a.SUSPENSE
        elif account in OF_A_WALLET and wallet is None and nowhere:
            if account in _standing(tx, books, fact):  # what was owed without saying to whom is owed no more
                lines.append(PostingLine(account, side, fact.asset, abs(fact.amount), None, party))
                continue
            why.append("nothing says where it is paid" if fact.paid_to is None else f"no wallet of the fleet is {fact.paid_to}")
            account = a.SUSPENSE
        of_wallet = wallet if account in OF_A_WALLET else None
        lines.append(PostingLine(account, side, fact.asset, abs(fact.amount), of_wallet, party))
    reason = "; ".join(dict.fromkeys(why)) or None
    if fact.amount == 0:
        return (), reason
    return mirrored(lines) if fact.amount < 0 else tuple(lines), reason


def _standing(tx: Connection, books: IncomeBooks, fact: IncomeFact) -> set[str]:
    """The accounts on which a payment stands, of no wallet, in the states before this one that it has reached."""
    known = (INCOME.c.chain == books.chain, INCOME.c.id == fact.id, INCOME.c.state != fact.state)
    fitting = (INCOME.c.misfit.is_(None), INCOME.c.paid_to.is_(None))
    return {_WHERE_IT_IS[state] for state in tx.execute(sa.select(INCOME.c.state).where(*known, *fitting)).scalars()}


def _wallet(tx: Connection, books: IncomeBooks, paid_to: str | None) -> tuple[str | None, str]:
    """The wallet of an address and whose it is; no wallet, and who runs the nodes, where there is none."""
    if paid_to is not None:
        wanted = (WALLETS.c.chain == books.chain, WALLETS.c.destination == paid_to)
        found = tx.execute(sa.select(WALLETS.c.id, WALLETS.c.party).where(*wanted)).first()
        if found is not None:
            return found.id, found.party
    return None, books.party


_PUT = upsert(INCOME)
