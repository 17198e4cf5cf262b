"""Find every name of a spec in the facts: Spec + facts -> Task.  Pure; all problems are raised at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from syncengine.errors import Location, SpecErrors, SyncError
from syncengine.model.facts import ColumnFacts, IndexFacts, ServerFacts, SourceFacts, TableFacts
from syncengine.model.spec import Expression, Spec
from syncengine.model.task import Key, Task
from syncengine.protocols import Mode
from syncengine.resolve.columns import map_columns, undeclared
from syncengine.resolve.fitness import (
    READING,
    WRITING,
    misfits,
    missing_rights,
    of_strangers,
    one_version_only,
    unplaced,
    unremembered,
    unseen_lookups,
    untyped_chunks,
)
from syncengine.resolve.keys import find_keys
from syncengine.resolve.stored import find_stored
from syncengine.resolve.updates import find_assignments, frozen_columns, spell_names
from syncengine.values import replace

Parse = Callable[[str], Expression]
InferArbiter = Callable[[tuple[Key, ...]], IndexFacts | None]


def resolve(
    spec: Spec,
    source: SourceFacts,
    table: TableFacts,
    server: ServerFacts,
    *,
    mode: Mode,
    run: str,
    declared: Mapping[str, ColumnFacts],
    unstable: frozenset[str] = frozenset(),
    staged_rows: int | None = None,
    parse: Parse,
    read_default: Parse,
    infer_arbiter: InferArbiter,
    looked_up: Mapping[str, TableFacts] | None = None,
) -> Task:
    """Return the task, or raise SpecErrors with everything that stands against it.

    `declared` holds the types of the spec's `columns` entries, and for a target that is to be created those of its
    other columns; `unstable` the allowed functions that are not immutable; `staged_rows` tells that the source
    is in the staging table already, as text.  `parse` reads an index's expression, `read_default` a column's default,
    `infer_arbiter` asks the server about keys that no index matches by name; `looked_up` are the tables of the
    `lookups`, by column.
    """
    problems: list[SyncError] = [*misfits(spec, table, server, mode)]
    if problems and (not table.columns or table.relation == "other"):
        raise SpecErrors(in_order(problems))
    mapping = partial(map_columns, spec, source, table, declared, unstable, looked_up=looked_up or {})
    columns = mapping(staged=staged_rows is not None)
    infers = staged_rows is None and bool(undeclared(columns, declared))
    if infers:
        columns = mapping(staged=True)
    if columns.problems and not table.exists:
        raise SpecErrors(in_order([*columns.problems]))
    keys = find_keys(spec, columns.table, columns.loaded, mode, parse, infer_arbiter)
    updates = find_assignments(spec, columns, keys.keys, mode, unstable)
    spelt = spell_names(spec, columns.table, columns.loaded)
    stored = find_stored(spec, columns, mode, read_default, unstable)
    problems += [*columns.problems, *keys.problems, *updates.problems, *spelt.problems, *stored.problems]
    if columns.problems:
        raise SpecErrors(in_order(problems))
    problems += frozen_columns(spec, table, updates.assignments)
    task = Task(
        spec=spelt.spec,
        source=source,
        table=columns.table,
        server=server,
        run=run,
        stage=columns.stage,
        loaded=columns.loaded,
        lookups=columns.lookups,
        absent=columns.absent,
        roundings=columns.roundings,
        keys=keys.keys,
        arbiter=keys.arbiter,
        predicate=spelt.spec.conflict_where if keys.predicate is spec.conflict_where else keys.predicate,
        assignments=(*updates.assignments, *stored.resets) if keys.keys else (),
        resets=stored.resets,
        soft=stored.soft,
        versions=stored.versions,
        locks=mode.locks,
        null_keys=keys.null_keys,
        staged_rows=staged_rows,
        infers=infers,
    )
    problems += [*untyped_chunks(task), *unseen_lookups(task, (looked_up or {}).values())]
    return _allowed(task, mode, problems)


def _allowed(task: Task, mode: Mode, problems: list[SyncError]) -> Task:
    """Return the task if nothing stands against it; a preview needs no right to write, and tells which are lacking."""
    writing = [*missing_rights(task, mode, WRITING), *unremembered(task), *of_strangers(task)]
    problems += [*unplaced(task, mode), *one_version_only(task), *missing_rights(task, mode, READING)]
    problems += [] if task.spec.previewed else writing
    if problems:
        raise SpecErrors(in_order(problems))
    return replace(task, lacking=tuple(f"{error.message}: {error.hint}" for error in writing))


def in_order(problems: list[SyncError]) -> list[SyncError]:
    """Return the problems by their place in the file."""

    def place(error: SyncError) -> tuple[str, int, int]:
        where = error.location or Location("")
        return where.file, where.line, where.column

    return sorted(problems, key=place)
