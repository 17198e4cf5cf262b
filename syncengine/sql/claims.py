"""Statements of which sources a spec has published, where publishing one twice would count it twice."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Literal

from syncengine.model.task import QualifiedName, Task
from syncengine.sql.ledger import PUBLISHED
from syncengine.sql.names import commas, ident


def fingerprint(stage: QualifiedName, columns: list[str]) -> Composed:
    """Return the query for what the staged fields amount to, whatever their order."""
    text = SQL(
        "SELECT concat_ws('-', count(*), sum(CAST(hashtextextended(image, 0) AS numeric)),"
        " sum(CAST(hashtextextended(image, 1) AS numeric)))"
        " FROM (SELECT CAST(ROW({}) AS text) AS image FROM {}) AS rows"
    )
    return text.format(commas(ident(name) for name in columns), ident(*stage))


def claim(task: Task, stage: QualifiedName) -> Composed:
    """Return the INSERT that gives a row if these contents are yet to be published.

    Another run that is about to publish them makes it wait, and then gives none.  What this run has claimed before, to
    publish it chunk by chunk, stays its own.
    """
    text = SQL(
        "INSERT INTO {} AS known (run, spec, target, relation, ledger, fingerprint)"
        " VALUES ({}, {}, {}, {}, ({})) ON CONFLICT (spec, target, fingerprint) DO UPDATE"
        " SET run = excluded.run, relation = excluded.relation, ledger = excluded.ledger,"
        " published_at = transaction_timestamp() WHERE known.run = excluded.run OR {} RETURNING 1"
    )
    published, target = _published(task), _oid(task.target)
    ledger = _oid((task.spec.ledger_schema, PUBLISHED))
    contents = _contents(task, stage)
    return text.format(published, Literal(task.run), _spec(task), target, ledger, contents, _outdated(task))


def is_new(task: Task, stage: QualifiedName) -> Composed:
    """Return the query that gives a row if these contents are yet to be published, and writes nothing."""
    text = SQL(
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM {} AS known WHERE (spec, target) = ({}) AND fingerprint = ({})"
        " AND NOT ({}))"
    )
    return text.format(_published(task), _spec(task), _contents(task, stage), _outdated(task))


def _outdated(task: Task) -> Composed:
    """Return the condition that what was published is no longer there: the table is another one, or it is empty.

    After a restore all OIDs are new, those of the ledger as well, and then tell nothing.
    """
    text = SQL("known.ledger = {} AND known.relation <> {} OR NOT EXISTS (SELECT FROM {} AS target)")
    ledger = _oid((task.spec.ledger_schema, PUBLISHED))
    return text.format(ledger, _oid(task.target), ident(*task.target))


def _oid(relation: QualifiedName) -> Composed:
    name = ident(*relation).as_string()
    return SQL("CAST(CAST({} AS regclass) AS oid)").format(Literal(name))


def _contents(task: Task, stage: QualifiedName) -> Composed:
    return fingerprint(stage, [staged.column.column for staged in task.stage])


def _published(task: Task) -> Composable:
    return ident(task.spec.ledger_schema, PUBLISHED)


def _spec(task: Task) -> Composed:
    return SQL("{}, {}").format(Literal(task.spec.name), Literal(str(task.table)))
