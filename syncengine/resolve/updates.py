"""What an update sets, what decides that a row changes, and which columns are handed back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from syncengine.errors import SpecError, SyncError, TargetError
from syncengine.model.facts import ColumnFacts, TableFacts
from syncengine.model.spec import (
    AllColumns,
    Assign,
    ColumnRef,
    Delete,
    Expression,
    History,
    Keep,
    Rule,
    Spec,
    UpdateItem,
)
from syncengine.model.task import Assignment, Key, Loaded
from syncengine.protocols import Mode
from syncengine.resolve.columns import Columns
from syncengine.resolve.loading import is_stable
from syncengine.resolve.lookup import did_you_mean, find
from syncengine.resolve.rules import combine
from syncengine.sql.names import literal
from syncengine.values import replace

# docs/spec.md §11, rule 6; the other rules give the same when they are applied twice.
_ACCUMULATING = ("sum", "append")


class Updates(Struct, frozen=True, kw_only=True):
    assignments: tuple[Assignment, ...] = ()
    problems: tuple[SyncError, ...] = ()


class Spelt(Struct, frozen=True, kw_only=True):
    spec: Spec
    problems: tuple[SyncError, ...] = ()


@dataclass
class _Names:
    """The columns an expression may name, and the problems found so far."""

    spec: Spec
    table: TableFacts
    loaded: Sequence[Loaded]
    problems: list[SyncError] = field(default_factory=list)

    def complain(self, pointer: str, message: str, hint: str | None) -> None:
        self.problems.append(SpecError(message, hint=hint, location=self.spec.mark(pointer)))

    def exact(self, value: Expression, pointer: str) -> Expression:
        """Spell the columns of an expression as the table does; complain of those there are not."""

        def rename(ref: ColumnRef) -> ColumnRef:
            names = [column.name for column in self.loaded]
            if ref.relation == "target":
                names = [column.name for column in self.table.columns]
            found = find(ref.name, names)
            if found is None:
                known = f"the source loads no column {ref.name!r}"
                if ref.relation == "target":
                    known = f"{self.table} has no column {ref.name!r}"
                self.complain(pointer, known, did_you_mean(ref.name, names))
            return replace(ref, name=found or ref.name)

        return value.renamed(rename)


def find_assignments(
    spec: Spec,
    columns: Columns,
    keys: Sequence[Key],
    mode: Mode,
    unstable: frozenset[str],
) -> Updates:
    """Return what an update sets, in order; a later item overrides an earlier one.

    `unstable` are the functions that are not immutable though the spec is allowed to call them.
    """
    names = _Names(spec=spec, table=columns.table, loaded=columns.loaded)
    if "UPDATE" not in mode.privileges:
        return Updates()
    found: dict[str, Assignment] = {}
    for number, item in enumerate(spec.update_columns):
        for column, assignment in _items(names, item, keys, f"/update_columns/{number}", unstable):
            found.pop(column, None)
            if assignment is not None:
                found[column] = assignment
    soft = spec.delete.soft
    if soft is not None and (name := find(soft.column, found)) is not None:
        names.complain(
            "/update_columns", f"column {name} is set by the soft delete as well", f"write `{{{name}: keep}}`"
        )
    assignments = tuple(_unless_absent(item, columns) for item in found.values())
    return Updates(assignments=assignments, problems=tuple(names.problems))


def _unless_absent(item: Assignment, columns: Columns) -> Assignment:
    """Return an assignment of a field that a partial row may lack so that the stored value stays then."""
    loaded = next((column for column in columns.loaded if column.name == item.column), None)
    if columns.absent is None or item.expression is not None or loaded is None or loaded.field is None:
        return item
    stored = ColumnRef(relation="target", name=item.column)
    incoming = ColumnRef(relation="excluded", name=item.column)
    lacks = ColumnRef(relation="excluded", name=columns.absent)
    parts = (
        "CASE WHEN ",
        literal(loaded.field),
        " = ANY (",
        lacks,
        ") THEN ",
        stored,
        " ELSE ",
        incoming,
        " END",
    )
    return replace(item, expression=Expression(text=item.column, parts=parts))


def _items(
    names: _Names, item: UpdateItem, keys: Sequence[Key], pointer: str, unstable: frozenset[str]
) -> Iterator[tuple[str, Assignment | None]]:
    """Yield each column that an item speaks of with what it sets, None for nothing."""
    match item:
        case AllColumns():
            for column in names.loaded:
                if column.name not in {key.column for key in keys}:
                    yield column.name, _incoming(column)
        case Keep():
            facts = _target_column(names, item.column, pointer)
            if facts is not None:
                yield facts.name, None
        case Rule():
            facts = _target_column(names, item.column, pointer)
            if facts is not None:
                combined = Assign(
                    column=item.column, expression=combine(item.rule, facts, names.spec.mark(pointer))
                )
                for name, assignment in _assignment(names, facts, combined, pointer, unstable):
                    yield name, replace(assignment, accumulates=item.rule in _ACCUMULATING)
        case Assign():
            facts = _target_column(names, item.column, pointer)
            if facts is not None:
                yield from _assignment(names, facts, item, pointer, unstable)


def _assignment(
    names: _Names, facts: ColumnFacts, item: Assign, pointer: str, unstable: frozenset[str]
) -> Iterator[tuple[str, Assignment]]:
    assignment = _assigned(names, facts, item, pointer, unstable)
    if assignment is not None:
        yield facts.name, assignment


def _target_column(names: _Names, name: str, pointer: str) -> ColumnFacts | None:
    columns = [column.name for column in names.table.columns]
    found = find(name, columns)
    if found is None:
        names.complain(pointer, f"{names.table} has no column {name!r}", did_you_mean(name, columns))
        return None
    return names.table.column(found)


def frozen_columns(spec: Spec, table: TableFacts, assignments: Sequence[Assignment]) -> Iterator[TargetError]:
    """Yield a problem for each column that would be set, but that the server lets nobody set."""
    for item in assignments:
        facts = table.column(item.column)
        if facts is None or not (facts.generated or facts.identity == "always"):
            continue
        what = "generated" if facts.generated else "GENERATED ALWAYS AS IDENTITY"
        message = f"column {item.column} of {table} is {what} and can't be updated"
        hint = f'leave it alone: `update_columns: ["*", {{{item.column}: keep}}]`'
        yield TargetError(message, hint=hint, location=spec.mark(_setter(spec, item.column)))


def _setter(spec: Spec, column: str) -> str:
    """Return the pointer of the item that has the last word on a column."""
    said = [
        number
        for number, item in enumerate(spec.update_columns)
        if isinstance(item, AllColumns) or item.column.casefold() == column.casefold()
    ]
    return f"/update_columns/{said[-1]}"


def _incoming(column: Loaded) -> Assignment:
    return Assignment(
        column=column.name,
        type=column.type,
        base_type=column.base_type,
        identity_equal=column.identity_equal,
        compared=not column.stable,
    )


def _assigned(
    names: _Names, facts: ColumnFacts, item: Assign, pointer: str, unstable: frozenset[str]
) -> Assignment | None:
    if item.expression is None:
        loaded = next((column for column in names.loaded if column.name == facts.name), None)
        if loaded is None:
            hint = f"load it, or set it by an expression: `{facts.name}: …`"
            names.complain(pointer, f"column {facts.name} is not loaded from the source", hint)
            return None
        return _incoming(loaded)
    value = names.exact(item.expression, pointer)
    stable = {column.name for column in names.loaded if column.stable}
    reads_stable = any(ref.relation == "excluded" and ref.name in stable for ref in value.columns)
    return Assignment(
        column=facts.name,
        type=facts.type,
        base_type=facts.base_type,
        identity_equal=facts.identity_equal,
        expression=value,
        compared=not is_stable(value, unstable) and not reads_stable,
        accumulates=value.reads("target"),
    )


def spell_names(spec: Spec, table: TableFacts, loaded: Sequence[Loaded]) -> Spelt:
    """Return the spec with the names in its guard and in `returning` spelt as the table does."""
    names = _Names(spec=spec, table=table, loaded=loaded)
    if spec.where is not None:
        spec = replace(spec, where=names.exact(spec.where, "/where"))
    spec = replace(spec, delete=_delete(names, spec.delete), history=_history(names, spec.history))
    sensitive = (_readable(names, name, f"/sensitive/{n}") for n, name in enumerate(spec.sensitive))
    spec = replace(spec, sensitive=tuple(column.name for column in sensitive if column is not None))
    if spec.conflict_where is not None:
        spec = replace(spec, conflict_where=_unqualified(spec.conflict_where, table))
    if spec.duplicates.by is not None:
        by = find(spec.duplicates.by, (column.name for column in loaded))
        if by is None:
            hint = did_you_mean(spec.duplicates.by, [column.name for column in loaded])
            names.complain("/duplicates", f"the source loads no column {spec.duplicates.by!r}", hint)
        spec = replace(spec, duplicates=replace(spec.duplicates, by=by))
    if spec.returning is not None:
        columns = tuple(
            found.name
            for number, name in enumerate(spec.returning.columns)
            if (found := _readable(names, name, f"/returning/columns/{number}")) is not None
        )
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            names.complain("/returning/columns", f"column {twice} is there twice", "leave one of them out")
        spec = replace(spec, returning=replace(spec.returning, columns=columns))
    return Spelt(spec=spec, problems=tuple(names.problems))


def _delete(names: _Names, delete: Delete) -> Delete:
    soft = delete.soft
    if soft is not None and soft.expression is not None:
        soft = replace(soft, expression=names.exact(soft.expression, "/delete/soft"))
    scope = names.exact(delete.scope, "/delete/scope") if delete.scope is not None else None
    return replace(delete, scope=scope, soft=soft)


def _history(names: _Names, history: History) -> History:
    since = names.exact(history.since, "/history/valid_from") if history.since is not None else None
    return replace(history, since=since)


def _unqualified(value: Expression, table: TableFacts) -> Expression:
    columns = [column.name for column in table.columns]
    return value.renamed(lambda ref: replace(ref, name=find(ref.name, columns) or ref.name))


def _readable(names: _Names, name: str, pointer: str) -> ColumnFacts | None:
    columns = [column.name for column in names.table.columns]
    found = find(name, columns)
    if found is None:
        names.complain(pointer, f"{names.table} has no column {name!r}", did_you_mean(name, columns))
    return names.table.column(found) if found is not None else None
