"""Statements of `replace` without a key: what is staged and what is stored, compared as multisets of rows."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed

from syncengine.model.task import Task
from syncengine.sql.changes import keep_changes, new_value, op_column, place_columns
from syncengine.sql.clauses import cast, stored
from syncengine.sql.names import beside, commas, ident


def compare(task: Task) -> Composed:
    """Return the statement that pairs each staged row with a stored one of the same image, as long as there are any.

    Images are the rows' texts: they tell 1.0 from 1.00 and need no operator of the type.  What is not loaded counts
    with its default; what depends on the run's time does not count.
    """
    image, copy, op = (beside(task.columns, name) for name in ("_image", "_copy", "_op"))
    tid, table = place_columns(task)
    text = SQL(
        "SELECT CASE WHEN target.{tid} IS NULL THEN 'insert' WHEN excluded.{copy} IS NULL THEN 'delete'"
        " ELSE 'unchanged' END AS {op}, {columns}, target.{tid}, target.{table}"
        " FROM (SELECT excluded.*, {new} FROM {relation} AS excluded) AS excluded FULL JOIN"
        " (SELECT target.ctid AS {tid}, target.tableoid AS {table}, {old} FROM {target} AS target) AS target"
        " ON excluded.{image} = target.{image} AND excluded.{copy} = target.{copy}"
    )
    assert op == op_column(task)
    compared = [column.name for column in task.loaded if not column.stable]
    resets = [item for item in task.resets if item.compared]
    new = [
        *(ident("excluded", name) for name in compared),
        *(cast(new_value(item), item.type) for item in resets),
    ]
    old = [*(ident("target", name) for name in compared), *(ident("target", item.column) for item in resets)]
    joined = text.format(
        tid=ident(tid),
        table=ident(table),
        copy=ident(copy),
        image=ident(image),
        op=ident(op),
        columns=commas(ident("excluded", name) for name in task.columns),
        new=_image(new, image, copy),
        old=_image(old, image, copy),
        relation=ident(*task.relation),
        target=stored(task),
    )
    return keep_changes(task, joined)


def _image(values: Sequence[Composable], image: str, copy: str) -> Composed:
    """Return a row's image, and its number among the rows of the same image."""
    text = SQL("CAST(ROW({}) AS text) COLLATE {}").format(commas(values), ident("pg_catalog", "C"))
    both = SQL("{} AS {}, row_number() OVER (PARTITION BY {}) AS {}")
    return both.format(text, ident(image), text, ident(copy))
