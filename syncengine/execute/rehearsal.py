"""Carry a plan out in one transaction that is rolled back, without writing to the target: `plan --diff`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from syncengine.connect import wrap
from syncengine.errors import SyncError
from syncengine.execute import badrows
from syncengine.execute.apply import Run
from syncengine.execute.endings import NothingToDo
from syncengine.execute.guards import FailedCheck, check_error
from syncengine.execute.refusals import Refusal
from syncengine.model import events as ev
from syncengine.model.plan import Unit
from syncengine.model.preview import Preview, SampleRow
from syncengine.model.steps import CheckResult, Counter, Probe, RunSql, Sample, Step, WriteFile
from syncengine.values import replace

# What a preview says of a spec that keeps bad rows apart.
TARGETS_OWN = "which rows the table's own constraints and triggers refuse"


class Rehearsal(Run):
    """A run that stops short of the target (docs/spec.md §11, rule 15).

    What it classifies counts as written.  Limits that are broken are noted, so that the numbers are known all the same.
    """

    _samples: tuple[SampleRow, ...] = ()
    _blocked: SyncError | None = None
    _unchecked: tuple[str, ...] = ()

    @property
    def preview(self) -> Preview:
        return Preview(
            counts=self.report.counts,
            samples=self._samples,
            error=self._blocked,
            unchecked=self._unchecked,
            bad_rows=self.report.bad_rows,
        )

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Make everything within the block one transaction, of which nothing stays."""
        self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            with self.connection.transaction(force_rollback=True):
                yield
        except psycopg.Error as error:
            raise wrap(error, doing="rehearsing") from error

    def units(self, units: Sequence[Unit]) -> None:
        for unit in units:
            if not unit.always:
                self.emit(ev.UnitStarted(unit=unit.name, attempt=1))
                self._rehearse(unit)

    def tidy(self, units: Sequence[Unit], failure: BaseException | None = None) -> None:
        """Leave it to the rollback."""

    def _rehearse(self, unit: Unit) -> None:
        started = time.monotonic()
        self.prepare()
        try:
            self.steps(unit, unit.steps, last_resort=False)
            if unit.probe is not None:
                # To try them would be to write: triggers would run, sequences move and rows be locked.
                self._unchecked = (*self._unchecked, TARGETS_OWN)
        except NothingToDo:
            self.emit(ev.PublishedBefore(unit=unit.name))
        if unit.publishes:
            self._close_books(exact=not self.report.published_before)
        self.emit(ev.UnitRehearsed(unit=unit.name, seconds=time.monotonic() - started))

    def _refused_of(self, rest: Unit, probe: Probe, *, enough: int | None = None) -> dict[int, Refusal]:
        """Return the rows that the target refuses of those that are staged; nothing of the trial stays."""
        ahead, _ = badrows.before_writing(rest)
        quiet, self._quiet = self._quiet, True
        try:
            with self.connection.transaction(force_rollback=True):
                self.steps(ahead, ahead.steps, last_resort=True)
                return self._probed(probe, (), enough=enough)
        finally:
            self._quiet = quiet

    def _wants(self, step: Step, *, last_resort: bool) -> bool:
        return isinstance(step, Sample) or super()._wants(step, last_resort=last_resort)

    def _step(self, unit: Unit, step: Step) -> int:
        match step:
            case RunSql() if step.writes:
                return self._count(unit, step.counts)
            case WriteFile():
                return 0
            case Sample():
                return self._sample(step)
            case _:
                return super()._step(unit, step)

    def _count(self, unit: Unit, counter: Counter | None) -> int:
        """Count what is still to be written of a class; several steps may write it."""
        pending = self.report.pending
        rows = {
            "inserted": pending.to_insert - pending.inserted,
            "updated": pending.to_update - pending.updated,
            "deleted": pending.to_delete - pending.deleted,
        }.get(counter or "", 0)
        if counter is not None:
            self.emit(ev.RowsCounted(unit=unit.name, counter=counter, rows=rows))
        return rows

    def _sample(self, step: Sample) -> int:
        rows = self.connection.execute(step.sql.encode()).fetchall()
        found = tuple(
            SampleRow(op=step.op, key=_row(key) or {}, old=_row(old), new=_row(new)) for key, old, new in rows
        )
        self._samples = (*self._samples, *found)
        return len(found)

    def _check_result(self, step: CheckResult) -> int:
        """Evaluate checks on what the target would hold; what only a run can tell is noted."""
        found: list[FailedCheck] = []
        for check, place in zip(step.checks, step.locations, strict=True):
            try:
                found += self._failing(replace(step, checks=(check,), locations=(place,)))
            except SyncError:
                self._use_path(False)
                self._unchecked = (*self._unchecked, check.name)
        if found:
            self.block(check_error(found))
        return len(found)

    def block(self, error: SyncError) -> None:
        self._blocked = self._blocked or error


def _row(value: object) -> dict[str, str | None] | None:
    if value is None:
        return None
    row: dict[str, str | None] = value if isinstance(value, dict) else json.loads(str(value))
    return row
