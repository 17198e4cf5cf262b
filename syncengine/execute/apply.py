"""Walk a plan's units and steps on one connection, and tell what happens by events."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import assert_never

import psycopg
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Composed, Literal

from syncengine.connect import wrap
from syncengine.errors import BadRow, Conflict, ConnectionFailed, SourceError, SyncError
from syncengine.execute import badrows, chunks, probing, retry, tolerant, transfer
from syncengine.execute.blame import run_parted
from syncengine.execute.complaints import complaint, taken_over, unclosed
from syncengine.execute.guards import FailedCheck, broken, check_error, failing, limit_error
from syncengine.execute.masking import masking
from syncengine.execute.refusals import Refusal, may_be_of_row, refusal
from syncengine.execute.returning import PendingFile, write
from syncengine.ledger import Entry, lease_seconds
from syncengine.model import events as ev
from syncengine.model.plan import (
    Check,
    CheckLimits,
    CheckResult,
    Claim,
    Classify,
    CopyIn,
    Hold,
    InsertRows,
    KeepBadRows,
    Plan,
    Probe,
    Record,
    RunSegments,
    RunSql,
    Sample,
    StageRecords,
    Step,
    Unit,
    WriteFile,
)
from syncengine.model.report import Report
from syncengine.protocols import Source
from syncengine.sql.ledger import COUNTERS
from syncengine.sql.staging import PART_SETTING

PINNED_PATH = "pg_catalog, pg_temp"


class NothingToDo(Exception):
    """What is staged was published before; the unit is rolled back."""


class DoneAlready(Exception):
    """The run is done, as the ledger says; the unit is rolled back."""


class StagingGone(Exception):
    """The server crashed and emptied staging; it is to be filled again."""


Connection = psycopg.Connection[TupleRow]
Body = Callable[[bool], None]


class Run:
    """One carrying-out of one plan.  Keeps the books as it goes; raises SyncError.

    `connect` opens the connection anew once it is lost; `entry` is the run's in the ledger, if it has one.
    `over`: there is nothing left to publish.
    """

    def __init__(
        self,
        plan: Plan,
        connection: Connection,
        source: Source,
        emit: ev.Emit,
        *,
        connect: Callable[[], Connection] | None = None,
        entry: Entry | None = None,
    ) -> None:
        self.plan = plan
        self.connection = connection
        self.source = source
        self.report = Report(name=plan.name)
        self.entry = entry
        self.stamp: str | None = None
        self.recorded = False
        self.chunks: Counter[str] = Counter()
        self.over = False
        self._emit = emit
        self._connect = connect
        self._dice = random.Random()
        self._files: list[PendingFile] = []
        self._at: Step | None = None
        self._quiet = False
        self.most: int | None = None
        self.enough: int | None = None
        self.kinds: dict[str, frozenset[str]] | None = None
        self.part = 0

    def follow(self, plan: Plan) -> None:
        """Go on with another plan for the same spec, keeping the books."""
        self.plan = plan
        self.units(plan.units)

    def start_over(self, error: SyncError) -> None:
        """Forget what was staged, for a run that keeps bad rows apart."""
        if self.entry is not None:
            chunks.forget(self)
        self.emit(ev.StartedOver(reason=error.message))

    def emit(self, event: ev.Event) -> None:
        if self._quiet:
            return
        self.report = self.report.after(event)
        self._emit(event)

    def units(self, units: Sequence[Unit]) -> None:
        """Carry out units in order; those marked `always` also after a failure, which is then raised.

        Where staging was lost it is filled again, `retries` times at most.
        """
        failure: BaseException | None = None
        place, losses = 0, 0
        while place < len(units):
            unit = units[place]
            try:
                if unit.always if failure is not None else not (self.over and not unit.always):
                    self._keep_or_carry_out(unit, failure)
            except StagingGone:
                losses += 1
                place = self._start_over(units, losses)
                continue
            except BaseException as error:
                # What an `always` unit meets after a failure would only hide that failure.
                failure = failure or error
            place += 1
        if failure is not None:
            raise failure

    def _keep_or_carry_out(self, unit: Unit, failure: BaseException | None) -> None:
        """Carry out a unit, but for the one that ends what the next run can go on with."""
        if failure is not None and chunks.worth_keeping(self, failure):
            return
        match unit.chunks:
            case "source":
                chunks.of_source(self, unit)
            case "parts":
                chunks.of_parts(self, unit)
            case _:
                if not (unit.closing and chunks.is_done(self, unit.closing[0].phase)):
                    self.whole(unit)

    def _start_over(self, units: Sequence[Unit], losses: int) -> int:
        """Return the place of the unit that fills staging, once what was staged is forgotten."""
        place = next((n for n, unit in enumerate(units) if unit.chunks == "source"), None)
        if place is None or not units[place].repeatable or losses > self.plan.retries:
            message = "the server crashed, and what was staged is gone"
            raise SourceError(message, hint="run it again: the source can't be read once more by itself")
        chunks.forget_staging(self, units)
        return place

    def whole(self, unit: Unit) -> None:
        started = time.monotonic()

        def body(as_planned: bool) -> None:
            self.perform(unit, as_planned=as_planned)

        self.attempt(unit, body)
        self.recorded |= any(step.phase == "run" for step in unit.closing) and not self.over
        self.committed(unit, started)

    def attempt(
        self,
        unit: Unit,
        body: Body,
        before_again: Callable[[], bool] | None = None,
        sift: Callable[[Unit, SyncError], bool] | None = None,
    ) -> None:
        """Carry out a transaction; while others are in its way, or the server is away, roll back and try again.

        `before_again` tells whether the transaction was committed after all, `sift` whether it can be tried again
        without rows that the target refuses.
        """
        attempt = 1
        while True:
            isolation = retry.isolation(unit.isolation, attempt, self.plan.retries)
            self.emit(ev.UnitStarted(unit=unit.name, attempt=attempt))
            try:
                self._transaction(unit, isolation, body)
                return
            except (Conflict, ConnectionFailed) as error:
                lost = isinstance(error, ConnectionFailed)
                if not lost:
                    self.discard_files()
                if not self._may_repeat(unit, isolation, attempt, error, chunked=before_again is not None):
                    raise
                attempt = self._pause(unit, attempt, error, lost=lost)
                if before_again is not None and before_again():
                    return
            except SyncError as error:
                self.discard_files()
                if not (sift or self.isolates)(unit, error):
                    raise
                self.emit(ev.UnitRolledBack(unit=unit.name, reason=error.message))
            except BaseException:
                self.discard_files()
                raise

    def _may_repeat(
        self, unit: Unit, isolation: str, attempt: int, error: SyncError, *, chunked: bool
    ) -> bool:
        repeatable = unit.repeatable or chunked
        if isinstance(error, Conflict):
            return repeatable and may_repeat(unit, isolation, attempt, self.plan.retries, error)
        return repeatable and self._connect is not None and attempt <= self.plan.retries

    def _pause(self, unit: Unit, attempt: int, error: SyncError, *, lost: bool) -> int:
        """Wait, connect anew if the connection was lost, and return the number of the next attempt."""
        while True:
            pause = retry.wait(attempt, self._dice, away=lost)
            self.emit(ev.UnitRolledBack(unit=unit.name, reason=error.message, retry_in=pause))
            time.sleep(pause)
            attempt += 1
            if not lost:
                return attempt
            try:
                self.reconnect()
                return attempt
            except ConnectionFailed:
                if attempt > self.plan.retries:
                    raise

    def reconnect(self) -> None:
        """Open the connection anew.  What is remembered may be wrong after that; the ledger is not."""
        assert self._connect is not None
        self.connection.close()
        self.connection = self._connect()
        self.look_again()

    def look_again(self) -> None:
        if self.entry is not None:
            chunks.look_again(self)

    def found_done(self, unit: Unit) -> None:
        """Take what the ledger says of a run that turned out to be done."""
        self.emit(ev.FoundCommitted(unit=unit.name, counters=chunks.counts_of_run(self)))
        self.recorded = True

    def _transaction(self, unit: Unit, isolation: str, body: Body) -> None:
        unsure, self._files = self._files, []
        level = psycopg.IsolationLevel[isolation.upper().replace(" ", "_")]
        try:
            self.connection.isolation_level = level
            with self.connection.transaction():
                self.open(unit)
                body(isolation == unit.isolation)
                if unit.publishes or unit.chunks == "parts":
                    # A deferred constraint that does not hold is told while it can be said which row it was.
                    self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except NothingToDo:
            self.over = True
            self.emit(ev.PublishedBefore(unit=unit.name))
        except DoneAlready:
            # The answer to the COMMIT was lost, not the work.
            unsure, self._files = [], unsure
            self.over = True
            self.found_done(unit)
        except psycopg.Error as error:
            with self._masking():
                raise wrap(error, doing="committing") from error
        finally:
            for file in unsure:
                file.discard()

    def perform(self, unit: Unit, *, as_planned: bool) -> None:
        """Carry out the steps of a unit within a transaction; raises NothingToDo, DoneAlready."""
        self.prepare()
        self.steps(unit, unit.steps, last_resort=not as_planned or unit.isolation == "read committed")
        self.close(unit, exact=unit.exact and as_planned)

    def prepare(self) -> None:
        """Set what the statements of a transaction rely on."""
        self.connection.execute(self._settings())

    def close(self, unit: Unit, *, exact: bool, **place: object) -> None:
        """Close the books of a transaction and note it in the ledger, with its place in the source if it has one."""
        if unit.publishes:
            self._close_books(exact=exact)
        for step in unit.closing:
            self._record(unit, step, place)
        self._at = None

    def isolates(self, unit: Unit, error: SyncError, before: Callable[[], None] = lambda: None) -> bool:
        """Take the rows out of staging that the target refuses; tell whether there are any.

        `error` is what publishing failed with, `before` does what comes before the unit in its transaction.
        """
        found = self.refused(unit, error, before)
        if not found or unit.probe is None:
            return False
        with self._masking(), probing.wrapped("taking bad rows out"), self.connection.transaction():
            self.prepare()
            badrows.take_out(self.connection, unit.probe.sieve, found)
        return True

    def refused(
        self, unit: Unit, error: SyncError, before: Callable[[], None] = lambda: None
    ) -> dict[int, Refusal]:
        """Return the rows that the target refuses, by their numbers; none if the error is not of such rows."""
        hooked = isinstance(self._at, RunSql) and self._at.hook
        if unit.probe is None or hooked or not may_be_of_row(error):
            return {}
        with self._masking(), probing.wrapped("looking for the rows that are refused"):
            self._quiet = True
            try:
                with self.connection.transaction(force_rollback=True):
                    self.open(unit)
                    before()
                    found = self._refused(unit, unit.probe)
            finally:
                self._quiet = False
        return {} if 0 in found else found  # 0 are deletes, which are no row of the source

    def _refused(self, unit: Unit, probe: Probe) -> dict[int, Refusal]:
        """Return the rows that the target refuses, by the steps of the unit up to its writing."""
        self.prepare()
        ahead, hooks = badrows.before_writing(unit)
        self.steps(ahead, ahead.steps, last_resort=True)
        kept = next((step for step in (*unit.steps, *unit.sift) if isinstance(step, KeepBadRows)), None)
        return self._probed(probe, hooks, enough=badrows.enough(kept.most) if kept is not None else None)

    def _probed(
        self, probe: Probe, hooks: Sequence[RunSql], *, enough: int | None = None
    ) -> dict[int, Refusal]:
        """Return the rows that the target refuses, of those that are classified."""
        for statement in probe.prepare:
            self.connection.execute(statement.encode())
        numbers = [int(row[0]) for row in self.connection.execute(probe.numbers.encode())]
        return probing.guilty(
            self.connection,
            numbers,
            lambda: probing.applied(self.connection, probe.writes, hooks, self._use_path),
            lambda error: refusal(error, self.plan.sensitive, self.plan.target),
            enough=enough,
        )

    def check(self, unit: Unit) -> None:
        """Evaluate the user's queries on the result."""
        for step in unit.steps:
            if isinstance(step, CheckResult):
                self.timed(unit, step)

    def committed(self, unit: Unit, started: float) -> None:
        """Tell that a unit's work is there to stay, and put its files in their places."""
        done = ev.Tried if unit.tries else ev.UnitCommitted
        self.emit(done(unit=unit.name, seconds=time.monotonic() - started))
        self.publish_files()

    def chunk_committed(self, unit: Unit, number: int, of: int | None, started: float) -> None:
        """Tell that a chunk's work is there to stay."""
        self.chunks[unit.closing[0].phase] += 1
        seconds = time.monotonic() - started
        self.emit(ev.ChunkCommitted(unit=unit.name, number=number, of=of, seconds=seconds))
        self.publish_files()

    def publish_files(self) -> None:
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

    def _settings(self) -> Composed:
        pairs = [("search_path", PINNED_PATH), *self.plan.settings]
        # A client that was stopped must not hold its locks for ever.
        pairs.append(("idle_in_transaction_session_timeout", f"{round(lease_seconds() * 1000)}ms"))
        pairs += [(PART_SETTING, str(self.part))] if self.part else []
        calls = [SQL("pg_catalog.set_config({}, {}, true)").format(Literal(n), Literal(v)) for n, v in pairs]
        return SQL("SELECT {}").format(SQL(", ").join(calls))

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
                return self._stage(unit, step)
            case RunSegments():
                found = probing.run_segments(step, self.connection, self.plan.sensitive, self.plan.target)
                if found and step.sieve is not None:
                    badrows.take_out(self.connection, step.sieve, found)
                return 0
            case KeepBadRows():
                return self._keep(unit, step)
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
        return self.copied(unit, step, lambda: transfer.copy(step, self.connection, self.source, self.emit))

    def copied(self, unit: Unit, step: CopyIn, copy: Callable[[], transfer.Sent]) -> int:
        """Carry out a COPY, of the whole source or of a chunk; return how many rows the server took."""
        self._use_path(step.own_path, after=False)
        # A statement's time limit would count the time the source takes as well.
        self.connection.execute("SELECT pg_catalog.set_config('statement_timeout', '0', true)")
        sent = copy()
        limit = dict(self.plan.settings)["statement_timeout"]
        self.connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, true)", [limit])
        self._use_path(False, after=step.own_path)
        self.kinds = sent.kinds
        self.emit(ev.RowsRead(unit=unit.name, rows=sent.rows, bytes=sent.bytes))
        if step.counts is not None:
            self.emit(ev.Classified(unit=unit.name, insert=sent.rows, update=0, unchanged=0, skipped=0))
            self.emit(ev.RowsCounted(unit=unit.name, counter=step.counts, rows=sent.taken))
        return sent.taken

    def _stage(self, unit: Unit, step: StageRecords) -> int:
        self.connection.execute("SELECT pg_catalog.set_config('statement_timeout', '0', true)")
        facts = self.source.describe()
        stager = tolerant.Stager(step, self.connection, facts, self.plan.sensitive, self.plan.target)
        enough = self.enough or badrows.enough(step.most)
        tolerant.stage(stager, self.source, self.emit, most=self.most, enough=enough)
        if step.most is not None and step.most.count is not None and stager.bad > step.most.count:
            bad = ev.BadRowsFound(unit=unit.name, rows=stager.bad, samples=tuple(stager.samples))
            self.emit(bad)
            raise badrows.excess(step.most, bad, stager.rows, step.location)
        limit = dict(self.plan.settings)["statement_timeout"]
        self.connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, true)", [limit])
        if stager.bad and not step.tolerates:
            raise BadRow(str(stager.samples[0]))
        if stager.kinds is not None and facts.csv is None:
            self.kinds = {name: frozenset(found) for name, found in stager.kinds.items()}
        self.emit(ev.RowsRead(unit=unit.name, rows=stager.rows, bytes=facts.bytes or stager.bytes))
        return stager.rows - stager.bad

    def _keep(self, unit: Unit, step: KeepBadRows) -> int:
        found = badrows.found(step, self.connection, unit.name)
        if found.rows:
            self.emit(found)
        before = self.report.counts.quarantined
        error = badrows.too_many(step, found, self.report.books.rows_read, before)
        if error is not None:
            self._block(error)
        if step.sql:
            self.connection.execute(step.sql.encode())
        self.emit(ev.RowsCounted(unit=unit.name, counter="quarantined", rows=found.rows))
        return found.rows

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
