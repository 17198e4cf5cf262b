"""Statements that collect and hand out the rows which `returning` asks for."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composed
from psycopg.sql import Literal as Value

from syncengine.model.task import Task
from syncengine.sql.changes import CHANGES, op_column, returns_all, same_row
from syncengine.sql.clauses import stored
from syncengine.sql.names import beside, ident, quoted

RETURNED = ("pg_temp", "returned")


def create_returned(task: Task) -> Composed:
    """Return the empty table that collects the rows."""
    text = SQL(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {}, CAST('' AS text) AS {} FROM {} AS target WITH NO DATA"
    )
    columns = _columns(task)
    return text.format(ident(*RETURNED), quoted(columns, "target"), ident(_op(columns)), ident(*task.target))


def _columns(task: Task) -> Sequence[str]:
    return task.spec.returning.columns if task.spec.returning else ()


def _op(columns: Sequence[str]) -> str:
    return beside(columns, "_op")


def returning(task: Task, op: str, statement: Composed) -> Composed:
    """Return `statement` so that the rows it writes are kept as well; its row count stays the same."""
    if task.spec.returning is None:
        return statement
    text = SQL("WITH written AS ({} RETURNING {}) INSERT INTO {} SELECT written.*, {} FROM written")
    columns = quoted(_columns(task), "target")
    return text.format(statement, columns, ident(*RETURNED), Value(op))


def returned_rows(task: Task) -> Composed:
    """Return the query for the rows to hand out: those written, with `all` also those left as they were."""
    columns = _columns(task)
    names = quoted([*columns, _op(columns)])
    query = SQL("SELECT {} FROM {}").format(names, ident(*RETURNED))
    if returns_all(task) and (task.keys or task.locks):
        text = SQL(
            "{} UNION ALL SELECT {}, excluded.{} FROM {} AS excluded JOIN {} AS target ON {}"
            " WHERE excluded.{} OPERATOR(pg_catalog.=) ANY ('{{unchanged,skipped}}')"
        )
        op = ident(op_column(task))
        target = quoted(columns, "target")
        query = text.format(query, target, op, ident(*CHANGES), stored(task), same_row(task), op)
    keys = [part.column for part in task.keys if part.column in columns and part.column]
    return SQL("{} ORDER BY {}").format(query, quoted(keys)) if keys else query
