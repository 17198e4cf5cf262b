"""Statements of `history`: a row a version, from `valid_from` until `valid_to`, which is NULL in the current one."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed

from syncengine.model.task import Task, Versions
from syncengine.sql.changes import (
    keep_changes,
    match,
    of_class,
    op_column,
    place_of_target,
    same_place,
)
from syncengine.sql.clauses import Comparison, cast, differs, expression, key_list, same_key, sample, stored
from syncengine.sql.names import beside, commas, ident, quoted
from syncengine.sql.returned import returning


def _versions(task: Task) -> Versions:
    assert task.versions is not None
    return task.versions


def current(task: Task) -> Composed:
    """Return the condition that a stored row is its key's current version."""
    return SQL("{} IS NULL").format(ident("target", _versions(task).valid_to))


def _from(task: Task) -> str:
    """Return the name of the column that holds when an incoming version begins."""
    return beside(task.columns, "_from")


def _begins(task: Task) -> Composed:
    versions = _versions(task)
    since: Composable = SQL("transaction_timestamp()")
    if versions.since is not None:
        since = expression(versions.since)
    return cast(since, versions.from_type)


def check_begins(task: Task) -> Composed:
    """Return the query for incoming versions without a beginning."""
    text = SQL("SELECT {}, count(*) OVER () FROM {} AS excluded WHERE {} IS NULL LIMIT 5")
    return text.format(sample(task.keys, "excluded"), ident(*task.relation), _begins(task))


def classify(task: Task) -> Composed:
    """Return the statement that classifies incoming versions against the current ones (docs/spec.md §11, rule 9)."""
    op, begins = ident(op_column(task)), ident(_from(task))
    columns: list[Composable] = [SQL("{} AS {}").format(_operation(task), op)]
    columns += [ident("excluded", name) for name in task.columns]
    columns += [ident("excluded", _from(task)), *place_of_target(task)]
    columns.append(SQL("{} IS NOT DISTINCT FROM {} AS {}").format(_began(task), _incoming(task), same(task)))
    text = SQL(
        "SELECT {} FROM (SELECT excluded.*, {} AS {} FROM {} AS excluded) AS excluded{}"
        " LEFT JOIN {} AS target ON {} AND {}"
    )
    relation, target = ident(*task.relation), stored(task)
    joined = text.format(
        commas(columns), _begins(task), begins, relation, _past(task), target, match(task), current(task)
    )
    return keep_changes(task, joined)


def same(task: Task) -> Composable:
    """Return the column that tells a version beginning when the current one does: it is corrected in place."""
    return ident(beside(task.columns, "_same"))


def _began(task: Task) -> Composable:
    return ident("target", _versions(task).valid_from)


def _incoming(task: Task) -> Composable:
    return ident("excluded", _from(task))


def _past(task: Task) -> Composed:
    """Return the join that finds a key's last closed version; the run's own time is later than any."""
    if _versions(task).since is None:
        return Composed([])
    text = SQL(
        " LEFT JOIN (SELECT DISTINCT ON ({keys}) target.* FROM {target} AS target WHERE NOT ({current})"
        " ORDER BY {keys}, {ended} DESC) AS past ON {same}"
    )
    return text.format(
        keys=key_list(task.keys, "target"),
        target=stored(task),
        current=current(task),
        ended=ident("target", _versions(task).valid_to),
        same=same_key(task.keys, "past", "excluded"),
    )


def _operation(task: Task) -> Composed:
    """Return the CASE of an incoming version; one that begins before what is stored has come too late."""
    versions = _versions(task)
    pairs: list[Comparison] = [
        (ident("target", column.name), ident("excluded", column.name), column.identity_equal)
        for column in versions.tracked
    ]
    cases: list[Composed] = []
    if versions.since is not None:
        late = SQL("WHEN target.ctid IS NULL AND {} < {} THEN 'skipped'")
        cases.append(late.format(_incoming(task), ident("past", versions.valid_to)))
    cases.append(Composed([SQL("WHEN target.ctid IS NULL THEN 'insert'")]))
    cases.append(SQL("WHEN NOT {} THEN 'unchanged'").format(differs(pairs)))
    cases.append(SQL("WHEN {} < {} THEN 'skipped'").format(_incoming(task), _began(task)))
    if task.spec.where is not None:
        cases.append(SQL("WHEN {} IS NOT TRUE THEN 'skipped'").format(expression(task.spec.where)))
    return SQL("CASE {} ELSE 'update' END").format(SQL(" ").join(cases))


def close_gone(task: Task) -> Composed:
    """Return the statement that ends the versions of gone keys, at the run's time but never before they began."""
    return returning(task, "delete", _close(task, end_of_gone(task), of_class(task, "delete")))


def end_of_gone(task: Task) -> Composed:
    versions = _versions(task)
    now = cast(SQL("transaction_timestamp()"), versions.to_type)
    return SQL("GREATEST({}, {})").format(now, cast(_began(task), versions.to_type))


def end_of_changed(task: Task) -> Composed:
    return cast(_incoming(task), _versions(task).to_type)


def close_changed(task: Task) -> Composed:
    """Return the statement that ends the current versions where the incoming ones begin."""
    changed = of_class(task, "update", SQL(" AND NOT {}").format(same(task)))
    return _close(task, end_of_changed(task), changed)


def closed(task: Task, ended: Composable) -> dict[str, Composable]:
    """Return what is set in a version that ends."""
    versions = _versions(task)
    values = {versions.valid_to: ended}
    if versions.current is not None:
        values[versions.current] = SQL("false")
    return values


def new_values(task: Task) -> dict[str, Composable]:
    """Return what a new version holds."""
    versions = _versions(task)
    values: dict[str, Composable] = {name: ident("excluded", name) for name in task.columns}
    values[versions.valid_from] = _incoming(task)
    if versions.current is not None:
        values[versions.current] = SQL("true")
    return values


def _close(task: Task, ended: Composable, rows: Composed) -> Composed:
    sets = [SQL("{} = {}").format(ident(name), value) for name, value in closed(task, ended).items()]
    text = SQL("UPDATE {} AS target SET {} FROM ({}) AS excluded WHERE {}")
    return text.format(stored(task), commas(sets), rows, same_place(task))


def correct(task: Task) -> Composed:
    """Return the statement that writes over current versions which begin when the incoming ones do."""
    keys = {part.column for part in task.keys}
    sets = [
        SQL("{} = {}").format(ident(name), ident("excluded", name))
        for name in task.columns
        if name not in keys
    ]
    corrected = of_class(task, "update", SQL(" AND {}").format(same(task)))
    text = SQL("UPDATE {} AS target SET {} FROM ({}) AS excluded WHERE {}")
    statement = text.format(stored(task), commas(sets), corrected, same_place(task))
    return returning(task, "update", statement)


def insert_versions(task: Task, op: str) -> Composed:
    """Return the statement that inserts the current versions of new keys (insert) or changed ones (update)."""
    values = new_values(task)
    rows = of_class(task, op, SQL(" AND NOT {}").format(same(task)) if op == "update" else SQL(""))
    text = SQL("INSERT INTO {} AS target ({}) SELECT {} FROM ({}) AS excluded")
    return returning(
        task, op, text.format(ident(*task.target), quoted(values), commas(values.values()), rows)
    )
