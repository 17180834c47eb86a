"""Integers without limit: whatever goes in comes out, sums are Python's, and anything else in their place is refused."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from photosynth.quantities.assets import ASSETS as KNOWN_ASSETS
from photosynth.storage import Database, StorageError
from photosynth.storage.errors import DamagedAmountError
from photosynth.storage.exact import INT64_MAX, exact_integer, stored_integer, with_exact_sums
from photosynth.storage.prepared import Prepared
from photosynth.storage.tables import ASSETS, BALANCES, POSTING_LINES
from photosynth.storage.types import ExactInteger, exact_sum

EDGES = st.sampled_from([0, 1, INT64_MAX - 1, INT64_MAX, INT64_MAX + 1, 10**19, 40 * 10**18, 10**30, 10**3999])
AMOUNTS = st.one_of(EDGES, st.integers(0, 10**40), st.integers(0, 2 * INT64_MAX))
REFUSED_BY_SCHEMA = [1e20, 1.0, 5.5, "5", "-5", "007", "12a", "", "1e30", str(INT64_MAX), b"\x00", "0" * 30, " " + "9" * 30]
# The schema's patterns end at a zero byte, and it knows no limit of digits; reading refuses these too.
NOT_AMOUNTS = [*REFUSED_BY_SCHEMA, "9" * 5000, "9" * 30 + "\x00"]
NOT_INTEGERS = [*NOT_AMOUNTS, None, True, Decimal("1.5"), Decimal("NaN"), Decimal("Infinity"), "-0", str(-INT64_MAX - 1)]


@given(st.integers(-(10**60), 10**60))
def test_an_integer_is_stored_and_read(value: int) -> None:
    assert exact_integer(stored_integer(value)) == value
    assert exact_integer(Decimal(value)) == value


@pytest.mark.parametrize("stored", NOT_INTEGERS)
def test_what_is_no_integer_is_refused(stored: object) -> None:
    with pytest.raises(DamagedAmountError, match="in place of an amount"):
        exact_integer(stored)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(AMOUNTS, max_size=8))
def test_sums_are_those_of_python(db: Database, amounts: list[int]) -> None:
    add = Prepared(
        "INSERT INTO balances (account, asset, wallet, party, debit, credit) VALUES ('a', 'ETH', '', '', :debit, 0) "
        "ON CONFLICT (account, asset, wallet, party) "
        "DO UPDATE SET debit = exact_add(balances.debit, excluded.debit)",
        "debit",
    )
    with db.begin() as tx:
        tx.execute(BALANCES.delete())
        for amount in amounts:
            add.run(tx, (stored_integer(amount),))
        added = list(tx.execute(sa.select(BALANCES.c.debit)).scalars())
        assert added == ([sum(amounts)] if amounts else [])
        tx.execute(BALANCES.delete())
        for n, amount in enumerate(amounts):
            tx.execute(BALANCES.insert().values(account=str(n), asset="ETH", wallet="", party="", debit=amount, credit=0))
        assert tx.execute(sa.select(exact_sum(BALANCES.c.debit))).scalar_one() == (sum(amounts) if amounts else None)
        assert sorted(tx.execute(sa.select(BALANCES.c.debit)).scalars()) == sorted(amounts)


@pytest.mark.parametrize("stored", [*REFUSED_BY_SCHEMA, -1, str(-(10**30))])
def test_the_schema_refuses_what_is_no_amount(tmp_path: Path, stored: object) -> None:
    with Database(tmp_path / "photosynth.sqlite3") as db:
        for column in ("debit", "credit"):
            values = {"debit": 0, "credit": 0, column: stored}
            with pytest.raises(sa.exc.IntegrityError), db.begin() as tx:
                tx.exec_driver_sql("INSERT INTO balances VALUES ('a', 'ETH', '', '', ?, ?)", (values["debit"], values["credit"]))


@pytest.mark.parametrize("value", [1.0, "1", Decimal(1), True])
def test_only_integers_go_in(db: Database, value: object) -> None:
    with pytest.raises(sa.exc.StatementError, match="not an integer"), db.begin() as tx:
        tx.execute(BALANCES.insert().values(account="a", asset="ETH", wallet="", party="", debit=value, credit=0))


@pytest.mark.parametrize("stored", NOT_AMOUNTS)
def test_a_tampered_row_is_refused_and_says_so(tmp_path: Path, stored: object) -> None:
    path = tmp_path / "photosynth.sqlite3"
    db = Database(path)
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        raw.execute("INSERT INTO balances VALUES ('a', 'ETH', '', '', ?, 0)", (stored,))
    raw.close()
    add = Prepared("UPDATE balances SET debit = exact_add(balances.debit, balances.credit) WHERE account = :a", "a")
    for ask in (
        lambda tx: tx.execute(sa.select(BALANCES.c.debit)).all(),
        lambda tx: tx.execute(sa.select(exact_sum(BALANCES.c.debit))).all(),
        lambda tx: add.run(tx, ("a",)),
    ):
        with pytest.raises(StorageError, match="Restore it from a backup") as caught, db.begin() as tx:
            ask(tx)
        assert caught.value.kind == "corrupt"
    db.close()


def test_postgresql_has_a_plain_counterpart() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    assert str(sa.schema.CreateColumn(BALANCES.c.debit).compile(dialect=dialect)) == "debit NUMERIC NOT NULL"
    assert str(exact_sum(BALANCES.c.debit).compile(dialect=dialect)) == "sum(balances.debit)"
    assert with_exact_sums("SET a = exact_add(t.a, excluded.a)", "postgresql") == "SET a = t.a + excluded.a"
    made = str(sa.schema.CreateTable(POSTING_LINES).compile(dialect=dialect))
    assert "typeof" not in made
    assert "amount = trunc(amount)" in made
    assert ExactInteger().bind_processor(dialect)(10**30) == 10**30  # type: ignore[misc]


def test_a_new_journal_has_the_assets_that_the_program_knows(db: Database) -> None:
    with db.read() as tx:
        rows = tx.execute(sa.select(ASSETS).order_by(ASSETS.c.code)).all()
    assert [tuple(row) for row in rows] == [(a.code, a.name, a.network, a.base_unit, a.decimals) for a in KNOWN_ASSETS]
