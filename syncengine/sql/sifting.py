"""Steps that keep apart the rows which can't be loaded; a run takes them once it has met such a row."""

from __future__ import annotations

from psycopg.sql import SQL, Composed

from syncengine.model.steps import (
    CopyIn,
    KeepBadRows,
    Part,
    Pieces,
    Probe,
    RawRecords,
    RunSegments,
    RunSql,
    Sieve,
    StageRecords,
    Step,
)
from syncengine.model.task import QualifiedName, Task
from syncengine.protocols import Mode
from syncengine.sql import badrows, convert, quarantine, segments, staging
from syncengine.sql.changes import CHANGES
from syncengine.sql.names import ident, quoted
from syncengine.values import replace


def sieve(task: Task) -> Sieve:
    return Sieve(note=badrows.note(task).as_string(), move=badrows.move_bad(task).as_string())


def in_pieces(task: Task) -> bool:
    """Tell whether only around bad rows the source is read record by record, and their records are read once more."""
    return task.source.reopenable and not task.spec.retries


def raw_records(task: Task) -> RawRecords:
    return RawRecords(
        copy=badrows.keep_records(task).as_string(),
        head=badrows.keep_head(task).as_string(),
        wanted=badrows.not_kept(task).as_string(),
        places=badrows.all_places(task).as_string(),
    )


def copied(task: Task, stage: QualifiedName, copy: CopyIn) -> tuple[Step, ...]:
    """Return the steps that bring the source into numbered staging; `copy` brings the good rows of it there."""
    texts = [staged.column.column for staged in task.stage]
    number = staging.row_number(task)
    keys = badrows.key_fields(task) if task.locks and task.keys else ()
    made = (
        ("create staging", staging.create_stage(task, stage)),
        ("make room for bad rows", badrows.create_bad(task)),
        ("make room for the records as they are", badrows.create_raw(task)),
        ("make room for the places of records", badrows.create_places(task)),
        ("make room for the keys of bad rows", badrows.create_aside(task)),
    )
    pieces = Pieces(
        copy=copy,
        number=badrows.set_number(task, stage).as_string(),
        place=badrows.note_place(task).as_string(),
    )
    read = StageRecords(
        title=f"{copy.title}, record by record{' where one is refused' if in_pieces(task) else ''}",
        sql=_copy(stage, [*texts, number]),
        raw=raw_records(task),
        pieces=pieces if in_pieces(task) else None,
        sieve=sieve(task),
        columns=tuple(staged.column for staged in task.stage),
        keys=keys,
        aside=_copy(badrows.aside(task), [*keys, number]) if keys else "",
        tolerates=task.spec.bad_rows.quarantine or task.spec.retries,
        most=task.spec.bad_rows.max,
        location=task.spec.mark("/bad_rows"),
    )
    return (*(_run(title, statement) for title, statement in made), read)


def _copy(relation: QualifiedName, columns: list[str]) -> str:
    return SQL("COPY {} ({}) FROM STDIN").format(ident(*relation), quoted(columns)).as_string()


def _run(title: str, statement: Composed) -> RunSql:
    return RunSql(title=title, sql=statement.as_string())


def with_keys_aside(task: Task) -> tuple[Step, ...]:
    """Return the step that makes room for the computed keys of bad rows."""
    if badrows.aside_keys(task) == badrows.aside(task):
        return ()
    return (_run("make room for computed keys", badrows.create_aside_keys(task)),)


def without_rounded(task: Task, stage: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that take out rows with values which would be rounded."""
    if not task.roundings or not task.spec.bad_rows.quarantine:
        return ()
    notes = badrows.note_rounded(task, stage)
    return (*(_run("find values that would be rounded", note) for note in notes), _moved(task))


def _moved(task: Task) -> RunSql:
    return _run("take bad rows out of staging", badrows.move_bad(task))


def without_unresolved(task: Task, stage: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that take out rows for which a lookup finds nothing, where that is asked for."""
    found = [joined for joined in task.lookups if joined.missing == "quarantine"]
    notes = (
        _run(f"{joined.column}: find what is not there", badrows.note_unresolved(task, joined, stage))
        for joined in found
    )
    return (*notes, _moved(task)) if found else ()


def computed(task: Task, stage: QualifiedName, load: QualifiedName, parts: tuple[Part, ...]) -> RunSegments:
    """Return the step that computes the columns, and takes out rows for which that fails."""
    whole = convert.convert(task, stage, load)
    numbered = tuple(
        Part(
            column=part.column,
            sql=segments.in_segment(SQL(part.sql), "source", task).as_string(),
            location=part.location,
        )
        for part in parts
    )
    return RunSegments(
        title="compute the columns",
        sql=whole.as_string(),
        segment=segments.in_segment(whole, "source", task).as_string(),
        numbers=segments.numbers(task, stage).as_string(),
        sieve=sieve(task) if task.spec.bad_rows.quarantine else None,
        parts=numbered,
    )


def without_null_keys(task: Task) -> tuple[Step, ...]:
    """Return the steps that take out rows without a key, where that is asked for."""
    note = badrows.note_null_keys(task) if task.null_keys == "quarantine" else None
    if note is None:
        return ()
    return (_run("find rows without a key", note), _moved(task))


def kept(task: Task) -> tuple[Step, ...]:
    """Return the steps that count the bad rows and keep them, with the rows that are published."""
    statement = quarantine.settle(task) if task.spec.retries else quarantine.keep(task)
    counted = KeepBadRows(
        title="keep the bad rows" if not task.spec.retries else "mark the rows that are good now",
        raw=raw_records(task),
        sql="" if task.rehearsed else statement.as_string(),
        count=quarantine.count_bad(task).as_string(),
        sample=quarantine.sample_bad(task).as_string(),
        most=task.spec.bad_rows.max,
        strict=task.spec.mode == "replace" and not task.spec.retries,
        location=task.spec.mark("/bad_rows"),
    )
    return (*_keys_computed(task), counted)


def kept_before_parts(task: Task) -> tuple[Step, ...]:
    """Return the steps that keep the bad rows which are known before the parts are published."""
    return (*kept(task), _run("go on with those that are met later", quarantine.forget_bad(task)))


def kept_of_part(task: Task) -> tuple[Step, ...]:
    """Return the steps that take bad rows out of a part, and keep them."""
    out = _run("take the bad rows out of the part", quarantine.leave_out(task))
    return (out, *kept_before_parts(task))


def _keys_computed(task: Task) -> tuple[Step, ...]:
    aside, load = badrows.aside(task), badrows.aside_keys(task)
    if not (task.locks and task.keys) or load == aside:
        return ()
    whole = convert.convert_some(task, badrows.key_columns(task), aside, load)
    step = RunSegments(
        title="compute the keys of bad rows",
        sql=whole.as_string(),
        segment=segments.in_segment(whole, "source", task).as_string(),
        numbers=segments.numbers(task, aside).as_string(),
    )
    return (step,)


def probe(task: Task, mode: Mode) -> Probe | None:
    """Return how to find the rows that the target refuses."""
    if not task.tolerant or not (task.spec.bad_rows.quarantine or task.spec.retries):
        return None
    plain = task.spec.mode == "insert"
    read = mode.publish(_reading(task, CHANGES) if plain else task)
    whole = task.relation if plain else segments.WHOLE
    prepare = [] if plain else [segments.rename_changes()]
    prepare += segments.segmented(task, whole)
    return Probe(
        prepare=tuple(statement.as_string() for statement in prepare),
        numbers=segments.numbers(task, whole).as_string(),
        writes=tuple(step for step in read if isinstance(step, RunSql) and step.writes),
        sieve=sieve(task),
    )


def _reading(task: Task, relation: QualifiedName) -> Task:
    return replace(task, relation=relation)


def tidied(task: Task) -> tuple[RunSql, ...]:
    """Return the steps that drop what a tolerant run has beside its staging."""
    if not task.tolerant:
        return ()
    return tuple(_run(f"drop {'.'.join(table)}", staging.drop(table)) for table in badrows.tables(task))
