"""Statements that put every staged row, and every stored row that is gone, into its class."""

from __future__ import annotations

from typing import Literal

from psycopg.sql import SQL, Composable, Composed
from psycopg.sql import Literal as Value

from syncengine.model.spec import Expression
from syncengine.model.task import Assignment, QualifiedName, SoftDelete, Task
from syncengine.sql.clauses import (
    built_in,
    cast,
    changed,
    differs,
    expression,
    incoming_predicate,
    key_list,
    same_key,
    sample,
    stored,
)
from syncengine.sql.names import beside, commas, ident
from syncengine.sql.staging import carried

CHANGES = ("pg_temp", "changes")
# Where the order in which rows lie correlates less with that of their keys, a hash table of all is quicker than going
# along an index, and the order would have to be made (docs/benchmarks.md).
IN_ORDER = 0.8

New = Literal["insert", "skipped"]


def joins_by_key(task: Task) -> bool:
    """Tell whether a change finds its stored row by plain key columns.

    Otherwise it is found by its place, which is quicker: where it cannot move before the transaction ends, as there is
    no other writer, or nothing but this update moves rows (another writer's update is a conflict then, as it is by
    keys); and where keys are expressions or lie in a partial index, so that none of the user's is evaluated under the
    role's own search_path.
    """
    plain = all(part.column is not None for part in task.keys)
    return plain and task.predicate is None and not task.locks and not _stays(task)


def _stays(task: Task) -> bool:
    """Tell whether nothing that the engine's statements set off moves a row of the target, whose place may be read."""
    table = task.table
    ordinary = table.exists and table.relation == "table" and not table.inherited
    # Rights to single columns do not reach to where a row is.
    ordinary &= "SELECT" in table.privileges
    return ordinary and not table.triggers and not table.rules and not table.refers_to_itself


def op_column(task: Task) -> str:
    """Return the name of the column that holds a change's class."""
    return beside(task.columns, "_op")


def place_columns(task: Task) -> tuple[str, str]:
    """Return the names of the columns that hold the place of a change's stored row."""
    return beside(task.columns, "_tid"), beside(task.columns, "_table")


def set_column(task: Task, number: int) -> str:
    """Return the name of the column that holds what the assignment of this number sets."""
    return beside(task.columns, f"_set_{number}")


def place_of_target(task: Task) -> list[Composable]:
    tid, table = place_columns(task)
    return [
        SQL("target.ctid AS {}").format(ident(tid)),
        SQL("target.tableoid AS {}").format(ident(table)),
    ]


def match(task: Task) -> Composed:
    """Return the join of the incoming row with the stored one that it conflicts with."""
    condition = same_key(task.keys, "target", "excluded")
    incoming = incoming_predicate(task)
    if task.predicate is None or incoming is None:
        return condition
    held = expression(task.predicate, "target")
    return SQL("{} AND {} AND {}").format(condition, held, incoming)


def _missing(task: Task) -> Composed:
    """Return the condition that the join found no stored row; a view has no ctid, but its keys are not NULL then."""
    if joins_by_key(task) and not any(part.match_nulls for part in task.keys):
        assert task.keys[0].column is not None
        return SQL("{} IS NULL").format(ident("target", task.keys[0].column))
    return Composed([SQL("target.ctid IS NULL")])


def same_row(task: Task) -> Composed:
    """Return the join of a change with the stored row it was classified against."""
    if joins_by_key(task):
        return same_key(task.keys, "target", "excluded")
    return same_place(task)


def same_row_when_written(task: Task) -> Composed:
    """Return the join of a change with its stored row, which triggers on deletes may have moved since."""
    return same_place(task) if updates_by_place(task) else same_key(task.keys, "target", "excluded")


def updates_by_place(task: Task) -> bool:
    plain = all(part.column is not None for part in task.keys)
    moved = task.keys and plain and task.table.triggers and task.predicate is None
    return not (moved or joins_by_key(task))


def same_place(task: Task) -> Composed:
    tid, table = place_columns(task)
    text = SQL("target.ctid OPERATOR(pg_catalog.=) {} AND target.tableoid OPERATOR(pg_catalog.=) {}")
    return text.format(ident("excluded", tid), ident("excluded", table))


def in_key_order(task: Task) -> bool:
    """Tell whether changes are found in the order of their keys, in which the stored rows lie.

    If the staged rows lie in it as well the join goes along the indexes of both sides, in two thirds of the time of one
    by a hash table, which knows of no order; and what changes need not be sorted for the update.  What is taken out
    row by row is updated in parts that are sorted by themselves.
    """
    lies = task.arbiter is not None and abs(task.arbiter.correlation or 0) >= IN_ORDER
    plain = all(part.column is not None and not part.match_nulls for part in task.keys)
    return lies and plain and updates_by_place(task) and not (task.chunked or task.tolerant)


def classify(task: Task, *, new: New) -> Composed:
    """Return the statement that joins the staged rows once with the target and keeps those that matter.

    `new` is the class of rows whose key is not there yet; where nothing is assigned, rows that differ are skipped.
    Unchanged rows, the bulk of most runs, are kept only where they are to be returned.
    """
    op = ident(op_column(task))
    columns: list[Composable] = [_operation(task, new) + SQL(" AS ") + op]
    columns += [ident("excluded", name) for name in carried(task)]
    columns += _new_values(task)
    if not joins_by_key(task):
        columns += place_of_target(task)
    text = SQL("SELECT {} FROM {} AS excluded LEFT JOIN {} AS target ON {}")
    joined = text.format(commas(columns), ident(*task.relation), stored(task), match(task))
    ordered = SQL(" ORDER BY {}").format(key_list(task.keys, "changes")) if in_key_order(task) else SQL("")
    return keep_changes(task, joined) + ordered


def keep_changes(task: Task, classified: Composed) -> Composed:
    """Return the statement that keeps the rows of a query which are in a class that matters."""
    op = ident(op_column(task))
    keep = Composed([]) if returns_all(task) else SQL(" WHERE {} <> 'unchanged'").format(op)
    text = SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT * FROM ({}) AS changes{}")
    return text.format(ident(*CHANGES), classified, keep)


def _operation(task: Task, new: New) -> Composed:
    """Return the CASE that puts each row into exactly one class, in the order of docs/spec.md §11, rule 1."""
    cases = [SQL("WHEN {} THEN {}").format(_missing(task), Value(new))]
    if task.soft is not None:
        cases.append(SQL("WHEN NOT {} THEN 'update'").format(live(task.soft)))
    if not task.assignments:
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


def live(soft: SoftDelete) -> Composed:
    """Return the condition that a stored row is not softly deleted."""
    value = cast(cast(expression(soft.live), soft.base_type), soft.type)
    return SQL("(NOT {})").format(differs([(ident("target", soft.column), value, soft.identity_equal)]))


def _new_values(task: Task) -> list[Composed]:
    """Return the assigned expressions as columns, so that applying evaluates nothing of the user's."""
    text = SQL("CASE WHEN NOT ({}) THEN {} END AS {}")
    return [
        text.format(_missing(task), new_value(item), ident(set_column(task, number)))
        for number, item in enumerate(task.assignments)
        if item.expression is not None
    ]


def new_value(item: Assignment) -> Composed:
    """Return what an assignment with an expression sets, not yet cut to the type's modifiers."""
    assert item.expression is not None
    return cast(expression(item.expression), item.base_type)


def returns_all(task: Task) -> bool:
    return task.spec.returning is not None and task.spec.returning.rows == "all"


def count_classes(task: Task) -> Composed:
    """Return the query for the counts (insert, update, unchanged, skipped, delete).

    Rows that were not kept are unchanged; they are counted in staging, so that a lost staging row shows.
    """
    op = ident(op_column(task))
    text = SQL(
        "SELECT count(*) FILTER (WHERE {op} = 'insert'), count(*) FILTER (WHERE {op} = 'update'),"
        " (SELECT count(*) FROM {staged}) - count(*) FILTER (WHERE {op} NOT IN ('unchanged', 'delete')),"
        " count(*) FILTER (WHERE {op} = 'skipped'), count(*) FILTER (WHERE {op} = 'delete') FROM {changes}"
    )
    return text.format(op=op, staged=ident(*task.relation), changes=ident(*CHANGES))


def count_target(task: Task) -> Composed:
    """Return the query for the number of rows that a share is taken of: the stored ones, of soft deletes the live."""
    where = SQL(" WHERE {}").format(live(task.soft)) if task.soft is not None else SQL("")
    return SQL("SELECT count(*) FROM {} AS target{}").format(stored(task), where)


def of_class(task: Task, op: str, where: Composable | None = None) -> Composed:
    """Return the changes of one class, of those that meet a condition ` AND …`."""
    text = SQL("SELECT * FROM {} AS excluded WHERE {} OPERATOR(pg_catalog.=) {}{}")
    return text.format(ident(*CHANGES), ident(op_column(task)), Value(op), where or SQL(""))


def lock_table(target: QualifiedName) -> Composed:
    return SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(ident(*target))


def lock_rows(task: Task) -> Composed:
    """Return the statement that locks the stored rows whose keys come in, in key order.

    It goes before the classification in the last, READ COMMITTED attempt: what is then classified stays so.
    """
    text = SQL(
        "WITH locked AS MATERIALIZED (SELECT 1 FROM {} AS target JOIN {} AS excluded ON {} ORDER BY {}"
        " FOR UPDATE OF target) SELECT count(*) FROM locked"
    )
    order = key_list(task.keys, "target")
    return text.format(stored(task), ident(*task.relation), match(task), order)


def check_ambiguous_keys(task: Task, only: Composed | None = None) -> Composed:
    """Return the query for incoming keys that match several stored rows (docs/spec.md §11, rule 9)."""
    text = SQL(
        "SELECT {}, count(*) OVER () FROM {} AS excluded JOIN {} AS target ON {}"
        " GROUP BY {} HAVING count(*) > 1 LIMIT 5"
    )
    keys = key_list(task.keys, "excluded")
    condition = match(task) if only is None else SQL("{} AND {}").format(match(task), only)
    relation, target = ident(*task.relation), stored(task)
    return text.format(sample(task.keys, "excluded"), relation, target, condition, keys)


def typed(value: Expression, base_type: str) -> Composed:
    return cast(expression(value), built_in(base_type))
