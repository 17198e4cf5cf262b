"""Walk a plan's units and steps on one connection, and tell what happens by events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import psycopg

from syncengine import ledger
from syncengine.connect import wrap
from syncengine.errors import Conflict, ConnectionFailed, SourceError, SyncError
from syncengine.execute import chunks, intake, retry
from syncengine.execute.endings import DoneAlready, NothingToDo, StagingGone
from syncengine.execute.refusing import Refusing
from syncengine.execute.returning import PendingFile
from syncengine.model import events as ev
from syncengine.model.plan import Plan, Unit
from syncengine.values import replace

Body = Callable[[bool], None]
Answer = TypeVar("Answer")


class Run(Refusing):
    """One carrying-out of one plan: its units, each as often as it takes.  Raises SyncError.

    `leads`: the ledger knows the run by this one's connection.
    """

    leads = True

    def beside(self, emit: ev.Emit, *, own: bool) -> Run:
        """Return a run of the same plan and entry with its own books, on a connection of its own or on this one's."""
        connect = self._connect if own else self.another
        assert connect is not None
        connection = self.connection if own else connect()
        other = Run(self.plan, connection, self.source, emit, connect=connect, entry=self.entry)
        other.leads = own
        return other

    def follow(self, plan: Plan) -> None:
        """Go on with another plan for the same spec, keeping the books."""
        self.plan = plan
        self.units(plan.units)

    def skip(self) -> None:
        """Publish nothing, for it was published before."""
        self.over = True
        self.emit(ev.PublishedBefore(unit="publish"))

    def start_over(self, error: SyncError) -> None:
        """Forget what was staged, for a run that keeps bad rows apart."""
        if self.entry is not None:
            chunks.forget(self)
        self.kinds = None
        self.emit(ev.StartedOver(reason=error.message))

    def units(self, units: Sequence[Unit]) -> None:
        """Carry out units in order; those marked `always` also after a failure, which is then raised.

        Where staging was lost it is filled again, `retries` times at most.
        """
        work = [unit for unit in units if not unit.always]
        place = losses = 0
        try:
            while place < len(work) and not self.over:
                try:
                    self._carry_out(work[place])
                    place += 1
                except StagingGone:
                    losses += 1
                    place = self.refill(work, losses)
        except BaseException as failure:
            self.tidy(units, failure)
            raise
        self.tidy(units)

    def tidy(self, units: Sequence[Unit], failure: BaseException | None = None) -> None:
        """Carry out the units marked `always`, but for what the next run can go on with after this failure.

        What they meet after a failure would only hide it; what can't be tidied up once all is done is left to the next
        run as well.
        """
        left: list[tuple[Unit, BaseException]] = []
        for unit in units:
            try:
                if unit.always and (failure is None or not chunks.worth_keeping(self, failure)):
                    self._carry_out(unit)
            except BaseException as error:
                left.append((unit, error))
        if failure or left:
            self.discard_files()
        for unit, met in left if failure is None else ():
            if not (isinstance(met, SyncError) and (self.recorded or self.over)):
                raise met
            self.emit(ev.UnitRolledBack(unit=unit.name, reason=met.message))

    def _carry_out(self, unit: Unit) -> None:
        match unit.chunks:
            case "source":
                intake.of_source(self, unit)
            case "parts":
                chunks.of_parts(self, unit)
            case _:
                if not (unit.closing and chunks.is_done(self, unit.closing[0].phase)):
                    self.whole(unit)

    def refill(self, units: Sequence[Unit], losses: int) -> int:
        """Return the place of the unit that fills staging, once what was staged is forgotten.

        Raises SourceError if that was lost too often, or can't be read again.
        """
        place = next((n for n, unit in enumerate(units) if unit.chunks == "source"), None)
        if place is None or not units[place].repeatable or losses > self.plan.retries:
            message = "the server crashed, and what was staged is gone"
            raise SourceError(message, hint="run it again: the source can't be read once more by itself")
        try:
            self.surely(lambda: chunks.forget_staging(self, units))
        except StagingGone:  # the connection was lost once more
            return self.refill(units, losses + 1)
        return place

    def whole(self, unit: Unit) -> None:
        started = time.monotonic()

        def body(as_planned: bool) -> None:
            self.perform(unit, as_planned=as_planned)

        def committed() -> bool:
            if not (unit.closing and chunks.is_done(self, unit.closing[0].phase)):
                return False
            chunks.found_committed(self, unit)
            return True

        self.attempt(unit, body, committed)
        self.chunks.update(step.phase for step in unit.closing if step.phase == "stage")
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
        attempt, unsure = 1, False
        while True:
            isolation = retry.isolation(unit.isolation, attempt, self.plan.retries)
            self.emit(ev.UnitStarted(unit=unit.name, attempt=attempt))
            try:
                self._transaction(unit, isolation, body)
                return
            except SyncError as error:
                failed = error
            except BaseException:
                self.discard_files()
                raise
            self.note_rollback()
            # A COMMIT that went unanswered may have been under way still when the ledger was asked of it.
            if unsure and before_again is not None and not _is_lost(failed) and before_again():
                return
            failure = self._without_refused(unit, failed, sift or self.isolates)
            if failure is None:
                continue
            if not self._may_repeat(unit, isolation, attempt, failure):
                raise failure
            unsure |= _is_lost(failure)
            attempt = self._pause(unit, attempt, failure, lost=_is_lost(failure))
            if before_again is not None and before_again():
                return

    def note_rollback(self) -> None:
        """Have the server write to disk that a transaction was rolled back, which it would do within a second.

        What it had made of unlogged tables is gone by then, and a server that crashes before the disk knows can't start
        by itself (docs/guarantees.md).
        """
        if self.entry is not None and not self.connection.closed:
            with suppress(SyncError):
                ledger.renew(self.connection, self.entry)

    def _without_refused(
        self, unit: Unit, error: SyncError, sift: Callable[[Unit, SyncError], bool]
    ) -> SyncError | None:
        """Take out what the target refuses; return None if it can be tried again then, else the error."""
        if not _is_lost(error):
            self.discard_files()
        if isinstance(error, Conflict | ConnectionFailed):
            return error
        try:
            if not sift(unit, error):
                return error
        except (Conflict, ConnectionFailed) as other:
            return other
        self.emit(ev.UnitRolledBack(unit=unit.name, reason=error.message))
        return None

    def _may_repeat(self, unit: Unit, isolation: str, attempt: int, error: SyncError) -> bool:
        # A chunk is kept until the one after it, also of what can be read only once.
        repeatable = unit.repeatable or unit.chunks != ""
        if isinstance(error, Conflict):
            unit = replace(unit, repeatable=repeatable)
            return may_repeat(unit, isolation, attempt, self.plan.retries, error)
        if not _is_lost(error):
            return False
        # Tidying up can be left to the next run.
        again = self._connect is not None and attempt <= self.plan.retries
        return repeatable and again and not unit.always

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

    def surely(self, ask: Callable[[], Answer]) -> Answer:
        """Return an answer of the ledger's between two transactions; a connection that was lost is opened anew."""
        attempt = 1
        while True:
            try:
                return ask()
            except ConnectionFailed:
                if self._connect is None or attempt > self.plan.retries:
                    raise
            time.sleep(retry.wait(attempt, self._dice, away=True))
            attempt += 1
            with suppress(ConnectionFailed):
                self.reconnect()

    def look_again(self) -> None:
        if self.entry is not None:
            chunks.look_again(self)

    def found_done(self, unit: Unit) -> None:
        """Take what the ledger says of a run that turned out to be done."""
        self.emit(ev.FoundCommitted(unit=unit.name, counters=chunks.counts_of_run(self)))
        self.recorded = True

    def _transaction(self, unit: Unit, isolation: str, body: Body) -> None:
        unsure, done = self.take_files(), False
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
            self.over = done = True
            self.found_done(unit)
        except psycopg.Error as error:
            with self._masking():
                raise wrap(error, doing="committing") from error
        finally:
            self.keep_files(unsure, done)

    def perform(self, unit: Unit, *, as_planned: bool) -> None:
        """Carry out the steps of a unit within a transaction; raises NothingToDo, DoneAlready."""
        self.prepare()
        self.steps(unit, unit.steps, last_resort=not as_planned or unit.isolation == "read committed")
        self.close(unit, exact=unit.exact and as_planned)

    def committed(self, unit: Unit, started: float) -> None:
        """Tell that a unit's work is there to stay, and put its files in their places."""
        done = ev.Tried if unit.tries else ev.UnitCommitted
        self.emit(done(unit=unit.name, seconds=time.monotonic() - started))
        self.publish_files()

    def chunk_committed(self, unit: Unit, number: int, of: int | None, seconds: float) -> None:
        """Tell that a chunk's work is there to stay."""
        self.chunks[unit.closing[0].phase] += 1
        self.emit(ev.ChunkCommitted(unit=unit.name, number=number, of=of, seconds=seconds))
        self.publish_files()

    def publish_files(self) -> None:
        files, self._files = self._files, []
        for file in files:
            self.emit(ev.FileWritten(path=file.publish(), rows=file.rows))

    def take_files(self) -> list[PendingFile]:
        """Return the files of an attempt of which it is not known whether it was committed, for `keep_files`."""
        files, self._files = self._files, []
        return files

    def keep_files(self, files: Sequence[PendingFile], done: bool) -> None:
        """Put files back if their attempt turned out to be done, else discard them."""
        if done:
            self._files = [*files, *self._files]
            return
        for file in files:
            file.discard()

    def discard_files(self) -> None:
        for file in self._files:
            file.discard()
        self._files.clear()


def _is_lost(error: SyncError) -> bool:
    return isinstance(error, ConnectionFailed)


def may_repeat(unit: Unit, isolation: str, attempt: int, retries: int, error: Conflict) -> bool:
    """Tell whether another attempt follows: `retries` as planned, and one READ COMMITTED for those not so planned."""
    if error.sqlstate in ("55P03", "42P07") or not unit.repeatable:
        return False  # lock_timeout has been waited out, the plan's table is there already, or the source has been read
    return attempt <= retries and isolation == unit.isolation
