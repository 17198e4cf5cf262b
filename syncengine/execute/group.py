"""Publish several specs in one transaction: parents and children appear together, or not at all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import psycopg
from psycopg.rows import TupleRow

from syncengine.connect import wrap
from syncengine.errors import Conflict, ConnectionFailed, SyncError
from syncengine.execute import retry
from syncengine.execute.apply import Run, may_repeat
from syncengine.execute.endings import DoneAlready, NothingToDo, StagingGone
from syncengine.execute.masking import mask
from syncengine.model import events as ev
from syncengine.model.plan import Unit
from syncengine.model.steps import CheckResult
from syncengine.values import replace


class GroupFailed(Exception):
    """Nothing was published; `run` is the one that failed, with `error`."""

    def __init__(self, run: Run, error: SyncError) -> None:
        super().__init__(error.message)
        self.run = run
        self.error = error


@contextmanager
def _blaming(run: Run, others: Sequence[Run] = ()) -> Iterator[None]:
    """Say that a run failed; `others` may be to blame as well, and their values are not shown either."""
    try:
        yield
    except SyncError as error:
        raise GroupFailed(run, error) from error
    except psycopg.Error as error:
        wrapped = wrap(error, doing="publishing")
        wrapped.__cause__ = error
        mask(wrapped, {name for one in (run, *others) for name in one.plan.sensitive})
        raise GroupFailed(run, wrapped) from wrapped


class Group:
    """Runs that share a connection.  Each stages by itself; their publishing units are one transaction.

    `restart` has a run stage its rows once more if its error comes of rows to be kept apart, else says no.
    """

    def __init__(self, runs: Sequence[Run], restart: Callable[[Run, SyncError], bool]) -> None:
        self._runs = runs
        self._restart = restart
        self._done: list[Run] = []

    @property
    def _connection(self) -> psycopg.Connection[TupleRow]:
        return self._runs[0].connection

    def carry_out(self) -> None:
        """Stage and publish together.  Raises GroupFailed, after which nothing is published."""
        for run in self._runs:
            self._fill(run)
        self._publish()

    def _fill(self, run: Run) -> None:
        with _blaming(run):
            try:
                self._stage(run)
            except SyncError as error:
                if not self._restart(run, error):
                    raise
                self._stage(run)

    def _stage(self, run: Run) -> None:
        run.units([unit for unit in run.plan.units if not (unit.publishes or unit.always)])

    def _publish(self) -> None:
        """Publish in one transaction, as often as other transactions are in its way."""
        attempt, dice = 1, random.Random()
        while True:
            try:
                self._transaction(attempt)
                return
            except BaseException as failed:
                lost = isinstance(failed, GroupFailed) and isinstance(failed.error, ConnectionFailed)
                if not lost:
                    for run in self._runs:
                        run.discard_files()
                if not isinstance(failed, GroupFailed):
                    raise
                if not lost:
                    self._runs[0].note_rollback()
                if not lost and self._without_refused(failed, attempt):
                    continue
                if not _may_repeat(failed, attempt):
                    raise
                pause = retry.wait(attempt, dice, away=lost)
                for run in self._runs:
                    unit = _publishing(run).name
                    run.emit(ev.UnitRolledBack(unit=unit, reason=failed.error.message, retry_in=pause))
                time.sleep(pause)
                attempt += 1
                if lost:
                    self._reconnect(failed)

    def _reconnect(self, failed: GroupFailed) -> None:
        """Open the connection of all anew; staging that a crash of the server emptied is filled again."""
        for run in self._runs:
            try:
                if run is self._runs[0]:
                    run.reconnect()
                else:
                    run.connection = self._connection
                    run.look_again()
            except SyncError as error:
                raise failed from error
            except StagingGone:
                self._refill(run)

    def _refill(self, run: Run) -> None:
        with _blaming(run):
            run.refill([unit for unit in run.plan.units if not unit.always], 1)
        self._fill(run)

    def _committed(self, run: Run, started: float) -> None:
        try:
            run.committed(_publishing(run), started)
        except SyncError as error:
            # The rows of all are there to stay; only this one's file is not where it should be.
            run.emit(ev.SpecFailed(error=error))

    def _without_refused(self, failed: GroupFailed, attempt: int) -> bool:
        """Take out the rows that the targets refuse, or stage them so that they can be; tell whether that was done.

        A constraint that is told at the end may be that of any of the runs.
        """
        others = [run for run in self._runs if run is not failed.run]
        for run in (failed.run, *others):
            if self._isolates(run, failed, attempt):
                return True
        with _blaming(failed.run):
            if not self._restart(failed.run, failed.error):
                return False
            self._stage(failed.run)
        return True

    def _isolates(self, run: Run, failed: GroupFailed, attempt: int) -> bool:
        with _blaming(run):
            try:
                return run.isolates(
                    _publishing(run), failed.error, partial(self._perform_others, run, attempt)
                )
            except SyncError as error:
                if run is failed.run or isinstance(error, Conflict | ConnectionFailed):
                    raise
                return False  # what comes before it fails by itself

    def _perform_others(self, one: Run, attempt: int) -> None:
        """Publish what comes before a run, and of what comes after it what can be."""
        place = self._runs.index(one)
        self._connection.execute("SET CONSTRAINTS ALL DEFERRED")
        for run in self._runs[:place]:
            self._perform(run, attempt, as_planned=True)
        for run in self._runs[place + 1 :]:
            with suppress(SyncError, psycopg.Error):
                self._perform(run, attempt, as_planned=True)

    def _transaction(self, attempt: int) -> None:
        started = time.monotonic()
        isolation = retry.isolation("repeatable read", attempt, self._runs[0].plan.retries)
        self._done.clear()
        unsure = [(run, run.take_files()) for run in self._runs]
        try:
            self._publishing_transaction(attempt, isolation)
        finally:
            for run, files in unsure:
                run.keep_files(files, run in self._done)
        for run in self._runs:
            if run in self._done:
                # The answer to an earlier COMMIT was lost, not the work.
                run.found_done(_publishing(run))
            run.recorded = not run.report.published_before
            self._committed(run, started)

    def _publishing_transaction(self, attempt: int, isolation: str) -> None:
        last = self._runs[-1]
        with _blaming(last, self._runs):
            self._connection.isolation_level = psycopg.IsolationLevel[isolation.upper().replace(" ", "_")]
        with _blaming(last, self._runs), self._connection.transaction():
            for run in self._runs:
                with _blaming(run):
                    run.open(_publishing(run))
            self._connection.execute("SET CONSTRAINTS ALL DEFERRED")
            for run in self._runs:
                with _blaming(run):
                    self._perform(run, attempt, as_planned=isolation == "repeatable read")
            # A constraint that does not hold is told now, when it can still be said what it was about.
            self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for run in self._runs:
                with _blaming(run):
                    run.check(_publishing(run))

    def _perform(self, run: Run, attempt: int, *, as_planned: bool) -> None:
        """Carry out one spec's publishing but its checks, which look at the work of all."""
        if run.over:
            return
        unit = _publishing(run)
        unit = replace(unit, steps=tuple(s for s in unit.steps if not isinstance(s, CheckResult)))
        run.emit(ev.UnitStarted(unit=unit.name, attempt=attempt))
        try:
            with self._connection.transaction():
                run.perform(unit, as_planned=as_planned)
        except NothingToDo:
            run.emit(ev.PublishedBefore(unit=unit.name))
        except DoneAlready:
            self._done.append(run)
        # The next spec's temporary tables have the same names.
        self._connection.execute("DISCARD TEMP")


def _publishing(run: Run) -> Unit:
    return next(unit for unit in run.plan.units if unit.publishes)


def _may_repeat(failed: GroupFailed, attempt: int) -> bool:
    """Tell whether another attempt follows; the last one is READ COMMITTED, as for a spec alone."""
    unit, retries = _publishing(failed.run), failed.run.plan.retries
    isolation = retry.isolation("repeatable read", attempt, retries)
    unit = replace(unit, isolation="repeatable read")
    error = failed.error
    if isinstance(error, ConnectionFailed):
        return attempt <= retries
    return isinstance(error, Conflict) and may_repeat(unit, isolation, attempt, retries, error)
