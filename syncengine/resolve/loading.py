"""How each field is staged, and what the loaded columns are computed from."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from syncengine.model.facts import ABSENT, ColumnFacts, Handover, SourceFacts
from syncengine.model.spec import ColumnRef, Expression
from syncengine.model.steps import Kind, StagedColumn
from syncengine.model.task import Joined, Loaded, Rounding, Staged
from syncengine.sql.names import as_read, fit

# A cast to varchar(3) cuts a longer text without a word, so these go without their modifiers.
_CUT_BY_CASTS = ("character varying", "bpchar", '"bit"', "bit varying")
# Casts that round or drop a part without a word, where a spec states another type than the column's.
_FINE = ("numeric", "double precision", "real", "timestamp without time zone", "timestamp with time zone")
_COARSE = ("smallint", "integer", "bigint", "numeric", "date", "time without time zone")
_ROUNDING_CASTS = frozenset(itertools.product(_FINE, _COARSE)) - {("numeric", "numeric")}
_KIND_IN_JSON: dict[str, Kind] = {"json": "json value", "json array": "json value array"}
TEXT = ColumnFacts(name="", type="text", base_type="text", identity_equal=True)


class Mapped(Struct, frozen=True, kw_only=True):
    """One column to load, from a field, an expression or a lookup, whose column `expression` then names.

    `read_as` is the type that a field's text is read as.
    """

    facts: ColumnFacts
    field: str | None = None
    expression: Expression | None = None
    read_as: ColumnFacts | None = None
    lookup: Joined | None = None


def stage(
    source: SourceFacts, mapped: Sequence[Mapped], staged: bool
) -> tuple[tuple[Staged, ...], dict[str, Staged], bool]:
    """Return the staging columns, the same by field, and whether they are the loaded columns as they are."""
    direct = {name: [item for item in mapped if item.field == name] for name in source.fields}
    by_expression = {ref.name for item in mapped for ref in _computed_from(item)}
    fields = [item.field for item in mapped if item.field is not None]
    plain = not staged and not by_expression and len(fields) == len(set(fields)) == len(mapped)
    plain = plain and all(item.read_as is None or item.read_as.type == item.facts.type for item in mapped)
    needed = set(fields) | by_expression
    if staged or Handover.CSV_BYTES in source.handovers:
        needed = set(source.fields)
    names: dict[str, Staged] = {}
    taken: set[str] = {item.facts.name for item in mapped} if plain else set()
    for name in source.fields:
        if name not in needed:
            continue
        once = fields.count(name) == 1 and name not in by_expression and not staged
        facts = (direct[name][0].read_as or direct[name][0].facts) if once else TEXT
        into = direct[name][0].facts if plain and once else None
        column = _column_name(into, taken) if into is not None else fit(name, taken)
        taken.add(column)
        read = [item.read_as or item.facts for item in direct[name]]
        staged_column = StagedColumn(
            field=name,
            column=column,
            kind=_KIND_IN_JSON.get(facts.kind, facts.kind) if source.json_values else facts.kind,
            wire=_wire(facts),
            reads=tuple(dict.fromkeys(facts.input_type for facts in read if facts.input_type)),
            rounded=into.name if into is not None and into.rounds else "",
        )
        staged_as = facts.base_type if facts.rounds else facts.type
        names[name] = Staged(column=staged_column, type=staged_as, collation=facts.collation)
    return tuple(names.values()), names, plain


def _wire(facts: ColumnFacts) -> str:
    """Return the type that a staging column reads in a binary COPY; one that may round is staged without modifiers."""
    if facts.spelt:
        return "text"
    return facts.base_type if facts.rounds else facts.input_type or facts.type


def _computed_from(item: Mapped) -> tuple[ColumnRef, ...]:
    """Return the fields that a computed column is made of; a lookup compares them, and takes none."""
    if item.lookup is not None:
        return tuple(ref for match in item.lookup.match for ref in match.value.columns)
    return item.expression.columns if item.expression is not None else ()


def absent_column(source: SourceFacts, taken: Collection[str]) -> Staged | None:
    """Return the staging column that names the fields which a partial row lacks."""
    if not source.partial:
        return None
    column = StagedColumn(field=ABSENT, column=fit("_absent", taken), kind="array")
    return Staged(column=column, type="text[]")


def _column_name(facts: ColumnFacts, taken: set[str]) -> str:
    """Return the staging column of a field that needs no converting; it is the loaded column unless that may round."""
    return as_read(facts.name, taken) if facts.rounds else facts.name


def roundings(mapped: Sequence[Mapped], names: Mapping[str, Staged]) -> tuple[Rounding, ...]:
    """Return the casts that may round a value on its way from a field into a column."""
    found = []
    for item in mapped:
        if item.field is None:
            continue
        first = item.read_as or item.facts
        steps: list[tuple[tuple[str, ...], str]] = [((first.base_type,), first.type)] if first.rounds else []
        if first.type != item.facts.type and (first.base_type, item.facts.base_type) in _ROUNDING_CASTS:
            steps.append(((first.type,), item.facts.type))
        elif item.facts.rounds and item.facts is not first:
            steps.append(((first.type, item.facts.base_type), item.facts.type))
        found += [
            Rounding(
                column=item.facts.name,
                field=item.field,
                staged=names[item.field].column.column,
                casts=casts,
                type=type_name,
            )
            for casts, type_name in steps
        ]
    return tuple(found)


def loaded_column(item: Mapped, names: Mapping[str, Staged], plain: bool, unstable: frozenset[str]) -> Loaded:
    """Return a column to load; `plain`: its staging column is it already, so nothing is computed."""
    facts = item.facts
    value = None if plain else _value(item, names)
    staged = names[item.field].column.column if plain and item.field is not None else facts.name
    stable = item.expression is not None and is_stable(item.expression, unstable)
    return Loaded(
        name=facts.name,
        type=facts.type,
        base_type=facts.base_type,
        identity_equal=facts.identity_equal,
        collation=facts.collation,
        field=item.field,
        value=value,
        stable=stable,
        as_read=staged if staged != facts.name else None,
    )


def is_stable(value: Expression, unstable: frozenset[str]) -> bool:
    """Tell whether a value depends on more than its columns, such as the time."""
    return value.volatility == "stable" or not unstable.isdisjoint(value.functions)


def over_staging(value: Expression, names: Mapping[str, Staged]) -> Expression:
    """Return an expression over fields as one over the staging columns."""
    return value.renamed(lambda ref: ColumnRef(relation="source", name=names[ref.name].column.column))


def _value(item: Mapped, names: Mapping[str, Staged]) -> Expression:
    """Return the column's value as an expression over the staging columns."""
    if item.lookup is not None and item.expression is not None:
        return item.expression
    if item.expression is not None:
        return over_staging(item.expression, names)
    assert item.field is not None
    staged = names[item.field]
    ref = ColumnRef(relation="source", name=staged.column.column)
    parts: tuple[str | ColumnRef, ...] = (ref,)
    if item.read_as is not None and staged.type != item.read_as.type:
        cuts = item.read_as.base_type.removesuffix("[]") in _CUT_BY_CASTS
        parts = ("CAST(", ref, f" AS {item.read_as.base_type if cuts else item.read_as.type})")
    return Expression(text=item.field, parts=parts)
