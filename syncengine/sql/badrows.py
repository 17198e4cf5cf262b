"""Statements about the rows of a run that can't be loaded: where they are kept meanwhile, and how they get there.

Beside `stage_<run>` there stand `_bad`, what is wrong with which record; `_raw`, records as they stand in the source;
`_places`, where the others are to be found there; `_aside`, what can be read of the bad ones, so that a mirror does not
take their keys for gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg.sql import SQL, Composable, Composed, Literal

from syncengine.model.spec import Expression
from syncengine.model.task import Joined, Key, QualifiedName, Task
from syncengine.sql.clauses import incoming, null_key, outside, same_key, sample
from syncengine.sql.convert import changed_by, found_in, natural_key
from syncengine.sql.names import ident, in_parameters, of_stage, quoted
from syncengine.sql.staging import create, create_load, relations, row_number

# What the table of what is wrong has behind the name of staging.
BAD = "_bad"
# SQLSTATEs of rows that the engine itself refuses, in the server's words.
NULL_KEY, NOT_FOUND, ROUNDED = "23502", "23503", "22003"


def bad(task: Task) -> QualifiedName:
    return _beside(task, BAD)


def raw(task: Task) -> QualifiedName:
    return _beside(task, "_raw")


def places(task: Task) -> QualifiedName:
    return _beside(task, "_places")


def aside(task: Task) -> QualifiedName:
    return _beside(task, "_aside")


def aside_keys(task: Task) -> QualifiedName:
    """Return the relation with the keys of the rows set aside, the same one where nothing is computed."""
    return _beside(task, "_aside_load") if task.converts else aside(task)


def _beside(task: Task, suffix: str) -> QualifiedName:
    schema = relations(task)[0][0]
    return schema, of_stage(task.run) + suffix


def create_bad(task: Task) -> Composed:
    columns = (
        'number bigint PRIMARY KEY, "column" text, sqlstate text, constraint_name text, message text NOT NULL'
    )
    return create(bad(task), [Composed([SQL(columns)])])


def create_raw(task: Task) -> Composed:
    """Return the table of the records; those below 0 are the headers of their files."""
    columns = (
        "number bigint PRIMARY KEY, place text, line bigint, byte_from bigint, byte_to bigint, raw bytea,"
        ' "row" jsonb'
    )
    return create(raw(task), [Composed([SQL(columns)])])


def create_places(task: Task) -> Composed:
    """Return the table of the places at which pieces of the source begin, by the number of their first record.

    `accepted`: COPY has taken the piece as a whole.
    """
    columns = "number bigint PRIMARY KEY, place jsonb NOT NULL, accepted boolean NOT NULL"
    return create(places(task), [Composed([SQL(columns)])])


def note_place(task: Task) -> Composed:
    text = SQL("INSERT INTO {} (number, place, accepted) VALUES (%s, %s, %s)")
    return text.format(in_parameters(ident(*places(task))))


def set_number(task: Task, stage: QualifiedName) -> Composed:
    """Return the query that sets which number the next row of staging gets."""
    text = SQL("SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence({}, {}), %s, false)")
    names = Literal(ident(*stage).as_string()), Literal(row_number(task))
    return text.format(*map(in_parameters, names))


def keep_records(task: Task) -> Composed:
    text = SQL('COPY {} (number, place, line, byte_from, byte_to, raw, "row") FROM STDIN')
    return text.format(ident(*raw(task)))


def keep_head(task: Task) -> Composed:
    text = SQL("INSERT INTO {} (number, place, raw) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING")
    return text.format(in_parameters(ident(*raw(task))))


def not_kept(task: Task) -> Composed:
    """Return the query for the numbers of the bad rows of which the record is not kept."""
    text = SQL(
        "SELECT number FROM {} AS bad WHERE NOT EXISTS (SELECT FROM {} AS raw WHERE raw.number = bad.number)"
        " ORDER BY number"
    )
    return text.format(ident(*bad(task)), ident(*raw(task)))


def all_places(task: Task) -> Composed:
    return SQL("SELECT number, place, accepted FROM {} ORDER BY number").format(ident(*places(task)))


def create_aside(task: Task) -> Composed:
    schema, _ = relation = aside(task)
    stage, _ = relations(task)
    if schema == "pg_temp":
        return SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING GENERATED) ON COMMIT DROP").format(
            ident(*relation), ident(*stage)
        )
    return SQL("CREATE UNLOGGED TABLE {} (LIKE {} INCLUDING GENERATED)").format(
        ident(*relation), ident(*stage)
    )


def create_aside_keys(task: Task) -> Composed:
    return create_load(task, aside_keys(task))


def key_columns(task: Task) -> frozenset[str]:
    """Return the loaded columns that tell a row's key, and whether it can meet conflicts."""
    names = {part.column for part in task.keys if part.column is not None}
    wheres = [part.expression for part in task.keys if part.expression is not None]
    wheres += [task.predicate] if task.predicate is not None else []
    return frozenset(names | {ref.name for value in wheres for ref in value.columns})


def key_fields(task: Task) -> tuple[str, ...]:
    """Return the staging columns that those of the key are made of."""
    names = key_columns(task)
    found: dict[str, None] = {}
    for column in task.loaded:
        if column.name in names:
            found.update(dict.fromkeys(_sources(task, column.name, column.value, column.as_read)))
    staged = [item.column.column for item in task.stage]
    return tuple(name for name in staged if name in found)


def _sources(task: Task, name: str, value: Expression | None, as_read: str | None) -> Iterable[str]:
    if value is None:
        return (as_read or name,)
    joined = next((item for item in task.lookups if item.column == name), None)
    if joined is not None:
        return tuple(ref.name for match in joined.match for ref in match.value.columns)
    return tuple(ref.name for ref in value.columns)


def move_aside(task: Task, numbers: Composable) -> Composed:
    """Return the statement that takes the rows of these numbers out of staging, and sets them aside."""
    stage, load = relations(task)
    number = ident(row_number(task))
    columns = [*(item.column.column for item in task.stage), row_number(task)]
    gone = SQL("gone AS (DELETE FROM {} WHERE {} IN ({}) RETURNING {})").format(
        ident(*stage), number, numbers, quoted(columns)
    )
    if load != stage:
        gone += SQL(", computed AS (DELETE FROM {} WHERE {} IN ({}))").format(ident(*load), number, numbers)
    text = SQL("WITH {} INSERT INTO {} ({}) SELECT {} FROM gone")
    return text.format(gone, ident(*aside(task)), quoted(columns), quoted(columns))


def move_bad(task: Task) -> Composed:
    """Return the statement that takes all rows that are known to be bad out of staging."""
    return move_aside(task, SQL("SELECT number FROM {}").format(ident(*bad(task))))


def note(task: Task) -> Composed:
    """Return the INSERT of one bad row."""
    text = SQL(
        'INSERT INTO {} (number, "column", sqlstate, constraint_name, message) VALUES (%s, %s, %s, %s, %s)'
        " ON CONFLICT DO NOTHING"
    )
    return text.format(in_parameters(ident(*bad(task))))


def _note_all(task: Task, query: Composed) -> Composed:
    text = SQL('INSERT INTO {} (number, "column", sqlstate, message) {} ON CONFLICT DO NOTHING')
    return text.format(ident(*bad(task)), query)


def note_null_keys(task: Task) -> Composed | None:
    """Return the statement that notes the rows which can meet no conflict; None where there can be none."""
    condition, stated = outside(task), task.spec.conflict_where
    if stated is not None and stated != task.predicate:
        beyond = SQL("{} IS NOT TRUE").format(incoming(task, stated))
        condition = SQL(" OR ").join([condition, beyond]) if condition is not None else beyond
    if condition is None:
        return None
    number = ident("excluded", row_number(task))
    said = SQL("{} || {}").format(
        Literal("its conflict key is NULL, or it lies outside conflict_where: "),
        sample(_shown(task), "excluded") if _shown(task) else Literal("***"),
    )
    text = SQL("SELECT {}, {}, {}, {} FROM {} AS excluded WHERE {}")
    column = Literal(", ".join(part.text for part in task.keys))
    query = text.format(number, column, Literal(NULL_KEY), said, ident(*task.relation), condition)
    return _note_all(task, query)


def _shown(task: Task) -> tuple[Key, ...]:
    """Return the parts of the key that may be told."""
    hidden = set(task.spec.sensitive)
    return tuple(
        part
        for part in task.keys
        if hidden.isdisjoint(
            {part.column, *(ref.name for ref in (part.expression.columns if part.expression else ()))}
        )
    )


def note_unresolved(task: Task, joined: Joined, stage: QualifiedName) -> Composed:
    """Return the statement that notes the rows for which a lookup finds nothing."""
    table = ".".join(joined.table)
    fields = {ref.name for match in joined.match for ref in match.value.columns}
    hidden = joined.column in task.spec.sensitive or not fields.isdisjoint(_hidden_fields(task))
    said = Literal(f"no row of {table} has the natural key ") + (
        Composed([SQL(" || "), natural_key(joined)]) if not hidden else Composed([SQL(" || '***'")])
    )
    text = SQL("SELECT {}, {}, {}, {} FROM {} AS source WHERE NOT EXISTS (SELECT FROM {} AS {} WHERE {})")
    query = text.format(
        ident("source", row_number(task)),
        Literal(joined.column),
        Literal(NOT_FOUND),
        said,
        ident(*stage),
        ident(*joined.table),
        ident(joined.alias),
        found_in(joined),
    )
    return _note_all(task, query)


def _hidden_fields(task: Task) -> set[str]:
    return {
        name
        for column in task.loaded
        if column.name in task.spec.sensitive
        for name in _sources(task, column.name, column.value, column.as_read)
    }


def note_rounded(task: Task, stage: QualifiedName) -> tuple[Composed, ...]:
    """Return the statements that note the rows with values which a cast on their way would change."""
    found = []
    for item in task.roundings:
        value: Composable = SQL("CAST({} AS text)").format(ident(item.staged))
        if item.column in task.spec.sensitive:
            value = Literal("***")
        said = SQL("{} || {}").format(value, Literal(f" would be rounded by {item.type}"))
        text = SQL("SELECT {}, {}, {}, {} FROM {} WHERE {}")
        number, column = ident(row_number(task)), Literal(item.column)
        query = text.format(number, column, Literal(ROUNDED), said, ident(*stage), changed_by(item))
        found.append(_note_all(task, query))
    return tuple(found)


def unreadable(task: Task, alias: str = "bad") -> Composed:
    """Return the condition that the key of a bad row can't be read, or is NULL where NULLs meet nothing."""
    strict = [part for part in task.keys if not part.match_nulls]
    known = SQL("NOT ({})").format(null_key(strict, "excluded")) if strict else SQL("true")
    text = SQL("NOT EXISTS (SELECT FROM {} AS excluded WHERE excluded.{} = {} AND {})")
    number = ident(row_number(task))
    return text.format(ident(*aside_keys(task)), number, ident(alias, "number"), known)


def spared(task: Task) -> Composed:
    """Return the condition that no bad row stands in the way of taking a stored one for gone."""
    if task.spec.retries:
        return Composed([SQL("false")])
    text = SQL(
        "NOT EXISTS (SELECT FROM {} AS excluded WHERE {}) AND NOT EXISTS (SELECT FROM {} AS bad WHERE {})"
    )
    same = same_key(task.keys, "target", "excluded")
    return text.format(ident(*aside_keys(task)), same, ident(*bad(task)), unreadable(task))


def tables(task: Task) -> tuple[QualifiedName, ...]:
    """Return the relations that a tolerant run has beside its staging."""
    found = [bad(task), raw(task), places(task), aside(task), aside_keys(task)]
    return tuple(dict.fromkeys(found))
