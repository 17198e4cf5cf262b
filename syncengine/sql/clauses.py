"""Clauses: key joins, assignments, the changed-row predicate, rendered expressions.

The relations are always called `source` (staging), `excluded` (the row that wants in) and `target` (the stored
row), so that a user's expression fits in as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed, Literal

from syncengine.model.spec import ColumnRef, Expression
from syncengine.model.task import Key, QualifiedName, Task
from syncengine.sql.names import commas, ident, operator

_PLAIN_TYPE = re.compile(r'("?[A-Za-z_]\w*"?)(?:\([^)]*\))?(?:\[\])*\Z')
# These are the grammar's own, whatever types of such names there are.
_TYPE_WORDS = frozenset(
    [
        *("bit", "boolean", "char", "character", "varchar"),
        *("bigint", "dec", "decimal", "float", "int", "integer", "numeric", "real", "smallint"),
        *("interval", "time", "timestamp"),
    ]
)


def expression(value: Expression, alias: str | None = None) -> Composed:
    """Return a parsed expression in parentheses; unqualified columns are taken from `alias`."""
    parts = (_column(part, alias) if isinstance(part, ColumnRef) else SQL(part) for part in value.parts)
    return Composed([SQL("("), *parts, SQL(")")])


def _column(ref: ColumnRef, alias: str | None) -> Composable:
    relation = ref.relation or alias
    return ident(relation, ref.name) if relation else ident(ref.name)


def type_of(text: str, collation: QualifiedName | None = None) -> Composed:
    """Return a type as the catalog spells it, with a collation if it has one of its own."""
    if collation is None:
        return Composed([SQL(text)])
    return SQL("{} COLLATE {}").format(SQL(text), ident(*collation))


def built_in(type_text: str) -> str:
    """Return a type as the catalog spells it, for a statement that runs under the role's own search_path.

    >>> built_in("date[]"), built_in("numeric(9,2)"), built_in("timestamp with time zone"), built_in("shop.mood")
    ('pg_catalog.date[]', 'numeric(9,2)', 'timestamp with time zone', 'shop.mood')
    """
    name = _PLAIN_TYPE.match(type_text)
    return f"pg_catalog.{type_text}" if name and name[1] not in _TYPE_WORDS else type_text


def cast(value: Composable, type_text: str) -> Composed:
    return SQL("CAST({} AS {})").format(value, SQL(type_text))


def key(part: Key, alias: str | None) -> Composed:
    """Return one part of the key, read from the relation `alias`.

    >>> key(Key(text="id", column="id", expression=None), "target").as_string()
    '"target"."id"'
    """
    if part.column is not None:
        value = Composed([ident(alias, part.column) if alias else ident(part.column)])
    else:
        assert part.expression is not None
        value = expression(part.expression, alias)
    return SQL("{} COLLATE {}").format(value, ident(*part.collation)) if part.collation else value


def key_list(keys: Sequence[Key], alias: str | None) -> Composed:
    return commas(key(part, alias) for part in keys)


def same_key(keys: Sequence[Key], left: str, right: str) -> Composed:
    """Return the condition that two relations hold the same key.

    Where NULLs meet each other, one-element arrays are compared: array equality takes NULL for a value and, unlike
    IS NOT DISTINCT FROM, can be hashed.
    """
    return SQL(" AND ").join([_same(part, left, right) for part in keys])


def _same(part: Key, left: str, right: str) -> Composed:
    here, there = key(part, left), key(part, right)
    if part.match_nulls:
        equal = operator(("pg_catalog", "="))
        return SQL("ARRAY[{}] {} ARRAY[{}]").format(here, equal, there)
    return SQL("{} {} {}").format(here, operator(part.equality), there)


def null_key(keys: Sequence[Key], alias: str) -> Composed:
    """Return the condition that a part of the key is NULL."""
    return SQL(" OR ").join([SQL("{} IS NULL").format(key(part, alias)) for part in keys])


def incoming_predicate(task: Task, alias: str | None = "excluded") -> Composed | None:
    """Return the condition that an incoming row can meet a conflict."""
    return incoming(task, task.predicate, alias) if task.predicate is not None else None


def incoming(task: Task, predicate: Expression, alias: str | None = "excluded") -> Composed:
    """Return a predicate over the incoming row; a column that is not loaded counts as NULL, its default."""
    types = {column.name: column.type for column in task.table.columns}
    parts: list[Composable] = []
    for part in predicate.parts:
        if isinstance(part, ColumnRef) and part.name not in task.columns:
            parts.append(cast(SQL("NULL"), types[part.name]))
        else:
            parts.append(_column(part, alias) if isinstance(part, ColumnRef) else SQL(part))
    return Composed([SQL("("), *parts, SQL(")")])


def outside(task: Task) -> Composed | None:
    """Return the condition that a row can meet no conflict, None if there is no such row."""
    tests = []
    if task.keys and not all(part.match_nulls for part in task.keys):
        tests.append(null_key([part for part in task.keys if not part.match_nulls], "excluded"))
    predicate = incoming_predicate(task)
    if predicate is not None:
        tests.append(SQL("{} IS NOT TRUE").format(predicate))
    return SQL(" OR ").join(tests) if tests else None


Comparison = tuple[Composable, Composable, bool]


def differs(pairs: Sequence[Comparison]) -> Composed:
    """Return the predicate "the incoming values are not identical to the stored ones"; NULL counts as a value.

    Each pair is (stored, incoming, whether the type's equality is identity).  Types whose `=` holds between
    different values (1.0 and 1.00, boxes of equal area), or that have none (json), are compared by their image.

    >>> differs([(ident("target", "qty"), ident("excluded", "qty"), True)]).as_string()
    '("target"."qty" IS DISTINCT FROM "excluded"."qty")'
    >>> differs([]).as_string()
    '(false)'
    """
    plain = [SQL("{} IS DISTINCT FROM {}").format(a, b) for a, b, equal in pairs if equal]
    images = [(a, b) for a, b, equal in pairs if not equal]
    if images:
        stored = commas(a for a, _ in images)
        incoming = commas(b for _, b in images)
        image = SQL("CAST(ROW({}) AS record) OPERATOR(pg_catalog.*<>) CAST(ROW({}) AS record)")
        plain.append(image.format(stored, incoming))
    return SQL("({})").format(SQL(" OR ").join(plain) if plain else SQL("false"))


def changed(task: Task) -> Composed:
    """Return the changed-row predicate over the columns that docs/spec.md §11, rule 2, compares."""
    pairs: list[Comparison] = []
    for item in task.assignments:
        if not item.compared:
            continue
        new: Composable = ident("excluded", item.column)
        if item.expression is not None:
            new = cast(cast(expression(item.expression), item.base_type), item.type)
        pairs.append((ident("target", item.column), new, item.identity_equal))
    if not pairs:
        pairs = [
            (ident("target", column.name), ident("excluded", column.name), column.identity_equal)
            for column in task.loaded
            if not column.stable and column.name not in {part.column for part in task.keys}
        ]
    return differs(pairs)


def sample(keys: Sequence[Key], alias: str) -> Composed:
    """Return a row's key as JSON text, for error messages."""
    pairs = [SQL("{}, {}").format(Literal(part.text), key(part, alias)) for part in keys]
    return SQL("CAST(json_build_object({}) AS text)").format(commas(pairs))


def conflict_target(task: Task) -> Composed:
    """Return what stands after ON CONFLICT: the constraint's name if the spec gave one, else keys and predicate."""
    if task.spec.conflict_constraint and task.arbiter and task.arbiter.constraint:
        return SQL("ON CONSTRAINT {}").format(ident(task.arbiter.constraint))
    target = SQL("({})").format(key_list(task.keys, None))
    if task.predicate is None:
        return target
    return SQL("{} WHERE {}").format(target, expression(task.predicate))


def stored(task: Task) -> Composed:
    """Return the target as its rows are found and changed: its indexes do not cover tables that inherit from it."""
    return SQL("ONLY {}" if task.table.inherited else "{}").format(ident(*task.target))
