"""Statements that infer column types from a staging table of texts."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composed, Literal

from syncengine.model.task import QualifiedName
from syncengine.sql.names import commas, ident

_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_ZONE = r"(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)"

# What all of a column's texts must look like.  Leading zeros and plus signs stay text: they are postcodes, phone
# numbers and article numbers.  Integers are always bigint: the next file may hold a larger one.  `decimal` is another
# word for numeric, of values that were numbers before they became texts.
PATTERNS: dict[str, str] = {
    "boolean": r"^(true|false|TRUE|FALSE|True|False)$",
    "bigint": r"^-?(0|[1-9][0-9]{0,17})$",
    "numeric": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$",
    "decimal": r"^(-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?|nan|NaN|-?(inf|Infinity))$",
    "double precision": r"^-?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|inf|nan|Infinity|NaN)$",
    "uuid": r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
    "date": f"^{_DATE}$",
    "timestamp": f"^{_DATE}[ T]{_TIME}$",
    "timestamp with time zone": f"^{_DATE}[ T]{_TIME} ?{_ZONE}$",
    "jsonb": r"^[\[{]",
    "bytea": r"^\\x([0-9a-fA-F]{2})*$",
}


def matches(relation: QualifiedName, tests: Sequence[tuple[str, str]], rows: int | None = None) -> Composed:
    """Return the query with one boolean for each (column, type): all its texts fit; NULL if it has none.

    With `rows`, only so many rows are looked at, whichever come first.
    """
    parts = [
        SQL("bool_and({} ~ {})").format(ident(column), Literal(PATTERNS[type_name]))
        for column, type_name in tests
    ]
    limit = SQL("") if rows is None else SQL(" LIMIT {}").format(Literal(rows))
    text = SQL("SELECT {} FROM (SELECT * FROM {}{}) AS staged")
    return text.format(commas(parts), ident(*relation), limit)


def reads(relation: QualifiedName, column: str, type_name: str) -> Composed:
    """Return the query that fails where a text looks like the type but is not one, such as 2023-02-30."""
    text = SQL("SELECT count(CAST({} AS {})) FROM {}")
    return text.format(ident(column), SQL(type_name), ident(*relation))
