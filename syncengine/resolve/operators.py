"""Name operators, functions and types with their schema, so that the search_path decides on none of them.

Operators of extension types are not found under the pinned path: `target.email = excluded.email` on citext columns
would find text's equality, and tell case apart.  What stands in statements that can fire triggers runs under the
role's own path, where somebody may have put a function that suits the arguments better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from syncengine.model.facts import TableFacts
from syncengine.model.spec import ColumnRef, Expression
from syncengine.model.task import Task
from syncengine.values import replace

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


def in_full(task: Task, rewrite: Callable[[Expression], Expression]) -> Task:
    """Return the task with all named in full that statements under the role's own path hold."""
    keys = tuple(
        part if part.expression is None else replace(part, expression=rewrite(part.expression))
        for part in task.keys
    )
    predicate = None if task.predicate is None else rewrite(task.predicate)
    soft = task.soft
    if soft is not None:
        soft = replace(soft, value=rewrite(soft.value), live=rewrite(soft.live))
    return replace(task, keys=keys, predicate=predicate, soft=soft)
