"""Infer column types from a source that was staged as text, by looking at every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg
from psycopg.rows import TupleRow

from syncengine.connect import wrap
from syncengine.model.task import QualifiedName
from syncengine.sql import inference

# What a column of texts is tried as, the first that holds for all of them; none: text.
_FROM_TEXT = ("boolean", "bigint", "numeric", "uuid", "date", "timestamp", "timestamp with time zone")
# A typed source has said already what is a number: its texts are no numbers, whatever they look like.
_FROM_KINDS: dict[frozenset[str], tuple[str, ...]] = {
    frozenset({"number"}): ("bigint", "numeric", "double precision"),
    frozenset({"boolean"}): ("boolean",),
    frozenset({"json"}): ("jsonb",),
    frozenset({"bytes"}): ("bytea",),
    frozenset({"text"}): ("uuid", "date", "timestamp", "timestamp with time zone"),
    frozenset({"other"}): ("uuid", "date", "timestamp", "timestamp with time zone"),
}
PIN = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"
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
    """Return a type for each column; a column without a value is text."""
    tests = [
        (column, type_name)
        for column in columns
        for type_name in candidates(None if kinds is None else kinds.get(column, frozenset()))
    ]
    fits: dict[str, list[str]] = {column: [] for column in columns}
    try:
        with connection.transaction():
            connection.execute(PIN)
            # PostgreSQL's rows end at 1664 columns.
            for start in range(0, len(tests), 1600):
                some = tests[start : start + 1600]
                row = connection.execute(inference.matches(relation, some)).fetchone()
                assert row is not None
                for (column, type_name), fit in zip(some, row, strict=True):
                    if fit:
                        fits[column].append(type_name)
            return {column: _first(connection, relation, column, fits[column]) for column in columns}
    except psycopg.Error as error:
        raise wrap(error, doing="inferring types") from error


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
