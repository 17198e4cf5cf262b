"""Statements for the stored rows that are gone from the source: they are found, marked, and what refers to them."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed
from psycopg.sql import Literal as Value

from syncengine.model.facts import ForeignKeyFacts
from syncengine.model.task import Task
from syncengine.sql.badrows import spared
from syncengine.sql.changes import (
    CHANGES,
    live,
    match,
    of_class,
    op_column,
    place_columns,
    place_of_target,
    same_place,
    set_column,
)
from syncengine.sql.clauses import expression, stored
from syncengine.sql.names import commas, ident

GONE = ("pg_temp", "gone")


def find(task: Task, only: Composed | None = None) -> Composed:
    """Return the statement that finds the stored rows to delete: those that no staged row matches.

    They lie within `delete.scope`, are live, meet `conflict_where` and the condition `only`; no bad row may be theirs.
    The server's processes share the work of filling a new table, as they don't for one that is there already.
    """
    tests: list[Composable] = [
        SQL("NOT EXISTS (SELECT FROM {} AS excluded WHERE {})").format(ident(*task.relation), match(task))
    ]
    if task.spec.delete.scope is not None:
        tests.append(expression(task.spec.delete.scope))
    if task.soft is not None:
        tests.append(live(task.soft))
    if task.spec.conflict_where is not None:
        tests.append(expression(task.spec.conflict_where, "target"))
    if only is not None:
        tests.append(only)
    if task.tolerant:
        tests.append(spared(task))
    text = SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} AS target WHERE {}")
    return text.format(ident(*GONE), commas(place_of_target(task)), stored(task), SQL(" AND ").join(tests))


def mark(task: Task) -> Composed:
    """Return the statement that adds the stored rows to delete to the changes."""
    op, tid, table = (ident(name) for name in (op_column(task), *place_columns(task)))
    text = SQL("INSERT INTO {} ({}, {}, {}) SELECT 'delete', {}, {} FROM {}")
    return text.format(ident(*CHANGES), op, tid, table, tid, table, ident(*GONE))


def check_cascade(task: Task, foreign_key: ForeignKeyFacts) -> Composed:
    """Return the query for rows to delete that rows of another table refer to, which would go with them."""
    other = (foreign_key.schema, foreign_key.table)
    pairs = list(zip(foreign_key.columns, foreign_key.referenced, strict=True))
    joined = SQL(" AND ").join(
        [SQL("{} = {}").format(ident("child", child), ident("target", parent)) for child, parent in pairs]
    )
    if other == task.target:
        joined += _not_saved(task, pairs)
    names = commas(SQL("{}, {}").format(Value(parent), ident("target", parent)) for _, parent in pairs)
    text = SQL(
        "SELECT DISTINCT CAST(jsonb_build_object({}) AS text), count(*) OVER () FROM ({}) AS excluded"
        " JOIN {} AS target ON {} JOIN {} AS child ON {} LIMIT 5"
    )
    target, gone_rows = stored(task), of_class(task, "delete")
    return text.format(names, gone_rows, target, same_place(task), ident(*other), joined)


def _not_saved(task: Task, pairs: Sequence[tuple[str, str]]) -> Composed:
    """Return the condition that a row which refers to a gone one is lost: neither deleted itself, nor moved before."""
    moved = [
        SQL("{} IS DISTINCT FROM {}").format(
            ident("excluded", child if item.expression is None else set_column(task, number)),
            ident("target", parent),
        )
        for number, item in enumerate(task.assignments)
        for child, parent in pairs
        if item.column == child
    ]
    tests = [SQL("excluded.{} = 'delete'").format(ident(op_column(task)))]
    if moved:
        updated = SQL("excluded.{} = 'update'").format(ident(op_column(task)))
        tests.append(SQL("{} AND ({})").format(updated, SQL(" OR ").join(moved)))
    tid, table = (ident("excluded", name) for name in place_columns(task))
    text = SQL(
        " AND NOT EXISTS (SELECT FROM {} AS excluded WHERE {} = child.ctid AND {} = child.tableoid AND ({}))"
    )
    return text.format(ident(*CHANGES), tid, table, SQL(" OR ").join(tests))
