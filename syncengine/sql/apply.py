"""Statements that write to the target: insert, update, delete, create."""

from __future__ import annotations

from collections.abc import Callable

from psycopg.sql import SQL, Composable, Composed, Literal

from syncengine.model.facts import ColumnFacts
from syncengine.model.task import Task
from syncengine.sql.changes import (
    in_key_order,
    of_class,
    same_place,
    same_row_when_written,
    set_column,
    typed,
)
from syncengine.sql.clauses import built_in, conflict_target, key_list, stored, type_of
from syncengine.sql.names import commas, ident, quoted
from syncengine.sql.returned import returning


def create_target(task: Task) -> Composed:
    """Return CREATE TABLE for a target that is missing, with the conflict keys as primary key."""
    columns = [
        SQL("{} {}").format(ident(column.name), type_of(built_in(column.type))) for column in task.loaded
    ]
    names = [part.column for part in task.keys if part.column is not None]
    versions = task.versions
    if versions is not None:
        columns.append(SQL("{} {}").format(ident(versions.valid_from), type_of(built_in(versions.from_type))))
        columns.append(SQL("{} {}").format(ident(versions.valid_to), type_of(built_in(versions.to_type))))
        names.append(versions.valid_from)
    if versions is not None and versions.current is not None:
        columns.append(SQL("{} boolean NOT NULL DEFAULT true").format(ident(versions.current)))
    if task.soft is not None and task.soft.column not in task.columns:
        columns.append(SQL("{} {}").format(ident(task.soft.column), type_of(built_in(task.soft.type))))
    if names:
        columns.append(SQL("PRIMARY KEY ({})").format(quoted(names)))
    return SQL("CREATE TABLE {} ({})").format(ident(*task.target), commas(columns))


def update_changes(task: Task) -> Composed:
    """Return UPDATE for the rows classified as updates, in key order: two writers take their locks in one order.

    Where they were found in that order they stand in it.
    """
    assignments = [
        SQL("{} = {}").format(
            ident(item.column),
            ident("excluded", item.column if item.expression is None else set_column(task, number)),
        )
        for number, item in enumerate(task.assignments)
    ]
    if task.soft is not None:
        live = typed(task.soft.live, task.soft.base_type)
        assignments.append(SQL("{} = {}").format(ident(task.soft.column), live))
    text = SQL("UPDATE {} AS target SET {} FROM ({}) AS excluded WHERE {}")
    changes = of_class(task, "update")
    if task.keys and not task.locks and not in_key_order(task):
        changes = SQL("{} ORDER BY {}").format(changes, key_list(task.keys, "excluded"))
    statement = text.format(stored(task), commas(assignments), changes, same_row_when_written(task))
    return returning(task, "update", statement)


def insert_changes(task: Task) -> Composed:
    """Return INSERT for the rows classified as inserts.

    ON CONFLICT is for writers that came between: under REPEATABLE READ it turns their rows into 40001, which
    starts the classification again.  The rows are not sorted: that costs a tenth of a large first load, and what
    two writers lock here is new to both of them.
    """
    text = SQL("INSERT INTO {} AS target ({}) SELECT {} FROM ({}) AS excluded{}")
    columns, values = [ident(name) for name in task.columns], [_incoming(task)]
    if task.soft is not None and task.soft.stated:
        columns.append(ident(task.soft.column))
        values.append(typed(task.soft.live, task.soft.base_type))
    races: Composable = SQL("")
    if task.arbiter is not None and not task.locks:
        races = SQL(" ON CONFLICT {} DO NOTHING").format(conflict_target(task))
    source = of_class(task, "insert")
    statement = text.format(ident(*task.target), commas(columns), commas(values), source, races)
    return returning(task, "insert", statement)


def delete_changes(task: Task) -> Composed:
    """Return the statement that deletes the rows that are gone, or sets what a soft delete sets."""
    gone = of_class(task, "delete")
    if task.soft is None:
        text = SQL("DELETE FROM {} AS target USING ({}) AS excluded WHERE {}")
        return returning(task, "delete", text.format(stored(task), gone, same_place(task)))
    text = SQL("UPDATE {} AS target SET {} = {} FROM ({}) AS excluded WHERE {}")
    value = typed(task.soft.value, task.soft.base_type)
    column = ident(task.soft.column)
    return returning(task, "delete", text.format(stored(task), column, value, gone, same_place(task)))


def insert_all(task: Task) -> Composed:
    """Return INSERT of all staged rows; a key that is there already is the database's error."""
    text = SQL("INSERT INTO {} AS target ({}) SELECT {} FROM {} AS excluded")
    columns = quoted(task.columns)
    statement = text.format(ident(*task.target), columns, _incoming(task), ident(*task.relation))
    return returning(task, "insert", statement)


def _incoming(task: Task) -> Composed:
    return commas(new_row(task, lambda column: SQL(column.default or "NULL")).values())


def new_row(task: Task, default: Callable[[ColumnFacts], Composable]) -> dict[str, Composable]:
    """Return the loaded values of a new row; a field that a partial row lacks gives the column's default."""
    values: dict[str, Composable] = {name: ident("excluded", name) for name in task.columns}
    text = SQL("CASE WHEN {} = ANY ({}) THEN {} ELSE {} END")
    for column in task.loaded if task.absent is not None else ():
        facts = task.table.column(column.name)
        if column.field is not None and facts is not None and facts.default is not None:
            lacks = ident("excluded", task.absent or "")
            value = values[column.name]
            values[column.name] = text.format(Literal(column.field), lacks, default(facts), value)
    return values
