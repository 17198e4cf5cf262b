"""Carry out single steps within a transaction, tell of them by events, and keep the books."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import assert_never

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Literal

from syncengine.connect import wrap
from syncengine.errors import SyncError
from syncengine.execute import badrows, chunks, probing, settings, sifting, transfer
from syncengine.execute.blame import run_parted
from syncengine.execute.complaints import complaint, overtaken, taken_over, unclosed
from syncengine.execute.endings import DoneAlready, NothingToDo
from syncengine.execute.guards import FailedCheck, broken, check_error, failing, limit_error
from syncengine.execute.kinds import Kinds, union
from syncengine.execute.masking import masking
from syncengine.execute.returning import PendingFile, write
from syncengine.ledger import Entry
from syncengine.model import events as ev
from syncengine.model.plan import Plan, Unit
from syncengine.model.report import Report
from syncengine.model.steps import (
    Check,
    CheckLimits,
    CheckResult,
    Claim,
    Classify,
    CopyIn,
    Hold,
    InsertRows,
    KeepBadRows,
    Record,
    RunSegments,
    RunSql,
    Sample,
    StageRecords,
    Step,
    WriteFile,
)
from syncengine.protocols import Source
from syncengine.sql.ledger import COUNTERS

Connection = psycopg.Connection[TupleRow]


class Steps:
    """What carries out the steps of one plan on one connection.  Raises SyncError.

    `connect` opens the connection anew once it is lost, `another` one more to the same database; `entry` is the run's
    in the ledger, if it has one.  `lanes` are the most connections that chunks are carried out on at the same time,
    None: as many as pay.  `over`: there is nothing left to publish.
    """

    def __init__(
        self,
        plan: Plan,
        connection: Connection,
        source: Source,
        emit: ev.Emit,
        *,
        connect: Callable[[], Connection] | None = None,
        another: Callable[[], Connection] | None = None,
        lanes: int | None = None,
        entry: Entry | None = None,
    ) -> None:
        self.plan = plan
        self.connection = connection
        self.source = source
        self.report = Report(name=plan.name)
        self.entry = entry
        self.stamp: str | None = None
        self.recorded = False
        self.same_parts = True
        self.chunks: Counter[str] = Counter()
        self.over = False
        self._emit = emit
        self._connect = connect
        self.another = another
        self.most_lanes = lanes
        self._dice = random.Random()
        self._files: list[PendingFile] = []
        self._at: Step | None = None
        self._quiet = False
        self.most: int | None = None
        self.enough: int | None = None
        self.kinds: Kinds | None = None
        self.part = 0

    def emit(self, event: ev.Event) -> None:
        if self._quiet:
            return
        self.report = self.report.after(event)
        self._emit(event)

    def prepare(self, *more: tuple[str, str]) -> None:
        """Set what the statements of a transaction rely on (execute/settings.py)."""
        settings.prepare(self.connection, self.plan, self.part, *more)

    def close(self, unit: Unit, *, exact: bool, **place: object) -> None:
        """Close the books of a transaction and note it in the ledger, with its place in the source if it has one."""
        error = overtaken(self.report.pending) if unit.exact and not exact else None
        if error is not None:
            raise error
        if unit.publishes:
            self._close_books(exact=exact)
        for step in unit.closing:
            self._record(unit, step, place)
        self._at = None

    def check(self, unit: Unit) -> None:
        """Evaluate the user's queries on the result."""
        for step in unit.steps:
            if isinstance(step, CheckResult):
                self.timed(unit, step)

    def open(self, unit: Unit) -> None:
        """Take the locks of a unit; neither SET nor LOCK takes the transaction's snapshot, as a query would."""
        if unit.opening:
            timeout = dict(self.plan.settings)["lock_timeout"]
            self.connection.execute(SQL("SET LOCAL lock_timeout = {}").format(Literal(timeout)))
        for step in unit.opening:
            started = time.monotonic()
            self.emit(ev.StepStarted(unit=unit.name, step=step.title))
            try:
                self.connection.execute(step.sql.encode())
            except psycopg.Error as error:
                raise wrap(error, doing=f'at step "{step.title}"') from error
            seconds = time.monotonic() - started
            self.emit(ev.StepFinished(unit=unit.name, step=step.title, rows=0, seconds=seconds))

    def steps(self, unit: Unit, steps: Sequence[Step], *, last_resort: bool) -> None:
        spared = 0
        for step in steps:
            if spared:
                spared -= 1
            elif isinstance(step, RunSql) and step.spares:
                spared = step.spares if self._succeeds(unit, step) else 0
            elif self._wants(step, last_resort=last_resort):
                self.timed(unit, step)

    def _wants(self, step: Step, *, last_resort: bool) -> bool:
        """Tell whether a step is to be carried out; samples are for previews."""
        return not isinstance(step, Sample) and (last_resort or not getattr(step, "last_resort", False))

    def _succeeds(self, unit: Unit, step: RunSql) -> bool:
        """Try a short cut; one that the data or the server does not allow is undone."""
        try:
            with self.connection.transaction():
                self.timed(unit, step)
        except SyncError as error:
            if error.retryable or error.sqlstate is None:
                raise
            return False
        return True

    def timed(self, unit: Unit, step: Step, carry_out: Callable[[], int] | None = None) -> None:
        """Carry out a step, by `carry_out` if that is given; tell how many rows it was about and how long it took."""
        started = time.monotonic()
        self._at = step
        self.emit(ev.StepStarted(unit=unit.name, step=step.title))
        with self._masking():
            try:
                rows = self._step(unit, step) if carry_out is None else carry_out()
            except psycopg.Error as error:
                raise wrap(error, doing=f'at step "{step.title}"') from error
        seconds = time.monotonic() - started
        self.emit(ev.StepFinished(unit=unit.name, step=step.title, rows=rows, seconds=seconds))

    def _masking(self) -> AbstractContextManager[None]:
        return masking(self.plan.sensitive, self.plan.target)

    def _step(self, unit: Unit, step: Step) -> int:
        match step:
            case RunSql():
                return self._run_sql(unit, step)
            case CopyIn():
                return self._copy(unit, step)
            case StageRecords():
                return sifting.stage(self, unit, step)
            case RunSegments():
                found = probing.run_segments(step, self.connection, self.plan.sensitive, self.plan.target)
                if found and step.sieve is not None:
                    badrows.take_out(self.connection, step.sieve, found)
                return 0
            case KeepBadRows():
                return sifting.keep(self, unit, step)
            case InsertRows():
                sent = transfer.insert(step, self.connection, self.source)
                self.emit(ev.RowsRead(unit=unit.name, rows=sent.rows, bytes=sent.bytes))
                return sent.rows
            case Check():
                return self._check(step)
            case CheckLimits():
                return self._check_limits(step)
            case CheckResult():
                return self._check_result(step)
            case Sample():
                raise AssertionError("a sample is for previews")
            case Classify():
                return self._classify(unit, step)
            case Claim():
                return self._claim(step)
            case Hold():
                return self._hold(step)
            case Record():
                raise AssertionError("what is noted last has its own way")
            case WriteFile():
                file = write(step, self.connection)
                self._files.append(file)
                return file.rows
            case _:
                assert_never(step)

    def _run_sql(self, unit: Unit, step: RunSql) -> int:
        own = settings.under(self.connection, step.settings)
        with settings.path(self.connection, self.plan, own=step.own_path), own:
            rows = run_parted(step, self.connection) if step.parts else self._rows(step)
        if step.counts is not None:
            self.emit(ev.RowsCounted(unit=unit.name, counter=step.counts, rows=rows))
        return rows

    def _rows(self, step: RunSql) -> int:
        return max(0, self.connection.execute(step.sql.encode()).rowcount)

    def _use_path(self, own: bool) -> None:
        settings.use_path(self.connection, self.plan, own=own)

    def _copy(self, unit: Unit, step: CopyIn) -> int:
        return self.copied(unit, step, lambda: transfer.copy(step, self.connection, self.source, self.emit))

    def copied(self, unit: Unit, step: CopyIn, copy: Callable[[], transfer.Sent]) -> int:
        """Carry out a COPY, of the whole source or of a chunk; return how many rows the server took."""
        with (
            settings.path(self.connection, self.plan, own=step.own_path),
            settings.unlimited(self.connection, self.plan),
        ):
            sent = copy()
        self.kinds = union(self.kinds, sent.kinds)
        self.emit(ev.RowsRead(unit=unit.name, rows=sent.rows, bytes=sent.bytes))
        if step.counts is not None:
            self.emit(ev.Classified(unit=unit.name, insert=sent.rows, update=0, unchanged=0, skipped=0))
            self.emit(ev.RowsCounted(unit=unit.name, counter=step.counts, rows=sent.taken))
        return sent.taken

    def _check(self, step: Check) -> int:
        try:
            found = self.connection.execute(step.sql.encode()).fetchall()
        except psycopg.DataError as error:
            wrapped = wrap(error, doing=f'at step "{step.title}"')
            wrapped.location = step.location
            raise wrapped from error
        if found:
            raise complaint(step, found, self.source, self.plan.sensitive)
        return 0

    def _claim(self, step: Claim) -> int:
        if self.connection.execute(step.sql.encode()).fetchone() is None and not step.again:
            raise NothingToDo
        return 1

    def _hold(self, step: Hold) -> int:
        row = self.connection.execute(step.sql.encode()).fetchone()
        state = row[0] if row is not None else "lost"
        if state == "done":
            raise DoneAlready
        if state != "running":
            raise taken_over(self.plan.name)
        return 1

    def _record(self, unit: Unit, step: Record, place: Mapping[str, object]) -> None:
        books = self.report.books if step.phase == "run" else self.report.pending.settled()
        counters = {name: getattr(books, name) for name in COUNTERS}
        values = {**counters, **chunks.NO_PLACE, **place}

        def note() -> int:
            with psycopg.RawCursor(self.connection) as cursor:
                cursor.execute(step.sql.encode(), [values[name] for name in step.parameters])
                changed = cursor.rowcount
            if not changed:
                # In a READ COMMITTED transaction the run may have been done, or taken over, since it was held.
                for held in (found for found in unit.steps if isinstance(found, Hold)):
                    self._hold(held)
            return changed

        self.timed(unit, step, note)

    def _check_limits(self, step: CheckLimits) -> int:
        row = self.connection.execute(step.sql.encode()).fetchone() if step.sql else None
        # What a straight COPY has put there already was not stored before.
        stored = max(0, int(row[0]) - self.report.pending.inserted) if row is not None else 0
        found = broken(step.limits, self.report.counts + self.report.pending, stored)
        if found:
            self.block(limit_error(step, found))
        return len(found)

    def _check_result(self, step: CheckResult) -> int:
        found = self._failing(step)
        if found:
            self.block(check_error(found))
        return len(found)

    def _failing(self, step: CheckResult) -> tuple[FailedCheck, ...]:
        with settings.path(self.connection, self.plan, own=True):
            return failing(step, self.connection)

    def block(self, error: SyncError) -> None:
        raise error

    def _classify(self, unit: Unit, step: Classify) -> int:
        row = self.connection.execute(step.sql.encode()).fetchone()
        assert row is not None
        insert, update, unchanged, skipped, delete = (int(count) for count in row)
        self.emit(
            ev.Classified(
                unit=unit.name,
                insert=insert,
                update=update,
                unchanged=unchanged,
                skipped=skipped,
                delete=delete,
            )
        )
        return insert + update + delete

    def _close_books(self, *, exact: bool) -> None:
        """Refuse to publish unless every row read is in exactly one class, and if `exact` all writes were made."""
        error = unclosed(self.report.books, self.report.pending, exact=exact)
        if error is not None:
            raise error
