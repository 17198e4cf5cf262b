"""Statements over the target: classify the staged rows, apply the changes, return rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from psycopg.sql import SQL, Composable, Composed
from psycopg.sql import Literal as Value

from syncengine.model.spec import Expression
from syncengine.model.task import Task
from syncengine.sql.clauses import (
    cast,
    changed,
    conflict_target,
    expression,
    incoming_predicate,
    key_list,
    same_key,
    sample,
    type_of,
)
from syncengine.sql.names import beside, commas, ident, quoted

CHANGES = ("pg_temp", "changes")
RETURNED = ("pg_temp", "returned")

New = Literal["insert", "skipped"]


def create_target(task: Task) -> Composed:
    """Return CREATE TABLE for a target that is missing, with the conflict keys as primary key."""
    columns = [SQL("{} {}").format(ident(column.name), type_of(column.type)) for column in task.loaded]
    names = [part.column for part in task.keys if part.column is not None]
    if names:
        columns.append(SQL("PRIMARY KEY ({})").format(quoted(names)))
    return SQL("CREATE TABLE {} ({})").format(ident(*task.target), commas(columns))


def joins_by_key(task: Task) -> bool:
    """Tell whether a change finds its stored row by plain key columns.

    Otherwise (expressions, a partial index) it is found by its place, which cannot move before the transaction
    ends, so that no expression of the user's is evaluated under the role's own search_path.
    """
    return task.spec.conflict_where is None and all(part.column is not None for part in task.keys)


def op_column(task: Task) -> str:
    """Return the name of the column that holds a change's class."""
    return beside(task.columns, "_op")


def _place(task: Task) -> tuple[str, str]:
    return beside(task.columns, "_tid"), beside(task.columns, "_table")


def _set_column(task: Task, number: int) -> str:
    return beside(task.columns, f"_set_{number}")


def _match(task: Task) -> Composed:
    """Return the join of the incoming row with the stored one that it conflicts with."""
    condition = same_key(task.keys, "target", "excluded")
    incoming = incoming_predicate(task)
    if task.spec.conflict_where is None or incoming is None:
        return condition
    stored = expression(task.spec.conflict_where, "target")
    return SQL("{} AND {} AND {}").format(condition, stored, incoming)


def _missing(task: Task) -> Composed:
    """Return the condition that the join found no stored row; a view has no ctid, but its keys are not NULL then."""
    if joins_by_key(task) and not any(part.match_nulls for part in task.keys):
        assert task.keys[0].column is not None
        return SQL("{} IS NULL").format(ident("target", task.keys[0].column))
    return Composed([SQL("target.ctid IS NULL")])


def classify(task: Task, *, new: New, update: bool) -> Composed:
    """Return the statement that joins the staged rows once with the target and keeps those that matter.

    `new` is the class of rows whose key is not there yet; without `update`, rows that differ are skipped.
    Unchanged rows, the bulk of most runs, are kept only where they are to be returned.
    """
    op = ident(op_column(task))
    columns: list[Composable] = [_operation(task, new, update) + SQL(" AS ") + op]
    columns += [ident("excluded", name) for name in task.columns]
    if update:
        columns += _new_values(task)
    if not joins_by_key(task):
        tid, table = _place(task)
        columns += [SQL("target.ctid AS {}").format(ident(tid))]
        columns += [SQL("target.tableoid AS {}").format(ident(table))]
    keep = Composed([]) if _returns_all(task) else SQL(" WHERE {} <> 'unchanged'").format(op)
    text = SQL(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT * FROM ("
        "SELECT {} FROM {} AS excluded LEFT JOIN {} AS target ON {}) AS changes{}"
    )
    relation, target = ident(*task.relation), ident(*task.target)
    return text.format(ident(*CHANGES), commas(columns), relation, target, _match(task), keep)


def _operation(task: Task, new: New, update: bool) -> Composed:
    """Return the CASE that puts each row into exactly one class, in the order of docs/spec.md §11, rule 1."""
    cases = [SQL("WHEN {} THEN {}").format(_missing(task), Value(new))]
    if not update:
        cases.append(SQL("WHEN {} THEN 'skipped'").format(changed(task)))
        return SQL("CASE {} ELSE 'unchanged' END").format(SQL(" ").join(cases))
    guard = expression(task.spec.where) if task.spec.where is not None else None
    if task.spec.touch_unchanged:
        cases.append(SQL("WHEN {} THEN 'update'").format(guard or SQL("true")))
        cases.append(SQL("WHEN NOT {} THEN 'unchanged'").format(changed(task)))
        return SQL("CASE {} ELSE 'skipped' END").format(SQL(" ").join(cases))
    cases.append(SQL("WHEN NOT {} THEN 'unchanged'").format(changed(task)))
    if guard is not None:
        cases.append(SQL("WHEN {} IS NOT TRUE THEN 'skipped'").format(guard))
    return SQL("CASE {} ELSE 'update' END").format(SQL(" ").join(cases))


def _new_values(task: Task) -> list[Composed]:
    """Return the assigned expressions as columns, so that applying evaluates nothing of the user's."""
    text = SQL("CASE WHEN NOT ({}) THEN {} END AS {}")
    return [
        text.format(_missing(task), _typed(item.expression, item.base_type), ident(_set_column(task, number)))
        for number, item in enumerate(task.assignments)
        if item.expression is not None
    ]


def _typed(value: Expression, base_type: str) -> Composed:
    return cast(expression(value), base_type)


def _returns_all(task: Task) -> bool:
    return task.spec.returning is not None and task.spec.returning.rows == "all"


def count_classes(task: Task) -> Composed:
    """Return the query for the counts (insert, update, unchanged, skipped) of all staged rows.

    Rows that were not kept are unchanged; they are counted in staging, so that a lost staging row shows.
    """
    op = ident(op_column(task))
    text = SQL(
        "SELECT count(*) FILTER (WHERE {op} = 'insert'), count(*) FILTER (WHERE {op} = 'update'),"
        " (SELECT count(*) FROM {staged}) - count(*) FILTER (WHERE {op} <> 'unchanged'),"
        " count(*) FILTER (WHERE {op} = 'skipped') FROM {changes}"
    )
    return text.format(op=op, staged=ident(*task.relation), changes=ident(*CHANGES))


def _changes(task: Task, op: str) -> Composed:
    """Return the changes of one class."""
    text = SQL("SELECT * FROM {} AS excluded WHERE {} OPERATOR(pg_catalog.=) {}")
    return text.format(ident(*CHANGES), ident(op_column(task)), Value(op))


def _same_row(task: Task) -> Composed:
    """Return the join of a change with the stored row it was classified against."""
    if joins_by_key(task):
        return same_key(task.keys, "target", "excluded")
    tid, table = _place(task)
    text = SQL("target.ctid OPERATOR(pg_catalog.=) {} AND target.tableoid OPERATOR(pg_catalog.=) {}")
    return text.format(ident("excluded", tid), ident("excluded", table))


def update_changes(task: Task) -> Composed:
    """Return UPDATE for the rows classified as updates, in key order: two writers take their locks in one order."""
    assignments = [
        SQL("{} = {}").format(
            ident(item.column),
            ident("excluded", item.column if item.expression is None else _set_column(task, number)),
        )
        for number, item in enumerate(task.assignments)
    ]
    text = SQL("UPDATE {} AS target SET {} FROM ({}) AS excluded WHERE {}")
    changes = SQL("{} ORDER BY {}").format(_changes(task, "update"), key_list(task.keys, "excluded"))
    statement = text.format(ident(*task.target), commas(assignments), changes, _same_row(task))
    return _returning(task, "update", statement)


def insert_changes(task: Task) -> Composed:
    """Return INSERT for the rows classified as inserts.

    ON CONFLICT is for writers that came between: under REPEATABLE READ it turns their rows into 40001, which
    starts the classification again.  The rows are not sorted: that costs a tenth of a large first load, and what
    two writers lock here is new to both of them.
    """
    text = SQL("INSERT INTO {} AS target ({}) SELECT {} FROM ({}) AS excluded ON CONFLICT {} DO NOTHING")
    columns = quoted(task.columns)
    source = _changes(task, "insert")
    statement = text.format(
        ident(*task.target), columns, quoted(task.columns, "excluded"), source, conflict_target(task)
    )
    return _returning(task, "insert", statement)


def insert_all(task: Task) -> Composed:
    """Return INSERT of all staged rows; a key that is there already is the database's error."""
    text = SQL("INSERT INTO {} AS target ({}) SELECT {} FROM {} AS excluded")
    columns, values = quoted(task.columns), quoted(task.columns, "excluded")
    statement = text.format(ident(*task.target), columns, values, ident(*task.relation))
    return _returning(task, "insert", statement)


def lock_rows(task: Task) -> Composed:
    """Return the statement that locks the stored rows whose keys come in, in key order.

    It goes before the classification in the last, READ COMMITTED attempt: what is then classified stays so.
    """
    text = SQL(
        "WITH locked AS MATERIALIZED (SELECT 1 FROM {} AS target JOIN {} AS excluded ON {} ORDER BY {}"
        " FOR UPDATE OF target) SELECT count(*) FROM locked"
    )
    order = key_list(task.keys, "target")
    return text.format(ident(*task.target), ident(*task.relation), _match(task), order)


def check_ambiguous_keys(task: Task) -> Composed:
    """Return the query for incoming keys that match several stored rows (docs/spec.md §11, rule 9)."""
    text = SQL(
        "SELECT {}, count(*) OVER () FROM {} AS excluded JOIN {} AS target ON {}"
        " GROUP BY {} HAVING count(*) > 1 LIMIT 5"
    )
    keys = key_list(task.keys, "excluded")
    relation, target = ident(*task.relation), ident(*task.target)
    return text.format(sample(task.keys, "excluded"), relation, target, _match(task), keys)


def create_returned(task: Task) -> Composed:
    """Return the empty table that collects the rows which `returning` asks for."""
    text = SQL(
        "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {}, CAST('' AS text) AS {} FROM {} AS target WITH NO DATA"
    )
    columns = _returned_columns(task)
    return text.format(
        ident(*RETURNED), quoted(columns, "target"), ident(_returned_op(columns)), ident(*task.target)
    )


def _returned_columns(task: Task) -> Sequence[str]:
    return task.spec.returning.columns if task.spec.returning else ()


def _returned_op(columns: Sequence[str]) -> str:
    return beside(columns, "_op")


def _returning(task: Task, op: str, statement: Composed) -> Composed:
    """Return `statement` so that the rows it writes are kept as well; its row count stays the same."""
    if task.spec.returning is None:
        return statement
    text = SQL("WITH written AS ({} RETURNING {}) INSERT INTO {} SELECT written.*, {} FROM written")
    columns = quoted(_returned_columns(task), "target")
    return text.format(statement, columns, ident(*RETURNED), Value(op))


def returned_rows(task: Task) -> Composed:
    """Return the query for the rows to hand out: those written, with `all` also those left as they were."""
    columns = _returned_columns(task)
    names = quoted([*columns, _returned_op(columns)])
    query = SQL("SELECT {} FROM {}").format(names, ident(*RETURNED))
    if _returns_all(task) and task.keys:
        text = SQL(
            "{} UNION ALL SELECT {}, excluded.{} FROM {} AS excluded JOIN {} AS target ON {}"
            " WHERE excluded.{} OPERATOR(pg_catalog.=) ANY ('{{unchanged,skipped}}')"
        )
        op = ident(op_column(task))
        target = quoted(columns, "target")
        query = text.format(query, target, op, ident(*CHANGES), ident(*task.target), _same_row(task), op)
    keys = [part.column for part in task.keys if part.column in columns and part.column]
    return SQL("{} ORDER BY {}").format(query, quoted(keys)) if keys else query
