"""What a conflict is: the key's parts, the index that arbitrates it, and what NULL keys do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal

from msgspec import Struct

from syncengine.arbiter import arbiter_hint, explain_misfit, find_arbiter, quote_if_needed
from syncengine.errors import NoArbiterIndex, SpecError, SyncError
from syncengine.model.facts import ColumnFacts, IndexFacts, TableFacts
from syncengine.model.spec import ColumnRef, Expression, KeySpec, Spec
from syncengine.model.task import Key, Loaded
from syncengine.protocols import Mode
from syncengine.resolve.equality import held_rows, with_arbiter
from syncengine.resolve.lookup import did_you_mean, find
from syncengine.values import replace

Parse = Callable[[str], Expression]
InferArbiter = Callable[[tuple[Key, ...]], IndexFacts | None]


class Keys(Struct, frozen=True, kw_only=True):
    keys: tuple[Key, ...] = ()
    arbiter: IndexFacts | None = None
    predicate: Expression | None = None
    null_keys: Literal["error", "quarantine", "insert", "match"] = "error"
    problems: tuple[SyncError, ...] = ()


def find_keys(
    spec: Spec,
    table: TableFacts,
    loaded: Sequence[Loaded],
    mode: Mode,
    parse: Parse,
    infer_arbiter: InferArbiter,
) -> Keys:
    """Find the conflict target of a spec; without one there are no keys."""
    problems: list[SyncError] = []
    if spec.conflict_constraint is not None:
        keys, arbiter = _from_constraint(spec, table, loaded, parse, problems)
    else:
        found = (
            _key(spec, table, loaded, item, f"/conflict_keys/{number}", problems)
            for number, item in enumerate(spec.conflict_keys)
        )
        keys = tuple(key for key in found if key is not None)
        arbiter = None if problems or not keys else _arbiter(spec, table, keys, infer_arbiter)
    predicate = held_rows(spec, table, arbiter, parse, problems)
    predicates = [value for value in (spec.conflict_where, predicate) if value is not None]
    predicate_refs = dict.fromkeys(ref for value in predicates for ref in value.columns)
    # What is not loaded gets its default; NULL, if there is none, is known before a row is read.
    known = {column.name for column in loaded} | {
        column.name for column in table.columns if not _computed(column)
    }
    _check_refs(predicate_refs, spec, table, known, "/conflict_where", problems)
    if problems or not keys:
        return Keys(keys=keys, problems=tuple(problems))
    if arbiter is None and mode.needs_arbiter:
        problems.append(_no_arbiter(spec, table, keys))
    null_keys = _null_keys(spec, arbiter, problems)
    keys = with_arbiter(keys, arbiter, null_keys == "match", table)
    return Keys(
        keys=keys, arbiter=arbiter, predicate=predicate, null_keys=null_keys, problems=tuple(problems)
    )


def _key(
    spec: Spec,
    table: TableFacts,
    loaded: Sequence[Loaded],
    item: KeySpec,
    pointer: str,
    problems: list[SyncError],
) -> Key | None:
    """Find one item of conflict_keys: a column's name if it is one, else an expression."""
    names = [column.name for column in table.columns]
    name = item.text if item.text in names else item.name and find(item.name, names)
    if name is not None:
        if name not in {column.name for column in loaded}:
            message = f"conflict key {name} is not loaded from the source"
            remedy = f"map a field to it: `columns: {{{name}: FIELD}}`"
            problems.append(SpecError(message, hint=remedy, location=spec.mark(pointer)))
            return None
        if _without_equality(table, name):
            message = f"column {name} can't be a conflict key: its type has no usable equality"
            problems.append(SpecError(message, hint="name other columns", location=spec.mark(pointer)))
            return None
        return Key(text=name, column=name, expression=None, collation=item.collation or None)
    if item.expression is None:
        hint = did_you_mean(item.text, names)
        message = f"{table} has no column {item.text!r}"
        problems.append(SpecError(message, hint=hint, location=spec.mark(pointer)))
        return None
    before = len(problems)
    names_loaded = {column.name for column in loaded}
    _check_refs(item.expression.columns, spec, table, names_loaded, pointer, problems)
    if len(problems) > before:
        return None
    exact = _exact(item.expression, names)
    return Key(text=item.text, column=None, expression=exact, collation=item.collation or None)


def _without_equality(table: TableFacts, name: str) -> bool:
    column = table.column(name)
    return table.exists and column is not None and column.equality is None


def _exact(value: Expression, names: Sequence[str]) -> Expression:
    """Spell an expression's unqualified columns as the table does."""
    return value.renamed(lambda ref: replace(ref, name=find(ref.name, names) or ref.name))


def _computed(column: ColumnFacts) -> bool:
    return column.has_default or column.generated or bool(column.identity)


def _check_refs(
    refs: Iterable[ColumnRef],
    spec: Spec,
    table: TableFacts,
    known: Collection[str],
    pointer: str,
    problems: list[SyncError],
) -> None:
    names = [column.name for column in table.columns]
    for ref in refs:
        found = find(ref.name, names)
        location = spec.mark(pointer)
        if found is None:
            message = f"{table} has no column {ref.name!r}"
            problems.append(SpecError(message, hint=did_you_mean(ref.name, names), location=location))
        elif found not in known:
            message = f"column {found} is part of the conflict target, but not loaded from the source"
            problems.append(SpecError(message, location=location))


def _from_constraint(
    spec: Spec,
    table: TableFacts,
    loaded: Sequence[Loaded],
    parse: Parse,
    problems: list[SyncError],
) -> tuple[tuple[Key, ...], IndexFacts | None]:
    """Take the key from the constraint or unique index that the spec names."""
    wanted = spec.conflict_constraint or ""
    location = spec.mark("/conflict_constraint")
    by_name = {index.constraint or index.name: index for index in table.indexes}
    by_name |= {index.name: index for index in table.indexes}
    name = find(wanted, by_name)
    if name is None:
        message = f"{table} has no unique constraint or index {wanted!r}"
        problems.append(NoArbiterIndex(message, hint=did_you_mean(wanted, by_name), location=location))
        return (), None
    index = by_name[name]
    if index.predicate is not None:
        message = f"{index} is partial"
        hint = "name its columns in conflict_keys and its predicate in conflict_where"
        problems.append(NoArbiterIndex(message, hint=hint, location=location))
        return (), None
    if not (index.unique and index.immediate and index.valid) or index.exclusion:
        message = f"{index} can't arbitrate conflicts: it must be unique, valid and not deferrable"
        hint = "name another one, or the columns in conflict_keys"
        problems.append(NoArbiterIndex(message, hint=hint, location=location))
        return (), None
    flags = index.expressions or (False,) * len(index.keys)
    items = [
        KeySpec(text=text, name=None if flag else text, expression=parse(text) if flag else None)
        for text, flag in zip(index.keys, flags, strict=True)
    ]
    found = (_key(spec, table, loaded, item, "/conflict_constraint", problems) for item in items)
    return tuple(key for key in found if key is not None), index


def _arbiter(
    spec: Spec, table: TableFacts, keys: tuple[Key, ...], infer_arbiter: InferArbiter
) -> IndexFacts | None:
    if not table.exists:
        return _future_index(table, keys)
    if any(key.collation for key in keys):
        return infer_arbiter(keys)
    predicate = spec.conflict_where.text if spec.conflict_where is not None else None
    found = find_arbiter([key.text for key in keys], table.indexes, predicate=predicate)
    return found or infer_arbiter(keys)


def _future_index(table: TableFacts, keys: Sequence[Key]) -> IndexFacts | None:
    """Return the primary key that `create` will make; it takes columns only."""
    if any(key.column is None for key in keys):
        return None
    return IndexFacts(name=f"{table.name}_pkey", keys=tuple(key.text for key in keys), primary=True)


def _no_arbiter(spec: Spec, table: TableFacts, keys: Sequence[Key]) -> NoArbiterIndex:
    texts = [key.text for key in keys]
    in_sql = [quote_if_needed(key.column) if key.column is not None else key.text for key in keys]
    predicate = spec.conflict_where.text if spec.conflict_where is not None else None
    location = spec.mark("/conflict_keys")
    if not table.exists:
        message = f"{table} is created with its conflict keys as primary key, which takes columns only"
        return NoArbiterIndex(message, hint="create the table and its index by hand", location=location)
    return NoArbiterIndex(
        f"no unique index on {table} covers conflict_keys ({', '.join(texts)})",
        detail=explain_misfit(texts, table.indexes, predicate=predicate),
        hint=arbiter_hint(table, texts, in_sql, predicate),
        location=location,
    )


def _null_keys(
    spec: Spec, arbiter: IndexFacts | None, problems: list[SyncError]
) -> Literal["error", "quarantine", "insert", "match"]:
    distinct = arbiter is None or not arbiter.nulls_not_distinct
    if spec.null_keys is None:
        return "error" if distinct else "match"
    if spec.null_keys == "match" and distinct:
        name = f"{arbiter.name} is" if arbiter else "the key's index is"
        message = f"`null_keys: match` needs an index with NULLS NOT DISTINCT; {name} not one"
        problems.append(SpecError(message, location=spec.mark("/null_keys")))
    if spec.null_keys == "insert" and not distinct:
        message = f"`null_keys: insert` can't be: NULLs conflict in {arbiter} (NULLS NOT DISTINCT)"
        problems.append(SpecError(message, location=spec.mark("/null_keys")))
    return spec.null_keys
