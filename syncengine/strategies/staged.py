"""staged: COPY into a staging table, then classify and apply in one transaction."""

from __future__ import annotations

from syncengine.model.facts import Handover
from syncengine.model.plan import READ, Fit, Misfit, Unit, Verdict
from syncengine.model.steps import CheckLimits, CopyIn, RunSql, Sample, StageRecords, Step
from syncengine.model.task import QualifiedName, Task
from syncengine.protocols import Mode
from syncengine.sql import badrows, changes, publish, sifting, staging, steps, streams
from syncengine.values import replace

# What two transactions more and a table to make and drop cost, in rows moved: with some hundred rows it is no more than
# what multi-row statements take (docs/benchmarks.md).
FIXED_COST = 200


class Staged:
    name = "staged"
    stages = True

    def judge(self, task: Task) -> Verdict:
        schema, database = task.spec.ledger_schema, f"DATABASE {task.server.database}"
        where = f"SCHEMA {schema}" if task.server.engine_schema_exists else database
        if not task.server.engine_schema and not task.server.temporary:
            reason = (
                f"{task.server.role} may make no tables in schema {schema} nor temporary ones:"
                f" GRANT CREATE ON {where}, or GRANT TEMPORARY ON {database}"
            )
            return Misfit(strategy=self.name, reason=reason)
        if (kept := _kept(task)) and not task.rehearsed and not task.server.engine_schema:
            reason = f"{kept} in schema {schema}, where {task.server.role} may make no tables"
            return Misfit(strategy=self.name, reason=f"{reason}: GRANT CREATE ON {where}")
        if (task.keys or task.locks) and not task.server.temporary:
            reason = f"{task.server.role} may not make temporary tables: GRANT TEMPORARY ON DATABASE"
            return Misfit(strategy=self.name, reason=reason)
        if task.chunked and not task.ledgered:
            return Misfit(strategy=self.name, reason=steps.NO_LEDGER)
        rows = task.rows if task.rows is not None else 1_000_000
        return Fit(strategy=self.name, cost=4 * rows + FIXED_COST, reasons=_reasons(task))

    def units(self, task: Task, mode: Mode) -> tuple[Unit, ...]:
        stage, load = staging.relations(task)
        task = replace(task, relation=load)
        reading = (_reading(task, stage),) if task.untyped else ()
        if staging.is_temporary(task):
            return (*reading, _whole(task, mode, stage, load))
        typed = _typed(task, stage, load)
        # What is looked up may be published in the same transaction, by another spec.
        early, late = ((), typed) if task.lookups else (typed, ())
        prepared = (
            *steps.hold(task),
            *publish.created(task),
            *steps.claimed(task, stage),
            *late,
            *steps.one_row_a_key(task),
        )
        publishing = _in_parts(task, mode, prepared) if task.chunked else _as_one(task, mode, prepared)
        relations = (stage, load, *((_parts(task),) if task.chunked else ()))
        return (
            *steps.room_for_staging(task),
            *reading,
            _staging(task, stage, load, early),
            *publishing,
            Unit(name="tidy", steps=(*_dropped(relations), *sifting.tidied(task)), always=True),
        )


def _kept(task: Task) -> str:
    """Say what must outlive the transaction that stages, or nothing."""
    if task.spec.quarantines:
        return "the quarantine is"
    return "types are inferred from what is staged" if task.untyped else ""


def _reading(task: Task, stage: QualifiedName) -> Unit:
    """Return the unit that stages a source as text, to infer types from it."""
    copied = (
        replace(step, observes=True) if isinstance(step, CopyIn | StageRecords) else step
        for step in steps.copied(task, stage)
    )
    return _of_source(task, READ, tuple(copied))


def _staging(task: Task, stage: QualifiedName, load: QualifiedName, typed: tuple[Step, ...]) -> Unit:
    """Return the unit that fills staging, or computes the columns of what fills it."""
    filled = (*_filled(task, stage, load), *typed)
    if task.untyped:
        return Unit(name="stage", steps=(*steps.hold(task), *filled))
    return _of_source(task, "stage", filled)


def _of_source(task: Task, name: str, filled: tuple[Step, ...]) -> Unit:
    """Return a unit that reads the source; where there is a ledger, chunk by chunk."""
    # Records of what can be read only once, or was kept before, are staged in one transaction.
    chunked = task.ledgered and not (task.tolerant and not sifting.in_pieces(task))
    held = steps.hold_chunk(task) if chunked else steps.hold(task)
    cut = (steps.cut(task, step) if chunked and isinstance(step, CopyIn) else step for step in filled)
    return Unit(
        name=name,
        steps=(*held, *cut),
        closing=steps.record(task, "stage") if chunked or task.chunked else (),
        chunks="source" if chunked else "",
        workers=streams.workers(task, streams.into_staging(task)),
        repeatable=task.source.reopenable,
    )


def _as_one(task: Task, mode: Mode, prepared: tuple[Step, ...]) -> tuple[Unit, ...]:
    """Return the unit that publishes everything in one transaction."""
    unit = Unit(
        name="publish",
        steps=(*prepared, *(sifting.kept(task) if task.tolerant else ()), *mode.publish(task)),
        opening=publish.opening(task),
        closing=steps.record(task, "run"),
        isolation="repeatable read",
        publishes=True,
        exact=task.exact,
        probe=sifting.probe(task, mode),
    )
    return (unit,)


def _in_parts(task: Task, mode: Mode, prepared: tuple[Step, ...]) -> tuple[Unit, ...]:
    """Return the units that cut staging into parts in key order, and publish each by itself."""
    parts = _parts(task)
    rows = task.spec.execution.chunk_rows or steps.CHUNK_ROWS
    cut = (
        RunSql(
            title=f"cut into parts of {rows:,} rows", sql=steps.text(staging.create_parts(task, parts, rows))
        ),
        RunSql(title="index the parts", sql=steps.text(staging.index_parts(task, parts))),
    )
    of_part = replace(task, relation=staging.PART)
    keys = [part.column for part in task.keys if part.column is not None]
    take = (
        RunSql(title="take one part", sql=steps.text(staging.take_part(task, parts))),
        RunSql(title="analyze its keys", sql=steps.text(staging.analyze(staging.PART, keys))),
    )
    published = (step for step in mode.publish(of_part) if not isinstance(step, CheckLimits))
    return (
        Unit(
            name="arrange",
            steps=(*prepared, *(sifting.kept_before_parts(task) if task.tolerant else ()), *cut),
            closing=steps.record(task, "arrange", parts),
        ),
        *_limits(task, mode),
        Unit(
            name="publish",
            steps=(*steps.hold_chunk(task), *take, *published),
            closing=steps.record(task, "publish"),
            chunks="parts",
            workers=streams.workers(task, streams.into_target(task)),
            isolation="repeatable read",
            exact=task.exact,
            probe=sifting.probe(of_part, mode),
            sift=sifting.kept_of_part(task) if task.tolerant else (),
        ),
        steps.finish(task),
    )


def _limits(task: Task, mode: Mode) -> tuple[Unit, ...]:
    """Return the unit that classifies everything, so that limits are known before the first part is written."""
    found = mode.publish(task)
    last = next((place for place, step in enumerate(found) if isinstance(step, CheckLimits)), None)
    if last is None:
        return ()
    classified = (step for step in found[: last + 1] if not isinstance(step, Sample))
    return (Unit(name="limits", steps=tuple(classified), isolation="repeatable read", tries=True),)


def _parts(task: Task) -> QualifiedName:
    schema, stage = staging.relations(task)[0]
    return schema, f"{stage}_parts"


def _dropped(relations: tuple[QualifiedName, ...]) -> tuple[Step, ...]:
    return tuple(
        RunSql(title=f"drop {'.'.join(relation)}", sql=steps.text(staging.drop(relation)))
        for relation in dict.fromkeys(relations)
    )


def _whole(task: Task, mode: Mode, stage: QualifiedName, load: QualifiedName) -> Unit:
    """Return everything in one transaction, on temporary tables, where no others may be made."""
    return Unit(
        name="publish",
        steps=(
            *steps.hold(task),
            *publish.created(task),
            *_filled(task, stage, load),
            *steps.claimed(task, stage),
            *_typed(task, stage, load),
            *steps.one_row_a_key(task),
            *(sifting.kept(task) if task.tolerant else ()),
            *mode.publish(task),
        ),
        opening=publish.opening(task),
        closing=steps.record(task, "run"),
        isolation="repeatable read",
        publishes=True,
        repeatable=task.source.reopenable,
        exact=task.exact,
        probe=sifting.probe(task, mode),
    )


def _reasons(task: Task) -> tuple[str, ...]:
    rows = "an unknown number of rows" if task.rows is None else f"about {task.rows:,} rows"
    reasons = [f"{rows}, {len(task.loaded)} columns"]
    if task.table.rows is not None and task.keys:
        reasons.append(f"about {task.table.rows:,} rows are stored, with which they are joined once")
    if changes.in_key_order(task):
        reasons.append("they lie in the order of their keys, in which they are joined and updated")
    if Handover.CSV_BYTES in task.source.handovers:
        reasons.append("the source hands over CSV bytes")
    if Handover.ARROW in task.source.handovers:
        reasons.append("the source hands over Arrow batches, for binary COPY")
    reasons += [_about_bad_rows(task)] if task.spec.quarantines else []
    return tuple(reasons)


def _about_bad_rows(task: Task) -> str:
    """Say what happens with bad rows."""
    where = f"{task.spec.ledger_schema}.quarantine"
    if task.tolerant and not sifting.in_pieces(task):
        return f"bad rows go to {where}; each record is read by itself, as the source can't be read again for them"
    if task.tolerant:
        return f"bad rows go to {where}: the source is read record by record where one stands"
    return f"bad rows go to {where}: once one is met, staging starts over, record by record where one stands"


def _filled(task: Task, stage: QualifiedName, load: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that bring the source into staging and make room for computed columns."""
    create = steps.text(staging.create_load(task, load))
    typed: tuple[Step, ...] = ()
    if task.converts:
        typed = (RunSql(title="create the typed staging table", sql=create),)
    if task.converts and task.tolerant:
        typed += sifting.with_keys_aside(task)
    if task.untyped:
        # An earlier process may have got as far as that.
        return (*(_dropped(_made(task, load)) if typed and task.ledgered else ()), *typed)
    *room, copy = steps.copied(task, stage)
    # What a chunked COPY needs comes before it.
    return (*room, copy, *typed) if task.tolerant else (*room, *typed, copy)


def _made(task: Task, load: QualifiedName) -> tuple[QualifiedName, ...]:
    """Return the relations that the computed columns go to."""
    return (load, *((badrows.aside_keys(task),) if task.tolerant else ()))


def _typed(task: Task, stage: QualifiedName, load: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that fill the relation which the mode reads."""
    converted = steps.converted(task, stage, load) if task.converts else ()
    keys = [part.column for part in task.keys if part.column is not None]
    analyze = RunSql(title="analyze the staged keys", sql=steps.text(staging.analyze(load, keys)))
    if task.tolerant:
        return (*sifting.without_rounded(task, stage), *converted, *steps.not_rounded(task, stage), analyze)
    return (*converted, *steps.not_rounded(task, stage), analyze)


PLUGIN = Staged()
