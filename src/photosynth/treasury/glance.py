"""The books and the proof in one glance, in plain SQL: asked of a running system's connection and of a file at rest alike."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from photosynth.storage.exact import exact_integer
from photosynth.storage.scopes import of_chain
from photosynth.treasury import accounts as a

RECONCILED = "reconciled"
"""Key in ``meta`` of a chain: the height and hash at which journal and chain last agreed."""
_NAME = re.compile(r"[A-Za-z0-9_./:-]{1,200}")


class Rows(Protocol):
    """What a query found."""

    def fetchall(self) -> Sequence[Any]:
        """All of it, each row indexed by column number."""
        ...


class Asked(Protocol):
    """What answers plain SQL: SQLAlchemy's connection, and a database at rest."""

    def exec_driver_sql(self, statement: str, /) -> Rows:
        """Run one query, in words that every database understands: without parameters, which each driver marks otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class Holding:
    """How much of a network's asset the accounts of coins hold, in its base unit; spendable or not yet."""

    code: str
    network: str
    base_unit: str
    decimals: int
    held: int


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """The books in one glance: satoshis, and micro-EUR positive as their names say."""

    immature_sat: int
    mature_sat: int
    carrying_ueur: int
    mining_revenue_ueur: int
    deferred_reward_ueur: int
    mining_energy_j: int
    mining_energy_cost_ueur: int
    mining_energy_bought_ueur: int
    factory_energy_bought_ueur: int
    export_revenue_ueur: int
    suspense_sat: int
    postings: int
    assets: tuple[Holding, ...]


@dataclass(frozen=True, slots=True)
class EvidenceState:
    """How many quarter hours are closed, the root over all heads that coinbases commit to, and the last of them."""

    records: int
    head: bytes | None
    last_interval_ms: int | None


_OF_NETWORKS = "SELECT code, network, base_unit, decimals FROM assets WHERE network IS NOT NULL ORDER BY code"


def ledger_totals(tx: Asked, site: str | None = None) -> LedgerTotals:
    """The books in one glance: all of them, or what is about a site."""
    here = "" if site is None else f" WHERE site = {quoted(site)}"
    rows = tx.exec_driver_sql(f"SELECT account, asset, debit, credit FROM balances{here}").fetchall()  # noqa: S608 - quoted
    number = tx.exec_driver_sql(f"SELECT coalesce(sum(postings), 0) FROM posting_days{here}").fetchall()[0][0]  # noqa: S608
    held = defaultdict[tuple[str, str], int](int)
    for account, asset, debit, credit in rows:
        held[account, asset] += exact_integer(debit) - exact_integer(credit)

    def balance(account: str, asset: str) -> int:
        return held.get((account, asset), 0)

    return LedgerTotals(
        immature_sat=balance(a.COINS_IMMATURE, "BTC"),
        mature_sat=balance(a.COINS_AVAILABLE, "BTC"),
        carrying_ueur=balance(a.COINS_IMMATURE, "EUR") + balance(a.COINS_AVAILABLE, "EUR"),
        mining_revenue_ueur=-balance(a.MINING_REVENUE, "EUR"),
        deferred_reward_ueur=-balance(a.DEFERRED_REWARD, "EUR"),
        mining_energy_j=balance(a.E_MINING, "J"),
        mining_energy_cost_ueur=balance(a.GRID_ENERGY_MINING, "EUR") + balance(a.OWN_ENERGY_CHARGED, "EUR"),
        mining_energy_bought_ueur=balance(a.GRID_ENERGY_MINING, "EUR"),
        factory_energy_bought_ueur=balance(a.GRID_ENERGY_FACTORY, "EUR"),
        export_revenue_ueur=-balance(a.EXPORT_REVENUE, "EUR") - balance(a.PREMIUM_REVENUE, "EUR"),
        suspense_sat=-balance(a.SUSPENSE, "BTC"),
        postings=int(number),
        assets=tuple(
            Holding(code, network, unit, decimals, balance(a.COINS_IMMATURE, code) + balance(a.COINS_AVAILABLE, code))
            for code, network, unit, decimals in tx.exec_driver_sql(_OF_NETWORKS).fetchall()
            if any(asset == code for _, asset in held)
        ),
    )


def reconciled_height(tx: Asked, chain: str) -> int | None:
    """The last height at which journal and chain agreed, None where that block is no longer in the chain."""
    known = noted(tx, of_chain(chain), RECONCILED)
    if known is None:
        return None
    height = int(known["height"])
    found = f"SELECT hash FROM chain WHERE chain = {quoted(chain)} AND height = {height:d}"  # noqa: S608 - quoted
    rows = tx.exec_driver_sql(found).fetchall()
    return height if rows and bytes(rows[0][0])[::-1].hex() == known["hash"] else None


def evidence_state(tx: Asked) -> EvidenceState:
    """The proof in one glance: of all sites, its head the root over the heads of all streams."""
    closed = "SELECT count(*), max(start_ms) FROM evidence WHERE kind = 'quarter_hour'"
    records, last_ms = tx.exec_driver_sql(closed).fetchall()[0]
    last = tx.exec_driver_sql("SELECT root FROM evidence ORDER BY id DESC LIMIT 1").fetchall()
    return EvidenceState(int(records), bytes(last[0][0]) if last else None, last_ms)


def followed_top(tx: Asked, chain: str) -> tuple[int, bytes] | None:
    """Height and hash of the last block of a chain that the books have followed; None before the first."""
    found = f"SELECT height, hash FROM chain WHERE chain = {quoted(chain)} ORDER BY height DESC LIMIT 1"  # noqa: S608 - quoted
    rows = tx.exec_driver_sql(found).fetchall()
    return (int(rows[0][0]), bytes(rows[0][1])) if rows else None


def noted(tx: Asked, scope: str, key: str) -> Any:
    """The value of a key of ``meta`` in a scope, None where there is none."""
    found = f"SELECT value FROM meta WHERE scope = {quoted(scope)} AND key = {quoted(key)}"  # noqa: S608 - quoted
    rows = tx.exec_driver_sql(found).fetchall()
    return json.loads(rows[0][0]) if rows else None


def quoted(name: str) -> str:
    """A site, chain, stream, scope or key as plain SQL has it. Raises ValueError where it is no name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no name that the database is asked by")
    return f"'{name}'"
