"""Every type of Arrow into every type of PostgreSQL: what goes in binary form is what its text would have become."""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from syncengine import catalog
from syncengine.columnar import fields, values
from syncengine.columnar.encoder import Encoder
from syncengine.errors import SyncError
from syncengine.execute.columns import wire
from syncengine.execute.transfer import Some, copy_some
from syncengine.model.facts import ColumnFacts, Handover, SourceFacts
from syncengine.model.steps import CopyIn
from syncengine.resolve.loading import Mapped, stage
from syncengine.sql.staging import copy_binary
from tests.arrays import ARRAYS, MAKE_TYPES, TYPES
from tests.servers import Database

Outcome = tuple[str, object]


@pytest.fixture
def db(emptied: Database) -> Database:
    for statement in MAKE_TYPES:
        emptied.execute(statement)
    return emptied


def step_for(facts: ColumnFacts, *, straight: bool) -> CopyIn:
    """Return the step that copies a field called v into a column of that type: a staging column, or the target's."""
    source = SourceFacts(label="", fields=("v",), handovers=Handover.ARROW)
    ((staged,), _, _) = stage(source, [Mapped(facts=facts, field="v")], False)
    return CopyIn(
        title="",
        sql="",
        schema="pg_temp",
        table="t",
        columns=(staged.column,),
        handover=Handover.ARROW,
        counts="inserted" if straight else None,
    )


def table_of(conn: psycopg.Connection[Any], step: CopyIn, type_name: str) -> None:
    column = sql.Identifier(step.columns[0].column)
    conn.execute("DROP TABLE IF EXISTS t")
    # Among rows that were rolled back, those that come later may lie before others.
    made = sql.SQL("CREATE TEMP TABLE t ({} {}, place serial)")
    conn.execute(made.format(column, sql.SQL(type_name)))


def stored(conn: psycopg.Connection[Any], step: CopyIn) -> list[Any]:
    column = sql.Identifier(step.columns[0].column)
    return conn.execute(sql.SQL("SELECT row({})::text FROM t ORDER BY place").format(column)).fetchall()


def by_text(conn: psycopg.Connection[Any], step: CopyIn, array: Any) -> Outcome:
    """Return what becomes of an array's values as text, which is how the rows of any other source go."""
    try:
        with conn.transaction(force_rollback=True):
            rows = values.rows(pa.record_batch([array], ["v"]))
            copy_some(step, conn, Some(fields=("v",), rows=rows, locate=str))
            return "stored", stored(conn, step)
    except SyncError as error:
        return "refused", error.sqlstate or "22021"  # the driver refuses what is no text itself


def by_binary(conn: psycopg.Connection[Any], step: CopyIn, array: Any) -> Outcome:
    """Return what becomes of them in binary form."""
    try:
        rows = Encoder([wire(step.columns[0], step)], utc=True).rows(pa.record_batch([array], ["v"]))
    except fields.Declined:
        return "declined", None
    try:
        with conn.transaction(force_rollback=True), conn.cursor() as cursor:
            with cursor.copy(copy_binary(("pg_temp", "t"), [step.columns[0].column])) as copy:
                copy.write(fields.HEADER + bytes(rows) + fields.TRAILER)
            return "stored", stored(conn, step)
    except psycopg.Error as error:
        return "refused", error.sqlstate


@pytest.mark.every_server
@pytest.mark.parametrize("straight", [False, True], ids=["staged", "straight"])
def test_binary_form_is_what_the_text_would_have_become(db: Database, straight: bool):
    differing, sent = [], set()
    with psycopg.connect(db.url, autocommit=True) as conn:
        conn.execute("SET TimeZone = 'UTC'")
        known = catalog.types(conn, {name: name for name in TYPES})
        for type_name, facts in known.items():
            step = step_for(facts, straight=straight)
            made = type_name if straight or not facts.rounds else facts.base_type
            table_of(conn, step, made)
            for name, array in ARRAYS.items():
                found = by_binary(conn, step, array)
                if found[0] == "declined":
                    continue
                sent.add((name, type_name))
                expected = by_text(conn, step, array)
                if found != expected:
                    differing.append((name, type_name, found, expected))

    assert differing == [], "\n".join(map(str, differing))
    assert len(sent) > 400
