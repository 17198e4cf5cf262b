"""Name the operators of extension types with their schema, since the pinned search_path does not find them.

Without that `target.email = excluded.email` on citext columns would find text's equality, and tell case apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from syncengine.model.facts import TableFacts
from syncengine.model.spec import ColumnRef, Expression
from syncengine.model.task import Task

# Schema by operator, by type as the catalog spells it.
Operators = Mapping[str, Mapping[str, str]]
# Rewrites an expression's operators: (expression, (operator, column) -> schema or None) -> expression.
Rewrite = Callable[[Expression, Callable[[str, ColumnRef], str | None]], Expression]


def extension_types(table: TableFacts) -> tuple[str, ...]:
    """Return the types of a table's columns that are not built in; only those are spelt with a schema."""
    return tuple(sorted({column.base_type for column in table.columns if "." in column.base_type}))


def qualify(task: Task, operators: Operators, rewrite: Rewrite) -> Task:
    """Return the task with every operator that stands beside a column of such a type named in full."""

    def schema(operator: str, ref: ColumnRef) -> str | None:
        column = task.table.column(ref.name)
        return operators.get(column.base_type, {}).get(operator) if column is not None else None

    def full(value: Expression | None) -> Expression | None:
        return rewrite(value, schema) if value is not None else None

    delete = replace(task.spec.delete, scope=full(task.spec.delete.scope))
    spec = replace(
        task.spec,
        where=full(task.spec.where),
        conflict_where=full(task.spec.conflict_where),
        delete=delete,
    )
    assignments = tuple(replace(item, expression=full(item.expression)) for item in task.assignments)
    keys = tuple(replace(part, expression=full(part.expression)) for part in task.keys)
    return replace(task, spec=spec, assignments=assignments, keys=keys, predicate=full(task.predicate))
