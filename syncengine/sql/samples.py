"""Queries for a few rows of each class, for previews."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg.sql import SQL, Composable, Composed, Literal

from syncengine.model.masking import hides
from syncengine.model.steps import Sample, Written
from syncengine.model.task import Assignment, Loaded, QualifiedName, Task
from syncengine.sql.changes import CHANGES, of_class, op_column, same_place, same_row, set_column, typed
from syncengine.sql.clauses import key, stored
from syncengine.sql.names import commas, ident

MOST_ROWS = 5
_MASK = "***"
_MASK_CHANGED = "***(changed)"

Named = tuple[str, Composable]


def of_changes(task: Task, *, deletes: bool) -> tuple[Sample, ...]:
    """Return the samples of classified rows: deletes first, for they matter most."""
    return (*((_deleted(task),) if deletes else ()), _updated(task), _inserted(task, CHANGES))


def of_staged(task: Task) -> tuple[Sample, ...]:
    """Return the sample of an insert, whose rows are not classified."""
    return (_inserted(task, task.relation),)


def _inserted(task: Task, relation: QualifiedName) -> Sample:
    new = [(column.name, _new(task, column)) for column in task.loaded]
    where: Composable = SQL("")
    if relation == CHANGES:
        where = SQL(" WHERE excluded.{} OPERATOR(pg_catalog.=) 'insert'").format(ident(op_column(task)))
    rows = SQL("{} AS excluded{}").format(ident(*relation), where)
    return _sample(task, "insert", rows, "excluded", old=None, new=new)


def _updated(task: Task) -> Sample:
    loaded = {column.name: column for column in task.loaded}
    new: list[Named] = [
        (item.column, _incoming(loaded[item.column]) if item.expression is None else _set(task, number, item))
        for number, item in enumerate(task.assignments)
    ]
    if task.soft is not None:
        new.append((task.soft.column, typed(task.soft.live, task.soft.base_type)))
    if task.versions is not None:
        new = [(column.name, _incoming(column)) for column in task.versions.tracked]
    old = [(name, ident("target", name)) for name, _ in new]
    rows = _joined(task, "update", same_row(task))
    return _sample(task, "update", rows, "excluded", old=old, new=new)


def _incoming(column: Loaded) -> Composable:
    """Return an incoming value.  One that depends on the run's time is shown as its expression: no two are equal."""
    if column.stable and column.value is not None:
        return Literal(column.value.text)
    return ident("excluded", column.name)


def _new(task: Task, column: Loaded) -> Composable:
    """Return a new row's value; where a partial row lacks it, that it is the column's default."""
    facts = task.table.column(column.name)
    if task.absent is None or column.field is None or facts is None or facts.default is None:
        return _incoming(column)
    text = SQL("CASE WHEN {} OPERATOR(pg_catalog.=) ANY ({}) THEN 'DEFAULT' ELSE CAST({} AS text) END")
    return text.format(Literal(column.field), ident("excluded", task.absent), _incoming(column))


def _set(task: Task, number: int, item: Assignment) -> Composable:
    """Return what an assignment's expression sets; what is not compared is shown as the expression."""
    assert item.expression is not None
    return ident("excluded", set_column(task, number)) if item.compared else Literal(item.expression.text)


def _deleted(task: Task) -> Sample:
    old = [(name, ident("target", name)) for name in task.columns]
    return _sample(task, "delete", _joined(task, "delete", same_place(task)), "target", old=old, new=None)


def _joined(task: Task, op: str, condition: Composed) -> Composed:
    return SQL("({}) AS excluded JOIN {} AS target ON {}").format(of_class(task, op), stored(task), condition)


def _sample(
    task: Task,
    op: Written,
    rows: Composable,
    relation: str,
    *,
    old: Sequence[Named] | None,
    new: Sequence[Named] | None,
) -> Sample:
    keys = [(part.text, key(part, relation)) for part in task.keys]
    order = commas(value for _, value in keys) if keys else _row_text(old or new or ())
    text = SQL("SELECT {}, {}, {} FROM {} ORDER BY {} LIMIT {}")
    statement = text.format(
        _object(_key(task, keys)),
        _object(_masked(task, old)) if old is not None else SQL("NULL"),
        _object(_masked(task, new, old)) if new is not None else SQL("NULL"),
        rows,
        order,
        Literal(MOST_ROWS),
    )
    return Sample(title=f"sample of {op}", sql=statement.as_string(), op=op)


def _key(task: Task, keys: Sequence[Named]) -> list[Named]:
    """Return the key, masked where it is, or is computed from, a sensitive column."""
    return [
        (name, Literal(_MASK) if hides(task, part) else value)
        for part, (name, value) in zip(task.keys, keys, strict=True)
    ]


def _row_text(values: Sequence[Named]) -> Composed:
    return SQL("CAST(ROW({}) AS text)").format(commas(value for _, value in values))


def _masked(task: Task, values: Sequence[Named], old: Sequence[Named] | None = None) -> list[Named]:
    """Return the values with those of sensitive columns hidden; that one changes still shows."""
    before = dict(old or ())
    return [
        (name, _hidden(value, before.get(name)) if name in task.spec.sensitive else value)
        for name, value in values
    ]


def _hidden(new: Composable, old: Composable | None) -> Composable:
    if old is None:
        return Literal(_MASK)
    text = SQL("CASE WHEN CAST({} AS text) IS DISTINCT FROM CAST({} AS text) THEN {} ELSE {} END")
    return text.format(old, new, Literal(_MASK_CHANGED), Literal(_MASK))


def _object(values: Iterable[Named]) -> Composed:
    """Return the values as a JSON object of texts."""
    pairs = list(values)
    names = commas(Literal(name) for name, _ in pairs)
    texts = commas(SQL("CAST({} AS text)").format(value) for _, value in pairs)
    return SQL("json_object(CAST(ARRAY[{}] AS text[]), CAST(ARRAY[{}] AS text[]))").format(names, texts)
