"""Walk a plan's units and steps on one connection, and tell what happens by events."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import assert_never

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Literal

from syncengine.connect import wrap
from syncengine.errors import (
    Conflict,
    SyncError,
)
from syncengine.execute import retry, transfer
from syncengine.execute.blame import run_parted
from syncengine.execute.complaints import complaint, unclosed
from syncengine.execute.guards import FailedCheck, broken, check_error, failing, limit_error
from syncengine.execute.masking import masking
from syncengine.execute.returning import PendingFile, write
from syncengine.model import events as ev
from syncengine.model.plan import (
    Check,
    CheckLimits,
    CheckResult,
    Claim,
    Classify,
    CopyIn,
    InsertRows,
    Plan,
    RunSql,
    Sample,
    Step,
    Unit,
    WriteFile,
)
from syncengine.model.report import Report
from syncengine.protocols import Source

PINNED_PATH = "pg_catalog, pg_temp"


class NothingToDo(Exception):
    """What is staged was published before; the unit is rolled back."""


class Run:
    """One carrying-out of one plan.  Keeps the books as it goes; raises SyncError."""

    def __init__(
        self, plan: Plan, connection: psycopg.Connection[TupleRow], source: Source, emit: ev.Emit
    ) -> None:
        self.plan = plan
        self.connection = connection
        self.source = source
        self.report = Report(name=plan.name)
        self._emit = emit
        self._dice = random.Random()
        self._files: list[PendingFile] = []
        self.kinds: dict[str, frozenset[str]] | None = None

    def follow(self, plan: Plan) -> None:
        """Go on with another plan for the same spec, keeping the books."""
        self.plan = plan
        self.units(plan.units)

    def emit(self, event: ev.Event) -> None:
        self.report = self.report.after(event)
        self._emit(event)

    def units(self, units: Sequence[Unit]) -> None:
        """Carry out units in order; those marked `always` also after a failure, which is then raised."""
        failure: BaseException | None = None
        for unit in units:
            if failure is not None and not unit.always:
                continue
            try:
                self._repeat(unit)
            except BaseException as error:
                # What an `always` unit meets after a failure would only hide that failure.
                failure = failure or error
        if failure is not None:
            raise failure

    def _repeat(self, unit: Unit) -> None:
        """Carry out one unit; while other transactions are in its way, roll back and try again."""
        attempt = 1
        while True:
            isolation = retry.isolation(unit.isolation, attempt, self.plan.retries)
            self.emit(ev.UnitStarted(unit=unit.name, attempt=attempt))
            try:
                self._transaction(unit, isolation)
                return
            except Conflict as error:
                self.discard_files()
                if not may_repeat(unit, isolation, attempt, self.plan.retries, error):
                    raise
                pause = retry.wait(attempt, self._dice)
                self.emit(ev.UnitRolledBack(unit=unit.name, reason=error.message, retry_in=pause))
                time.sleep(pause)
                attempt += 1
            except BaseException:
                self.discard_files()
                raise

    def _transaction(self, unit: Unit, isolation: str) -> None:
        started = time.monotonic()
        level = psycopg.IsolationLevel[isolation.upper().replace(" ", "_")]
        try:
            self.connection.isolation_level = level
            with self.connection.transaction():
                self.open(unit)
                self.perform(unit, as_planned=isolation == unit.isolation)
        except NothingToDo:
            self.emit(ev.PublishedBefore(unit=unit.name))
        except psycopg.Error as error:
            with self._masking():
                raise wrap(error, doing="committing") from error
        self.committed(unit, started)

    def perform(self, unit: Unit, *, as_planned: bool) -> None:
        """Carry out the steps of a unit within a transaction; raises NothingToDo."""
        self.connection.execute(self._settings())
        self._steps(unit, last_resort=not as_planned or unit.isolation == "read committed")
        if unit.publishes:
            self._close_books(exact=unit.exact and as_planned)

    def check(self, unit: Unit) -> None:
        """Evaluate the user's queries on the result."""
        for step in unit.steps:
            if isinstance(step, CheckResult):
                self._timed(unit, step)

    def committed(self, unit: Unit, started: float) -> None:
        """Tell that a unit's work is there to stay, and put its files in their places."""
        self.emit(ev.UnitCommitted(unit=unit.name, seconds=time.monotonic() - started))
        files, self._files = self._files, []
        for file in files:
            self.emit(ev.FileWritten(path=file.publish(), rows=file.rows))

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

    def _steps(self, unit: Unit, *, last_resort: bool) -> None:
        spared = 0
        for step in unit.steps:
            if spared:
                spared -= 1
            elif isinstance(step, RunSql) and step.spares:
                spared = step.spares if self._succeeds(unit, step) else 0
            elif self._wants(step, last_resort=last_resort):
                self._timed(unit, step)

    def _wants(self, step: Step, *, last_resort: bool) -> bool:
        """Tell whether a step is to be carried out; samples are for previews."""
        return not isinstance(step, Sample) and (last_resort or not getattr(step, "last_resort", False))

    def _succeeds(self, unit: Unit, step: RunSql) -> bool:
        """Try a short cut; one that the data or the server does not allow is undone."""
        try:
            with self.connection.transaction():
                self._timed(unit, step)
        except SyncError as error:
            if error.retryable or error.sqlstate is None:
                raise
            return False
        return True

    def _settings(self) -> Composed:
        pairs = [("search_path", PINNED_PATH), *self.plan.settings]
        calls = [SQL("pg_catalog.set_config({}, {}, true)").format(Literal(n), Literal(v)) for n, v in pairs]
        return SQL("SELECT {}").format(SQL(", ").join(calls))

    def _timed(self, unit: Unit, step: Step) -> None:
        started = time.monotonic()
        self.emit(ev.StepStarted(unit=unit.name, step=step.title))
        with self._masking():
            try:
                rows = self._step(unit, step)
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
            case WriteFile():
                file = write(step, self.connection)
                self._files.append(file)
                return file.rows
            case _:
                assert_never(step)

    def _run_sql(self, unit: Unit, step: RunSql) -> int:
        self._use_path(step.own_path)
        rows = run_parted(step, self.connection) if step.parts else self._rows(step)
        self._use_path(False, after=step.own_path)
        if step.counts is not None:
            self.emit(ev.RowsCounted(unit=unit.name, counter=step.counts, rows=rows))
        return rows

    def _rows(self, step: RunSql) -> int:
        return max(0, self.connection.execute(step.sql.encode()).rowcount)

    def _use_path(self, own: bool, *, after: bool = True) -> None:
        """Switch to the role's own search_path, or back to the pinned one `after` that."""
        if own or after:
            path = self.plan.search_path if own else PINNED_PATH
            self.connection.execute("SELECT pg_catalog.set_config('search_path', %s, true)", [path])

    def _copy(self, unit: Unit, step: CopyIn) -> int:
        self._use_path(step.own_path, after=False)
        # A statement's time limit would count the time the source takes as well.
        self.connection.execute("SELECT pg_catalog.set_config('statement_timeout', '0', true)")
        sent = transfer.copy(step, self.connection, self.source, self.emit)
        limit = dict(self.plan.settings)["statement_timeout"]
        self.connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, true)", [limit])
        self._use_path(False, after=step.own_path)
        self.kinds = sent.kinds
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

    def _check_limits(self, step: CheckLimits) -> int:
        row = self.connection.execute(step.sql.encode()).fetchone() if step.sql else None
        # What a straight COPY has put there already was not stored before.
        stored = max(0, int(row[0]) - self.report.pending.inserted) if row is not None else 0
        found = broken(step.limits, self.report.counts + self.report.pending, stored)
        if found:
            self._block(limit_error(step, found))
        return len(found)

    def _check_result(self, step: CheckResult) -> int:
        found = self._failing(step)
        if found:
            self._block(check_error(found))
        return len(found)

    def _failing(self, step: CheckResult) -> tuple[FailedCheck, ...]:
        self._use_path(True)
        found = failing(step, self.connection)
        self._use_path(False)
        return found

    def _block(self, error: SyncError) -> None:
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

    def discard_files(self) -> None:
        for file in self._files:
            file.discard()
        self._files.clear()


def may_repeat(unit: Unit, isolation: str, attempt: int, retries: int, error: Conflict) -> bool:
    """Tell whether another attempt follows: `retries` as planned, and one READ COMMITTED for those not so planned."""
    if error.sqlstate in ("55P03", "42P07") or not unit.repeatable:
        return False  # lock_timeout has been waited out, the plan's table is there already, or the source has been read
    return attempt <= retries and isolation == unit.isolation
