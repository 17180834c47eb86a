"""The one collection that every table belongs to, with names for constraints that migrations can refer to.

No table draws its keys from a sequence, which leaves gaps: whoever writes, alone, counts on from the last one.
"""

import sqlalchemy as sa

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
"""64 bits in both: SQLite knows one size of integer, and counts a table's rows by a column that is called just so."""
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""A text by whose beginning rows are found: in the order of its bytes, as SQLite has it, whatever the server's language."""
