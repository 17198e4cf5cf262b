"""Which field goes to which column; every fault of the mapping is noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from syncengine.arbiter import quote_if_needed
from syncengine.errors import SpecError, SyncError, TargetError
from syncengine.model.facts import ColumnFacts, SourceFacts, TableFacts
from syncengine.model.spec import ColumnRef, ColumnSpec, Expression, Lookup, Spec
from syncengine.model.task import Joined, Loaded, Rounding, Staged, Task
from syncengine.resolve.joins import NotFound, find_lookup, staged_lookup
from syncengine.resolve.loading import TEXT, Mapped, absent_column, loaded_column, roundings, stage
from syncengine.resolve.lookup import did_you_mean, find, in_sql, nearest, shortened
from syncengine.sql.names import MAX_BYTES, SYSTEM_COLUMNS
from syncengine.values import replace

# In these modes a row that is written has every column of the source, or its default.
_FILLING = ("insert", "replace", "history")
# Fields without a column that are complained of one by one.
_MOST_COMPLAINTS = 3


class Columns(Struct, frozen=True, kw_only=True):
    """`table` also holds the columns that `create` will make."""

    table: TableFacts
    stage: tuple[Staged, ...] = ()
    loaded: tuple[Loaded, ...] = ()
    lookups: tuple[Joined, ...] = ()
    absent: str | None = None
    roundings: tuple[Rounding, ...] = ()
    problems: tuple[SyncError, ...] = ()


@dataclass
class _Mapping:
    """The mapping while it is being made; filled by the functions below, in order."""

    spec: Spec
    source: SourceFacts
    table: TableFacts
    declared: Mapping[str, ColumnFacts]
    looked_up: Mapping[str, TableFacts]
    mapped: dict[str, Mapped] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    problems: list[SyncError] = field(default_factory=list)

    def complain(
        self, pointer: str, message: str, hint: str | None = None, detail: str | None = None
    ) -> None:
        location = self.spec.mark(pointer)
        self.problems.append(SpecError(message, detail=detail, hint=hint, location=location))


def map_columns(
    spec: Spec,
    source: SourceFacts,
    table: TableFacts,
    declared: Mapping[str, ColumnFacts],
    unstable: frozenset[str],
    *,
    staged: bool,
    looked_up: Mapping[str, TableFacts],
) -> Columns:
    """Map the source's fields to the target's columns (docs/spec.md §4).

    `staged`: the fields are in a staging table already, all as text.  Where there are problems, every column counts
    as loaded, so that the rest of the spec is looked at as well and not blamed for what is missing here.
    """
    work = _Mapping(spec=spec, source=source, table=table, declared=declared, looked_up=looked_up)
    for item in spec.columns:
        _map_declared(work, item)
    for number, lookup in enumerate(spec.lookups):
        _map_lookup(work, lookup, f"lookup_{number}")
    _map_by_name(work)
    _check_loadable(work)
    if work.problems:
        whole = tuple(loaded_column(Mapped(facts=facts), {}, True, unstable) for facts in table.columns)
        return Columns(table=table, loaded=whole, problems=tuple(work.problems))
    mapped = _in_source_order(work)
    if not table.exists:
        table = replace(table, columns=tuple(item.facts for item in mapped))
    stages, names, plain = stage(source, mapped, staged)
    loaded = tuple(loaded_column(item, names, plain, unstable) for item in mapped)
    taken = {*(column.name for column in loaded), *(staged.column.column for staged in stages)}
    absent = absent_column(source, taken)
    return Columns(
        table=table,
        stage=stages if absent is None else (*stages, absent),
        loaded=loaded,
        lookups=tuple(staged_lookup(item.lookup, names) for item in mapped if item.lookup is not None),
        roundings=roundings(mapped, names),
        absent=absent.column.column if absent is not None else None,
    )


def _in_source_order(work: _Mapping) -> tuple[Mapped, ...]:
    """Return the columns in their fields' order, for a table to be created has them so; computed ones come last."""
    places = {name: place for place, name in enumerate(work.source.fields)}
    last = len(places)
    return tuple(sorted(work.mapped.values(), key=lambda item: places.get(item.field or "", last)))


def _map_declared(work: _Mapping, item: ColumnSpec) -> None:
    """Map one entry of the spec's `columns`."""
    pointer = f"/columns/{item.column}"
    facts = _column(work, item.column)
    if facts is None:
        names = [column.name for column in work.table.columns]
        work.complain(
            pointer, f"{work.table} has no column {item.column!r}", did_you_mean(item.column, names)
        )
        return
    if facts.name in work.mapped:
        work.complain(pointer, f"column {facts.name} is there twice", "leave one of them out")
    read_as = work.declared.get(item.column) if item.type is not None else None
    if item.expression is not None:
        value = _source_columns(work, item.expression, pointer)
        work.mapped[facts.name] = Mapped(facts=facts, expression=value, read_as=read_as)
        return
    name = item.field if item.field is not None else item.column
    found = find(name, work.source.fields)
    if found is None:
        _complain_of_missing(work, pointer, name)
        return
    work.used.add(found)
    work.mapped[facts.name] = Mapped(facts=facts, field=found, read_as=read_as)


def _map_lookup(work: _Mapping, lookup: Lookup, alias: str) -> None:
    """Map one entry of the spec's `lookups`."""
    pointer = f"/lookups/{lookup.column}"
    facts = _column(work, lookup.column)
    if facts is None:
        names = [column.name for column in work.table.columns]
        message = f"{work.table} has no column {lookup.column!r}"
        work.complain(pointer, message, did_you_mean(lookup.column, names))
        return
    if facts.name in work.mapped:
        work.complain(pointer, f"column {facts.name} is there twice", "leave one of them out")
    read = [
        replace(item, expression=_source_columns(work, item.expression, f"{pointer}/match/{item.column}"))
        for item in lookup.match
        if item.expression is not None
    ]
    known = replace(lookup, column=facts.name, match=tuple(read))
    try:
        joined, value = find_lookup(known, work.table, work.looked_up[lookup.column], alias)
    except NotFound as missing:
        work.complain(pointer + missing.pointer, missing.message, missing.hint)
    else:
        work.mapped[facts.name] = Mapped(facts=facts, expression=value, lookup=joined)


def _column(work: _Mapping, name: str) -> ColumnFacts | None:
    """Return the column called so; a target that is yet to be made has every column."""
    if not work.table.exists:
        return replace(work.declared.get(name, TEXT), name=name)
    found = find(name, (column.name for column in work.table.columns))
    return work.table.column(found) if found is not None else None


def _source_columns(work: _Mapping, value: Expression, pointer: str) -> Expression:
    """Find the fields that an expression reads; each is then staged as the text it was."""

    def rename(ref: ColumnRef) -> ColumnRef:
        found = find(ref.name, work.source.fields)
        if found is None:
            cut = [name for name in work.source.fields if name.encode()[:MAX_BYTES] == ref.name.encode()]
            found = cut[0] if len(cut) == 1 else None
        if found is None:
            _complain_of_missing(work, pointer, ref.name)
            return ref
        work.used.add(found)
        return ColumnRef(relation="source", name=found)

    return value.renamed(rename)


def _complain_of_missing(work: _Mapping, pointer: str, name: str) -> None:
    """Say that there is no such field; the one that is proposed instead is not complained of itself."""
    fields = work.source.fields
    work.complain(pointer, f"the source has no field {name!r}", did_you_mean(name, fields))
    work.used.update(close for close in (nearest(name, fields),) if close is not None)


def _map_by_name(work: _Mapping) -> None:
    """Map the fields that no entry names: by position where they are only numbered, else by name."""
    if not work.source.named:
        _map_by_position(work)
        return
    strange: list[str] = []
    for name in _exact_first(work):
        facts = _column(work, name)
        if facts is not None and facts.name not in work.mapped:
            work.mapped[facts.name] = Mapped(facts=facts, field=name)
        elif name not in work.used and not work.spec.ignore_rest:
            strange.append(name)
    if strange and not work.mapped:
        _complain_of_header(work, strange)
        return
    if len(strange) > _MOST_COMPLAINTS:
        message = f"{len(strange)} fields of the source match no column of {work.table}: {shortened(strange)}"
        rename = 'name their columns under `columns`, or leave out all that match none: `ignore_fields: "*"`'
        work.complain("/source", message, rename)
        return
    for name in strange:
        _complain_of_field(work, name)


def _exact_first(work: _Mapping) -> list[str]:
    """Return the fields still to be mapped; those that are spelt like a column go before those that are not."""
    ignored = {find(name, work.source.fields) for name in work.spec.ignore_fields}
    taken = {item.field for item in work.mapped.values()}
    fields = [name for name in work.source.fields if name not in taken | ignored]
    return sorted(fields, key=lambda name: work.table.column(name) is None)


def _complain_of_header(work: _Mapping, names: Sequence[str]) -> None:
    """Say that no field has a column: often the file has no header, or another delimiter."""
    notes = "; ".join(note for note in work.source.notes if "header" in note)
    columns = shortened([column.name for column in work.table.columns])
    mend = "name the fields of the columns under `columns`"
    if work.source.csv is not None and not notes:
        mend = f"if the first line is no header, state `header: false`; else {mend}"
    message = f"no field of the source matches a column of {work.table}"
    detail = f"the source has: {shortened(names)}; the table has: {columns}"
    work.complain("/source", message, notes or mend, detail)


def _complain_of_field(work: _Mapping, name: str) -> None:
    leave_out = f"leave it out with `ignore_fields: [{name!r}]`"
    own = _column(work, name)
    if own is not None:
        message = (
            f"field {name!r} of the source is not loaded: column {own.name} is filled from something else"
        )
        work.complain("/source", message, leave_out)
        return
    columns = [column.name for column in work.table.columns if column.name not in work.mapped]
    message = f"field {name!r} of the source matches no column of {work.table}"
    rename = f"name its column under `columns`, or {leave_out}"
    close = nearest(name, columns)
    detail = None if close else f"columns without a field: {shortened(columns)}" if columns else None
    work.complain("/source", message, f"did you mean {close!r}? Else {rename}" if close else rename, detail)


def _map_by_position(work: _Mapping) -> None:
    """Map numbered fields to the columns in order, as COPY without a column list does."""
    fields = [name for name in work.source.fields if name not in work.used]
    fields = [name for name in fields if name not in work.spec.ignore_fields]
    if not fields:
        return
    if not work.table.exists:
        hint = (
            "name the fields: `header: [id, name, …]`"
            if work.source.csv
            else "hand over dicts or named tuples"
        )
        work.complain("/source", f"{work.table} can't be created from fields without names", hint)
        return
    columns = [column for column in work.table.columns if not column.generated]
    columns = [column for column in columns if column.name not in work.mapped]
    if len(fields) != len(columns) and not (work.spec.ignore_rest and len(fields) > len(columns)):
        message = f"the source has {len(fields)} fields without names, {work.table} has {len(columns)} columns for them"
        names = ", ".join(column.name for column in columns)
        name = (
            f"name the fields: `header: [{names}]`" if work.source.csv else "hand over dicts or named tuples"
        )
        hint = f'{name}, or say the column of each: `columns: {{NAME: "1"}}`'
        work.complain("/source", message, hint)
        return
    for name, column in zip(fields, columns, strict=False):
        work.mapped[column.name] = Mapped(facts=column, field=name)


def _check_loadable(work: _Mapping) -> None:
    """Refuse columns that the server would not let anyone write, and NOT NULL columns that nobody fills."""
    whole = not work.problems
    for item in work.mapped.values():
        name = item.facts.name
        pointer = f"/columns/{name}" if f"/columns/{name}" in work.spec.marks else "/source"
        if item.facts.generated:
            hint = f"leave it out: `ignore_fields: [{item.field or name}]`"
            work.problems.append(
                _refusal(
                    work, pointer, f"column {name} of {work.table} is generated and can't be loaded", hint
                )
            )
        elif not work.table.exists and (fault := _fault_of_name(name)):
            message = f"the column {name} can't be created: {fault}"
            work.complain(pointer, message, "name the column under `columns`: `short_name: field`")
        elif item.facts.identity == "always" and work.spec.mode != "update":
            alter = f"ALTER TABLE {in_sql(work.table)} ALTER COLUMN {quote_if_needed(name)} SET GENERATED BY DEFAULT;"
            message = f"column {name} of {work.table} is GENERATED ALWAYS AS IDENTITY and can't be loaded"
            work.problems.append(_refusal(work, pointer, message, f"leave it out, or: {alter}"))
    if not work.mapped and not work.problems:
        _complain_of_header(work, work.source.fields)
    if work.spec.mode in _FILLING and whole:
        _check_not_null(work)


def _fault_of_name(name: str) -> str | None:
    """Return why no column can be called so, if that is so."""
    if len(name.encode()) > MAX_BYTES:
        return f"its name is longer than {MAX_BYTES} bytes"
    return "PostgreSQL keeps this name for itself" if name in SYSTEM_COLUMNS else None


def _refusal(work: _Mapping, pointer: str, message: str, hint: str) -> TargetError:
    return TargetError(message, hint=hint, location=work.spec.mark(pointer))


def _check_not_null(work: _Mapping) -> None:
    if any(trigger.timing == "BEFORE" and "INSERT" in trigger.events for trigger in work.table.triggers):
        return  # it may fill them
    if work.table.relation not in ("table", "partitioned"):
        return
    history = work.spec.history
    versions = (history.valid_from, history.valid_to, history.current) if work.spec.mode == "history" else ()
    for name in work.table.unfilled(work.mapped):
        if find(name, [column for column in versions if column is not None]) is not None:
            continue
        alter = f"ALTER TABLE {in_sql(work.table)} ALTER COLUMN {quote_if_needed(name)} SET DEFAULT …;"
        hint = f"load it: `columns: {{{name}: …}}`, or: {alter}"
        message = (
            f"column {name} of {work.table} is NOT NULL without a default, and the source does not load it"
        )
        work.problems.append(_refusal(work, "/source", message, hint))


def undeclared(columns: Columns | Task, declared: Mapping[str, ColumnFacts]) -> tuple[str, ...]:
    """Return the columns of a target to be created whose types nobody has said."""
    if columns.table.exists:
        return ()
    return tuple(column.name for column in columns.loaded if column.name not in declared)
