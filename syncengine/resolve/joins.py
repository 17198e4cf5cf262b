"""Lookups: which column of which table a value comes from, and what must match there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from syncengine.arbiter import quote_if_needed
from syncengine.model.facts import ColumnFacts, TableFacts
from syncengine.model.spec import ColumnRef, Expression, Lookup
from syncengine.model.task import Joined, MatchColumn, Staged
from syncengine.resolve.loading import over_staging
from syncengine.resolve.lookup import did_you_mean, find
from syncengine.values import replace


class NotFound(Exception):
    """What a lookup names is not there; `pointer` leads below the lookup's own."""

    def __init__(self, pointer: str, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message
        self.hint = hint


def find_lookup(
    lookup: Lookup, target: TableFacts, table: TableFacts, alias: str
) -> tuple[Joined, Expression]:
    """Return the join of a lookup, over the source's fields, and the column it gives.  Raises NotFound."""
    if not table.exists:
        raise NotFound("/table", f"table {table} does not exist", "name a table to look in")
    match = tuple(
        _match(table, item.column, item.expression) for item in lookup.match if item.expression is not None
    )
    select = _select(lookup, target, table)
    plain = all(item.value.parts == item.value.columns for item in match)
    joined = Joined(
        column=lookup.column,
        alias=alias,
        table=(table.schema, table.name),
        match=match,
        missing=lookup.missing,
        fields=tuple(ref.name for item in match for ref in item.value.columns) if plain else (),
    )
    ref = ColumnRef(relation=alias, name=select)
    return joined, Expression(text=f"{table}.{quote_if_needed(select)}", parts=(ref,))


def taken_columns(
    lookups: Sequence[Lookup], target: TableFacts, tables: Mapping[str, TableFacts]
) -> dict[str, ColumnFacts]:
    """Return what a target that is to be created gets for each lookup: a column of the type that is taken."""
    found = {}
    for lookup in lookups:
        table = tables[lookup.column]
        with suppress(NotFound):
            taken = table.column(_select(lookup, target, table))
            if taken is not None:
                plain = replace(taken, not_null=False, has_default=False, default=None, generated=False)
                found[lookup.column] = replace(plain, name=lookup.column, identity="")
    return found


def _match(table: TableFacts, name: str, value: Expression) -> MatchColumn:
    column = _column(table, name, f"/match/{name}")
    if column.equality is None:
        message = f"column {column.name} of {table} can't be matched: its type has no usable equality"
        raise NotFound(f"/match/{name}", message, "name another column")
    return MatchColumn(column=column.name, base_type=column.base_type, equality=column.equality, value=value)


def _column(table: TableFacts, name: str, pointer: str) -> ColumnFacts:
    names = [column.name for column in table.columns]
    column = table.column(find(name, names) or "")
    if column is None:
        raise NotFound(pointer, f"{table} has no column {name!r}", did_you_mean(name, names))
    return column


def _select(lookup: Lookup, target: TableFacts, table: TableFacts) -> str:
    """Return the column to take: the stated one, the one a foreign key names, or the primary key."""
    if lookup.select is not None:
        return _column(table, lookup.select, "/select").name
    for key in target.foreign_keys:
        if key.columns == (lookup.column,) and (key.schema, key.table) == (table.schema, table.name):
            return key.referenced[0]
    primary = next((index for index in table.indexes if index.primary), None)
    if primary is None or len(primary.keys) != 1:
        message = f"which column of {table} to take is not clear: no foreign key says it, nor a primary key"
        raise NotFound("", message, "name it: `select: column`")
    return primary.keys[0]


def staged_lookup(joined: Joined, names: Mapping[str, Staged]) -> Joined:
    """Return a lookup over the staging columns in place of the source's fields."""
    match = tuple(replace(item, value=over_staging(item.value, names)) for item in joined.match)
    return replace(joined, match=match)
