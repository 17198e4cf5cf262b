"""Statements by which an engine looks for the rows that the target refuses.

What writes to the target reads a view in the place of all rows, which shows those between two numbers.
"""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Literal

from syncengine.model.task import QualifiedName, Task
from syncengine.sql.changes import CHANGES
from syncengine.sql.names import ident
from syncengine.sql.staging import row_number

# Settings of the transaction: between which numbers the rows of a segment lie.
LOW, HIGH = "syncengine.low", "syncengine.high"
WHOLE = ("pg_temp", "whole")


def segmented(task: Task, whole: QualifiedName, segment: QualifiedName = CHANGES) -> tuple[Composed, ...]:
    """Return the statements after which `segment` shows the rows of `whole` between two numbers.

    Deletes have no number in the source; they are given 0.
    """
    number = ident(row_number(task))
    filled = SQL("UPDATE {} SET {} = 0 WHERE {} IS NULL").format(ident(*whole), number, number)
    index = SQL("CREATE INDEX ON {} ({})").format(ident(*whole), number)
    text = SQL(
        "CREATE TEMPORARY VIEW {} AS SELECT * FROM {} WHERE {} >= CAST(current_setting({}) AS bigint)"
        " AND {} < CAST(current_setting({}) AS bigint)"
    )
    view = text.format(ident(segment[1]), ident(*whole), number, Literal(LOW), number, Literal(HIGH))
    return filled, index, view


def rename_changes() -> Composed:
    return SQL("ALTER TABLE {} RENAME TO {}").format(ident(*CHANGES), ident(WHOLE[1]))


def numbers(task: Task, relation: QualifiedName) -> Composed:
    """Return the query for the numbers of the rows in order."""
    number = ident(row_number(task))
    return SQL("SELECT DISTINCT {} FROM {} ORDER BY 1").format(number, ident(*relation))


def bounds(low: int, high: int) -> Composed:
    """Return the statement that sets the segment to the numbers from `low` up to, not including, `high`."""
    text = SQL("SELECT set_config({}, {}, true), set_config({}, {}, true)")
    return text.format(Literal(LOW), Literal(str(low)), Literal(HIGH), Literal(str(high)))


def in_segment(statement: Composable, alias: str, task: Task) -> Composed:
    """Return an INSERT … SELECT over `alias` limited to the rows of the segment."""
    number = ident(alias, row_number(task))
    text = SQL(
        "{} WHERE {} >= CAST(current_setting({}) AS bigint) AND {} < CAST(current_setting({}) AS bigint)"
    )
    return text.format(statement, number, Literal(LOW), number, Literal(HIGH))
