"""Statements of the quarantine, where the bad rows of all runs are kept, and of what goes there at a run's end."""

from __future__ import annotations

from psycopg.sql import SQL, Composed, Literal

from syncengine.model.task import Task
from syncengine.sql.badrows import bad, raw, unreadable
from syncengine.sql.ledger import QUARANTINE
from syncengine.sql.names import ident, in_parameters
from syncengine.sql.staging import PART, row_number

# The labels of records that are read from the quarantine once more; their ids follow.
AGAIN = "quarantine:"


def forget_bad(task: Task) -> Composed:
    """Return the statement after which the run's bad rows are those that are met from here on."""
    return SQL("DELETE FROM {}").format(ident(*bad(task)))


def leave_out(task: Task) -> Composed:
    """Return the statement that takes the bad rows out of the part that is to be published."""
    number = ident(row_number(task))
    return SQL("DELETE FROM {} WHERE {} IN (SELECT number FROM {})").format(
        ident(*PART), number, ident(*bad(task))
    )


def count_bad(task: Task) -> Composed:
    """Return the query for (how many rows are bad, of how many the key can't be read)."""
    filtered = Composed([SQL("0")])
    if task.locks:
        hidden = unreadable(task) if task.keys else SQL("true")
        filtered = SQL("count(*) FILTER (WHERE {})").format(hidden)
    return SQL("SELECT count(*), {} FROM {} AS bad").format(filtered, ident(*bad(task)))


def sample_bad(task: Task) -> Composed:
    """Return the query for the first bad rows, with their places."""
    text = SQL(
        'SELECT raw.place, raw.line, bad.number, bad."column", bad.sqlstate, bad.constraint_name, bad.message'
        " FROM {} AS bad LEFT JOIN {} AS raw USING (number) ORDER BY number LIMIT 20"
    )
    return text.format(ident(*bad(task)), ident(*raw(task)))


def keep(task: Task) -> Composed:
    """Return the statement that puts the run's bad rows into the quarantine."""
    text = SQL(
        "INSERT INTO {} (run, spec, target, place, line, number, byte_from, byte_to,"
        ' "column", sqlstate, constraint_name, message, raw, head, "row", sensitive)'
        " SELECT {}, {}, {}, raw.place, raw.line, bad.number, raw.byte_from, raw.byte_to,"
        ' bad."column", bad.sqlstate, bad.constraint_name, bad.message, raw.raw, head.raw, raw."row", {}'
        " FROM {} AS bad JOIN {} AS raw USING (number)"
        " LEFT JOIN {} AS head ON head.number < 0 AND head.place = raw.place"
        " WHERE NOT EXISTS (SELECT FROM {} AS known WHERE (known.run, known.number) = ({}, bad.number))"
        " ORDER BY bad.number"
    )
    kept = ident(task.spec.ledger_schema, QUARANTINE)
    values = (Literal(task.run), Literal(task.spec.name), Literal(str(task.table)))
    sensitive = Literal(bool(task.spec.sensitive))
    tables = (ident(*bad(task)), ident(*raw(task)), ident(*raw(task)))
    return text.format(kept, *values, sensitive, *tables, kept, Literal(task.run))


def settle(task: Task) -> Composed:
    """Return the statement that marks the rows which were loaded after all."""
    text = SQL(
        "UPDATE {} AS kept SET retried = {} FROM {} AS raw WHERE raw.number > 0"
        " AND kept.id = CAST(substr(raw.place, {}) AS bigint) AND kept.retried IS NULL"
        " AND NOT EXISTS (SELECT FROM {} AS bad WHERE bad.number = raw.number)"
    )
    kept = ident(task.spec.ledger_schema, QUARANTINE)
    skipped = Literal(len(AGAIN) + 1)
    return text.format(kept, Literal(task.run), ident(*raw(task)), skipped, ident(*bad(task)))


def select(
    schema: str, *, run: str | None, spec: str | None, open_only: bool
) -> tuple[Composed, dict[str, str | None]]:
    """Return the query for the rows of one run (its beginning is enough) or spec, with its parameters."""
    text = SQL(
        'SELECT id, run, spec, target, place, line, number, byte_from, byte_to, "column", sqlstate,'
        ' constraint_name, message, raw, head, "row", at, retried, sensitive FROM {} WHERE {} ORDER BY id'
    )
    tests = [
        SQL("(CAST(%(run)s AS text) IS NULL OR run = %(run)s OR starts_with(run, %(run)s || '_'))"),
        SQL("(CAST(%(spec)s AS text) IS NULL OR spec = %(spec)s)"),
        *([SQL("retried IS NULL")] if open_only else []),
    ]
    query = text.format(in_parameters(ident(schema, QUARANTINE)), SQL(" AND ").join(tests))
    return query, {"run": run, "spec": spec}
