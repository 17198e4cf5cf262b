"""One spec of a call: make it ready, then carry it out, inferring types first where the target is to be created."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from syncengine.again import source_of_kept
from syncengine.connect import connect
from syncengine.entering import entered, told, without_ledger
from syncengine.errors import Location, NullKeys, SourceError, SyncError, UnresolvedLookup
from syncengine.execute.apply import Run
from syncengine.execute.blame import WOULD_BE_ROUNDED
from syncengine.execute.masking import mask
from syncengine.execute.refusals import may_be_of_row
from syncengine.execute.rehearsal import Rehearsal
from syncengine.execute.searching import Search
from syncengine.inferring import in_full, inferred
from syncengine.job import Failed, Job
from syncengine.model import events as ev
from syncengine.model.facts import SourceFacts
from syncengine.model.plan import After
from syncengine.model.report import Report
from syncengine.prepare import SHOWN_RUN, Prepared, expected_fields, open_source, prepare
from syncengine.protocols import Source
from syncengine.values import replace

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
    source, facts = look_at_source(job, targets)
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


def look_at_source(job: Job, targets: Targets) -> tuple[Source, SourceFacts]:
    """Return the source of a job, and what it is.  Raises SyncError."""
    from syncengine.sources import handed_over

    spec = job.spec
    try:
        if spec.retries:
            source: Source = source_of_kept(
                spec, targets.connect(spec, job.project).connection, job.retried_run
            )
        elif job.rows is None:
            source = open_source(spec)
        else:
            source = handed_over(job.rows, expected_fields(spec))
        return source, source.describe()
    except SyncError as error:
        mask(error, spec.sensitive)
        error.location = error.location or spec.mark("/source")
        raise


def carry_out(one: Ready, emit: ev.Emit, lanes: int | None = None) -> Report:
    """Carry out a planned spec; whatever happens is in the report, but for an interruption, which goes on.

    `lanes`: the most connections that it uses at the same time, None for as many as pay.
    """
    plan, source = one.prepared.plan, one.prepared.source
    another = partial(connect, one.url)
    run = Run(plan, one.connection, source, emit, connect=one.connect, another=another, lanes=lanes)
    started = monotonic()
    start(run)
    try:
        # An earlier spec of the call may have lost the connection that this one was planned on.
        run.connection = one.connect()
        with entered(one, run) as prepared:
            _follow(prepared, run)
    except SyncError as error:
        run.emit(ev.SpecFailed(error=error))
    run.emit(ev.SpecFinished(seconds=monotonic() - started))
    told(one, run)
    return run.report


def _follow(prepared: Prepared, run: Run) -> None:
    """Carry out a plan; once a row is met that is to be kept apart, do it over in the way that allows for that."""
    try:
        run.follow(inferred(prepared, run, without_ledger)[1])
    except SyncError as error:
        if prepared.task.tolerant or not is_kept_apart(prepared.spec, error):
            _tell_of_more(prepared, run.connection, run, error)
            raise
        run.start_over(error)
        run.follow(inferred(prepared.tolerant(), run, without_ledger)[1])


def _tell_of_more(
    prepared: Prepared, connection: psycopg.Connection[TupleRow], run: Run, error: SyncError
) -> None:
    """Add to the error of a bad row where it is, if that is not known, and which others there are."""
    if not may_be_of_row(error) or not prepared.facts.reopenable or prepared.untyped or connection.closed:
        return
    sought = prepared.searched(secrets.token_hex(6))
    try:
        samples = Search(sought.plan, connection, sought.source, lambda event: None).first_bad()
    except SyncError:
        return  # the error itself matters more than others like it
    if not samples:
        return
    first = samples[0]
    if error.location is None and first.line and error.sqlstate == first.sqlstate:
        error.location = Location(first.place, first.line)
    if WOULD_BE_ROUNDED in error.message and error.location == Location(first.place, first.line):
        error.message = f"column {first.column}: {first.message}"  # this one has the value
    others = [str(sample) for sample in samples if Location(sample.place, sample.line) != error.location]
    if len(samples) > 1 and others:
        more = "".join(["more bad rows:", *(f"\n    {other}" for other in others)])
        error.detail = f"{error.detail}; {more}" if error.detail else more
    run.emit(ev.BadRowsFound(unit="", rows=len(samples), samples=samples))


def is_kept_apart(spec: Spec, error: SyncError) -> bool:
    """Tell whether an error may come of rows that the spec wants to be kept apart."""
    if isinstance(error, NullKeys):
        return spec.null_keys == "quarantine"
    if isinstance(error, UnresolvedLookup):
        return any(lookup.missing == "quarantine" for lookup in spec.lookups)
    return spec.bad_rows.quarantine and (may_be_of_row(error) or isinstance(error, SourceError))


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
    try:
        run, known = _rehearsed(own, one.connection, emit)
    except SyncError as error:
        return Failed(spec=one.spec, error=error)
    plan = in_full(shown, known.named(SHOWN_RUN))
    plan = replace(plan, after=shown.plan.after, preview=run.preview)
    return replace(one, prepared=replace(shown, plan=plan))


def _rehearsed(
    own: Prepared, connection: psycopg.Connection[TupleRow], emit: ev.Emit
) -> tuple[Rehearsal, Prepared]:
    """Rehearse a plan, and if a row is to be kept apart once more as the run would then go on."""
    run = Rehearsal(own.plan, connection, own.source, emit)
    run.emit(ev.SpecTurn(name=own.spec.name))
    try:
        with run.rolled_back():
            known, plan = inferred(own, run, Prepared.rehearsal)
            run.follow(plan)
    except SyncError as error:
        if own.task.tolerant or not is_kept_apart(own.spec, error):
            _tell_of_more(own, connection, run, error)
            raise
        return _rehearsed(own.tolerant(), connection, emit)
    return run, known
