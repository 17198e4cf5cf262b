"""The target as it would be after a run, as a view over the stored rows and the changes: what previews check.

Columns that the server computes (generated ones, sequences) are NULL in rows that would be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from psycopg.sql import SQL, Composable, Composed

from syncengine.model.facts import ColumnFacts
from syncengine.model.task import Task
from syncengine.sql import changes, versions
from syncengine.sql.apply import new_row
from syncengine.sql.clauses import cast
from syncengine.sql.names import commas, ident

OUTCOME = ("pg_temp", "outcome")
_NUMBERING = "nextval("

Values = Mapping[str, Composable]


def create_view(task: Task) -> Composed:
    """Return the statement that makes the view, once the rows are classified."""
    selects = _of_insert(task) if not (task.keys or task.locks) else _of_changes(task)
    text = SQL("CREATE TEMPORARY VIEW {} AS {}")
    return text.format(ident(OUTCOME[1]), SQL(" UNION ALL ").join(selects))


def _of_insert(task: Task) -> list[Composed]:
    stored = SQL("SELECT {} FROM {} AS target").format(_stored(task, {}), ident(*task.target))
    new = new_row(task, _default)
    added = SQL("SELECT {} FROM {} AS excluded").format(_written(task, new), ident(*task.relation))
    return [stored, added]


def _of_changes(task: Task) -> list[Composed]:
    kept = SQL("SELECT {} FROM {} AS target WHERE NOT EXISTS (SELECT FROM {} AS excluded WHERE {} AND {})")
    op = ident("excluded", changes.op_column(task))
    touched: Composable = SQL("{} IN ('update', 'delete')").format(op)
    if task.versions is not None:
        # The version of a key that returns may take the place of one that ended when it began.
        touched = SQL("({} OR excluded.{})").format(touched, versions.same(task))
    untouched = kept.format(
        _stored(task, {}), ident(*task.target), ident(*changes.CHANGES), touched, changes.same_row(task)
    )
    if task.versions is not None:
        return [untouched, *_of_versions(task)]
    new = new_row(task, _default)
    if task.soft is not None and task.soft.stated:
        new[task.soft.column] = changes.typed(task.soft.live, task.soft.base_type)
    selects = [untouched, _joined(task, "update", _assigned(task)), _inserted(task, "insert", new)]
    if task.soft is not None:
        soft = {task.soft.column: changes.typed(task.soft.value, task.soft.base_type)}
        selects.append(_joined(task, "delete", soft))
    return selects


def _of_versions(task: Task) -> list[Composed]:
    """Return the rows of a history: closed versions, corrected ones and new ones."""
    again = SQL(" AND {}").format(versions.same(task))
    other = SQL(" AND NOT {}").format(versions.same(task))
    new = versions.new_values(task)
    return [
        _joined(task, "delete", versions.closed(task, versions.end_of_gone(task))),
        _joined(task, "update", versions.closed(task, versions.end_of_changed(task)), other),
        _joined(task, "update", {name: ident("excluded", name) for name in task.columns}, again),
        _inserted(task, "update", new, other),
        _inserted(task, "insert", new),
    ]


def _assigned(task: Task) -> dict[str, Composable]:
    values: dict[str, Composable] = {
        item.column: ident(
            "excluded", item.column if item.expression is None else changes.set_column(task, number)
        )
        for number, item in enumerate(task.assignments)
    }
    if task.soft is not None:
        values[task.soft.column] = changes.typed(task.soft.live, task.soft.base_type)
    return values


def _joined(task: Task, op: str, values: Values, where: Composable | None = None) -> Composed:
    """Return the stored rows of a class with these values in place of theirs."""
    text = SQL("SELECT {} FROM ({}) AS excluded JOIN {} AS target ON {}")
    by = changes.same_place if op == "delete" else changes.same_row
    rows = changes.of_class(task, op, where)
    return text.format(_stored(task, values), rows, ident(*task.target), by(task))


def _inserted(task: Task, op: str, values: Values, where: Composable | None = None) -> Composed:
    text = SQL("SELECT {} FROM ({}) AS excluded")
    return text.format(_written(task, values), changes.of_class(task, op, where))


def _stored(task: Task, values: Values) -> Composed:
    return _row(task, values, lambda column: ident("target", column.name))


def _written(task: Task, values: Values) -> Composed:
    return _row(task, values, _default)


def _row(task: Task, values: Values, other: Callable[[ColumnFacts], Composable]) -> Composed:
    """Return all columns of the target in order: those of `values`, cast as an assignment does, and `other` ones."""
    columns = [
        SQL("{} AS {}").format(
            cast(values[column.name], column.type) if column.name in values else other(column),
            ident(column.name),
        )
        for column in task.table.columns
    ]
    return commas(columns)


def _default(column: ColumnFacts) -> Composable:
    """Return a column's default; a sequence is left alone, for a preview must not move it on."""
    known = column.default is not None and _NUMBERING not in column.default
    value = SQL(column.default or "NULL") if known else SQL("NULL")
    return cast(value, column.type)
