"""One spec of a call: make it ready, then carry it out, inferring types first where the target is to be created."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING

from syncengine.entering import entered, told, without_ledger
from syncengine.errors import SyncError
from syncengine.execute.apply import Run
from syncengine.execute.infer import infer
from syncengine.execute.masking import mask
from syncengine.execute.rehearsal import Rehearsal
from syncengine.job import Failed, Job
from syncengine.model import events as ev
from syncengine.model.facts import SourceFacts
from syncengine.model.plan import After, CopyIn, RunSql, Unit
from syncengine.model.report import Report
from syncengine.model.task import QualifiedName
from syncengine.prepare import SHOWN_RUN, Prepared, expected_fields, open_source, prepare
from syncengine.protocols import Source
from syncengine.sql import staging, steps

if TYPE_CHECKING:
    import psycopg
    from psycopg.rows import TupleRow

    from syncengine.model.spec import Spec
    from syncengine.targets import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A planned spec, the URL of its database, and the connection that it was planned on.

    `connect` returns it, opened anew if it was lost.  `group`: it is published in one transaction with the other specs
    of the call.
    """

    prepared: Prepared
    url: str = field(repr=False)
    connection: psycopg.Connection[TupleRow]
    connect: Callable[[], psycopg.Connection[TupleRow]]
    group: bool = False

    @property
    def spec(self) -> Spec:
        return self.prepared.spec

    def placed(self, *, after: tuple[After, ...], warnings: tuple[str, ...]) -> Ready:
        """Return the same with what its plan says of its place among other specs."""
        plan = self.prepared.plan
        plan = replace(plan, after=after, warnings=(*plan.warnings, *warnings))
        return replace(self, prepared=replace(self.prepared, plan=plan))


def make_ready(job: Job, targets: Targets, run: str | None) -> Ready:
    """Plan a job against its database; without a `run` id only for showing."""
    spec = job.spec
    source, facts = look_at_source(job)
    target = targets.connect(spec, job.project)
    prepared = prepare(spec, source, target.connection, target=target.name, run=run or SHOWN_RUN, facts=facts)
    if job.project.group:
        note = "published in one transaction with the other specs of the call (syncengine.yaml: transaction: group)"
        prepared = replace(prepared, plan=replace(prepared.plan, reasons=(*prepared.plan.reasons, note)))
    return Ready(
        prepared=prepared,
        url=target.url,
        connection=target.connection,
        connect=target.connect,
        group=job.project.group,
    )


def look_at_source(job: Job) -> tuple[Source, SourceFacts]:
    """Return the source of a job, and what it is.  Raises SyncError."""
    from syncengine.sources import IterableSource

    spec = job.spec
    try:
        source = (
            open_source(spec)
            if job.rows is None
            else IterableSource(job.rows, expected=expected_fields(spec))
        )
        return source, source.describe()
    except SyncError as error:
        mask(error, spec.sensitive)
        error.location = error.location or spec.mark("/source")
        raise


def carry_out(one: Ready, emit: ev.Emit) -> Report:
    """Carry out a planned spec; whatever happens is in the report, but for an interruption, which goes on."""
    plan = one.prepared.plan
    run = Run(plan, one.connection, one.prepared.source, emit, connect=one.connect)
    started = monotonic()
    start(run)
    try:
        # An earlier spec of the call may have lost the connection that this one was planned on.
        run.connection = one.connect()
        with entered(one, run) as prepared:
            run.follow(without_ledger(inferred(prepared, run.connection, run).plan))
    except SyncError as error:
        run.emit(ev.SpecFailed(error=error))
    run.emit(ev.SpecFinished(seconds=monotonic() - started))
    told(one, run)
    return run.report


def start(run: Run) -> None:
    """Tell that a spec starts."""
    plan = run.plan
    run.emit(
        ev.SpecStarted(
            name=plan.name,
            mode=plan.mode,
            strategy=plan.strategy,
            target=plan.target,
            connection=plan.connection,
            rows=plan.rows,
            bytes=plan.bytes,
        )
    )


def not_started(one: Failed, emit: ev.Emit) -> Report:
    """Return the report of a spec that can't be carried out."""
    report = Report()
    for event in (
        ev.SpecStarted(name=one.spec.name, mode=one.spec.mode, strategy="", target=str(one.spec.target)),
        ev.SpecFailed(error=one.error),
    ):
        emit(event)
        report = report.after(event)
    return report


def rehearse(one: Ready, emit: ev.Emit) -> Ready | Failed:
    """Do all that a run does but write to the target, and undo it; the plan then holds exact numbers."""
    shown = one.prepared
    # Two rehearsals at a time must not wait for each other's tables.
    own = shown.named(secrets.token_hex(6))
    run = Rehearsal(own.plan, one.connection, own.source, emit)
    run.emit(ev.SpecTurn(name=one.spec.name))
    try:
        with run.rolled_back():
            known = inferred(own, one.connection, run)
            run.follow(known.rehearsal())
    except SyncError as error:
        return Failed(spec=one.spec, error=error)
    plan = known.named(SHOWN_RUN).plan
    units = (*_reading(shown), *plan.units)
    plan = replace(plan, units=units, after=shown.plan.after, preview=run.preview)
    return replace(one, prepared=replace(shown, plan=plan))


def _reading(first: Prepared) -> tuple[Unit, ...]:
    """Return the units that stage a source as text, to infer types from it; none if all types are known."""
    if not first.untyped:
        return ()
    stage, _ = staging.relations(first.task)
    copied = tuple(
        replace(step, observes=True) if isinstance(step, CopyIn) else step
        for step in steps.copied(first.task, stage)
    )
    read = Unit(name="read", steps=copied, repeatable=first.facts.reopenable)
    return (*steps.room_for_staging(first.task), read)


def inferred(first: Prepared, connection: psycopg.Connection[TupleRow], run: Run) -> Prepared:
    """Return a spec prepared with all types known: the unknown are inferred from the whole source, staged as text."""
    if not first.untyped:
        return first
    stage, _ = staging.relations(first.task)
    drop = RunSql(title=f"drop {'.'.join(stage)}", sql=steps.text(staging.drop(stage)))
    tidy = Unit(name="tidy", steps=(drop,), always=True)
    run.units(_reading(first))
    try:
        return _typed(first, connection, stage, run)
    except BaseException:
        run.units((tidy,))
        raise


def _typed(
    first: Prepared, connection: psycopg.Connection[TupleRow], stage: QualifiedName, run: Run
) -> Prepared:
    columns = {staged.column.field: staged.column.column for staged in first.task.stage}
    types = infer(connection, stage, tuple(columns.values()), run.kinds)
    by_column = {
        loaded: types[column] for loaded, column in _direct(first).items() if loaded in first.untyped
    }
    return prepare(
        first.spec,
        first.source,
        connection,
        target=first.plan.connection,
        run=first.task.run,
        inferred=by_column | {name: "text" for name in first.untyped if name not in by_column},
        staged_rows=run.report.rows_read,
        facts=first.facts,
    )


def _direct(prepared: Prepared) -> dict[str, str]:
    """Return the staging column of each loaded column that is a field as it was read."""
    return {
        column.name: column.value.columns[0].name
        for column in prepared.task.loaded
        if column.value is not None
        and column.value.text in prepared.facts.fields
        and len(column.value.columns) == 1
    }
