"""One row by its primary key, whether it is there or not: in words that both databases understand."""

import sqlalchemy as sa


def upsert(table: sa.Table) -> sa.TextClause:
    """An INSERT of a whole row, by the names of its columns, that takes the place of the row with the same primary key."""
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key]
    values = ", ".join(f":{name}" for name in names)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    given = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"  # noqa: S608 - a table's own columns
    sql = f"{given} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}"
    return sa.text(sql).bindparams(*(sa.bindparam(column.name, type_=column.type) for column in table.columns))
