"""Statements that make the loaded columns of the staged fields: expressions, lookups, and no rounding."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from psycopg.sql import SQL, Composable, Composed, Literal

from syncengine.model.task import Joined, Loaded, MatchColumn, QualifiedName, Rounding, Task
from syncengine.sql.clauses import cast, expression
from syncengine.sql.names import commas, ident, operator
from syncengine.sql.staging import keeps_order, row_number


def convert(task: Task, stage: QualifiedName, load: QualifiedName) -> Composed:
    """Return the statement that computes the loaded columns from the staged fields."""
    columns = [ident(column.name) for column in task.loaded]
    values = [_converted(column) for column in task.loaded]
    if keeps_order(task):
        columns.append(ident(row_number(task)))
        values.append(Composed([ident("source", row_number(task))]))
    if task.absent is not None:
        columns.append(ident(task.absent))
        values.append(Composed([ident("source", task.absent)]))
    return _convert(task, stage, load, columns, values)


def convert_one(task: Task, column: Loaded, stage: QualifiedName, load: QualifiedName) -> Composed:
    """Return the statement that computes one of the loaded columns, to learn whether it can be computed."""
    return _convert(task, stage, load, [ident(column.name)], [_converted(column)])


def convert_some(task: Task, names: Collection[str], stage: QualifiedName, load: QualifiedName) -> Composed:
    """Return the statement that computes only these of the loaded columns, and keeps the rows' numbers."""
    chosen = [column for column in task.loaded if column.name in names]
    columns = [*(ident(column.name) for column in chosen), ident(row_number(task))]
    values = [*(_converted(column) for column in chosen), Composed([ident("source", row_number(task))])]
    return _convert(task, stage, load, columns, values)


def _convert(
    task: Task,
    stage: QualifiedName,
    load: QualifiedName,
    columns: Sequence[Composable],
    values: Sequence[Composed],
) -> Composed:
    text = SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS source{}")
    joins = Composed(
        [
            SQL(" LEFT JOIN {} AS {} ON {}").format(
                ident(*joined.table), ident(joined.alias), found_in(joined)
            )
            for joined in task.lookups
        ]
    )
    return text.format(ident(*load), commas(columns), commas(values), ident(*stage), joins)


def found_in(joined: Joined) -> Composed:
    """Return the condition that a row of the looked-up table is the one."""
    return SQL(" AND ").join(
        [
            SQL("{} {} {}").format(ident(joined.alias, item.column), operator(item.equality), _sought(item))
            for item in joined.match
        ]
    )


def _sought(item: MatchColumn) -> Composed:
    return cast(expression(item.value), item.base_type)


def natural_key(joined: Joined) -> Composed:
    """Return what is looked up as JSON text, for error messages."""
    pairs = [SQL("{}, {}").format(Literal(item.column), _sought(item)) for item in joined.match]
    return SQL("CAST(json_build_object({}) AS text)").format(commas(pairs))


def check_unresolved(joined: Joined, stage: QualifiedName) -> Composed:
    """Return the query for natural keys that a lookup finds no row for; NULL finds none."""
    text = SQL(
        "SELECT sample, count(*) OVER () FROM (SELECT {} AS sample FROM {} AS source"
        " WHERE NOT EXISTS (SELECT FROM {} AS {} WHERE {})) AS unresolved GROUP BY sample LIMIT 5"
    )
    table, alias = ident(*joined.table), ident(joined.alias)
    return text.format(natural_key(joined), ident(*stage), table, alias, found_in(joined))


def check_ambiguous_lookup(joined: Joined, stage: QualifiedName) -> Composed:
    """Return the query for natural keys that a lookup finds several rows for (docs/spec.md §11, rule 11)."""
    columns = commas(ident(joined.alias, item.column) for item in joined.match)
    pairs = commas(
        SQL("{}, {}").format(Literal(item.column), ident(joined.alias, item.column)) for item in joined.match
    )
    text = SQL(
        "SELECT CAST(json_build_object({}) AS text), count(*) OVER () FROM {} AS {}"
        " WHERE EXISTS (SELECT FROM {} AS source WHERE {}) GROUP BY {} HAVING count(*) > 1 LIMIT 5"
    )
    alias = ident(joined.alias)
    return text.format(pairs, ident(*joined.table), alias, ident(*stage), found_in(joined), columns)


def _converted(column: Loaded) -> Composed:
    """Return a column's value, cast to the type without its modifiers.

    It is then assigned: a cast to varchar(3) would cut a text without a word, the assignment refuses it.
    """
    if column.value is None:
        return Composed([ident("source", column.name)])
    return cast(expression(column.value), column.base_type)


def check_rounding(roundings: Sequence[Rounding], stage: QualifiedName) -> Composed:
    """Return the query for rows with values that a cast on their way into a column would change, in one scan.

    A sample is a JSON object: field → [column, type, value].
    """
    tests = [changed_by(item) for item in roundings]
    pair = SQL("{}, CASE WHEN {} THEN json_build_array({}, {}, CAST({} AS text)) END")
    values = commas(
        pair.format(Literal(item.field), test, Literal(item.column), Literal(item.type), ident(item.staged))
        for item, test in zip(roundings, tests, strict=True)
    )
    sampled = SQL("CAST(json_strip_nulls(json_build_object({})) AS text)").format(values)
    text = SQL("SELECT {}, count(*) OVER () FROM {} WHERE {} LIMIT 5")
    return text.format(sampled, ident(*stage), SQL(" OR ").join(tests))


def changed_by(rounding: Rounding) -> Composed:
    """Return the condition that a cast changes the staged value."""
    value: Composable = ident(rounding.staged)
    for type_name in rounding.casts:
        value = cast(value, type_name)
    back = cast(cast(value, rounding.type), rounding.casts[-1])
    return SQL("{} IS DISTINCT FROM {}").format(value, back)
