"""Statements of `history`: a row a version, from `valid_from` until `valid_to`, which is NULL in the current one."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed

from syncengine.model.task import Task, Versions
from syncengine.sql.changes import (
    keep_changes,
    match,
    of_class,
    op_column,
    place_columns,
    place_of_target,
    same_place,
)
from syncengine.sql.clauses import (
    Comparison,
    built_in,
    cast,
    differs,
    expression,
    key_list,
    same_key,
    sample,
    stored,
)
from syncengine.sql.names import beside, commas, ident, quoted
from syncengine.sql.returned import returning
from syncengine.sql.staging import carried

# These tell one run from the next.
_EXACT = ("timestamp with time zone", "timestamp without time zone")


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
    columns += [ident("excluded", name) for name in carried(task)]
    columns += [*_places(task), *_beginnings(task)]
    text = SQL(
        "SELECT {} FROM (SELECT excluded.*, {} AS {} FROM {} AS excluded) AS excluded{}"
        " LEFT JOIN {} AS target ON {} AND {}"
    )
    relation, target = ident(*task.relation), stored(task)
    joined = text.format(
        commas(columns), _begins(task), begins, relation, _past(task), target, match(task), current(task)
    )
    return keep_changes(task, joined)


def looks_back(task: Task) -> bool:
    """Tell whether a new version may begin before its key's last one ended; the run's own time is later than any."""
    versions = _versions(task)
    return versions.since is not None or versions.from_type not in _EXACT


def _places(task: Task) -> list[Composable]:
    """Return the place of the current version, or of the last one of a key that returns."""
    if not looks_back(task):
        return place_of_target(task)
    names = zip(place_columns(task), ("ctid", "tableoid"), _past_place(task), strict=True)
    text = SQL("coalesce({}, {}) AS {}")
    return [
        text.format(ident("target", column), ident("past", past), ident(name)) for name, column, past in names
    ]


def _past_place(task: Task) -> tuple[str, str]:
    names = [column.name for column in task.table.columns]
    return beside(names, "_tid"), beside(names, "_table")


def _beginnings(task: Task) -> list[Composable]:
    """Return when an incoming version begins, and whether the stored one that it follows does so as well.

    The version of a key that returns begins when the last one ended, if it would begin before.
    """
    begins, stored = _incoming(task), _began(task)
    if looks_back(task):
        text = SQL("CASE WHEN target.ctid IS NULL THEN GREATEST({}, {}) ELSE {} END")
        versions = _versions(task)
        ended = cast(ident("past", versions.valid_to), versions.from_type)
        begins = text.format(begins, ended, begins)
        text = SQL("CASE WHEN target.ctid IS NULL THEN {} ELSE {} END")
        stored = text.format(ident("past", versions.valid_from), stored)
    both = SQL("{} IS NOT DISTINCT FROM {} AS {}").format(stored, begins, same(task))
    return [SQL("{} AS {}").format(begins, ident(_from(task))), both]


def same(task: Task) -> Composable:
    """Return the column that tells a version beginning when the stored one does: it takes that one's place."""
    return ident(beside(task.columns, "_same"))


def _began(task: Task) -> Composable:
    return ident("target", _versions(task).valid_from)


def _incoming(task: Task) -> Composable:
    return ident("excluded", _from(task))


def _past(task: Task) -> Composed:
    """Return the join that finds a key's last closed version."""
    if not looks_back(task):
        return Composed([])
    text = SQL(
        " LEFT JOIN (SELECT DISTINCT ON ({keys}) target.*, target.ctid AS {tid}, target.tableoid AS {table}"
        " FROM {target} AS target WHERE NOT ({current}) ORDER BY {keys}, {ended} DESC, {began} DESC) AS past ON {same}"
    )
    tid, table = _past_place(task)
    return text.format(
        keys=key_list(task.keys, "target"),
        target=stored(task),
        current=current(task),
        ended=ident("target", _versions(task).valid_to),
        began=_began(task),
        tid=ident(tid),
        table=ident(table),
        same=same_key(task.keys, "past", "excluded"),
    )


def _operation(task: Task) -> Composed:
    """Return the CASE of an incoming version; one that begins before the current one has come too late."""
    versions = _versions(task)
    pairs: list[Comparison] = [
        (ident("target", column.name), ident("excluded", column.name), column.identity_equal)
        for column in versions.tracked
    ]
    cases = [Composed([SQL("WHEN target.ctid IS NULL THEN 'insert'")])]
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
    ends = built_in(versions.to_type)
    now = cast(SQL("pg_catalog.transaction_timestamp()"), ends)
    return SQL("GREATEST({}, {})").format(now, cast(_began(task), ends))


def end_of_changed(task: Task) -> Composed:
    return cast(_incoming(task), built_in(_versions(task).to_type))


def close_changed(task: Task) -> Composed:
    """Return the statement that ends the current versions where the incoming ones begin."""
    changed = of_class(task, "update", SQL(" AND NOT {}").format(same(task)))
    return _close(task, end_of_changed(task), changed, moved=bool(task.table.triggers))


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


def _close(task: Task, ended: Composable, rows: Composed, *, moved: bool = False) -> Composed:
    """Return the statement that ends versions; `moved`: by their keys, for triggers may have moved the rows since."""
    sets = [SQL("{} = {}").format(ident(name), value) for name, value in closed(task, ended).items()]
    text = SQL("UPDATE {} AS target SET {} FROM ({}) AS excluded WHERE {}")
    found = SQL("{} AND {}").format(match(task), current(task)) if moved else same_place(task)
    return text.format(stored(task), commas(sets), rows, found)


def reopen(task: Task) -> Composed:
    """Return the statement that takes versions which ended when they began for those of keys that return then."""
    keys = {part.column for part in task.keys}
    values = {name: value for name, value in new_values(task).items() if name not in keys}
    values[_versions(task).valid_to] = SQL("NULL")
    sets = [SQL("{} = {}").format(ident(name), value) for name, value in values.items()]
    rows = of_class(task, "insert", SQL(" AND {}").format(same(task)))
    text = SQL("UPDATE {} AS target SET {} FROM ({}) AS excluded WHERE {}")
    statement = text.format(stored(task), commas(sets), rows, same_place(task))
    return returning(task, "insert", statement)


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
    where = SQL(" AND NOT {}").format(same(task))
    if op == "update" and task.table.triggers:
        # A trigger may have kept the version before from ending.
        text = SQL("{} AND NOT EXISTS (SELECT FROM {} AS target WHERE {} AND {})")
        where = text.format(where, stored(task), match(task), current(task))
    rows = of_class(task, op, where)
    text = SQL("INSERT INTO {} AS target ({}) SELECT {} FROM ({}) AS excluded")
    return returning(
        task, op, text.format(ident(*task.target), quoted(values), commas(values.values()), rows)
    )
