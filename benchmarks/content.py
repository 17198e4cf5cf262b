"""What a table must hold after a case, and what it holds: as numbers that can be compared."""

from __future__ import annotations

from pathlib import Path

from psycopg import Connection

from benchmarks.cases import Case
from benchmarks.server import copy_in
from benchmarks.shapes import TARGET, Shape

Content = dict[str, int]


def content(conn: Connection, shape: Shape, relation: str = TARGET) -> Content:
    """Return the number of rows, and for each column a sum of hashes in which each value is tied to its key.

    Values are cast to the column's type first: a tool that made a table of other types is judged by what it holds.
    """
    key = f'"{shape.names[0]}"::bigint'
    sums = ", ".join(
        # `attrs` by way of text: where a tool made it a text, that is what it holds.
        f"""sum(hashtextextended(coalesce("{column.name}"{_cast(column.type)}::text, '<NULL>'), {key})::numeric)"""
        for column in shape.columns
    )
    with conn.transaction():
        conn.execute("SET LOCAL TimeZone = 'UTC'")
        # A hundred sums a statement: more would be slow, as each row carries all of them.
        row = conn.execute(f"SELECT count(*), {sums} FROM {relation}".encode()).fetchone()
    assert row is not None
    return {name: int(value or 0) for name, value in zip(("rows", *shape.names), row, strict=True)}


def _cast(kind: str) -> str:
    return "::text::jsonb" if kind == "jsonb" else f"::{kind}"


def expected(conn: Connection, case: Case, source: Path) -> Content:
    """Return what the table must hold; `conn` is to the state the case starts from, and leaves it as it is.

    Said as plainly as SQL can: the rows that win from either side.
    """
    names = ", ".join(f"excluded.{name}" for name in case.shape.names)
    stored = names.replace("excluded.", "target.")
    key = case.shape.names[0]
    wins = f"target.{key} IS NULL OR ({case.guard or 'true'})"
    keeps = [] if case.mode == "mirror" else [f"excluded.{key} IS NULL"]
    if case.guard:
        keeps.append(f"excluded.{key} IS NOT NULL AND ({case.guard}) IS NOT TRUE")
    joined = f"expected AS excluded FULL JOIN {TARGET} AS target ON excluded.{key} = target.{key}"
    stays = f" UNION ALL SELECT {stored} FROM {joined} WHERE {' OR '.join(keeps)}" if keeps else ""
    query = f"(SELECT {names} FROM {joined} WHERE excluded.{key} IS NOT NULL AND ({wins}){stays}) AS whole"
    conn.execute(f"CREATE TEMP TABLE expected (LIKE {TARGET})".encode())
    copy_in(conn, "expected", source)
    conn.execute("ANALYZE expected")
    return content(conn, case.shape, query)
