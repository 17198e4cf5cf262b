"""Infer column types from a source that was staged as text, by looking at every row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import psycopg
from psycopg.rows import TupleRow

from syncengine.connect import wrap
from syncengine.model.task import QualifiedName
from syncengine.sql import inference

# What a column of texts is tried as, the first that holds for all of them; none: text.
_FROM_TEXT = ("boolean", "bigint", "numeric", "uuid", "date", "timestamp", "timestamp with time zone")
# A typed source has said already what is a number: its texts are no numbers, whatever they look like.
_FROM_KINDS: dict[frozenset[str], tuple[str, ...]] = {
    frozenset({"number"}): ("bigint", "decimal"),
    frozenset({"float"}): ("double precision",),
    # Not double precision, which rounds large integers.
    frozenset({"number", "float"}): ("decimal",),
    frozenset({"boolean"}): ("boolean",),
    frozenset({"json"}): ("jsonb",),
    frozenset({"bytes"}): ("bytea",),
    frozenset({"text"}): ("uuid", "date", "timestamp", "timestamp with time zone"),
    frozenset({"other"}): ("uuid", "date", "timestamp", "timestamp with time zone"),
}
PIN = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"
FIRST_ROWS = 1_000
# A row of PostgreSQL's ends at 1,664 columns.
MOST_RESULTS = 1_600
# These patterns are wider than the type.
_TRIED = ("date", "timestamp", "timestamp with time zone")


def candidates(kinds: frozenset[str] | None) -> tuple[str, ...]:
    """Return the types to try for a column; `kinds` are those of a typed source's values, None for texts.

    >>> candidates(frozenset({"number", "text"}))
    ()
    """
    return _FROM_TEXT if kinds is None else _FROM_KINDS.get(kinds, ())


def infer(
    connection: psycopg.Connection[TupleRow],
    relation: QualifiedName,
    columns: Sequence[str],
    kinds: Mapping[str, frozenset[str]] | None,
) -> dict[str, str]:
    """Return a type for each column; a column without a value is text.

    A first look at some rows leaves few types to try on all of them.
    """
    tests = [
        (column, type_name)
        for column in columns
        for type_name in candidates(None if kinds is None else kinds.get(column, frozenset()))
    ]
    try:
        with connection.transaction():
            connection.execute(PIN)
            likely = [
                test for test, fits in _look(connection, relation, tests, FIRST_ROWS) if fits is not False
            ]
            fitting = [test for test, fits in _look(connection, relation, likely, None) if fits]
            return {
                column: _first(connection, relation, column, [name for one, name in fitting if one == column])
                for column in columns
            }
    except psycopg.Error as error:
        raise wrap(error, doing="inferring types") from error


def _look(
    connection: psycopg.Connection[TupleRow],
    relation: QualifiedName,
    tests: Sequence[tuple[str, str]],
    rows: int | None,
) -> Iterator[tuple[tuple[str, str], bool | None]]:
    """Yield each (column, type) with whether the texts fit; None where there is no text."""
    for some in (tests[start : start + MOST_RESULTS] for start in range(0, len(tests), MOST_RESULTS)):
        found = connection.execute(inference.matches(relation, some, rows)).fetchone()
        assert found is not None
        yield from zip(some, found, strict=True)


def _first(
    connection: psycopg.Connection[TupleRow], relation: QualifiedName, column: str, types: Sequence[str]
) -> str:
    for type_name in types:
        if type_name not in _TRIED or _reads(connection, relation, column, type_name):
            return type_name
    return "text"


def _reads(
    connection: psycopg.Connection[TupleRow], relation: QualifiedName, column: str, type_name: str
) -> bool:
    try:
        with connection.transaction():
            connection.execute(inference.reads(relation, column, type_name))
    except psycopg.DataError:
        return False
    return True
