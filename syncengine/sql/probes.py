"""Statements that only ask the server's opinion, by EXPLAIN: is this expression sound, which index arbitrates."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed

from syncengine.model.spec import Expression
from syncengine.model.task import Key, QualifiedName, Task
from syncengine.sql.clauses import cast, expression, key_list
from syncengine.sql.names import commas, ident

Probe = tuple[str, Expression, Composed]


def of_task(task: Task) -> list[Probe]:
    """Return (JSON pointer, expression, probe) for every expression of a task that the server should look at."""
    return [*_of_source(task), *_of_rows(task), *_of_target(task)]


def _of_source(task: Task) -> list[Probe]:
    """Return the probes of expressions over the staged fields."""
    probes: list[Probe] = []
    for joined in task.lookups:
        for match in joined.match:
            value = cast(expression(match.value), match.base_type)
            text = SQL("SELECT {} FROM ({}) AS source").format(value, _nothing_staged(task))
            probes.append((f"/lookups/{joined.column}/match/{match.column}", match.value, text))
    for item in task.spec.columns:
        column = next((c for c in task.loaded if c.name.casefold() == item.column.casefold()), None)
        if item.expression is not None and column is not None and column.value is not None:
            value = cast(expression(column.value), column.base_type)
            text = SQL("SELECT {} FROM ({}) AS source").format(value, _nothing_staged(task))
            probes.append((f"/columns/{item.column}", item.expression, text))
    return probes


def _of_rows(task: Task) -> list[Probe]:
    """Return the probes of expressions over incoming and stored rows."""
    probes: list[Probe] = []
    spec = task.spec
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
    versions, since = task.versions, spec.history.since
    if versions is not None and since is not None:
        value = cast(expression(since), versions.from_type)
        probes.append(("/history/valid_from", since, _over_rows(task, SQL("SELECT {}").format(value))))
    return probes


def _of_target(task: Task) -> list[Probe]:
    """Return the probes of expressions over stored rows alone."""
    probes: list[Probe] = []
    spec = task.spec
    if spec.delete.scope is not None:
        scope = SQL("{} WHERE {}").format(_over_rows(task, SQL("SELECT 1")), expression(spec.delete.scope))
        probes.append(("/delete/scope", spec.delete.scope, scope))
    if task.soft is not None:
        for pointer, item in (("/delete/soft", task.soft.value), ("/delete/live", task.soft.live)):
            value = cast(expression(item), task.soft.base_type)
            probes.append((pointer, item, _over_rows(task, SQL("SELECT {}").format(value))))
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
    if task.absent is not None:
        columns.append(SQL("CAST(NULL AS text[]) AS {}").format(ident(task.absent)))
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


def check(sql: str) -> Composed:
    """Return the query that the server refuses unless a check's query gives one boolean."""
    return Composed([SQL("SELECT 1 WHERE (\n"), SQL(sql), SQL("\n)")])


def arbiter(target: QualifiedName, keys: Sequence[Key], predicate: Expression | None) -> Composed:
    """Return the INSERT whose plan names the index that the server would take as arbiter."""
    text = SQL("INSERT INTO {} DEFAULT VALUES ON CONFLICT ({}){} DO NOTHING")
    where = SQL(" WHERE {}").format(expression(predicate)) if predicate is not None else SQL("")
    return text.format(ident(*target), key_list(keys, None), where)
