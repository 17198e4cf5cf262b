"""Statements that only ask the server's opinion, by EXPLAIN: is this expression sound, which index arbitrates."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed

from syncengine.model.spec import Expression
from syncengine.model.task import Key, QualifiedName, Task
from syncengine.sql.clauses import cast, expression, key_list
from syncengine.sql.names import commas, ident


def of_task(task: Task) -> list[tuple[str, Expression, Composed]]:
    """Return (JSON pointer, expression, probe) for every expression of a task that the server should look at."""
    probes: list[tuple[str, Expression, Composed]] = []
    spec = task.spec
    for item in spec.columns:
        column = next((c for c in task.loaded if c.name.casefold() == item.column.casefold()), None)
        if item.expression is not None and column is not None and column.value is not None:
            value = cast(expression(column.value), column.base_type)
            text = SQL("SELECT {} FROM ({}) AS source").format(value, _nothing_staged(task))
            probes.append((f"/columns/{item.column}", item.expression, text))
    for assignment in task.assignments:
        if assignment.expression is not None:
            value = cast(expression(assignment.expression), assignment.base_type)
            probes.append(
                ("/update_columns", assignment.expression, _over_rows(task, SQL("SELECT {}").format(value)))
            )
    if spec.where is not None:
        # In WHERE, so that the server refuses a guard that is not boolean.
        guard = SQL("{} WHERE {}").format(_over_rows(task, SQL("SELECT 1")), expression(spec.where))
        probes.append(("/where", spec.where, guard))
    for number, part in enumerate(task.keys):
        if part.expression is not None:
            probes.append((f"/conflict_keys/{number}", part.expression, _over_target(task, part.expression)))
    if spec.conflict_where is not None:
        probes.append(("/conflict_where", spec.conflict_where, _over_target(task, spec.conflict_where)))
    return probes


def _nothing_staged(task: Task) -> Composed:
    columns = [
        SQL("{} AS {}").format(cast(SQL("NULL"), staged.type), ident(staged.column.column))
        for staged in task.stage
    ]
    return SQL("SELECT {}").format(commas(columns))


def _nothing_loaded(task: Task) -> Composed:
    columns = [
        SQL("{} AS {}").format(cast(SQL("NULL"), column.type), ident(column.name)) for column in task.loaded
    ]
    return SQL("SELECT {}").format(commas(columns))


def _nothing_stored(task: Task) -> Composed:
    columns = [
        SQL("{} AS {}").format(cast(SQL("NULL"), column.type), ident(column.name))
        for column in task.table.columns
    ]
    return SQL("SELECT {}").format(commas(columns))


def _over_rows(task: Task, select: Composable) -> Composed:
    text = SQL("{} FROM ({}) AS excluded, ({}) AS target")
    return text.format(select, _nothing_loaded(task), _nothing_stored(task))


def _over_target(task: Task, value: Expression) -> Composed:
    return SQL("SELECT {} FROM ({}) AS target").format(expression(value, "target"), _nothing_stored(task))


def arbiter(target: QualifiedName, keys: Sequence[Key], predicate: Expression | None) -> Composed:
    """Return the INSERT whose plan names the index that the server would take as arbiter."""
    text = SQL("INSERT INTO {} DEFAULT VALUES ON CONFLICT ({}){} DO NOTHING")
    where = SQL(" WHERE {}").format(expression(predicate)) if predicate is not None else SQL("")
    return text.format(ident(*target), key_list(keys, None), where)
